"""dask-kubernetes itself, through the helper, over a scheduler of this host and as much of Kubernetes as it asks for."""
import pytest
import rig as rigs
from child import Child, Failed
from fake_kubernetes import FakeKubernetes


@pytest.fixture
def kubernetes():
    fake = FakeKubernetes()
    yield fake
    fake.close()


def test_a_cluster_of_the_operator(kubernetes, rig, tmp_path):
    scheduler = rig.scheduler("mine")
    rig.worker(scheduler.address, "alpha")
    scheduler.workers(1)
    kubernetes.put_cluster("mine", scheduler)
    kubernetes.put_cluster("other", scheduler)
    with Child(python=rigs.python("dask-ctl-current"), env={"KUBECONFIG": str(kubernetes.config(tmp_path / "kubeconfig"))}) as child:
        result, clusters = child.discover("kubecluster", 30000)
        assert result == {"complete": True} and sorted(c["name"] for c in clusters) == ["mine", "other"]
        assert clusters[0]["type"] == "KubeCluster" and set(clusters[0]["can"]) == {"scale", "adapt", "logs", "delete", "connect", "snippet"}
        assert "from_name('mine')" in child.ask("snippet", entry_point="kubecluster", id="mine")["python"]

        target = {"entry_point": "kubecluster", "id": "mine", "uid": None}
        shown = child.ask("show", **target)
        assert shown["cluster"]["uid"] == "uid-of-mine" and shown["cluster"]["scheduler_id"] == scheduler.id
        assert shown["cluster"]["workers"]["ready"] == 1 and shown["cluster"]["address"] == scheduler.address
        assert shown["resources"] == [{"kind": "DaskCluster", "name": "default/mine", "uid": "uid-of-mine", "status": "Running"}]
        assert kubernetes.calls == []  # looking changed nothing

        target["uid"] = "uid-of-mine"
        plan = child.ask("plan", change={"scale": 3}, **target)
        child.ask("scale", workers=3, plan=plan["plan"], **target)
        assert kubernetes.objects["daskworkergroups", "mine-default"]["spec"]["worker"]["replicas"] == 3

        plan = child.ask("plan", change={"delete": True}, **target)
        assert [r["uid"] for r in plan["resources"]] == ["uid-of-mine"] and "deletes its DaskCluster resource" in plan["note"]
        assert ("daskclusters", "mine") in kubernetes.objects
        kubernetes.objects["daskclusters", "mine"]["metadata"]["uid"] = "made anew"
        with pytest.raises(Failed) as other:
            child.ask("delete", plan=plan["plan"], resources=["uid-of-mine"], **target)
        assert other.value.code == -32003 and ("daskclusters", "mine") in kubernetes.objects
        kubernetes.objects["daskclusters", "mine"]["metadata"]["uid"] = "uid-of-mine"
        assert child.ask("delete", plan=plan["plan"], resources=["uid-of-mine"], **target) == {"left_over": []}
        assert ("daskclusters", "mine") not in kubernetes.objects and ("daskclusters", "other") in kubernetes.objects
        with pytest.raises(Failed) as gone:
            child.ask("show", **target)
        assert gone.value.code == -32002
        assert child.close() == 0
    assert [call[:2] for call in kubernetes.calls if call[0] == "DELETE"] in ([("DELETE", "daskclusters/mine")],
                                                                            [("DELETE", "daskautoscalers/mine"), ("DELETE", "daskclusters/mine")])
