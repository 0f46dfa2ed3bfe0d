#!/usr/bin/env python3
"""Figures beside peers and floors, measured in one run; nothing is judged. `scripts/test bench [PART…]`.

Parts: list (20 schedulers and 10 traps, beside `dask cluster list`), screen (first frame and keys with 200 live rows, beside htop and
an empty curses program), idle (20 clusters), load (what a scheduler with 1,000 workers pays), plugins (many
clusters, many plugins, bad plugins, beside bare readers), queues (Slurm with 5,000 jobs, a gateway with 200 clusters, three Jupyter servers, beside squeue and curl), kube (a real API
server with 10 and 2,000 clusters, beside k9s, kubectl and curl; only when named), logs (ten million lines, beside less, grep and tail), memory (10 minutes; only when named).
"""
import contextlib
import json
import os
import pathlib
import resource
import signal
import statistics
import subprocess
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent), str(pathlib.Path(__file__).resolve().parent)]
from measure import DASKTOP, HERE, Place, first_frame, key_times, row, venv, wall  # noqa: E402
from logs import bench_logs  # noqa: E402
from big import bench_big  # noqa: E402
from plugins import bench_plugins  # noqa: E402
from queued import bench_queues  # noqa: E402
from kube import bench_kube  # noqa: E402
from elsewhere import bench_ssh  # noqa: E402
from rig import Rig, Trap, python  # noqa: E402
from timed_tui import Tui  # noqa: E402


def bench_list(place):
    print("list: 20 live schedulers, 10 traps")
    daskctl = venv("bench-dask-ctl", "dask-ctl==2024.1.0", "dask==2026.3.0", "distributed==2026.3.0", "setuptools==65.5.1")
    traps = [Trap(kind) for kind in ("silent", "garbage", "absurd", "slow", "half", "huge", "silent", "garbage", "slow", "absurd")]
    with Rig(place.path / "rig", python("dask-current")) as rig:
        schedulers = [rig.scheduler(f"s{n}") for n in range(20)]
        # first time ever: nothing is remembered
        begin = time.perf_counter()
        done = subprocess.run([DASKTOP, "list", "-o", "json"], env=place.env, capture_output=True, text=True)
        first = 1000 * (time.perf_counter() - begin)
        found = {c["address"] for c in json.loads(done.stdout)["clusters"]}
        ports = {str(t.port) for t in traps}
        print(f"  found {len(found & {s.address for s in schedulers})} of 20, traps among them: {len([a for a in found if a.rsplit(':')[-1] in ports])}")
        theirs = wall([daskctl.parent / "dask", "cluster", "list"], dict(os.environ), 5)
        row("dasktop list, the first time ever", first, "dask cluster list", theirs)
        row("dasktop list", wall([DASKTOP, "list"], place.env), "dask cluster list", theirs)
        os.kill(schedulers[0].process.pid, signal.SIGSTOP)
        place.config("dasktop: {timeout: 1s}\n")
        row("dasktop list, one scheduler blocked, timeout 1 s", wall([DASKTOP, "list"], place.env, 3), "its timeout", 1000.0)
        with Tui([DASKTOP], env=place.env, rows=50, cols=160) as screen:
            others = 1000 * screen.wait(r"(?s)(running.*){10}")
            row("the others' rows on the screen meanwhile", others)
        os.kill(schedulers[0].process.pid, signal.SIGCONT)
        place.config("")
        bench_idle(place, 20)
    for trap in traps:
        trap.close()


def bench_idle(place, clusters):
    print(f"idle: {clusters} clusters, 20 s")
    for name, command in (("dasktop", [DASKTOP]), ("htop", ["htop"])):
        with Tui(command, env=place.env, rows=50, cols=160) as screen:
            screen.wait(r"running|PID")
            time.sleep(8)
            cpu, out, begin = screen.cpu_s(), screen.bytes_out(), time.monotonic()
            time.sleep(20)
            took = time.monotonic() - begin
            row(f"{name}: CPU a second", 1000 * (screen.cpu_s() - cpu) / took)
            row(f"{name}: bytes to the terminal a second", (screen.bytes_out() - out) / took, unit="B")
            row(f"{name}: memory (RSS)", screen.rss_kib() / 1024, unit="MiB")


def bench_screen(place):
    print("screen: 200 live rows")
    empty = place.path / "empty"
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "ncursesw"], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["cc", "-O2", "-o", empty, HERE / "empty_curses.c", *flags], check=True)
    fake = subprocess.Popen([sys.executable, HERE / "fake_schedulers.py", "200"], stdout=subprocess.PIPE, text=True)
    try:
        addresses = json.loads(fake.stdout.readline())
        place.config("dasktop: {auto: false, refresh: 1s, backends: {fake: {type: scheduler, addresses: %s}}}\n" % json.dumps(addresses))
        with Tui([DASKTOP], env=place.env, rows=50, cols=160) as screen:
            screen.wait(r"200 clusters")
            ours = key_times(screen)
        with Tui(["htop"], env=dict(os.environ), rows=50, cols=160) as screen:
            screen.wait("PID")
            time.sleep(1)
            theirs = key_times(screen, keys=["\x1b[B", "\x1b[A"])
        row("key to the last byte, median", statistics.median(ours), "htop", statistics.median(theirs))
        row("key to the last byte, p99", ours[int(len(ours) * .99)], "htop", theirs[int(len(theirs) * .99)])
        floor = first_frame([empty], "ready", place.env)
        row("first frame (200 rows from the last table)", first_frame([DASKTOP], r"NAME", place.env), "empty curses", floor)
        row("first frame of htop", first_frame(["htop"], "PID", dict(os.environ)), "empty curses", floor)
    finally:
        fake.kill()
        fake.wait()
        place.config("")


def bench_load(place):
    print("load: what a scheduler with 1,000 workers pays, 90 s of the dashboard")
    with Rig(place.path / "load", python("dask-current")) as rig:
        meter = place.path / "meter.json"
        scheduler = rig.scheduler("big", "--preload", HERE / "meter.py", env=dict(os.environ, METER_FILE=str(meter), METER_WORKERS="1000",
                                  DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="null"))
        end = time.monotonic() + 180
        while time.monotonic() < end and not meter.exists():
            time.sleep(1)
        before = scheduler.rig.log("big")
        with Tui([DASKTOP], env=place.env, rows=50, cols=160):
            time.sleep(90)
        time.sleep(1.5)
        measured = json.loads(meter.read_text())
        print(f"  workers registered: {measured['workers']}")
        total = 0.0
        for name, (count, seconds, longest) in sorted(measured["calls"].items()):
            total += seconds
            row(f"{name}: {count} calls, longest", 1000 * longest)
        row("share of the scheduler's time", 100 * total / 90, unit="%")
        lines = scheduler.rig.log("big")[len(before):].splitlines()
        print(f"  lines in the owner's log meanwhile: {len(lines)}")
        for line in lines[:5]:
            print("    " + line)


def bench_memory(place):
    print("memory: 10 minutes with 20 fake clusters")
    fake = subprocess.Popen([sys.executable, HERE / "fake_schedulers.py", "20"], stdout=subprocess.PIPE, text=True)
    try:
        addresses = json.loads(fake.stdout.readline())
        place.config("dasktop: {auto: false, refresh: 1s, backends: {fake: {type: scheduler, addresses: %s}}}\n" % json.dumps(addresses))
        with Tui([DASKTOP], env=place.env, rows=50, cols=160) as screen:
            screen.wait("20 clusters")
            for minute in range(11):
                row(f"after {minute} min: RSS", screen.rss_kib() / 1024, unit="MiB")
                time.sleep(60 if minute < 10 else 0)
    finally:
        fake.kill()
        fake.wait()
        place.config("")


PARTS = {"list": bench_list, "screen": bench_screen, "load": bench_load, "plugins": bench_plugins, "queues": lambda place: bench_queues(), "kube": lambda place: bench_kube(), "ssh": lambda place: bench_ssh(), "big": bench_big, "logs": bench_logs, "memory": bench_memory}

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    for part in sys.argv[1:] or ["list", "screen", "load", "plugins", "big", "logs"]:
        place = Place()
        with contextlib.suppress(KeyboardInterrupt):
            PARTS[part](place)
