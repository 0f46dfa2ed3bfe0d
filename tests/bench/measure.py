"""What all parts of the bench measure with: rows of figures, wall times, first frames, keys."""
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path[:0] = [str(HERE.parent), str(HERE)]
from timed_tui import Tui  # noqa: E402

CACHE = pathlib.Path(os.environ.get("DASKTOP_CACHE") or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "dasktop")
os.environ.setdefault("DASKTOP_VENVS", str(CACHE / "venv"))
DASKTOP = pathlib.Path(os.environ.get("DASKTOP_PROGRAM", TOP / "build/release/dasktop"))
RUNS = int(os.environ.get("BENCH_RUNS", "9"))


def venv(name, *packages):
    where = CACHE / "venv" / name
    if not (where / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", where], check=True)
        subprocess.run([where / "bin/pip", "install", "-q", *packages], check=True)
    return where / "bin/python"


def row(name, value, peer="", peer_value=None, unit="ms"):
    ratio = f"{value / peer_value:8.3f} ×" if peer_value else ""
    other = f"{peer_value:10.2f} {unit}" if peer_value is not None else ""
    print(f"  {name:<58} {value:10.2f} {unit:<7} {peer:<28} {other:<16} {ratio}", flush=True)


def wall(command, env, runs=RUNS):
    """Median wall time in ms of whole processes, after one that is not counted."""
    times = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times[1:])


def in_turn(commands, env, runs=RUNS):
    """Median wall time in ms of each command, one after the other in each round, so that the machine's moods are all of theirs."""
    times = [[] for _ in commands]
    for _ in range(runs + 1):
        for command, taken in zip(commands, times):
            begin = time.perf_counter()
            subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            taken.append(1000 * (time.perf_counter() - begin))
    return [statistics.median(taken[1:]) for taken in times]


def first_rows(env, rows, runs=RUNS):
    """ms from the start of `list --watch -o json` to its rows-th row."""
    times = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        with subprocess.Popen([DASKTOP, "list", "--watch", "-o", "json"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            seen = set()
            for line in child.stdout:
                if line.startswith(b'{"event": "cluster"'):
                    seen.add(line.split(b'"id": "', 1)[1].split(b'"', 1)[0])
                if len(seen) >= rows:
                    break
            times.append(1000 * (time.perf_counter() - begin))
            child.kill()
    return statistics.median(times[1:])


class Place:
    """A directory and an environment of its own."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="dasktop-bench-"))
        self.env = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "LC_ALL")}
        self.env.update(HOME=str(self.path), TERM="xterm-256color", DASK_ROOT_CONFIG=str(self.path / "no-etc"))

    def config(self, text):
        where = self.path / ".config/dask"
        where.mkdir(parents=True, exist_ok=True)
        (where / "dasktop.yaml").write_text(text)


def key_times(screen, count=100, keys="jk"):
    """From the key to the last byte of its redraw, ms; data frames that happen to come in between count too."""
    times = []
    for i in range(count):
        screen.quiet(30)
        with screen.lock:
            before = len(screen.chunks)
        sent = screen.send(keys[i % len(keys)])
        end = sent + 1
        while time.monotonic() < end:
            with screen.lock:
                if len(screen.chunks) > before:
                    break
            time.sleep(0.0001)
        last = screen.quiet(8)
        times.append(1000 * (last - sent))
    return sorted(times)


def first_frame(command, pattern, env):
    times = []
    for _ in range(RUNS):
        with Tui(command, env=env, rows=50, cols=160) as screen:
            times.append(1000 * screen.wait(pattern))
    return statistics.median(times)
