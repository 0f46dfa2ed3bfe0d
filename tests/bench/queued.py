"""A batch system's queue and what Jupyter servers hold, beside the cheapest bare call that has the same fields. Slurm needs root and what
`scripts/test all` installs; where that is not here, its part says so."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from gateway import bench_gateway, bench_instant_gateway
from measure import DASKTOP, HERE, Place, first_rows, row, wall

sys.path.insert(0, str(HERE.parent / "system"))
import test_jupyter_faults as jupyters  # noqa: E402
import queues  # noqa: E402
import rig as rigs  # noqa: E402

FIELDS = ("JobID JobArrayID UserName State Reason Account Partition SubmitTime StartTime EndTime NumCPUs tres-alloc tres-per-node NodeList AllocSID AllocNodes "
          "STDERR STDOUT WorkDir Name").split()


def fill(slurm, others, clusters, jobs):
    """Held jobs: an array script that is nobody's, and workers of schedulers that do not answer."""
    for _ in range(others // 920):
        slurm.submit("#!/bin/bash\n#SBATCH -J other -H --mem=10M --array=1-920\nsleep 1\n")
    ports = [rigs.free_port() for _ in range(clusters)]
    for i in range(jobs):
        slurm.submit(f"#!/bin/bash\n#SBATCH -J dask-worker -H --mem=100M\npython -m distributed.cli.dask_worker tcp://127.0.0.1:{ports[i % clusters]} "
                     f"--name c{i % clusters}-{i // clusters} --nthreads 1 --memory-limit 90MB\n")


USERS, DASKTOPS, INTERVAL_S, INTERVALS = 50, 2, 30, 3
FIRST_UID = 20000


def squeue_runs(place, slurm):
    """How often each user's dasktops run squeue in 30 s, once each has had the look that its start asked for: many users' on one login node, with
    the refresh that nobody has set. A program before squeue in their PATH counts. Gives the mean of all users, and the most of one."""
    shutil.copy(DASKTOP, slurm.path / "dasktop")
    counted = slurm.path / "counted"
    counted.mkdir()
    (counted / "squeue").write_text(f"#!/bin/sh\necho >>$HOME/runs\nexec {shutil.which('squeue', path=place.env['PATH'])} \"$@\"\n")
    (counted / "squeue").chmod(0o755)
    homes, children = [], []
    for uid in range(FIRST_UID, FIRST_UID + USERS):
        home = slurm.path / f"user-{uid}"
        (home / ".config/dask").mkdir(parents=True)
        (home / ".config/dask/dasktop.yaml").write_text("dasktop: {auto: false, backends: {slurm: {}}}\n")
        for path in (home, *home.rglob("*")):
            os.chown(path, uid, uid)
        homes.append(home)
        env = dict(place.env, HOME=str(home), PATH=f"{counted}:{place.env['PATH']}")
        for _ in range(DASKTOPS):
            children.append(subprocess.Popen(["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", slurm.path / "dasktop", "list", "--watch", "-o", "json"],
                                             env=env, cwd=home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def runs():
        return [(home / "runs").read_text().count("\n") if (home / "runs").exists() else 0 for home in homes]
    rigs.until(lambda: min(runs()) >= DASKTOPS, 120, 1)
    before = runs()
    time.sleep(INTERVALS * INTERVAL_S)
    each = [(now - then) / INTERVALS for then, now in zip(before, runs())]
    assert all(child.poll() is None for child in children)
    for child in children:
        child.terminate()
    for child in children:
        child.wait()
    return sum(each) / len(each), max(each)


def bench_slurm():
    print("slurm: 5,000 jobs, 400 of them Dask's in 40 clusters")
    if os.geteuid() != 0 or not shutil.which("slurmctld"):
        print("  not measured: needs root, and what scripts/test all installs")
        return
    place = Place()
    with tempfile.TemporaryDirectory(prefix="dasktop-queue-") as path:
        pathlib.Path(path).chmod(0o755)
        with queues.Slurm(path) as slurm:
            fill(slurm, 4600, 40, 400)
            place.env["SLURM_CONF"] = slurm.env["SLURM_CONF"]
            place.config("dasktop:\n  auto: false\n  backends: {slurm: {}}\n")
            squeue = ["squeue", "-h", "-a", "-r", "-u", "root", "-O", ",".join(f"{name}:\x1f" for name in FIELDS)]
            begin = time.perf_counter()
            for looks in range(1, 20):
                found = json.loads(subprocess.run([DASKTOP, "list", "-o", "json"], env=place.env, capture_output=True, text=True).stdout)
                if looks == 1:
                    print(f"  the first list ever: {len(found['clusters'])} clusters, {found['backends'][0]['error']}, {1000 * (time.perf_counter() - begin):.0f} ms")
                if found["backends"][0]["state"] == "ok":
                    break
            print(f"  all {len(found['clusters'])} clusters known after {looks} looks, {time.perf_counter() - begin:.1f} s")
            cheapest = wall(squeue, place.env)
            row("first row of dasktop list", first_rows(place.env, 1), "squeue, the same fields", cheapest)
            row("all 40 rows", first_rows(place.env, 40), "squeue, the same fields", cheapest)
            row("dasktop list, its schedulers asked", wall([DASKTOP, "list"], place.env), "squeue, the same fields", cheapest)
            mean, most = squeue_runs(place, slurm)
            row(f"squeue runs of a user in {INTERVAL_S} s; {USERS} users, {DASKTOPS} dasktops each", mean, "allowed", 1.0, "runs")
            row("the same, of the user who has most", most, "allowed", 1.0, "runs")


def bench_jupyter():
    print("jupyter: 3 servers of 5 clusters each, stand-ins that are found by their runtime files")
    place = Place()
    servers = [jupyters.Fake(place) for _ in range(3)]
    for server in servers:
        server.clusters(*(jupyters.model(address=None, id=f"5103a765-516a-4a08-a16d-{n:012}") for n in range(5)))
    place.config("dasktop:\n  auto: false\n  backends: {jupyter: {}}\n")
    curls = "; ".join(f"curl -s -o /dev/null -H 'Authorization: token {jupyters.TOKEN}' {server.url}dask/clusters" for server in servers)
    row("dasktop list, all 15 rows", wall([DASKTOP, "list"], place.env), "three curls", wall(["sh", "-c", curls], place.env))
    for server in servers:
        server.close()


def bench_queues():
    bench_slurm()
    bench_jupyter()
    bench_gateway()
    bench_instant_gateway()
