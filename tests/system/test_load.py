"""What looking costs those who are looked at: the load budget, counted inside of a real scheduler."""
import json
import os
import subprocess
import time

from homes import TESTS
from rig import until


def calls(file):
    return {name: count for name, (count, _, _) in json.loads(file.read_text())["calls"].items()}


def test_dear_calls_are_not_repeated_by_other_dasktops_either(home, rig):
    """Ten lists in a few seconds, each its own process: the cheap call each time, the dear ones once."""
    meter = rig.path / "meter.json"
    scheduler = rig.scheduler("metered", "--preload", TESTS / "bench/meter.py", env=dict(os.environ, METER_FILE=str(meter)))
    rig.worker(scheduler.address, "w", nanny=False)
    scheduler.workers(1)
    time.sleep(1.2)
    before = calls(meter)
    begin = time.monotonic()
    for _ in range(10):
        assert home.cluster(scheduler.address)["clients"] == 0
    took = time.monotonic() - begin
    time.sleep(1.2)
    after = calls(meter)
    rounds = 1 + took // 15  # a slow machine may need more than 15 s for ten
    made = {name: after[name] - before.get(name, 0) for name in after}
    assert made["identity n_workers=0"] >= 10 and made.get("identity", 0) <= rounds + 1, made
    for dear in ("counts.json", "check_idle"):
        assert made.get(dear, 0) <= rounds, made
    assert made.get("versions", 0) <= 1, made


def test_a_busy_scheduler_is_not_connected_to_again_and_again(home, rig):
    """One that is silent keeps the connection that it has: its log shows no abandoned ones when it wakes up."""
    scheduler = rig.scheduler()
    assert home.cluster(scheduler.address)
    before = rig.log("scheduler")
    home.config("dasktop: {timeout: 1s, refresh: 500ms}\n")
    os.kill(scheduler.process.pid, 19)  # SIGSTOP
    watching = subprocess.Popen([home.program, "list", "--watch", "-o", "json"], env=home.env, stdout=subprocess.PIPE, text=True)
    for line in watching.stdout:
        event = json.loads(line)
        if event["event"] == "cluster" and event["cluster"]["address"] == scheduler.address and event["cluster"]["status"] == "unresponsive":
            break
    time.sleep(4)
    os.kill(scheduler.process.pid, 18)  # SIGCONT
    for line in watching.stdout:
        event = json.loads(line)
        if event["event"] == "cluster" and event["cluster"]["address"] == scheduler.address and event["cluster"]["status"] == "running":
            break
    watching.terminate()
    watching.wait(10)
    until(lambda: scheduler.counts() is not None)
    assert rig.log("scheduler")[len(before):].count("closed before handshake") == 0
