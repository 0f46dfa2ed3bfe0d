"""The part `logs`: a log of ten million lines, and a hundred thousand lines a second, beside less, grep and tail."""
import os
import re
import statistics
import subprocess
import sys
import time

from measure import DASKTOP, row, wall
from rig import Rig, python
from timed_tui import Tui

LINES, NEEDLE = 10_000_000, "zygomorphic"
SIZE = dict(rows=50, cols=160)
# Appends 1,000 lines every 10 ms, each with the moment at which it was written.
WRITER = """
import os, sys, time
fd, end, n = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND), time.monotonic() + float(sys.argv[2]), 0
due = time.monotonic()
while time.monotonic() < end:
    now = time.monotonic()
    os.write(fd, b"".join(b"at %.4f flood line %09d ...........................................................................\\n" % (now, n + i)
                          for i in range(1000)))
    n += 1000
    due += 0.01
    time.sleep(max(0, due - time.monotonic()))
print(n)
"""


def make_log(path):
    """About 1.3 GB of lines as Dask writes them, with one rare word near the beginning."""
    levels = (b"INFO", b"INFO", b"WARNING", b"INFO", b"ERROR")
    with open(path, "wb") as out:
        for block in range(LINES // 10_000):
            second = block % 86400
            head = b"2026-11-01 %02d:%02d:%02d," % (second // 3600, second // 60 % 60, second % 60)
            lines = [head + b"%03d - distributed.worker - %s - Event loop was unresponsive in Worker for %d.%02ds. This is often caused by task %08d\n"
                     % (i % 1000, levels[i % 5], i % 9, i % 100, block * 10_000 + i) for i in range(10_000)] if block < 20 else lines
            out.write(b"".join(lines) if block != 5 else b"".join(lines[:5000]) + b"the %s needle is here\n" % NEEDLE.encode() + b"".join(lines[5001:]))


def open_log(screen):
    """From the key to the end of the log on the screen, ms."""
    screen.wait(r"\brunning\b")
    screen.quiet(300)
    sent = screen.send("l")
    return 1000 * (screen.wait(r"Scheduler at:|dashboard at:") + screen.t0 - sent)


def bench_open(place, path):
    ours, rss = [], 0
    for _ in range(7):
        with Tui([DASKTOP, "--filter", "name:big"], env=place.env, **SIZE) as screen:
            ours.append(open_log(screen))
            screen.wait(r"of 10,000,\d\d\d")
            rss = max(rss, screen.rss_kib())
    theirs = []
    for _ in range(7):
        with Tui(["less", "+G", str(path)], **SIZE) as screen:
            theirs.append(1000 * screen.wait(r"Registering Worker plugin"))
    row("from the key to the end of 10,000,000 lines", statistics.median(ours), "less +G, with its start", statistics.median(theirs))
    row("memory (RSS), all lines counted", rss / 1024, unit="MiB")


def bench_search(place, path):
    grep = wall(["sh", "-c", f"grep -c {NEEDLE} '{path}' | cat"], dict(os.environ), 5)  # into /dev/null it would stop at the first match
    times, keys = [], []
    with Tui([DASKTOP, "--filter", "name:big"], env=place.env, **SIZE) as screen:
        open_log(screen)
        screen.wait(r"of 10,000,\d\d\d")
        for _ in range(7):
            screen.quiet(200)
            sent = screen.send(f"/{NEEDLE}\r")
            times.append(1000 * (screen.wait(rf"{NEEDLE} needle") + screen.t0 - sent))
            screen.quiet(100)
            screen.text()
            screen.send("G")
            screen.wait("following")
        screen.send("/no such word anywhere\r")
        screen.wait("not found")
        for _ in range(20):
            screen.send("n")  # through all of it, again
            for key in "kkjkkj":
                screen.text()
                top = int(re.search(r"lines ([\d,]+)", screen.text() + " lines 0").group(1).replace(",", ""))
                sent = screen.send(key)
                wanted = f"{top + (1 if key == 'j' else -1):,}"
                if top:
                    keys.append(1000 * (screen.wait(rf"lines {wanted}\b|not found") + screen.t0 - sent))
    row("a rare word near its beginning, found from its end", statistics.median(times), "grep -c", grep)
    if keys:
        keys.sort()
        row("a key while a search goes on, median", statistics.median(keys))
        row("a key while a search goes on, p99", keys[int(len(keys) * .99)])


def staleness(screen, seconds):
    """How old the newest line on the screen was at its worst, between each picture and the next one, ms."""
    newest, ages, at = None, [], len(screen.chunks)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)
        with screen.lock:
            chunks = screen.chunks[at:]
        for when, _ in chunks:
            at += 1
            with screen.lock:
                while screen.fed < at:
                    screen._feed_one()
            found = re.findall(r"at (\d+\.\d{4}) flood", "\n".join(screen.screen.display))
            if found:
                if newest is not None and float(found[-1]) > newest:
                    ages.append(1000 * (when - newest))
                newest = max(map(float, found))
    return sorted(ages)


def bench_flood(place, path):
    writer = [sys.executable, "-c", WRITER, str(path)]
    with Tui([DASKTOP, "--filter", "name:big"], env=place.env, **SIZE) as screen:
        open_log(screen)
        screen.wait(r"of 10,000,\d\d\d")
        cpu = screen.cpu_s()
        process = subprocess.Popen([*writer, "10"], stdout=subprocess.PIPE, text=True)
        screen.wait("flood")
        ages = staleness(screen, 5)
        keys, shown = [], True
        while process.poll() is None:
            sent = screen.send("t")
            shown = not shown
            keys.append(1000 * (screen.wait(r"\A.*\n.*\n {18}at" if shown else r"\A.*\n.*\n {9}at") + screen.t0 - sent))
            time.sleep(0.03)
        cpu = screen.cpu_s() - cpu
        count = int(process.stdout.read())
        keys.sort()
        screen.quiet(300)
        last = re.findall(r"flood line (\d+)", screen.text())
        row("lines a second that were written for 10 s", count / 10, unit="")
        row("age of the newest line before it is replaced, median", statistics.median(ages))
        row("age of the newest line before it is replaced, p99", ages[int(len(ages) * .99)])
        row("a key meanwhile (t), median", statistics.median(keys))
        row("a key meanwhile (t), p99", keys[int(len(keys) * .99)])
        row("CPU a second", 100 * cpu)
        print(f"  the last line that was written is on the screen: {bool(last) and int(last[-1]) == count - 1}; lost: {'lost' in screen.text()}")
    with Tui(["tail", "-n", "0", "-f", str(path)], **SIZE) as screen:
        process = subprocess.Popen([*writer, "3"], stdout=subprocess.DEVNULL)
        process.wait()
        screen.quiet(300)
        ages = []
        for when, chunk in screen.chunks:
            found = re.findall(rb"at (\d+\.\d{4}) flood", chunk)
            ages += [1000 * (when - float(found[-1]))] if found else []
        row("tail -f: age of the newest line when it comes, median", statistics.median(ages))


def bench_logs(place):
    print(f"logs: one of {LINES:,} lines; 100,000 lines a second")
    with Rig(place.path / "logs", python("dask-current")) as rig:
        path = rig.path / "big.log"
        make_log(path)
        try:
            rig.scheduler("big")
            bench_open(place, path)
            bench_search(place, path)
            bench_flood(place, path)
        finally:
            path.unlink()
