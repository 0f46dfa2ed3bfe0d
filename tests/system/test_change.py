"""Changes: what is planned, what is done, what is refused; counted from outside with /proc."""
import json
import os
import pty
import select
import signal
import subprocess
import time

from rig import alive, start_time, until


def processes_of(rig):
    """Live processes that belong to the rig's directory: by their command line or working directory."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                command = f.read()
            inside = os.readlink(f"/proc/{pid}/cwd").startswith(str(rig.path))
        except OSError:
            continue
        if alive(pid) and (inside or str(rig.path).encode() in command):
            found.append(int(pid))
    return found


def test_delete_ends_scheduler_workers_and_nannies(home, any_rig):
    scheduler = any_rig.scheduler()
    any_rig.worker(scheduler.address, "w1")
    any_rig.worker(scheduler.address, "solo", nanny=False)
    scheduler.workers(2)
    bystander = any_rig.scheduler("bystander")
    plan = home.run("delete", scheduler.address, "--dry-run")
    assert plan.returncode == 0 and "scheduler" in plan.stdout and "worker" in plan.stdout, plan.stderr
    assert scheduler.counts()["workers"] == 2, "a dry run changes nothing"
    done = home.run("delete", scheduler.address, "--yes", "--force", timeout=120)
    assert done.returncode == 0, done.stderr
    until(lambda: {bystander.process.pid} >= set(processes_of(any_rig)), 20, what=f"left: {processes_of(any_rig)}")
    assert alive(bystander.process.pid)
    assert home.cluster(scheduler.address) is None
    assert home.run("delete", scheduler.address, "--yes").returncode == 4


def test_delete_needs_confirmation(home, rig):
    scheduler = rig.scheduler()
    done = home.run("delete", scheduler.address)
    assert done.returncode == 6 and alive(scheduler.process.pid)
    done = home.run("delete", scheduler.address, "--yes")
    assert done.returncode == 6 and "--force" in done.stderr, "it is active: --yes alone is not enough"
    assert alive(scheduler.process.pid)


def test_a_change_may_be_bound_to_the_uid_that_was_seen(home, rig):
    """Who lists and then changes by id says which incarnation was meant: another scheduler may have come to its address."""
    scheduler = rig.scheduler()
    row = home.cluster(scheduler.address)
    os.killpg(scheduler.process.pid, signal.SIGKILL)
    scheduler.process.wait()
    another = rig.scheduler("another", port=scheduler.port)
    now = home.cluster(another.address)
    assert now["id"] == row["id"] and now["uid"] != row["uid"]
    for change in (["scale", row["id"], 1], ["retire", row["id"], "w"], ["delete", row["id"], "--yes", "--force"]):
        refused = home.run(*change, "--uid", row["uid"])
        assert refused.returncode == 6 and "it is another cluster by now" in refused.stderr and now["uid"] in refused.stderr, refused.stderr
    assert another.process.poll() is None
    assert home.run("delete", now["id"], another.address, "--uid", now["uid"], "--yes").returncode == 2
    done = home.run("delete", now["id"], "--uid", now["uid"], "--yes", "--force")
    assert done.returncode == 0 and another.process.poll() is not None, done.stderr


def test_delete_a_lost_worker(home, rig):
    process, address = rig.lost_worker()
    cluster = until(lambda: home.cluster(address))
    done = home.run("delete", cluster["id"], "--yes")
    assert done.returncode == 0, done.stderr
    until(lambda: not alive(process.pid))
    assert home.cluster(address) is None


def test_delete_a_stopped_worker_too(home, rig):
    """`terminate` leaves a stopped worker and its nanny for ever: its group is killed."""
    scheduler = rig.scheduler()
    worker = rig.worker(scheduler.address, "frozen", nanny=False)
    scheduler.workers(1)
    os.kill(worker.pid, signal.SIGSTOP)
    done = home.run("delete", scheduler.address, "--yes", "--force", timeout=120)
    assert done.returncode == 0, done.stderr
    until(lambda: not alive(worker.pid) and not alive(scheduler.process.pid))


def test_delete_a_local_cluster_leaves_the_users_process(home, rig):
    cluster = rig.local_cluster("eda", client=False)
    plan = home.run("delete", cluster.address, "--dry-run")
    assert "stays" in plan.stdout and "eda.py" in plan.stdout, plan.stdout + plan.stderr
    done = home.run("delete", cluster.address, "--yes", "--force", timeout=120)
    assert done.returncode == 0, done.stderr
    assert alive(cluster.process.pid)
    assert home.cluster(cluster.address) is None


class Asking:
    """dasktop in a terminal of its own, so that it asks."""

    def __init__(self, home, *arguments):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([home.program, *arguments], env=home.env, stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True)
        os.close(slave)
        self.said = ""

    def until(self, text, seconds=30):
        end = time.monotonic() + seconds
        while text not in self.said and time.monotonic() < end:
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.said += os.read(self.master, 65536).decode(errors="replace")
                except OSError:
                    break
        assert text in self.said, self.said
        return self.said

    def answer(self, text):
        os.write(self.master, text.encode() + b"\n")

    def end(self):
        try:
            return self.process.wait(60)
        finally:
            os.close(self.master)


def test_restart_between_plan_and_apply_is_refused(home, rig):
    scheduler = rig.scheduler()
    asking = Asking(home, "delete", scheduler.address)
    asking.until("Type")
    os.killpg(scheduler.process.pid, signal.SIGKILL)
    scheduler.process.wait()
    again = rig.scheduler("again", port=scheduler.port)
    assert again.address == scheduler.address and again.id != scheduler.id
    name = asking.said.split("Type ")[1].split(" to go on")[0]
    asking.answer(name)
    assert asking.end() == 6, asking.said
    assert alive(again.process.pid) and again.counts()["workers"] == 0


def test_wrong_answer_deletes_nothing(home, rig):
    scheduler = rig.scheduler()
    asking = Asking(home, "delete", scheduler.address)
    asking.until("Type")
    asking.answer("y")
    assert asking.end() == 6
    assert alive(scheduler.process.pid)


def test_read_only_refuses_everything(home, rig):
    scheduler = rig.scheduler()
    home.config("dasktop: {read-only: true}\n")
    for arguments in (["delete", scheduler.address, "--yes", "--force"], ["scale", scheduler.address, "1"], ["keep", scheduler.address]):
        done = home.run(*arguments)
        assert done.returncode == 6 and "read-only" in done.stderr, (arguments, done)
    assert alive(scheduler.process.pid)
    assert home.run("delete", scheduler.address, "--dry-run").returncode == 0


def test_scale_up_and_down(home, any_rig):
    scheduler = any_rig.scheduler()
    any_rig.worker(scheduler.address, "w1")
    scheduler.workers(1)
    done = home.run("scale", scheduler.address, "3", timeout=120)
    assert done.returncode == 0, done.stderr
    assert scheduler.counts()["workers"] == 3
    done = home.run("scale", scheduler.address, "1", timeout=120)
    assert done.returncode == 0, done.stderr
    assert scheduler.counts()["workers"] == 1
    assert home.run("delete", scheduler.address, "--yes", "--force", timeout=120).returncode == 0


def test_one_more_worker_is_of_the_environment_that_was_found_by_path(home, rig, monkeypatch):
    """As in an activated one: the process is called "python", and its file is that of another place, which has no Dask."""
    python = rig.python
    monkeypatch.setattr(rig, "python", "python")
    scheduler = rig.scheduler("by-path", env={**os.environ, "PATH": f"/nowhere:{python.parent}:{os.environ['PATH']}"})
    assert f" {python.parent}/python -m distributed.cli.dask_worker" in home.run("scale", scheduler.address, "1", "--dry-run").stdout


def test_scale_keeps_what_was_computed(home, rig):
    scheduler = rig.scheduler()
    for n in range(3):
        rig.worker(scheduler.address, f"w{n}", nanny=False)
    scheduler.workers(3)
    rig.client(scheduler.address, "held = c.map(lambda x: x, range(30)); from distributed import wait; wait(held)")
    done = home.run("scale", scheduler.address, "1", timeout=120)
    assert done.returncode == 0, done.stderr
    counts = scheduler.counts()
    assert counts["workers"] == 1 and counts["memory"] == 30, "retiring moves the data first"


def test_retire_by_name(home, rig):
    scheduler = rig.scheduler()
    rig.worker(scheduler.address, "stays", nanny=False)
    goes = rig.worker(scheduler.address, "goes", nanny=False)
    scheduler.workers(2)
    done = home.run("retire", scheduler.address, "goes", timeout=120)
    assert done.returncode == 0, done.stderr
    until(lambda: not alive(goes.pid))
    assert scheduler.counts()["workers"] == 1
    assert home.run("retire", scheduler.address, "nobody").returncode in (4, 6)


def test_create_scale_delete_of_our_own(home, dask):
    spec = home.path / "dask-cluster.yaml"
    spec.write_text("version: 1\nmodule: dask.distributed\nclass: LocalCluster\nkwargs: {n_workers: 2, threads_per_worker: 1, memory_limit: 200MB}\n")
    env = {"VIRTUAL_ENV": str(dask.parent.parent), "PATH": f"{dask.parent}:{os.environ['PATH']}"}
    dry = home.run("create", "--dry-run", "--name", "mine", cwd=home.path, env=env)
    assert dry.returncode == 0 and "scheduler" in dry.stdout, dry.stderr
    assert not [c for c in home.list()["clusters"] if c["name"] == "mine"]
    made = home.run("create", "--name", "mine", cwd=home.path, env=env, timeout=120)
    assert made.returncode == 0, made.stderr
    identity = made.stdout.strip()
    try:
        row = next(c for c in home.list()["clusters"] if c["name"] == "mine")
        assert row["id"] == identity and row["workers"]["ready"] == 2 and row["owner"]
        assert home.run("create", "--name", "mine", cwd=home.path, env=env).returncode == 6, "that name is taken"
        assert home.run("scale", "mine", "1", timeout=120).returncode == 0
        assert home.run("wait", "mine", "--for", "workers=1", "--timeout", "30s").returncode == 0
    finally:
        done = home.run("delete", identity, "--yes", "--force", timeout=120)
    assert done.returncode == 0, done.stderr
    assert not [c for c in home.list()["clusters"] if c["name"] == "mine"]
    assert home.run("wait", identity, "--for", "gone", "--timeout", "10s").returncode == 0


def test_bad_spec_names_the_place(home):
    spec = home.path / "spec.yaml"
    spec.write_text("version: 1\nmodule: dask.distributed\nclass: LocalCluster\nkwargs: [1, 2]\n")
    done = home.run("create", "-f", spec, "--dry-run")
    assert done.returncode == 2 and "spec.yaml:4:" in done.stderr and len(done.stderr.splitlines()) == 1


def test_keep_and_journal(home, rig):
    scheduler = rig.scheduler()
    assert home.run("keep", scheduler.address, "--for", "2h", "--reason", "demo on Friday").returncode == 0
    kept = home.cluster(scheduler.address)["kept"]
    assert kept and "demo on Friday" in json.dumps(kept)
    assert home.run("keep", scheduler.address, "--not").returncode == 0
    assert home.cluster(scheduler.address)["kept"] is None
    assert home.run("delete", scheduler.address, "--yes", "--force").returncode == 0
    journal = json.loads(home.run("journal", "-o", "json").stdout)["journal"]
    last = journal[-1]
    assert last["change"] == "delete" and last["uid"] == scheduler.id and last["begin"] and last["end"]
    file = home.path / ".local/state/dasktop/journal.jsonl"
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700
    for line in file.read_text().splitlines():
        json.loads(line)


def test_journal_that_cannot_be_written_refuses_the_change(home, rig):
    scheduler = rig.scheduler()
    home.config("dasktop: {journal: {path: /proc/no/journal}}\n")
    done = home.run("delete", scheduler.address, "--yes", "--force")
    assert done.returncode == 6 and "journal" in done.stderr and alive(scheduler.process.pid)


def test_reused_pid_is_not_touched(home, rig, dask):
    """A state file that names a pid whose start time is another one's: nothing is signalled."""
    sleeper = rig.spawn("sleeper", ["sleep", "1000"])
    assert start_time(sleeper.pid)
    with open("/etc/machine-id") if os.path.exists("/etc/machine-id") else open(os.devnull) as f:
        machine = f.read().strip() or os.uname().nodename
    where = home.path / ".local/state/dasktop/local" / machine
    where.mkdir(parents=True, mode=0o700)
    with open("/proc/sys/kernel/random/boot_id") as f:
        boot = f.read().strip()
    (where / "old.json").write_text(json.dumps({"name": "old", "boot_id": boot, "address": "tcp://127.0.0.1:1", "id": "Scheduler-x",
                                                "processes": [{"role": "scheduler", "pid": sleeper.pid, "start": 1, "argv": ["dask"]}]}))
    for row in home.list()["clusters"]:
        if row["name"] == "old":
            home.run("delete", row["id"], "--yes", "--force")
    assert alive(sleeper.pid)


def test_a_class_that_no_backend_knows_is_made_by_python(home, dask, tmp_path):
    """Its manager gets a process of its own, which ends with the cluster."""
    (tmp_path / "mine.py").write_text("from distributed import LocalCluster\n\n\nclass MyCluster(LocalCluster):\n    pass\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text("version: 1\nmodule: mine\nclass: MyCluster\nkwargs: {n-workers: 2, threads_per_worker: 1, memory_limit: 200MB, dashboard_address: '127.0.0.1:0'}\n")
    env = {"VIRTUAL_ENV": str(dask.parent.parent), "PYTHONPATH": str(tmp_path)}
    plan = home.run("create", "-f", spec, "--dry-run", env=env)
    assert plan.returncode == 0 and "held by a Python process of its own" in plan.stdout, plan.stderr
    assert home.list()["clusters"] == [] or all(c["name"] != "fred" for c in home.list()["clusters"])
    made = home.run("create", "-f", spec, "--name", "fred", env=env, timeout=120)
    assert made.returncode == 0, made.stderr
    address = made.stdout.strip()
    row = home.cluster(address)
    assert row["name"] == "fred" and row["workers"]["ready"] == 2 and row["origin"]["alive"]
    assert home.run("delete", address, "--yes", "--force", timeout=120).returncode in (0, 3)
    until(lambda: not alive(row["origin"]["pid"]), 30, what="the process that held it is gone")
    spec.write_text(spec.read_text().replace("module: mine", "module: no_such_module"))
    bad = home.run("create", "-f", spec, env=env)
    assert bad.returncode == 2 and "no_such_module" in bad.stderr and len(bad.stderr.splitlines()) == 1
