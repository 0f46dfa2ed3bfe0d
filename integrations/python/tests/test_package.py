"""The package against real clusters, with each Dask that is tested."""
import os
import pathlib
import signal
import stat
import subprocess

import pytest
import rig as rigs

PACKAGE = pathlib.Path(__file__).resolve().parents[1]

LIFE = """
import sys, warnings
import dasktop
from distributed import Client
from distributed.deploy.cluster import Cluster

address = sys.argv[1]
row, = [c for c in dasktop.list_clusters() if c.address == address]
assert row.name == sys.argv[2] and row.workers == 1 and row.memory == 200000000 and row.created is not None and row.raw["id"] == row.id
assert "scale" in row.can and "adapt" in row.cannot and "adapt" not in row.can

cluster = dasktop.get_cluster(row.id)
assert isinstance(cluster, Cluster) and cluster.record.uid == row.uid and cluster.name == row.id
assert cluster.scheduler_address == address and cluster.scheduler_info["address"] == address
assert [w["name"] for w in cluster.scheduler_info["workers"].values()] == ["alpha"]
assert cluster.dashboard_link.endswith("/status") and "workers=1" in repr(cluster)
with Client(cluster) as client:
    assert client.submit(sum, [1, 2]).result() == 3
    assert client.cluster is cluster

assert cluster.scale(2) is None
assert cluster.refresh().workers == 2

logs = cluster.get_logs(lines=20)
assert sorted(logs)[:2] == ["Cluster", "Scheduler"] and "alpha" in logs and len(logs) == 4, sorted(logs)
assert "distributed.scheduler - INFO" in logs["Scheduler"] and "[scheduler]" not in logs["Scheduler"]
assert "distributed.worker - INFO" in logs["alpha"] or "distributed.nanny" in logs["alpha"]
assert list(cluster.get_logs(cluster=False, scheduler=False, workers=["alpha"], lines=5)) == ["alpha"]

try:
    cluster.adapt(minimum=0, maximum=2)
except dasktop.Refused as error:
    assert error.status == 6 and "adapting is done by the cluster manager" in str(error)
else:
    assert False, "adapting was taken"
namespace = {}
compile(cluster.get_snippet(), "snippet", "exec")
assert "Client" in dasktop.get_snippet(row.id)
cluster.close()
cluster.close()
assert cluster.status.name == "closed"
with dasktop.get_cluster(sys.argv[2]) as again:
    assert again.name == sys.argv[2]
"""


def test_the_life_of_a_cluster(any_rig, script, program):
    # a name of its own: workers that scale() started outlive the test by the minute after which they miss their scheduler
    name = f"mine-{any_rig.python.parent.parent.name}"
    scheduler = any_rig.scheduler(name)
    any_rig.worker(scheduler.address, "alpha")
    scheduler.workers(1)
    script(any_rig.python, LIFE, scheduler.address, name)
    assert scheduler.counts()["workers"] == 2  # close() deleted nothing
    script(any_rig.python, """
import sys, asyncio, dasktop
from distributed import Client

async def main():
    assert sys.argv[1] in [c.address for c in await dasktop.list_clusters_async()]
    async with dasktop.get_cluster(sys.argv[1], asynchronous=True) as cluster:
        async with Client(cluster, asynchronous=True) as client:
            assert await client.submit(sum, [1, 2]) == 3
        assert await cluster.scale(1) is None
        assert (await cluster.refresh()).workers == 1
        assert "Scheduler" in await cluster.get_logs()
        # what the base class would write there is its maker's
        assert await cluster.scheduler_comm.get_metadata(keys=["cluster-manager-info"], default=None) is None
    cluster = await dasktop.get_cluster(sys.argv[1], asynchronous=True)
    assert cluster.status.name == "running"
    await cluster.close()

asyncio.run(main())
""", scheduler.address)
    script(any_rig.python, """
import sys, dasktop
cluster = dasktop.get_cluster(sys.argv[1])
try:
    cluster.delete()  # it worked a moment ago: that needs force
except dasktop.Refused as error:
    assert "force" in str(error), error
else:
    assert False, "it was deleted"
cluster.delete(force=True)
assert cluster.status.name == "closed"
try:
    dasktop.get_cluster(sys.argv[1])
except dasktop.ClusterNotFound as error:
    assert isinstance(error, LookupError) and error.status == 4
else:
    assert False, "it is still there"
""", scheduler.address)
    assert not rigs.alive(scheduler.process.pid)


def test_another_cluster_under_its_id_is_not_touched(rig, script):
    first = rig.scheduler("first")
    go = rig.path / "go"
    child = script(rig.python, """
import pathlib, sys, time, dasktop
cluster = dasktop.get_cluster(sys.argv[1])
print("open", flush=True)
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.05)
try:
    cluster.delete(force=True)
except dasktop.Refused as error:
    print(error)
""", first.address, go, wait=False)
    assert child.stdout.readline() == "open\n"
    first.process.kill()
    first.process.wait()
    second = rig.scheduler("second", port=first.port)
    go.touch()
    output, errors = child.communicate(timeout=60)
    assert "another cluster has this id by now" in output, (output, errors)
    assert rigs.alive(second.process.pid)


def connects(address):
    """Processes of `dasktop connect` for this cluster."""
    said = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    return [line for line in said.splitlines() if " connect " in line and address.rsplit(":", 1)[1] in line and "dasktop" in line]


@pytest.mark.parametrize("how", ["killed", "ends"])
def test_no_route_outlives_its_python(rig, script, how):
    scheduler = rig.scheduler("mine")
    child = script(rig.python, "import sys, time, dasktop\nc = dasktop.get_cluster(sys.argv[1])\nprint('open', flush=True)\n" +
                   ("time.sleep(10**6)\n" if how == "killed" else ""), scheduler.address, wait=False)
    assert child.stdout.readline() == "open\n"
    if how == "killed":
        assert len(connects(scheduler.address)) == 1
        os.kill(child.pid, signal.SIGKILL)
    child.communicate(timeout=60)
    rigs.until(lambda: not connects(scheduler.address), what="the route's end")
    assert rigs.alive(scheduler.process.pid)


def test_what_the_program_says_becomes_an_exception(dask, script, tmp_path):
    fake = tmp_path / "fake"
    fake.write_text("""#!/bin/sh
[ "$1" = list ] && { echo '{"clusters": [{"id": "a/1", "name": "one", "backend": "a"}, {"id": "b/1", "name": "one", "backend": "b", "same_as": "a/1"}]}'; echo "dasktop: b: silent: wait" >&2; exit 3; }
echo " a: waiting" >&2
echo "dasktop: x: it went wrong: do this" >&2
exit $STATUS
""")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    script(dask, """
import os, sys, warnings, dasktop
for status, kind in {1: dasktop.DasktopError, 2: dasktop.UsageError, 3: dasktop.Partial, 4: dasktop.ClusterNotFound, 5: dasktop.Ambiguous,
                     6: dasktop.Refused, 7: dasktop.OutOfTime, 130: dasktop.DasktopError}.items():
    os.environ["STATUS"] = str(status)
    for call in (lambda: dasktop.get_cluster("x"), lambda: dasktop.delete_cluster("x")):
        try:
            call()
        except dasktop.DasktopError as error:
            assert type(error) is kind and error.status == status and str(error) == "x: it went wrong: do this", (status, error)
        else:
            assert False, status
os.environ["STATUS"] = "3"
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    dasktop.scale_cluster("x", 3)  # done, but clamped
    assert [r.name for r in dasktop.list_clusters()] == ["one"] and len(dasktop.list_clusters(folded=True)) == 2
assert [(w.category, str(w.message)) for w in seen[:2]] == [(dasktop.DasktopWarning, "x: it went wrong: do this"), (dasktop.DasktopWarning, "b: silent: wait")]
for name in ("", "--yes"):
    try:
        dasktop.delete_cluster(name)
    except dasktop.UsageError:
        pass
    else:
        assert False, name
os.environ["DASKTOP_PROGRAM"] = "/nowhere/dasktop"
try:
    dasktop.list_clusters()
except dasktop.ProgramMissing as error:
    assert "/nowhere/dasktop" in str(error)
else:
    assert False
""", env={"DASKTOP_PROGRAM": str(fake)})


def test_through_tls(any_rig, script, home):
    pem, key = any_rig.path / "both.pem", any_rig.path / "both.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", pem, "-days", "30", "-subj", "/CN=dask"],
                   check=True, capture_output=True)
    scheduler = any_rig.scheduler("secure", "--protocol", "tls", "--tls-ca-file", pem, "--tls-cert", pem, "--tls-key", key)
    home.config(f"dasktop:\n  backends:\n    mine: {{type: scheduler, addresses: ['{scheduler.address}'], "
                f"tls: {{ca-file: {pem}, cert: {pem}, key: {key}}}}}\n")
    script(any_rig.python, """
import sys, dasktop
from distributed import Client
with dasktop.get_cluster(sys.argv[1]) as cluster, Client(cluster) as client:
    assert cluster.security.tls_ca_file and client.scheduler_info()["address"] == sys.argv[1]
""", scheduler.address)


def test_create(dask, script, home, tmp_path):
    (tmp_path / "dask-cluster.yaml").write_text("version: 1\nmodule: dask.distributed\nclass: LocalCluster\nkwargs: {n_workers: 1, threads_per_worker: 1, memory_limit: 200MB}\n")
    home.config(f"dasktop:\n  backends:\n    local: {{python: {dask}}}\n")
    script(dask, """
import dasktop
name = dasktop.create_cluster(name="from-python")
try:
    with dasktop.get_cluster(name) as cluster:
        assert cluster.record.name == "from-python" and cluster.record.workers == 1
        dasktop.scale_cluster(name, 0)
        assert cluster.refresh().workers == 0
finally:
    dasktop.delete_cluster(name, force=True)
""")


def test_as_pip_installs_it(installed, dask, script):
    assert (installed / "dasktop/py.typed").exists()
    assert not list(PACKAGE.rglob("*.egg-info")) and not (PACKAGE / "build").exists()
    points = next(installed.glob("dasktop-*.dist-info")) / "entry_points.txt"
    assert points.read_text().split() == ["[dask_cluster_discovery]", "dasktop", "=", "dasktop.discovery:discover"]


def test_users_of_dask_ctl_see_what_dasktop_finds(installed, rig, home):
    scheduler = rig.scheduler("mine")
    rig.worker(scheduler.address, "alpha")
    scheduler.workers(1)
    dask = rigs.python("bench-dask-ctl").parent / "dask"
    env = {**home.env, "DASKTOP_PROGRAM": str(home.program), "PYTHONPATH": str(installed), "COLUMNS": "300"}

    def cluster(*words):
        done = subprocess.run([dask, "cluster", *words], env=env, capture_output=True, text=True, timeout=120, cwd=home.path)
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout
    assert "dasktop" in cluster("discovery", "list")
    listed = [line for line in cluster("list").splitlines() if "mine" in line]
    assert len(listed) == 1 and scheduler.address in listed[0], listed
    cluster("scale", "mine", "2")
    scheduler.workers(2)
    assert "dasktop.get_cluster" in cluster("snippet", "mine")
    cluster("delete", "mine")  # dask-ctl deletes by close(), which here lets go and no more
    assert rigs.alive(scheduler.process.pid)
