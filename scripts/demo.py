#!/usr/bin/env python3
"""Real Dask clusters to look at: started and ended by `scripts/run --demo [stop]`.

busy        a scheduler with workers and a client that never stops computing
idle        a LocalCluster in a script, its client connected, nothing to do
unattended  a detached scheduler whose client was killed; it holds nothing
lost        a worker whose scheduler was killed: it waits for ever

What was started is remembered as pid and start time; nothing else is ever ended.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.request

HOME = pathlib.Path(os.environ.get("XDG_STATE_HOME") or pathlib.Path.home() / ".local/state") / "dasktop-demo"
PIDS = HOME / "pids.json"
HERE = pathlib.Path(__file__).resolve()
LOCAL = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]


def start_time(pid):
    """Clock ticks since boot at which the process started; None where it is gone (field 22 of /proc/PID/stat)."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def remembered():
    try:
        return [p for p in json.loads(PIDS.read_text()) if start_time(p["pid"]) == p["start"]]
    except (OSError, ValueError):
        return []


def spawn(started, name, command):
    """Starts it in a session and process group of its own, detached from the terminal, with its output in a file."""
    with open(HOME / f"{name}.log", "ab") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=HOME)
    started.append({"name": name, "pid": process.pid, "start": start_time(process.pid)})
    PIDS.write_text(json.dumps(started))
    return process


def address(name, seconds=60):
    """The scheduler's address and dashboard port, from its scheduler file once that is whole."""
    for _ in range(seconds * 10):
        try:
            found = json.loads((HOME / f"{name}.json").read_text())
            return found["address"], found["services"]["dashboard"]
        except (OSError, ValueError, KeyError):
            time.sleep(0.1)
    raise SystemExit(f"demo: the scheduler of {name} did not come up: see {HOME / name}-scheduler.log")


def wait_for(name, test, seconds=90):
    _, port = address(name)
    for _ in range(seconds * 5):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/counts.json", timeout=5) as answer:
                if test(json.load(answer)):
                    return
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"demo: {name} did not get ready in {seconds} s: see {HOME}")


def start():
    if remembered():
        print("the demo's clusters are there already")
        return
    HOME.mkdir(parents=True, exist_ok=True)
    for old in HOME.glob("*.json"):
        old.unlink()
    started = []
    dask = [sys.executable, "-m", "dask"]
    worker = [*LOCAL, "--nthreads", "1", "--memory-limit", "400MB", "--local-directory", str(HOME / "scratch")]
    for name in ("busy", "unattended", "lost"):
        spawn(started, f"{name}-scheduler", [*dask, "scheduler", *LOCAL, "--port", "0", "--scheduler-file", str(HOME / f"{name}.json")])
    script = HOME / "analysis.py"  # what a user's script would be called
    script.write_text(f"import sys\nsys.path.insert(0, {str(HERE.parent)!r})\nif __name__ == '__main__':\n    import demo\n    demo.be_idle()\n")
    idle = spawn(started, "analysis", [sys.executable, str(script)])
    spawn(started, "busy-workers", [*dask, "worker", address("busy")[0], *worker, "--nworkers", "2", "--name", "busy"])
    spawn(started, "unattended-worker", [*dask, "worker", address("unattended")[0], *worker, "--name", "forgotten"])
    spawn(started, "busy-client", [sys.executable, str(HERE), "be-busy", address("busy")[0]])
    client = spawn(started, "unattended-client", [sys.executable, str(HERE), "be-client", address("unattended")[0]])

    lost = address("lost")[0]
    scheduler = next(p for p in started if p["name"] == "lost-scheduler")
    os.killpg(scheduler["pid"], signal.SIGKILL)
    spawn(started, "lost-worker", [*dask, "worker", lost, *worker, "--no-nanny", "--name", "lost"])

    wait_for("busy", lambda counts: counts["workers"] >= 2 and counts["processing"] > 0)
    wait_for("unattended", lambda counts: counts["workers"] >= 1 and counts["clients"] > 1)
    client.kill()
    client.wait()
    wait_for("idle", lambda counts: counts["workers"] >= 2)
    if idle.poll() is not None:
        raise SystemExit(f"demo: the LocalCluster ended: see {HOME / 'analysis.log'}")
    print("four clusters are up: busy, idle (analysis), unattended, and a worker whose scheduler is gone")


def stop():
    """TERM to what was started, then KILL to its groups after 5 s; a group's id is not given away while a member lives."""
    mine = remembered()
    for sig, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        for process in mine:
            try:
                os.killpg(process["pid"], sig)
            except (ProcessLookupError, PermissionError):
                pass
        end = time.monotonic() + seconds
        while time.monotonic() < end and any(start_time(p["pid"]) == p["start"] and not zombie(p["pid"]) for p in mine):
            time.sleep(0.1)
    PIDS.unlink(missing_ok=True)
    print("the demo's clusters are gone" if mine else "the demo's clusters were not running")


def zombie(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def be_idle():
    from distributed import Client, LocalCluster
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="400MB", host="127.0.0.1", dashboard_address="127.0.0.1:0",
                           worker_dashboard_address="127.0.0.1:0", local_directory=str(HOME / "scratch"), name="analysis")
    client = Client(cluster)
    client.submit(sum, [1, 2, 3]).result()
    ready = HOME / "idle.tmp"
    ready.write_text(json.dumps({"address": cluster.scheduler_address, "services": {"dashboard": cluster.scheduler.services["dashboard"].port}}))
    ready.rename(HOME / "idle.json")
    signal.pause()



def be_busy(scheduler):
    import logging
    from distributed import Client, wait

    def work(step):
        time.sleep(0.4)
        if step % 5 == 0:
            logging.getLogger("distributed.worker").info("tile %d of the forecast is done", step)
        return step * step

    client = Client(scheduler)
    step = 0
    while True:
        wait(client.map(work, range(step, step + 40), pure=False))
        step += 40


def be_client(scheduler):
    from distributed import Client
    client = Client(scheduler)
    client.wait_for_workers(1)
    client.submit(sum, [1, 2, 3]).result()
    signal.pause()


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] in ("start", "stop"):
        {"start": start, "stop": stop}[sys.argv[1]]()
    elif len(sys.argv) > 2 and sys.argv[1] in ("be-busy", "be-client"):
        {"be-busy": be_busy, "be-client": be_client}[sys.argv[1]](sys.argv[2])
    else:
        sys.exit(__doc__)
