"""Runs a program in a real pseudo-terminal and reads its screen through a terminal emulator (pyte).

    with Tui([program], env=env, rows=24, cols=80) as t:
        t.wait("clusters")          # until the screen shows this regular expression
        t.send("q")
        assert t.wait_exit() == 0
"""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import pyte

NAMED = {"Up": "\x1b[A", "Down": "\x1b[B", "Right": "\x1b[C", "Left": "\x1b[D", "Enter": "\r", "Esc": "\x1b", "Tab": "\t",
         "F1": "\x1bOP", "F5": "\x1b[15~", "Delete": "\x1b[3~", "PgUp": "\x1b[5~", "PgDn": "\x1b[6~"}


class Tui:
    def __init__(self, command, env, rows=24, cols=80, term="xterm-256color", cwd=None):
        self.rows, self.cols = rows, cols
        self.screen = pyte.Screen(cols, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw, self.fed, self.reading = bytearray(), 0, True
        self.tail = self.last = b""
        self.changed = threading.Condition()
        self.master, self.slave = pty.openpty()
        self.resize_only()
        self.modes = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([str(c) for c in command], stdin=self.slave, stdout=self.slave, stderr=self.slave, cwd=cwd,
                                        env=dict(env, TERM=term), start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()

    def _read(self):
        while True:
            if not self.reading:
                time.sleep(0.02)
                continue
            ready, _, _ = select.select([self.master], [], [], 0.05)
            if not ready:
                continue
            try:
                got = os.read(self.master, 65536)
            except OSError:
                return
            if not got:
                return
            with self.changed:
                self.raw += got
                self.changed.notify_all()

    def text(self):
        """The screen as lines."""
        with self.changed:
            new = bytes(self.raw[self.fed:])
            self.fed = len(self.raw)
        self.stream.feed(self._plain(new))
        return "\n".join(line.rstrip() for line in self.screen.display)

    def _plain(self, new):
        """What pyte does not know and terminals do: repeated characters (REP) and scrolling (SU, SD) written out,
        private modes left out."""
        new = self.tail + new
        cut = re.search(rb"\x1b(\[[0-9;?<>=]*)?$", new)  # a sequence that goes on in the next piece
        self.tail = cut.group(0) if cut else b""
        new = new[:len(new) - len(self.tail)] if self.tail else new
        repeated = re.sub(rb"([\x20-\x7e]|[\xc2-\xf4][\x80-\xbf]+)\x1b\[(\d+)b", lambda m: m[1] * (int(m[2]) + 1), self.last + new)
        repeated = repeated[len(self.last):]
        last = re.search(rb"([\x20-\x7e]|[\xc2-\xf4][\x80-\xbf]+)$", new)
        self.last = last.group(0) if last else b""
        # curses scrolls a region from its edge: index and reverse index do the same there
        scrolled = re.sub(rb"\x1b\[(\d*)S", lambda m: b"\x1bD" * int(m[1] or 1), repeated)
        scrolled = re.sub(rb"\x1b\[(\d*)T", lambda m: b"\x1bM" * int(m[1] or 1), scrolled)
        return re.sub(rb"\x1b\[[<>=][0-9;]*[a-zA-Z]", b"", scrolled)

    def shows(self, pattern):
        return re.search(pattern, self.text(), re.M)

    def wait(self, pattern, seconds=20, absent=False):
        end = time.monotonic() + seconds
        while bool(self.shows(pattern)) == absent:
            assert time.monotonic() < end, f"{'still' if absent else 'no'} {pattern!r} after {seconds} s; the screen:\n{self.text()}"
            assert self.process.poll() is None or self.shows(pattern), f"ended ({self.process.poll()}) before {pattern!r}:\n{self.text()}"
            with self.changed:
                self.changed.wait(0.02)
        return self.text()

    def send(self, *keys):
        """Keys by name, or text as it is."""
        for key in keys:
            os.write(self.master, NAMED.get(key, key).encode())

    def settle(self, seconds=0.25):
        """Until nothing has come for a while."""
        while True:
            have = len(self.raw)
            time.sleep(seconds)
            if len(self.raw) == have:
                return self.text()

    def resize_only(self):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.cols, 0, 0))

    def resize(self, rows, cols):
        self.text()
        self.rows, self.cols = rows, cols
        self.screen.resize(rows, cols)
        self.resize_only()

    def wait_exit(self, seconds=10):
        return self.process.wait(seconds)

    def is_clean(self):
        """The modes of the terminal are those of before, and the program has undone what it switched on."""
        self.settle(0.1)
        raw = bytes(self.raw)
        now = termios.tcgetattr(self.slave)
        left = []
        if now[:4] != self.modes[:4]:
            left.append("modes")
        for on, off, what in ((b"\x1b[?1049h", b"\x1b[?1049l", "alternate screen"), (b"\x1b[?25l", b"\x1b[?25h", "hidden cursor"),
                              (b"\x1b[?2004h", b"\x1b[?2004l", "bracketed paste"), (b"\x1b[?1h", b"\x1b[?1l", "keypad")):
            if raw.rfind(on) > raw.rfind(off):
                left.append(what)
        assert not left, f"left behind: {left}"
        return True
