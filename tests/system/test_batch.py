"""Dask's jobs in real batch systems, with dask-jobqueue's own clusters (scripts/test all)."""
import contextlib
import json
import os
import pathlib
import subprocess
import tempfile

import pytest
import queues
import rig as rigs
from oar import Oar
from ui.tui import Tui

SUM = """
import sys, threading, time
from distributed import Client, wait
def slow(i):
    time.sleep(0.1)
    return i * i
client, futures = Client(sys.argv[1]), []
enough = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), enough.set()), daemon=True).start()
while not enough.is_set():
    futures += client.map(slow, range(len(futures), len(futures) + 12))
    wait(futures[-12:])
    print("begun", flush=True)
print(len(futures), sum(client.gather(futures)), flush=True)
"""

KINDS = {"slurm": queues.Slurm, "sge": queues.GridEngine, "oar": Oar}


@pytest.fixture(scope="module", params=KINDS)
def system(request):
    with started(request.param) as queue:
        yield queue


@pytest.fixture
def queue(system):
    """Empty again after each test: what one has left is not in the way of the next."""
    yield system
    system.empty()


@pytest.fixture(scope="module")
def own_slurm():
    with started("slurm") as queue:
        yield queue


@pytest.fixture
def slurm(own_slurm):
    yield own_slurm
    own_slurm.empty()


@contextlib.contextmanager
def started(kind):
    """In a directory that daemons of other users may read."""
    with tempfile.TemporaryDirectory(prefix="dasktop-queue-") as path:
        pathlib.Path(path).chmod(0o755)
        with KINDS[kind](path) as queue:
            yield queue


@pytest.fixture
def user(home, queue):
    return see(home, queue)


def see(home, queue, more=""):
    """A user who has this queue's clients, and looks at nothing else."""
    home.env.update({k: v for k, v in queue.env.items() if k.startswith(("SLURM_", "SGE_"))})
    home.config(f"dasktop:\n  auto: false\n  timeout: 30s\n  backends:\n    {queue.kind}: {{{more}}}\n")
    home.env["PATH"] = os.environ["PATH"]
    return home


def row_of(home, address, **more):
    return next((c for c in home.list(**more)["clusters"] if c["address"] == address), None)


def test_life_of_two_clusters(user, queue):
    live, dead = queue.begin("tides", 3), queue.begin("wrecks", 3, busy=True)
    live.ready()
    dead.ready().kill()
    rows = {c["name"]: c for c in user.list()["clusters"]}
    assert set(rows) == {"tides", "wrecks"}
    assert rows["wrecks"]["verdict"]["state"] == "orphaned" and rows["wrecks"]["resources"] == 3
    assert any("refused by this host" in line for line in rows["wrecks"]["verdict"]["evidence"])
    assert rows["tides"]["verdict"]["state"] == "active" and rows["tides"]["workers"] == {"ready": 3, "wanted": 3}
    assert rows["tides"]["address"] == live.address and rows["wrecks"]["address"] == dead.address
    assert rows["tides"]["uid"] == rows["tides"]["scheduler_id"] and rows["wrecks"]["uid"]
    assert rows["tides"]["ends"]["at"] and "wall time" in rows["tides"]["ends"]["why"]
    tides, wrecks = rows["tides"]["id"], rows["wrecks"]["id"]

    # scaled while it computes: nothing is lost
    work = subprocess.Popen([rigs.python("jobqueue"), "-c", SUM, live.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert work.stdout.readline() == "begun\n"
    for wanted in 5, 1:
        done = user.run("scale", tides, wanted, timeout=120)
        assert done.returncode == 0, done.stderr
        now = row_of(user, live.address)
        assert now["workers"]["ready"] == wanted and now["uid"] == rows["tides"]["uid"] and now["id"] == tides
    count, result = map(int, work.communicate("", timeout=60)[0].splitlines()[-1].split())
    assert result == sum(i * i for i in range(count))

    # logs of both; of the dead one from its jobs' files
    done = user.run("logs", tides, "-n", "5")
    assert done.returncode == 0 and "distributed.scheduler" in done.stdout, done.stderr
    done = user.run("logs", wrecks, "-n", "50")
    assert done.returncode == 0 and f"Registered to:      {dead.address}" in done.stdout, done.stderr

    # scale is not honest without a scheduler; delete is
    done = user.run("scale", wrecks, 5)
    assert done.returncode == 6 and "scheduler is gone" in done.stderr
    before = set(queue.jobs())
    done = user.run("delete", wrecks, "--dry-run")
    assert done.returncode == 0 and done.stdout.count("submitted 20") == 3 and set(queue.jobs()) == before

    # the same in the dashboard: two rows, the orphaned one first; its log, and its end
    with Tui([user.program], {**user.env, "LC_ALL": "C.UTF-8"}) as tui:
        tui.wait("wrecks .*orphaned", 40)
        tui.wait("tides .* running .*active", 40)
        tui.settle()
        tui.send("g", "l")
        tui.wait("Registered to: +" + dead.address, 40)
        tui.send("q")
        tui.wait("tides")
        tui.send("D")
        tui.wait("Delete wrecks", 40)
        tui.wait("y delete", 40)
        tui.send("y")
        tui.wait("wrecks.*it is gone", 90)
        tui.send("q")
        assert tui.wait_exit(20) == 0 and tui.is_clean()
    left = set(queue.jobs())
    assert len(left) == 1 and left < before
    assert [c["id"] for c in user.list()["clusters"]] == [tides]

    # and a client gets a result through it
    done = user.run("connect", tides, "--", rigs.python("jobqueue"), "-c",
                    "from distributed import Client; print(Client().submit(sum, [1, 2, 3]).result())", timeout=90)
    assert done.returncode == 0 and done.stdout.split() == ["6"], done.stderr
    done = user.run("delete", tides, "--yes", "--force", timeout=120)
    assert done.returncode == 0, done.stderr
    assert queue.jobs() == []


@pytest.mark.parametrize("system", ["slurm", "sge"], indirect=True)
def test_show_and_retire(user, queue):
    cluster = queue.cluster("shown", 2)
    row = row_of(user, cluster.address)
    shown = json.loads(user.run("show", row["id"], "-o", "json").stdout)
    assert len(shown["resources"]) == 2 and all(r["kind"] == "job" and "submitted" in r["uid"] for r in shown["resources"])
    assert {w["name"] for w in shown["workers"]} == {"shown-0", "shown-1"}
    assert all("job" in w["resource"] for w in shown["workers"])
    assert cluster.address in "\n".join(shown["worker_spec"])
    done = user.run("retire", row["id"], "shown-1", timeout=120)
    assert done.returncode == 0, done.stderr
    rigs.until(lambda: len(queue.jobs()) == 1, 60)
    shown = json.loads(user.run("show", row["id"], "-o", "json").stdout)
    assert [w["name"] for w in shown["workers"]] == ["shown-0"]
    done = user.run("scale", row["id"], "--adapt", "1:3")
    assert done.returncode == 6 and "dask-jobqueue adapts" in done.stderr


@pytest.mark.parametrize("system", ["slurm", "sge"], indirect=True)
def test_pending_jobs_of_a_dead_process(user, queue):
    """Each would burn half a minute of somebody's allocation and fail."""
    cluster = queue.cluster("ghosts", 2, job_extra_directives=queue.held)
    rigs.until(lambda: len(queue.jobs()) == 2, 60)
    rows = user.list()["clusters"]
    assert any(r["status"] == "pending" and r["verdict"]["state"] == "starting" and r["resources"] == 2 for r in rows)
    cluster.kill()
    row = next(r for r in user.list()["clusters"] if r["resources"] == 2)
    if queue.kind == "slurm":  # its scripts tell for whom they wait
        assert row["name"] == "ghosts" and row["verdict"]["state"] == "orphaned"
        shown = user.run("logs", row["id"])
        assert "its log will be" in shown.stderr
    done = user.run("delete", row["id"], "--yes", "--force", timeout=60)
    assert done.returncode == 0, done.stderr
    rigs.until(lambda: not queue.jobs(), 60)


@pytest.mark.parametrize("system", ["slurm", "sge"], indirect=True)
def test_replaced_between_plan_and_delete(user, queue):
    """Jobs that were submitted since are named, not touched; jobs that ended meanwhile are no failure."""
    cluster = queue.cluster("moving", 2, busy=True)
    cluster.kill()
    row = row_of(user, cluster.address)
    gone = queue.jobs()[0]
    queue.run(queue.cancel_program, gone)
    done = user.run("delete", row["id"], "--yes", timeout=60)
    assert done.returncode == 0, done.stderr
    rigs.until(lambda: not queue.jobs(), 60)


# ------------------------------------------------------------------------------------------------------------- Slurm alone


def test_several_workers_in_a_job(home, slurm):
    user, queue = see(home, slurm), slurm
    cluster = queue.cluster("pairs", 2, cores=2, processes=2)
    row = row_of(user, cluster.address)
    assert row["workers"] == {"ready": 4, "wanted": 4} and row["resources"] == 2
    done = user.run("scale", row["id"], 3, timeout=120)
    assert done.returncode == 3 and "several workers each" in done.stdout + done.stderr
    done = user.run("scale", row["id"], 2, timeout=120)
    assert done.returncode == 0, done.stderr
    rigs.until(lambda: len(queue.jobs()) == 1, 60)
    done = user.run("scale", row["id"], 5, timeout=120)
    assert done.returncode == 3 and "4 more instead of 3" in done.stdout + done.stderr
    assert row_of(user, cluster.address)["workers"]["ready"] == 6


HEAD = """\
    #!/bin/bash
    #SBATCH -J flow
    #SBATCH --mem=600M
    #SBATCH --time=00:20:00
    PYTHON={python}
    $PYTHON -m distributed.cli.dask_scheduler --host 127.0.0.1 --dashboard-address 127.0.0.1:0 --port {port} {more} &
    $PYTHON -m distributed.cli.dask_worker {where} --nthreads 1 --memory-limit 200MB --host 127.0.0.1
    """
RUNNER = """\
    #!/bin/bash
    #SBATCH -J runner
    #SBATCH --mem=900M
    #SBATCH -n 3
    srun --overlap -n 3 {python} -c '
    import distributed, time
    from dask_jobqueue.slurm import SLURMRunner
    with SLURMRunner(scheduler_options={{"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}}) as runner:
        client = distributed.Client(runner)
        time.sleep(600)
    '
    """


@pytest.mark.parametrize("kind", ["file", "log", "runner"])
def test_scheduler_in_a_job(home, slurm, kind):
    """An sbatch script with its own scheduler, known by its scheduler file or by its log, and dask-jobqueue's runner, known by its own file."""
    see(home, slurm)
    python, port = rigs.python("jobqueue"), rigs.free_port()
    ways = {"file": (0, "--scheduler-file flow.json", "--scheduler-file flow.json"), "log": (port, "", f"tcp://127.0.0.1:{port}")}
    job = slurm.submit(RUNNER.format(python=python) if kind == "runner" else HEAD.format(python=python, **dict(zip(("port", "more", "where"), ways[kind]))))
    row = rigs.until(lambda: next((c for c in home.list()["clusters"] if c["workers"]["ready"] == 1), None), 90, 1)
    assert row["type"] == "Scheduler" and row["origin"]["kind"] == "job" and row["resources"] == 1 and row["workers"]["wanted"] is None
    assert "wall time" in row["ends"]["why"] and row["name"] == {"file": f"flow-{job}", "log": f"flow-{job}", "runner": f"runner-{job}"}[kind]
    done = home.run("delete", row["id"], "--yes", "--force", timeout=60)
    assert done.returncode == 0, done.stderr
    assert job not in slurm.jobs()


def test_arrays_held_suspended_and_requeued(home, slurm, rig):
    """One script, four workers: each element has its own name and state; one that is requeued goes on belonging to its cluster."""
    see(home, slurm)
    scheduler = rig.scheduler()
    array = slurm.submit(f"""\
        #!/bin/bash
        #SBATCH -J dask-worker
        #SBATCH --mem=300M
        #SBATCH --time=00:20:00
        #SBATCH --array=1-4%2
        #SBATCH -o {slurm.path}/logs/%x-%A_%a.out
        {rigs.python("jobqueue")} -m distributed.cli.dask_worker {scheduler.address} --name arr-$SLURM_ARRAY_TASK_ID --nthreads 1 --memory-limit 200MB
        """)
    scheduler.workers(2, 90)
    slurm.run("scontrol", "hold", f"{array}_4")
    slurm.run("scontrol", "suspend", f"{array}_2")
    row = row_of(home, scheduler.address)
    assert row["name"] == "arr" and row["resources"] == 4 and row["workers"]["wanted"] == 4 and row["uid"] == scheduler.id
    shown = json.loads(home.run("show", row["id"], "-o", "json").stdout)
    states = {r["name"]: r["status"] for r in shown["resources"]}
    assert states[f"{array}_2 (arr-2)"].startswith("suspended on n") and states[f"{array}_4 (arr-4)"].startswith("held: JobHeld"), states
    assert "running on n" in states[f"{array}_1 (arr-1)"] and "1 CPU" in states[f"{array}_1 (arr-1)"] and "315 MB" in states[f"{array}_1 (arr-1)"]
    assert states[f"{array}_3 (arr-3)"] == "pending: JobArrayTaskLimit, 1 CPU, 315 MB"
    slurm.run("scontrol", "requeue", f"{array}_1")
    rigs.until(lambda: f"{array}_1" in slurm.run("squeue", "-h", "-r", "-t", "PD", "-o", "%i").stdout.split(), 60)
    again = row_of(home, scheduler.address)
    assert again["uid"] == row["uid"] and again["resources"] == 4
    done = home.run("delete", row["id"], "--yes", "--force", timeout=90)
    assert done.returncode == 0, done.stderr
    assert slurm.jobs() == []


def test_jobs_of_somebody_else(home, slurm):
    """Not shown unasked; with owner "*" they are, under their owner's name."""
    slurm.submit("""\
        #!/bin/bash
        #SBATCH -J dask-worker --hold --uid=nobody -D /tmp
        dask worker tcp://127.0.0.1:9 --name theirs-0 --nthreads 1
        """)
    see(home, slurm)
    assert home.list()["clusters"] == []
    see(home, slurm, "owner: '*'")
    row = home.list()["clusters"][0]
    assert row["owner"] == "nobody" and row["name"] == "theirs"
    see(home, slurm, "owner: nobody")
    assert home.list()["clusters"][0]["id"] == row["id"]


def test_slurmrestd(home, slurm):
    url, token = slurm.restd()
    cluster = slurm.cluster("resting", 2, busy=True)
    (home.path / "token").write_text(token + "\n")
    see(home, slurm, f"rest: {{url: '{url}', user: root, token: {{file: '{home.path}/token'}}}}")
    home.env["PATH"] = str(home.path)  # a machine without squeue
    row = row_of(home, cluster.address)
    assert row["resources"] == 2, "the address is told by the jobs' logs"
    cluster.kill()
    assert row_of(home, cluster.address)["verdict"]["state"] == "orphaned"
    done = home.run("delete", row["id"], "--yes", timeout=60)
    assert done.returncode == 0, done.stderr
    assert slurm.jobs() == []
    wrong = token[:-6] + "AAAAAA"
    (home.path / "token").write_text(wrong + "\n")
    done = home.run("list")
    assert done.returncode == 1 and "slurmrestd" in done.stderr and wrong not in done.stderr and token not in done.stderr


def test_controller_that_is_down(home, slurm):
    see(home, slurm)
    slurm.controller.terminate()
    slurm.controller.wait()
    done = home.run("list", "--timeout", "30s", timeout=60)
    assert done.returncode == 1
    assert "contact slurm controller" in done.stderr and len(done.stderr.strip().splitlines()) <= 2, done.stderr
