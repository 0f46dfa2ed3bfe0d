"""Another computer through a real OpenSSH server: it has namespaces of its own, so that nothing of it is seen but through ssh."""
import json
import os
import pathlib
import signal
import subprocess

import pytest
import rig as rigs

from conftest import Home
from far import Far, FarRig

READ = "import json, urllib.request; print(urllib.request.urlopen('http://127.0.0.1:%d/json/counts.json', timeout=10).read().decode())"


class There:
    """The other computer, its clusters and a user here whose ssh knows it as login1."""

    def __init__(self, far, rig, home):
        self.far, self.rig, self.home = far, rig, home
        home.env["PATH"] = far.path_with_ssh(home)
        home.env["XDG_RUNTIME_DIR"] = str(home.path)

    def run(self, *arguments, **more):
        return self.home.run("-H", "login1", *arguments, **more)

    def list(self, *arguments, status=0):
        done = self.run("list", "-o", "json", *arguments)
        assert done.returncode == status, (done.returncode, done.stderr)
        return json.loads(done.stdout)

    def row(self, address, test=lambda row: True):
        def look():
            rows = [row for row in self.list()["clusters"] if row["address"] == address and row["same_as"] is None]
            assert len(rows) < 2
            return rows and test(rows[0]) and rows[0]
        return rigs.until(look, 40, 0.5, what=f"the row of {address}")

    def counts(self, scheduler):
        return json.loads(self.far.run(self.rig.python, "-c", READ % scheduler.dashboard).stdout)

    def workers(self, scheduler, n):
        rigs.until(lambda: self.counts(scheduler)["workers"] == n, 60, what=f"{n} workers")


@pytest.fixture(scope="module")
def there(tmp_path_factory, program, dask):
    path = tmp_path_factory.mktemp("far")
    path.chmod(0o755)
    home = Home(tmp_path_factory.mktemp("h"), program)
    with Far(path / "far") as far, FarRig(far, path / "rig", dask) as rig:
        yield There(far, rig, home)


@pytest.fixture(scope="module")
def alpha(there):
    """A live cluster over there, with one worker."""
    scheduler = there.rig.scheduler("alpha")
    there.rig.worker(scheduler.address, "w1")
    there.workers(scheduler, 1)
    return scheduler


# ------------------------------------------------------------------------------------------------------------- what is seen


def test_nothing_is_seen_without_ssh(there, alpha, tmp_path, program):
    document = Home(tmp_path, program).list()
    assert not [c for c in document["clusters"] if c["address"] == alpha.address]
    assert not [b for b in document["backends"] if b["type"] == "ssh"]


def test_a_host_by_its_name_alone(there, alpha):
    row = there.row(alpha.address, lambda row: row["workers"]["ready"] == 1)
    assert row["id"] == f"login1:local/127.0.0.1:{alpha.port}" and row["uid"] == row["scheduler_id"] == alpha.id
    assert row["name"] == "alpha" and row["owner"] == "root" and row["status"] == "running" and row["threads"] == 1
    assert row["verdict"]["state"] == "active" and row["resources"] >= 3
    assert {"scale", "logs", "connect", "delete", "snippet"} <= set(row["can"])
    document = there.list()
    assert [(b["name"], b["instance"], b["type"], b["state"]) for b in document["backends"] if b["instance"] == "local"] == [("login1", "local", "ssh", "ok")]
    assert {b["name"] for b in document["backends"]} == {"login1"}, "and nothing of this computer"


def test_local_cluster_of_a_script_there(there):
    cluster = there.rig.local_cluster("eda")
    row = there.row(cluster.address, lambda row: row["clients"] == 1)
    assert row["type"] == "LocalCluster" and row["name"] == "eda.py" and row["workers"]["ready"] == 2
    assert row["origin"]["kind"] == "script" and row["origin"]["path"].endswith("eda.py")
    shown = json.loads(there.run("show", row["id"], "-o", "json").stdout)
    assert len([r for r in shown["resources"] if r["kind"] == "worker"]) == 2


def test_show(there, alpha):
    row = there.row(alpha.address)
    done = there.run("show", row["id"])
    assert done.returncode == 0 and "through ssh" in done.stdout and "w1" in done.stdout, done.stdout + done.stderr
    assert "distributed.cli.dask_worker" in done.stdout


def test_clusters_in_the_config(there, alpha):
    there.home.config(there.far.config())
    try:
        document = there.home.list("--backend", "login")
        row = next(c for c in document["clusters"] if c["address"] == alpha.address)
        assert row["id"].startswith("login:local/") and row["backend"] == "login"
        done = there.home.run("show", row["id"])
        assert done.returncode == 0, done.stderr
    finally:
        (there.home.path / ".config/dask/dasktop.yaml").unlink()


# ---------------------------------------------------------------------------------------------------------------- what is done


def test_logs(there, alpha):
    done = there.run("logs", there.row(alpha.address)["id"])
    assert done.returncode == 0 and "[w1]" in done.stdout and "[scheduler]" in done.stdout and "Registered to" in done.stdout, done.stderr


def test_connect_runs_a_command(there, alpha):
    code = "from distributed import Client; print(Client().submit(sum, [1, 2, 39]).result())"
    done = there.run("connect", there.row(alpha.address)["id"], "--", str(there.rig.python), "-c", code)
    assert done.returncode == 0 and done.stdout.strip() == "42", done.stderr


def test_connect_holds_a_port(there, alpha):
    port = rigs.free_port()
    process = subprocess.Popen([there.home.program, "-H", "login1", "connect", there.row(alpha.address)["id"], "--port", str(port), "-o", "json"],
                               env=there.home.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        text = process.stdout.readline()
        route = json.loads(text)
        assert route["address"] == f"tcp://127.0.0.1:{port}"
        code = f"from distributed import Client; print(Client('tcp://127.0.0.1:{port}').submit(sum, [40, 2]).result())"
        done = subprocess.run([there.rig.python, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() == "42", done.stderr
        import urllib.request
        assert b"Scheduler" in urllib.request.urlopen(route["dashboard"].replace("/status", "/json/identity.json"), timeout=10).read()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert process.returncode == 130
    import socket
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", port)) != 0, "the port is closed with the route"


def test_snippet_names_the_line_that_must_run(there, alpha):
    row = there.row(alpha.address)
    done = there.run("snippet", row["id"])
    assert f"dasktop -H login1 connect {row['id']} --port {alpha.port}" in done.stdout and f'Client("tcp://127.0.0.1:{alpha.port}")' in done.stdout
    compile(done.stdout, "snippet", "exec")


def test_scale_there_and_back(there, alpha):
    id = there.row(alpha.address)["id"]
    done = there.run("scale", id, "2")
    assert done.returncode == 0, done.stderr
    assert there.counts(alpha)["workers"] == 2
    assert alpha.process.poll() is None
    done = there.run("scale", id, "1")
    assert done.returncode == 0, done.stderr
    there.workers(alpha, 1)


def test_an_orphan_there_is_deleted(there, alpha):
    process, address = there.rig.lost_worker("lost")
    row = there.row(address, lambda row: row["verdict"]["state"] == "orphaned")
    done = there.run("logs", row["id"], "-n", "5")
    assert done.returncode == 0 and "[lost]" in done.stdout, done.stderr
    plan = there.run("delete", row["id"], "--dry-run")
    assert plan.returncode == 0 and "SIGTERM" in plan.stdout
    done = there.run("delete", row["id"], "--yes")
    assert done.returncode == 0, done.stderr
    rigs.until(lambda: process.poll() is not None, 10)
    assert not [c for c in there.list()["clusters"] if c["address"] == address]
    assert there.counts(alpha)["workers"] >= 1, "the live one is untouched"


def test_a_live_one_is_deleted_with_all_its_processes(there):
    scheduler = there.rig.scheduler("doomed")
    worker = there.rig.worker(scheduler.address, "d1")
    there.workers(scheduler, 1)
    done = there.run("delete", there.row(scheduler.address)["id"], "--yes", "--force")
    assert done.returncode == 0, done.stderr
    rigs.until(lambda: scheduler.process.poll() is not None and worker.poll() is not None, 20)


def test_a_worker_that_hangs_is_killed_there(there):
    scheduler = there.rig.scheduler("stopped")
    worker = there.rig.worker(scheduler.address, "s1", nanny=False)
    there.workers(scheduler, 1)
    id = there.row(scheduler.address)["id"]
    child = int(pathlib.Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()[0])  # below nsenter
    os.kill(child, signal.SIGSTOP)
    done = there.run("delete", id, "--yes", "--force")
    assert done.returncode == 0, done.stderr
    rigs.until(lambda: not rigs.alive(child), 10)
