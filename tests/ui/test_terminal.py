"""What only a real terminal shows: sizes, colours, locales, and how the program leaves."""
import os
import re
import signal
import time

import pytest

from ui.tui import Tui

READY = r"No Dask cluster was found|\d+ clusters?"
EMPTY = "dasktop:\n  auto: false\n  backends: {local: {enabled: false}}\n"


@pytest.fixture
def start(home):
    """Starts the dashboard in a terminal of its own; ends with the test."""
    home.config(EMPTY)
    open_ones = []

    def start(*arguments, env=None, ready=READY, **more):
        tui = Tui([home.program, *arguments], {**home.env, "LC_ALL": "C.UTF-8", **(env or {})}, **more)
        open_ones.append(tui)
        if ready:
            tui.wait(ready)
            tui.settle()
        return tui

    yield start
    for tui in open_ones:
        tui.__exit__()


@pytest.mark.parametrize("rows,cols", [(24, 80), (8, 40), (50, 200), (34, 140)])
def test_sizes(start, rows, cols):
    tui = start(rows=rows, cols=cols)
    assert "quit" in tui.text() or "help" in tui.text()
    tui.send("q")
    assert tui.wait_exit() == 0
    assert tui.is_clean()


def test_resize_in_a_row(start):
    tui = start()
    for rows, cols in ((40, 10), (8, 3), (1, 1), (50, 200), (8, 40), (24, 80)):
        tui.resize(rows, cols)
        time.sleep(0.05)
    tui.settle()
    tui.resize(7, 39)
    tui.wait("dasktop needs 40x8")
    tui.resize(24, 80)
    tui.wait(r"q quit")
    tui.send("q")
    assert tui.wait_exit() == 0


@pytest.mark.parametrize("term", ["xterm-256color", "xterm", "tmux-256color", "screen-256color", "linux", "vt100"])
def test_terminals(start, term):
    tui = start(term=term)
    assert tui.shows("quit")
    tui.send("?")
    tui.wait("Lower-case looks")
    tui.send("q", "q")
    assert tui.wait_exit() == 0
    assert tui.is_clean()


def colours(raw):
    return [m for m in re.findall(rb"\x1b\[([0-9;]*)m", raw) if re.search(rb"(^|;)([34][0-7]|[34]8)(;|$)", m)]


def test_no_color(start):
    tui = start(env={"NO_COLOR": "1"})
    assert not colours(bytes(tui.raw))
    assert colours(bytes(start(env={"NO_COLOR": ""}).raw))


def test_c_locale_is_ascii(start):
    tui = start(env={"LC_ALL": "C", "LANG": "C"})
    tui.send("?")
    tui.wait("Lower-case")
    tui.settle()
    assert all(byte < 128 for byte in tui.raw)


def test_ctrl_c_does_not_leave(start):
    tui = start()
    tui.send("\x03")
    tui.wait("q leaves")
    tui.send("?")
    tui.wait("Lower-case")
    tui.send("\x03")
    tui.wait("Lower-case", absent=True)
    tui.send("q")
    assert tui.wait_exit() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_end_cleanly(start, number):
    tui = start()
    tui.process.send_signal(number)
    assert tui.wait_exit(3) == 128 + number
    assert tui.is_clean()


def test_crash_leaves_the_terminal_clean(start):
    tui = start()
    tui.process.send_signal(signal.SIGSEGV)
    assert tui.wait_exit(10) != 0
    assert tui.is_clean()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_terminal_that_stops_reading(start, number):
    """The program is stuck inside of a write; it ends all the same, within a second and a bit."""
    tui = start(rows=50, cols=200)
    tui.reading = False
    time.sleep(0.2)
    for _ in range(60):
        tui.send("?", "q")
        tui.send("\x0c")
        time.sleep(0.01)
    time.sleep(0.5)
    tui.process.send_signal(number)
    started = time.monotonic()
    assert tui.wait_exit(5) == 128 + number
    assert time.monotonic() - started < 3


def test_split_arrow_keys_do_not_delete(start):
    """On a slow line an arrow may come in pieces; its tail looks like D."""
    tui = start()
    tui.send("\x1b")
    time.sleep(0.12)
    tui.send("[")
    time.sleep(0.05)
    tui.send("D")
    tui.settle()
    assert not tui.shows("Delete|no cluster is selected")
    tui.send("\x1b", "[", "B")
    tui.settle()
    assert not tui.shows("there is no backend")
    tui.send("q")
    assert tui.wait_exit() == 0


def test_paste_does_nothing(start):
    tui = start()
    tui.send("\x1b[200~qqq:quit\rD\x1b[201~")
    tui.settle()
    assert tui.process.poll() is None
    tui.send("q")
    assert tui.wait_exit() == 0


def test_command_line_completes(start):
    tui = start()
    tui.send(":the\t")
    tui.wait(r"^ :theme")
    tui.send("li\t")
    tui.wait(r":theme light")
    tui.send("Enter", ":nonsense\r")
    tui.wait("there is no command nonsense")
    tui.send(":q\r")
    assert tui.wait_exit() == 0


def test_stop_and_continue(home):
    """Ctrl-Z and fg in a shell with job control."""
    home.config(EMPTY)
    env = dict(home.env, PS1="$ ", LC_ALL="C.UTF-8")
    with Tui(["bash", "--norc", "-i"], env) as tui:
        tui.wait(r"^\$")
        tui.send(f"{home.program}\r")
        tui.wait(READY)
        tui.settle()
        tui.send("\x1a")
        tui.wait("Stopped")
        tui.settle()
        assert bytes(tui.raw).rfind(b"\x1b[?1049l") > bytes(tui.raw).rfind(b"\x1b[?1049h")
        tui.resize(30, 90)
        tui.send("fg\r")
        tui.wait("q quit")
        tui.send("q")
        tui.wait(r"^\$")
        tui.send("exit\r")


def test_nothing_moves_while_nothing_happens(start):
    tui = start()
    time.sleep(1)
    before = len(tui.raw)
    time.sleep(3)
    assert len(tui.raw) - before < 400


def test_not_a_terminal_prints_the_list(home):
    home.config(EMPTY)
    done = home.run(timeout=30)
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("term", ["dumb", "no-such-terminal"])
def test_terminals_that_cannot(home, term):
    home.config(EMPTY)
    with Tui([home.program], dict(home.env, LC_ALL="C.UTF-8"), term=term) as tui:
        tui.wait_exit(20)
        tui.settle()
        assert b"\x1b[?1049h" not in tui.raw


def test_options(start):
    tui = start("--ascii", "--color", "never", "--theme=light", "--filter", "verdict:idle")
    text = tui.text()
    assert text.isascii()
    assert "verdict:idle" in text
    tui.send("q")
    assert tui.wait_exit() == 0


@pytest.mark.parametrize("wrong", [["--color", "pink"], ["--theme", "pink"], ["--filter", "age>soon"]])
def test_wrong_options(start, wrong):
    tui = start(*wrong, ready=None)
    assert tui.wait_exit() == 2
    for _ in range(200):  # its last bytes may be read after its end
        if tui.shows("dasktop: "):
            return
        time.sleep(0.02)
    raise AssertionError(tui.text())
