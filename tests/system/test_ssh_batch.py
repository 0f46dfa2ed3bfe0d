"""A real Slurm on another computer, reached through a real OpenSSH server: the laptop that sees the cluster's queue."""
import json
import os
import socket

import pytest
import rig as rigs

from far import Far
from homes import Home
from queues import Slurm

COMPUTE = "from distributed import Client; print(Client().submit(sum, range(10)).result())"


class FarSlurm(Slurm):
    def __init__(self, path, far):
        super().__init__(path)
        self.prefix = far.enter


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    path = tmp_path_factory.mktemp("far-slurm")
    for directory in (path, *path.parents[:2]):
        directory.chmod(0o755)
    with Far(path / "far", programs=os.environ["PATH"], name=socket.gethostname(), variables=f"SLURM_CONF={path}/queue/slurm.conf") as far:
        with FarSlurm(path / "queue", far) as queue:
            yield far, queue


def rows(home, test):
    def look():
        done = home.run("list", "-o", "json")
        found = {c["name"]: c for c in json.loads(done.stdout)["clusters"] if c["instance"] == "slurm"}
        return test(found) and found
    return rigs.until(look, 120, 1)


def test_the_queue_of_another_computer(there, tmp_path, program):
    far, queue = there
    live, lost = queue.cluster("live", 1), queue.cluster("lost", 1, busy=True)
    lost.kill()
    home = Home(tmp_path, program)
    home.config(far.config(more=", discover: [slurm]"))
    found = rows(home, lambda r: {c["verdict"]["state"] for c in r.values()} >= {"orphaned", "active"})
    orphan = next(c for c in found.values() if c["verdict"]["state"] == "orphaned")
    alive = next(c for c in found.values() if c["address"] == live.address)
    assert orphan["address"] == lost.address and orphan["id"].startswith("login:slurm/") and orphan["resources"] == 1
    assert alive["status"] == "running" and alive["workers"]["ready"] == 1 and alive["ends"]["at"], alive
    done = home.run("connect", alive["id"], "--", str(rigs.python("jobqueue")), "-c", COMPUTE)
    assert done.returncode == 0 and done.stdout.strip() == "45", done.stderr
    done = home.run("logs", alive["id"], "-n", "20")
    assert done.returncode == 0 and "Registered to" in done.stdout, done.stdout + done.stderr
    done = home.run("logs", orphan["id"], "-n", "500")
    assert done.returncode == 0 and done.stdout, "from the files that the queue names, there: " + done.stderr
    done = home.run("scale", alive["id"], "2", timeout=120)
    assert done.returncode == 0, done.stderr
    before = set(queue.jobs())
    done = home.run("delete", orphan["id"], "--yes", timeout=120)
    assert done.returncode == 0, done.stderr
    assert len(before - set(queue.jobs())) == 1, "its one job, and nobody else's"
    rows(home, lambda r: list(c["address"] for c in r.values()) == [live.address])
