"""The helper in real environments: where dask-ctl still starts, and with the current Dask, where `dask cluster` does not."""
import re
import subprocess

import pytest
import rig as rigs
from child import Child, Failed

PORT = 8786  # the only one that dask-ctl looks at


@pytest.fixture
def cluster(rig):
    scheduler = rig.scheduler(port=PORT)
    rig.worker(scheduler.address, "alpha")
    scheduler.workers(1)
    return scheduler


@pytest.mark.parametrize("environment", ["bench-dask-ctl", "dask-ctl-current"])
def test_it_finds_and_reconstructs_what_is_there(rig, cluster, environment):
    with Child(python=rigs.python(environment)) as child:
        assert "proxycluster" in [point["name"] for point in child.hello["entry_points"]]
        result, clusters = child.discover("proxycluster", 20000)
        assert result == {"complete": True} and [c["name"] for c in clusters] == [f"proxycluster-{PORT}"]
        assert "Client-" not in rig.log("scheduler")  # who looks is no client: it would make the cluster look used
        assert clusters[0]["address"] == f"tcp://localhost:{PORT}" and clusters[0]["type"] == "ProxyCluster"
        assert clusters[0]["can"] == ["logs", "connect", "snippet"] and sorted(clusters[0]["cannot"]) == ["adapt", "delete", "scale"]

        target = {"entry_point": "proxycluster", "id": f"proxycluster-{PORT}", "uid": cluster.id}
        number = child.send("show", **target)
        shown = child.wait(number)
        assert shown["cluster"]["uid"] == cluster.id and shown["cluster"]["workers"]["ready"] == 1 and shown["cluster"]["memory"] == 200000000
        assert [w["name"] for w in child.heard(number, "worker")] == ["alpha"]
        with pytest.raises(Failed) as no:
            child.ask("plan", change={"delete": True}, **target)
        assert no.value.code == -32004
        number = child.send("route", **target)
        assert child.note(number)[1]["address"] == f"tcp://localhost:{PORT}"
        said = subprocess.run([rig.python, "-c", "import sys; from distributed import Client\n"
                               "print(Client(sys.argv[1]).get_metadata(['cluster-manager-info'], default='nothing'))", cluster.address],
                              capture_output=True, text=True, timeout=60)
        assert said.stdout == "nothing\n", (said.stdout, said.stderr)  # looking writes nothing into it
        assert child.close() == 0
    assert cluster.counts()["workers"] == 1  # nothing of it was closed


def test_it_finds_all_that_dask_cluster_list_finds(cluster):
    python = rigs.python("bench-dask-ctl")
    said = subprocess.run([python.parent / "dask", "cluster", "list"], capture_output=True, text=True, timeout=120,
                          env={"PATH": "/usr/bin:/bin", "COLUMNS": "300", "HOME": str(cluster.rig.path)})
    assert said.returncode == 0, said.stderr
    with Child(python=python) as child:
        found = {c["name"] for p in child.hello["entry_points"] for c in child.discover(p["name"], 20000)[1]}
    assert set(re.findall(r"proxycluster-\d+", said.stdout)) <= found == {f"proxycluster-{PORT}"}


def test_what_is_no_scheduler_is_none(rig):
    with Child(python=rigs.python("dask-ctl-current")) as child:
        assert child.discover("proxycluster", 20000) == ({"complete": True}, [])
    scheduler = rig.scheduler()
    worker = rig.worker(scheduler.address, "worker", "--worker-port", PORT, nanny=False)
    scheduler.workers(1)
    with Child(python=rigs.python("dask-ctl-current")) as child:
        assert child.discover("proxycluster", 20000) == ({"complete": True}, [])
    assert worker.poll() is None


def test_another_scheduler_on_its_port_is_another_cluster(cluster, rig):
    with Child(python=rigs.python("dask-ctl-current")) as child:
        target = {"entry_point": "proxycluster", "id": f"proxycluster-{PORT}", "uid": cluster.id}
        child.ask("show", **target)
        cluster.process.kill()
        cluster.process.wait()
        other = rig.scheduler("other", port=PORT)
        assert child.ask("show", **target)["cluster"]["uid"] == other.id != cluster.id


def test_a_scheduler_that_is_gone_is_not_found(cluster):
    with Child(python=rigs.python("dask-ctl-current")) as child:
        target = {"entry_point": "proxycluster", "id": f"proxycluster-{PORT}", "uid": cluster.id}
        child.ask("show", **target)
        cluster.process.kill()
        cluster.process.wait()
        with pytest.raises(Failed) as gone:
            child.ask("show", **target)
        assert gone.value.code == -32002


def test_where_dask_ctl_itself_does_not_start():
    """The premise: if this fails, dask-ctl runs again and the README's words about it are wrong."""
    said = subprocess.run([rigs.python("dask-ctl-current").parent / "dask", "cluster", "list"], capture_output=True, text=True, timeout=120)
    assert said.returncode == 2 and "No such command 'cluster'" in said.stderr


def test_packages_of_kubernetes_without_a_kubernetes(tmp_path):
    with Child(python=rigs.python("dask-ctl-current"), env={"KUBECONFIG": str(tmp_path / "none"), "HOME": str(tmp_path)}) as child:
        with pytest.raises(Failed) as missing:  # announced by the package, but no longer in it
            child.discover("helmcluster", 20000)
        assert "No module named 'dask_kubernetes.helm'" in missing.value.message and missing.value.data == {"absent": True}
        assert child.discover("kubecluster", 20000) == ({"complete": True}, [])


def test_what_a_spec_may_make():
    def create(module, cls, **kwargs):
        return child.ask("create", spec={"version": 1, "module": module, "class": cls, "kwargs": kwargs}, name=None, workers=None, dry_run=True)

    with Child(python=rigs.python("dask-ctl-current")) as child:
        assert create("dask_kubernetes.operator", "KubeCluster", name="mine", **{"n-workers": 2})["cluster"] == {"id": "mine", "name": "mine", "type": "KubeCluster"}
        assert create("dask_gateway", "GatewayCluster")["cluster"]["type"] == "GatewayCluster"
        for module, name in (("dask.distributed", "LocalCluster"), ("distributed", "SSHCluster")):
            assert "held by a Python process of its own" in create(module, name)["note"]
        with pytest.raises(Failed) as no:
            create("dask_ctl.proxy", "ProxyCluster")
        assert "makes nothing" in no.value.message
        with pytest.raises(Failed) as no:
            create("dask_kubernetes.operator", "KubeCluster", nmae="mine")
        assert no.value.code == -32602 and no.value.message == "kwargs: KubeCluster takes no nmae"
