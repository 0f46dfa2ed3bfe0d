"""Another computer through ssh, beside the bare `ssh host true` and `ssh host squeue` over a connection that stands, as dasktop's does. Needs root,
as the other computer's namespaces do."""
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

from measure import DASKTOP, HERE, RUNS, Place, row, wall

sys.path.insert(0, str(HERE.parent / "system"))
from far import Far, FarRig  # noqa: E402
from rig import plain_path, python, until  # noqa: E402


def took(env, arguments, instance):
    """Median of what one discovery took, ms."""
    times = []
    for _ in range(RUNS):
        document = json.loads(subprocess.run([DASKTOP, *arguments, "list", "-o", "json"], env=env, capture_output=True, text=True).stdout)
        times += [b["took_ms"] for b in document["backends"] if b["instance"] == instance]
    return statistics.median(times)


def bench_ssh():
    print("ssh: another computer with 5 clusters of 2 workers, and a queue of none")
    if os.geteuid() != 0:
        print("  not measured: needs root")
        return
    place = Place()
    place.env["XDG_RUNTIME_DIR"] = str(place.path)
    with tempfile.TemporaryDirectory(prefix="dasktop-far-") as path:
        path = pathlib.Path(path)
        path.chmod(0o755)
        (path / "bin").mkdir()
        squeue = path / "bin/squeue"
        squeue.write_text("#!/bin/sh\nexit 0\n")
        squeue.chmod(0o755)
        with Far(path / "far", programs=f"{path}/bin{os.pathsep}{plain_path()}") as far, FarRig(far, path / "rig", python("dask-current")) as rig:
            place.env["PATH"] = far.path_with_ssh(place)
            for i in range(5):
                scheduler = rig.scheduler(f"s{i}")
                rig.worker(scheduler.address, f"w{i}", "--nworkers", "2")
            look = ["-H", "login1"]
            until(lambda: subprocess.run([DASKTOP, *look, "list", "-o", "name"], env=place.env, capture_output=True, text=True).stdout.count("\n") == 5, 60, 1)
            alone = ["ssh", "-o", "ControlPath=none", "login1", "true"]
            shared = ["ssh", "-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", f"ControlPath={place.path}/bare", "login1"]
            subprocess.run([*shared, "true"], env=place.env, check=True, stderr=subprocess.DEVNULL)
            true, queue = wall([*shared, "true"], place.env), wall([*shared, "squeue"], place.env)
            shell = wall([*shared, "exec sh -s"], place.env)
            row("dasktop -H list, connection there", wall([DASKTOP, *look, "list"], place.env), "ssh host true, likewise", true)
            row("  of it a look at local, schedulers asked", took(place.env, look, "local"), "ssh host true, likewise", true)
            row("  of it a look at the queue", took(place.env, look, "slurm"), "ssh host squeue, likewise", queue)
            row("  (an empty script)", shell, "ssh host true, likewise", true)
            row("  (ssh host true with a new connection)", wall(alone, place.env), "ssh host true, likewise", true)
