"""The log view over real clusters, in a real terminal: files and Dask's own rings, merged, followed, searched, saved."""
import os
import re
import signal
import stat
import subprocess

import pytest

from rig import until
from ui.tui import Tui

LOUD = """
import logging, sys
from distributed import get_worker
def shout(n):
    logger = logging.getLogger("distributed.worker")
    for i in range(n):
        logger.warning("shout %06d \\x1b[31mred\\x1b[0m \\x1b[2J", i)
    return n
print(sum(c.gather(c.map(shout, [300, 300], pure=False, workers=None))))
"""


@pytest.fixture
def open_logs(home):
    """Opens the log of the one cluster of that name, in a terminal."""
    open_ones = []

    def open_logs(name, rows=24, cols=100, env=None):
        tui = Tui([home.program, "--filter", f"name:{name}"], {**home.env, "LC_ALL": "C.UTF-8", **(env or {})}, rows=rows, cols=cols)
        open_ones.append(tui)
        tui.wait(r"running|lost|orphaned")
        tui.settle()
        tui.send("l")
        return tui

    yield open_logs
    for tui in open_ones:
        tui.__exit__()


def test_files_of_scheduler_and_worker_are_merged(open_logs, rig):
    scheduler = rig.scheduler("merged")
    rig.worker(scheduler.address, "alpha")
    scheduler.workers(1)
    tui = open_logs("merged")
    tui.wait("logs of 2 components")
    tui.wait(r"alpha .*(Starting established connection|Registered to)")
    tui.send("g")
    tui.wait(r"scheduler .*(State start|Scheduler at|---)")
    tui.send("\t")
    tui.wait("log of scheduler")
    tui.send("\t")
    tui.wait("log of alpha")
    tui.send("\t")
    tui.wait("logs of 2 components")
    with open(rig.path / "alpha.log", "a") as log:
        log.write("print of a user's task, without an end")
    tui.send("G")
    tui.wait("print of a user's task, without an end")
    tui.send("q")
    tui.wait("merged")


def test_rings_where_there_are_no_files_of_their_own(open_logs, rig):
    scheduler = rig.local_cluster("ringed", workers=2)
    rig.client(scheduler.address, LOUD)
    tui = open_logs("ringed", cols=140)
    tui.wait(r"shout 000299 red <1B>\[2J")
    tui.send("/000123 red\r")
    tui.wait(r"▌.*shout 000123")
    tui.send("&shout 0001\r")
    tui.wait(r"of 200\b")
    tui.send("&\r")
    tui.wait(r"&shout", absent=True)


def test_what_is_asked_for_by_since(open_logs, rig):
    scheduler = rig.scheduler("recent")
    with open(rig.path / "recent.log", "r+") as log:
        rest = log.read()
        log.seek(0)
        log.write("".join(f"2020-01-01 00:00:{i % 60:02d},000 - distributed.core - INFO - old {i}\n" for i in range(5000)) + rest)
    tui = open_logs("recent")
    tui.wait(r"of 5,0\d\d")
    assert scheduler.address
    tui.send("s", "1h\r")
    tui.wait(r"lines 1 – (\d+) of \1 ")
    assert not re.search(r"\bold \d", tui.text())


@pytest.mark.parametrize("rows,cols,env", [(8, 40, {}), (24, 80, {"LC_ALL": "C", "LANG": "C"}), (50, 200, {"NO_COLOR": "1"})])
def test_every_size_and_hostile_lines(open_logs, rig, rows, cols, env):
    rig.scheduler("hostile")
    with open(rig.path / "hostile.log", "ab") as log:
        log.write(b"x" * (1 << 20) + b" NEEDLE " + b"y" * 1000 + b"\n\x00\x01\x02\xff\xfe \xe2\x80\xae\x1b]52;c;AAAA\x07 end\r\n" + "日本語 é\n".encode() * 3)
    tui = open_logs("hostile", rows, cols, env)
    tui.wait("following")
    tui.send("/needle\r")
    tui.wait("NEEDLE")
    for key in ("w", "t", "w", "t", "g", "G", "k", "j", "PgUp", "PgDn", "Right", "Left", "n", "N", "f", "&", "\r"):
        tui.send(key)
    for size in ((8, 40), (20, 60), (rows, cols)):
        tui.resize(*size)
        tui.settle()
    tui.send("G")
    tui.wait("following")
    assert b"\x1b]52" not in bytes(tui.raw)
    tui.send("q", "q")
    assert tui.wait_exit() == 0
    assert tui.is_clean()


def test_save_asks_before_it_writes_over(home, open_logs, rig):
    rig.scheduler("saved")
    tui = open_logs("saved")
    tui.wait("Registering Worker plugin")
    target = home.path / "out.log"
    tui.send("W", f"{target}\r")
    tui.wait(r"lines saved to")
    first = target.read_text()
    assert "Scheduler at:" in first and "\x1b" not in first
    assert stat.S_IMODE(os.stat(target).st_mode) == 0o600
    target.write_text("mine")
    tui.send("W", f"{target}\r")
    tui.wait("it exists; yes overwrites")
    tui.send("no\r")
    tui.wait("not saved")
    assert target.read_text() == "mine"
    tui.send("W", f"{target}\r")
    tui.wait("it exists; yes overwrites")
    tui.send("yes\r")
    until(lambda: target.read_text() == first, 20, what="written over")
    tui.settle()
    tui.send("W", f"{target}\r")
    tui.wait("it exists; yes overwrites")
    other = home.path / "other.log"
    tui.send("\x15" + f"{other}\r")  # another name is no answer
    until(lambda: other.exists() and other.read_text() == first, 20, what="saved under the other name")


def test_the_end_is_said_and_the_log_stays(open_logs, rig):
    scheduler = rig.scheduler("ending")
    tui = open_logs("ending")
    tui.wait("Registering Worker plugin")
    scheduler.process.terminate()
    tui.wait(r"\bended\b")
    tui.wait(r"End scheduler|Stopped scheduler|Closing scheduler")
    tui.send("/Registering\r")
    tui.wait(r"▌.*Registering")


def test_lost_lines_are_said(home, open_logs, rig):
    """Dask keeps 10,000 lines of each process: who does not ask in time has lost the others, and must say so."""
    scheduler = rig.local_cluster("losing", workers=1)
    tui = open_logs("losing")
    tui.wait("nothing dropped")
    printing = subprocess.Popen([home.program, "logs", scheduler.address, "-f"], env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    rig.client(scheduler.address, LOUD.replace("[300, 300]", "[3]"), name="before")
    assert any(b"shout 000002" in line for line in printing.stdout)
    tui.wait("shout 000002")
    for process in (printing, tui.process):
        process.send_signal(signal.SIGSTOP)
    rig.client(scheduler.address, LOUD.replace("[300, 300]", "[25000]"), name="flood")
    for process in (printing, tui.process):
        process.send_signal(signal.SIGCONT)
    try:
        tui.wait("lines lost")
        tui.wait("shout 024999")
        assert any(b"shout 024999" in line for line in printing.stdout)
    finally:
        printing.terminate()
    assert b"lines were lost" in printing.communicate(timeout=20)[1]


@pytest.mark.parametrize("env,colour", [({}, "green"), ({"NO_COLOR": "1"}, "default")])
def test_colours_of_a_log_are_attributes(open_logs, rig, env, colour):
    rig.scheduler("coloured")
    with open(rig.path / "coloured.log", "a") as log:
        log.write("\x1b[1;32mGREENWORD\x1b[0m plain\n")
    tui = open_logs("coloured", env=env)
    tui.wait("GREENWORD plain")
    row = next(i for i, line in enumerate(tui.screen.display) if "GREENWORD" in line)
    col = tui.screen.display[row].index("GREENWORD")
    cells = tui.screen.buffer[row]
    assert (cells[col].fg, cells[col].bold) == (colour, True)
    assert (cells[col + 10].fg, cells[col + 10].bold) == ("default", False)
