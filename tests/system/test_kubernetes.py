"""Clusters of the real Dask operator on a real Kubernetes: found after their Python died, and everything that can be done with them (scripts/test all)."""
import json
import os
import pty
import re
import signal
import subprocess

import kubernetes as kube
import pytest
import rig as rigs

# As a notebook has it: KubeCluster in a process that is killed. It waits for the phase Running, over which the operator itself writes
# Pending where it came to the scheduler's Service before it had ended with the rest; then it gives up, and is tried again as one would.
SCRIPT = """
import sys, time
from dask_kubernetes.operator import KubeCluster
while True:
    try:
        cluster = KubeCluster(name=sys.argv[1], namespace="default", n_workers=2, image="ghcr.io/dask/dask:latest", quiet=True, resource_timeout=20)
        break
    except TimeoutError as error:
        print(error, file=sys.stderr)
client = cluster.get_client()
client.wait_for_workers(2, timeout=120)
print(sum(client.gather(client.map(lambda x: x + 1, range(10)))), flush=True)
while True:
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory):
    with kube.Kubernetes(tmp_path_factory.mktemp("kubernetes")) as kubernetes:
        yield kubernetes


def see(home, kubernetes, user="admin", more=""):
    home.config(f"dasktop:\n  auto: false\n  backends:\n    kube: {{type: kubernetes, kubeconfig: '{kubernetes.kubeconfig(user)}', timeout: 15s{more}}}\n")
    home.env["PATH"] = f"{kube.BIN}:{home.env['PATH']}"
    home.kubernetes = kubernetes
    return home


@pytest.fixture
def admin(home, kubernetes):
    return see(home, kubernetes)


def row(home, name, **more):
    found = [c for c in home.list(**more)["clusters"] if c["name"] == name]
    assert len(found) <= 1
    return found[0] if found else None


def done(home, *arguments, status=0, timeout=150):
    process = home.run(*arguments, timeout=timeout)
    assert process.returncode == status, (arguments, process.returncode, process.stdout, process.stderr)
    return process


def shown(home, cluster):
    return json.loads(done(home, "show", cluster, "-o", "json").stdout)


def id_of(name, namespace="default"):
    return f"kube:lab/{namespace}/{name}"


def test_a_cluster_whose_python_was_killed(admin, kubernetes):
    process = subprocess.Popen([kubernetes.python, "-c", SCRIPT, "eda"], stdout=subprocess.PIPE, text=True, start_new_session=True,
                               env={**os.environ, **kubernetes.names(), "KUBECONFIG": str(kubernetes.kubeconfig())})
    try:
        said = process.stdout.readline()
        assert said.strip() == "55"
        found = rigs.until(lambda: next((c for c in [row(admin, "eda")] if c["clients"] == 1), None), 60, 1, what="its client")
        assert found["id"] == id_of("eda") and found["type"] == "KubeCluster"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()

    # found, with its verdict
    admin.config(admin.path.joinpath(".config/dask/dasktop.yaml").read_text() + "  verdict: {unattended: 1s}\n")
    found = rigs.until(lambda: next((c for c in [row(admin, "eda")] if c["verdict"]["state"] == "unattended"), None), 60, 1, what="its verdict")
    assert found["status"] == "running" and found["clients"] == 0 and found["workers"] == {"ready": 2, "wanted": 2}
    cluster = found["id"]

    # opened: with the verdict that the list has
    opened = shown(admin, cluster)
    assert opened["cluster"]["verdict"]["state"] == "unattended"
    kinds = sorted(r["kind"] for r in opened["resources"])
    assert kinds.count("pod") == 3 and "DaskCluster" in kinds and "DaskWorkerGroup" in kinds and "service" in kinds and kinds.count("ReplicaSet") == 3
    assert all(r["uid"] for r in opened["resources"]) and len(opened["workers"]) == 2
    text = done(admin, "show", cluster).stdout
    assert "image: ghcr.io/dask/dask:latest" in text and "Python's KubeCluster" in text and "port-forward by kubectl" in text

    # its logs tailed
    logs = [re.match(r"\[([^]]+)\] (\S+) (.*)", line).groups() for line in done(admin, "logs", cluster, "-n", 2000, "--timestamps").stdout.splitlines()]
    assert any(component == "scheduler" and "Remove client" in text for component, _, text in logs), logs[-20:]
    assert {component for component, _, _ in logs} == {"scheduler", *(w["name"] for w in opened["workers"])}
    stamps = [stamp for _, stamp, _ in logs]
    assert stamps == sorted(stamps), "merged in time order"

    # scaled from 2 to 5 and back, counted by kubectl
    done(admin, "scale", cluster, 5)
    assert len(kubernetes.pods("eda")) == 5
    done(admin, "scale", cluster, 2)
    rigs.until(lambda: len(kubernetes.pods("eda")) == 2, 30, what="two pods")
    rigs.until(lambda: row(admin, "eda")["workers"] == {"ready": 2, "wanted": 2}, 60, 1, what="the scheduler's two workers")

    # connected to from Python
    process = done(admin, "connect", cluster, "--", kubernetes.python, "-c", "from distributed import Client\nc = Client()\nprint(c.submit(sum, [1, 2, 3]).result(), c.scheduler.address)")
    assert process.stdout.startswith("6 tcp://127.0.0.1:"), process.stdout
    with subprocess.Popen([admin.program, "dashboard", cluster, "--print", "--port", str(port := rigs.free_port())], env=admin.env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout.readline() == f"http://127.0.0.1:{port}/status\n"
        held.send_signal(signal.SIGINT)
    assert not list(admin.path.rglob("kubectl-*.log")), "nothing of the tunnel stays"
    compile(done(admin, "snippet", cluster).stdout, "snippet", "exec")

    # deleted, and nothing of it is left
    done(admin, "delete", cluster, "--yes", "--force")
    assert kubernetes.all_of("eda") == []
    assert admin.list()["clusters"] == []


def test_another_one_of_the_same_name_is_not_deleted(admin, kubernetes):
    kubernetes.cluster("twice", workers=1)
    cluster, uid = id_of("twice"), row(admin, "twice")["uid"]
    kubernetes.remove("twice")
    kubernetes.cluster("twice", workers=1)
    process = done(admin, "delete", cluster, "--uid", uid, "--yes", "--force", status=6)
    assert "another cluster by now" in process.stderr, process.stderr

    # The same while the question stands: the plan was made for the one that goes, the answer comes when the other is there.
    master, slave = pty.openpty()
    asking = subprocess.Popen([admin.program, "delete", cluster], env=admin.env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    said = ""
    try:
        while not (asked := re.search(r"Type (\S+) to go on: |y or n: ", said)):
            said += os.read(master, 4096).decode()
        kubernetes.remove("twice")
        kubernetes.cluster("twice", workers=1)
        os.write(master, ((asked[1] or "y") + "\n").encode())
        assert asking.wait(60) == 6, said
    finally:
        asking.kill()
        asking.wait()
        os.close(master)
    assert len(kubernetes.pods("twice")) == 1
    kubernetes.remove("twice")


def test_what_is_permitted_is_said_before(home, kubernetes, tmp_path, program):
    kubernetes.cluster("gamma", "team-a", workers=1)
    viewer = see(home, kubernetes, "viewer")
    found = row(viewer, "gamma", status=0)
    assert found["can"] == ["logs", "snippet"]
    assert found["cannot"]["delete"] == "not permitted: delete daskclusters.kubernetes.dask.org in team-a"
    assert found["cannot"]["scale"] == "not permitted: patch daskworkergroups.kubernetes.dask.org in team-a"
    assert found["cannot"]["adapt"] == "not permitted: create daskautoscalers.kubernetes.dask.org in team-a"
    assert found["cannot"]["connect"] == "not permitted: create pods/portforward in team-a"
    for change in (["scale", found["id"], 3], ["scale", found["id"], "--adapt", "1:3"], ["delete", found["id"], "--yes", "--force"]):
        assert "not permitted: " in done(viewer, *change, status=6).stderr
    assert "[scheduler]" in done(viewer, "logs", found["id"], "-n", 5).stdout
    assert len(kubernetes.pods("gamma", "team-a")) == 1
    assert "kept for you alone" in done(viewer, "keep", found["id"], status=3).stderr
    assert row(viewer, "gamma")["kept"]

    # One who may everything with Dask in one namespace, and sees only that one.
    dasher = type(home)(tmp_path / "dasher", program)
    dasher.path.mkdir()
    see(dasher, kubernetes, "dasher")
    mine = row(dasher, "gamma")
    assert mine["cannot"] == {}
    done(dasher, "scale", mine["id"], 2)

    # What is kept is so for everybody who looks.
    done(dasher, "keep", mine["id"], "--for", "3d", "--reason", 'the "paper"')
    assert kubernetes.items("daskclusters.kubernetes.dask.org", "team-a", "dasktop/keep") == ["gamma"]
    done(viewer, "keep", found["id"], "--not", status=3)
    assert row(viewer, "gamma")["kept"]["reason"] == 'the "paper"'
    done(dasher, "keep", mine["id"], "--not")
    assert kubernetes.items("daskclusters.kubernetes.dask.org", "team-a", "dasktop/keep") == [] and row(viewer, "gamma")["kept"] is None
    done(dasher, "delete", mine["id"], "--yes", "--force")
    assert kubernetes.all_of("gamma", "team-a") == []


def test_worker_groups_and_adapting(admin, kubernetes):
    kubernetes.cluster("beta", workers=1)
    kubernetes.kubectl("apply", "-f", "-", input="""
apiVersion: kubernetes.dask.org/v1
kind: DaskWorkerGroup
metadata: {name: beta-gpu, namespace: default}
spec: {cluster: beta, worker: {replicas: 1, spec: {containers: [{name: worker, image: "ghcr.io/dask/dask:latest", args: [dask-worker, --name, $(DASK_WORKER_NAME)]}]}}}
""")
    kubernetes.ready("beta", workers=2)
    cluster = id_of("beta")
    asked = done(admin, "scale", cluster, 3, status=2).stderr
    assert "beta-default (1), beta-gpu (1)" in asked and "--group" in asked
    assert "no worker group cpu" in done(admin, "scale", cluster, 3, "--group", "cpu", status=2).stderr
    done(admin, "scale", cluster, 2, "--group", "gpu")
    assert len(kubernetes.items("pods", selector="dask.org/workergroup-name=beta-gpu")) == 2
    assert {w["group"] for w in shown(admin, cluster)["workers"]} == {"beta-default", "beta-gpu"}

    # A worker that is retired gives its pod back, and no other takes its place.
    worker = next(w["name"] for w in shown(admin, cluster)["workers"] if w["group"] == "beta-gpu")
    done(admin, "retire", cluster, worker)
    assert not [p for p in kubernetes.pods("beta") if p.startswith(worker)]
    assert row(admin, "beta")["workers"]["wanted"] == 2

    done(admin, "scale", cluster, "--adapt", "1:3")
    found = row(admin, "beta")
    assert found["adaptive"] and kubernetes.items("daskautoscalers") == ["beta"]
    done(admin, "scale", cluster, "--adapt", "1:2")
    assert kubernetes.object("daskautoscaler", "beta")["spec"]["maximum"] == 2
    plan = done(admin, "scale", cluster, 2, "--group", "default", "--dry-run").stdout
    assert "DaskAutoscaler" in plan and "adapts by itself now" in plan
    done(admin, "scale", cluster, 2, "--group", "default")
    assert kubernetes.items("daskautoscalers") == [] and kubernetes.object("daskworkergroup", "beta-default")["spec"]["worker"]["replicas"] == 2
    done(admin, "delete", cluster, "--yes", "--force")
    assert kubernetes.all_of("beta") == []


def test_a_job_goes_with_its_cluster(admin, kubernetes):
    spec = json.loads(kubernetes.kubectl("create", "--dry-run=client", "-o", "json", "-f", "-", input=kube.CLUSTER % {
        "name": "job", "namespace": "default", "workers": 1, "annotations": "{}", "labels": "{}"}))["spec"]
    job = {"apiVersion": "kubernetes.dask.org/v1", "kind": "DaskJob", "metadata": {"name": "job", "namespace": "default"}, "spec": {
        "cluster": {"spec": spec}, "job": {"spec": {"restartPolicy": "Never", "containers": [
            {"name": "job", "image": "ghcr.io/dask/dask:latest", "command": ["python", "-c", "import time\nprint('the job runs', flush=True)\ntime.sleep(10**6)"]}]}}}}
    kubernetes.kubectl("apply", "-f", "-", input=json.dumps(job))
    rigs.until(lambda: kubernetes.items("pods", selector="dask.org/component=job-runner"), 60, what="the job's runner")
    kubernetes.ready("job", workers=1)
    cluster = id_of("job")
    rigs.until(lambda: "the job runs" in done(admin, "logs", cluster, "-c", "job-runner").stdout, 30, 1, what="its log")
    plan = done(admin, "delete", cluster, "--dry-run").stdout
    assert "DaskJob" in plan and "deleted with it" in plan
    done(admin, "delete", cluster, "--yes", "--force")
    assert kubernetes.all_of("job") == []


def test_create(admin, kubernetes):
    spec = admin.path / "spec.yaml"
    spec.write_text("version: 1\nmodule: dask_kubernetes.operator\nclass: KubeCluster\nkwargs:\n  name: made\n  n_workers: 1\n  imagee: x\n")
    assert "no argument imagee" in done(admin, "create", "-f", spec, status=2).stderr
    spec.write_text("version: 1\nmodule: dask_kubernetes.operator\nclass: KubeCluster\nkwargs:\n  name: made\n  n_workers: 1\n  env: {A: b}\n"
                    "  resources: {requests: {cpu: '1', memory: 1Gi}, limits: {cpu: '1', memory: 1Gi}}\n")
    assert "DaskCluster made" in done(admin, "create", "-f", spec, "--dry-run").stdout
    assert kubernetes.all_of("made") == []
    assert id_of("made") in done(admin, "create", "-f", spec).stdout
    theirs = subprocess.run([kubernetes.python, "-c", "import json\nfrom dask_kubernetes.operator import make_cluster_spec\n"
                             "r = {'requests': {'cpu': '1', 'memory': '1Gi'}, 'limits': {'cpu': '1', 'memory': '1Gi'}}\n"
                             "print(json.dumps(make_cluster_spec('made', n_workers=1, env={'A': 'b'}, resources=r)['spec']))"], capture_output=True, text=True, check=True)
    ours, theirs = kubernetes.object("daskcluster", "made")["spec"], json.loads(theirs.stdout)
    ours["scheduler"]["spec"]["containers"][0]["readinessProbe"].pop("timeoutSeconds", None)
    theirs["scheduler"]["spec"]["containers"][0]["readinessProbe"].pop("timeoutSeconds", None)
    assert ours == theirs, "as KubeCluster itself makes one"
    assert row(admin, "made")["workers"]["ready"] == 1
    assert "exists" in done(admin, "create", "-f", spec, status=6).stderr
    done(admin, "delete", id_of("made"), "--yes", "--force")

    spec.write_text(kube.CLUSTER % {"name": "yaml", "namespace": "team-b", "workers": 3, "annotations": "{}", "labels": "{}"})
    done(admin, "create", "-f", spec, "--workers", 1)
    assert len(kubernetes.pods("yaml", "team-b")) == 1
    done(admin, "delete", id_of("yaml", "team-b"), "--yes", "--force")
    spec.write_text(spec.read_text().replace("replicas:", "replicass:"))
    assert "replicass" in done(admin, "create", "-f", spec, status=2).stderr, "the server checks it, strictly"


def test_a_container_that_crashes_shows_what_it_said_before(admin, kubernetes):
    kubernetes.cluster("crash", workers=0)
    kubernetes.kubectl("apply", "-f", "-", input="""
apiVersion: kubernetes.dask.org/v1
kind: DaskWorkerGroup
metadata: {name: crash-bad, namespace: default}
spec: {cluster: crash, worker: {replicas: 1, spec: {containers: [{name: worker, image: "ghcr.io/dask/dask:latest", command: [python, -c, "print('before the end'); raise SystemExit(3)"]},
  {name: side, image: "busybox"}]}}}
""")
    rigs.until(lambda: "before the end" in admin.run("logs", id_of("crash"), "-c", "worker").stdout, 60, 1, what="the crashed container's log")
    following = subprocess.Popen([admin.program, "logs", id_of("crash"), "-f"], env=admin.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 text=True)
    try:
        lines = iter(following.stdout.readline, "")
        assert any("before the end" in line for line in lines)
        kubernetes.kubectl("delete", "daskcluster", "crash", "--cascade=foreground", "--wait=false")
        following.communicate(timeout=60)  # ends when the cluster ends
        assert following.returncode == 0
    finally:
        following.kill()
        following.wait()
    rigs.until(lambda: kubernetes.all_of("crash") == [], 60, what="gone")


def bare_pod(name, labels, component="scheduler", namespace="default"):
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": {"test/state": "nothing"}},
                       "spec": {"containers": [{"name": component, "image": "ghcr.io/dask/dask:latest"}]}})


def test_what_older_ones_left(admin, kubernetes):
    """A KubeCluster from before 2024.5: bare pods, a service and a disruption budget, which nobody owns and nobody would ever end."""
    labels = {"app": "dask", "dask.org/cluster-name": "old", "user": "ada"}
    made = [bare_pod("old-scheduler", {**labels, "dask.org/component": "scheduler"}), bare_pod("old-worker-1", {**labels, "dask.org/component": "worker"}, "worker"),
            json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "old", "namespace": "default", "labels": labels},
                        "spec": {"selector": labels, "ports": [{"name": "comm", "port": 8786}]}}),
            json.dumps({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "old", "namespace": "default", "labels": labels},
                        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}})]
    for item in made:
        kubernetes.kubectl("apply", "-f", "-", input=item)
    found = rigs.until(lambda: row(admin, "old"), 30, 0.5, what="the old cluster")
    assert "scale" in found["cannot"] and "delete" in found["can"]
    assert "only the Python process" in done(admin, "scale", found["id"], 2, status=6).stderr
    plan = done(admin, "delete", found["id"], "--dry-run").stdout
    assert all(kind in plan for kind in ("old-scheduler", "old-worker-1", "service", "PodDisruptionBudget"))
    done(admin, "delete", found["id"], "--yes", "--force")
    assert kubernetes.items("pods,services,poddisruptionbudgets", selector="dask.org/cluster-name=old") == []


def test_a_helm_release(admin, kubernetes):
    """Its objects, as the Dask chart labels them: scaled by its Deployment, deleted only by helm."""
    def deployment(component, replicas):
        labels = {"app": "dask", "component": component, "release": "uni"}
        return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": f"uni-dask-{component}", "namespace": "team-b", "labels": labels}, "spec": {
            "replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels, "annotations": {"test/state": "nothing"}}, "spec": {
                "containers": [{"name": component, "image": "ghcr.io/dask/dask:latest"}]}}}})
    for component in ("scheduler", "worker"):
        kubernetes.kubectl("apply", "-f", "-", input=deployment(component, 1))
    found = rigs.until(lambda: next((c for c in admin.list()["clusters"] if "/helm/" in c["id"]), None), 30, 0.5, what="the release")
    done(admin, "scale", found["id"], 3)
    assert len([p for p in kubernetes.items("pods", "team-b", "release=uni,component=worker")]) == 3
    assert "program helm" in done(admin, "delete", found["id"], "--yes", "--force", status=6).stderr
    kubernetes.kubectl("delete", "deployments", "-n", "team-b", "-l", "release=uni")


def test_a_cluster_of_a_gateway_is_stopped_as_the_gateway_does(admin, kubernetes):
    kubernetes.kubectl("apply", "-f", "-", input=json.dumps({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "daskclusters.gateway.dask.org"}, "spec": {
            "group": "gateway.dask.org", "scope": "Namespaced", "names": {"kind": "DaskCluster", "plural": "daskclusters", "singular": "daskcluster"},
            "versions": [{"name": "v1alpha1", "served": True, "storage": True, "subresources": {"status": {}}, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}))
    kubernetes.kubectl("wait", "--for=condition=established", "crd/daskclusters.gateway.dask.org")
    name = "0123456789abcdef0123456789abcdef"
    kubernetes.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "gateway.dask.org/v1alpha1", "kind": "DaskCluster", "metadata": {
        "name": name, "namespace": "team-b", "labels": {"gateway.dask.org/instance": "uni"}}, "spec": {"username": "ada", "active": True}}))
    kubernetes.kubectl("apply", "-f", "-", input=bare_pod(f"dask-scheduler-{name}", {"gateway.dask.org/cluster": name, "app.kubernetes.io/component": "dask-scheduler"},
                                                          namespace="team-b"))
    found = rigs.until(lambda: next((c for c in admin.list()["clusters"] if "/gateway/" in c["id"]), None), 40, 0.5, what="the gateway's cluster")
    assert found["owner"] == "ada" and "gateway" in found["cannot"]["scale"]
    deleting = subprocess.Popen([admin.program, "delete", found["id"], "--yes", "--force"], env=admin.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # the part of the gateway's controller
    rigs.until(lambda: kubernetes.object("daskclusters.gateway.dask.org", name, "team-b")["spec"]["active"] is False, 60, what="active: false")
    kubernetes.kubectl("delete", "pod", f"dask-scheduler-{name}", "-n", "team-b", "--wait=false")
    said = deleting.communicate(timeout=60)[0]
    assert deleting.returncode == 0, said
    kubernetes.kubectl("delete", "crd", "daskclusters.gateway.dask.org")


def test_the_operator_is_dead(admin, kubernetes):
    """Last: it kills the operator. What costs goes at once; what only the operator could let go is said, and taken off in the second plan."""
    kubernetes.cluster("stuck", workers=1)
    kubernetes.kill_operator()
    try:
        process = done(admin, "delete", id_of("stuck"), "--yes", "--force", status=3)
        assert "the operator" in process.stderr and "DaskCluster stuck" in process.stderr
        assert kubernetes.all_of("stuck") == ["DaskCluster/stuck"], "its pods do not go on"
        plan = done(admin, "delete", id_of("stuck"), "--dry-run").stdout
        assert "takes off the operator's finalizer" in plan and "is it running?" in plan
        done(admin, "delete", id_of("stuck"), "--yes", "--force")
        assert kubernetes.all_of("stuck") == []
    finally:
        kubernetes.start_operator()


# --------------------------------------------------------------------------------------- what others than the operator have made

GATEWAY = "0123456789abcdef0123456789abcdef"
CRD = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "daskclusters.gateway.dask.org"},
       "spec": {"group": "gateway.dask.org", "scope": "Namespaced", "names": {"kind": "DaskCluster", "plural": "daskclusters", "singular": "daskcluster"},
                "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}


def pod(namespace, name, labels, *arguments):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"containers": [{"name": "c", "image": "x", "args": arguments, "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}}


def service(namespace, name, labels, **ports):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"selector": labels, "ports": [{"name": port.replace("_", "-"), "port": number, "targetPort": target} for port, (number, target) in ports.items()]}}


def deployment(namespace, name, labels, replicas, *arguments):
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod(namespace, name, labels, *arguments)["spec"]}}}


def test_what_others_have_made(admin, kubernetes):
    """A KubeCluster from before the operator, a Helm release of the Dask chart, a cluster of Dask Gateway: objects as they make them."""
    classic = {"app": "dask", "user": "bob", "dask.org/cluster-name": "dask-bob-1", "dask.org/component": "scheduler"}
    release = {"app": "dask", "release": "lab", "component": "scheduler"}
    gateway = {"gateway.dask.org/cluster": GATEWAY, "app.kubernetes.io/component": "dask-scheduler"}
    objects = [pod("default", "dask-bob-s", classic, "dask-scheduler"), pod("default", "dask-bob-w", {**classic, "dask.org/component": "worker"}, "sleep"),
               service("default", "dask-bob-1", classic, comm=(8786, 8786), dashboard=(8787, 8787)),
               deployment("team-a", "lab-dask-scheduler", release, 1, "dask-scheduler"), deployment("team-a", "lab-dask-worker", {**release, "component": "worker"}, 2, "sleep"),
               service("team-a", "lab-dask-scheduler", release, lab_scheduler=(8786, 8786), lab_webui=(80, 8787)), CRD]
    owned = [{"apiVersion": "gateway.dask.org/v1alpha1", "kind": "DaskCluster", "metadata": {"name": GATEWAY, "namespace": "team-b", "labels": gateway},
              "spec": {"username": "ada", "replicas": 1}, "status": {"phase": "Running", "service": f"dask-{GATEWAY}"}},
             pod("team-b", f"dask-scheduler-{GATEWAY}", gateway, "dask-scheduler"),
             service("team-b", f"dask-{GATEWAY}", gateway, scheduler=(8786, 8786), dashboard=(8787, 8787))]

    def apply(many, verb="apply"):
        kubernetes.kubectl(verb, "-f", "-", *(["--wait=false"] if verb == "delete" else []), input=json.dumps({"apiVersion": "v1", "kind": "List", "items": many}))

    def seen():
        rows = {c["id"]: c for c in admin.list()["clusters"]}
        ids = id_of("dask-bob-1"), id_of("helm/lab", "team-a"), id_of(f"gateway/{GATEWAY}", "team-b")
        found = [rows.get(i) for i in ids]
        return found if all(c and c["clients"] == 0 for c in found) else None

    try:
        apply(objects)
        rigs.until(lambda: kubernetes.ask("/apis/gateway.dask.org/v1alpha1/daskclusters")[0] == 200, what="the gateway's kind")
        apply(owned)
        bob, helm, ada = rigs.until(seen, 90, 0.3, what=lambda: admin.list())
        assert [c["type"] for c in (bob, helm, ada)] == ["KubeCluster", "HelmCluster", "GatewayCluster"]
        assert [c["owner"] for c in (bob, helm, ada)] == ["bob", None, "ada"]
        assert [c["workers"]["wanted"] for c in (bob, helm, ada)] == [None, 2, 1]
        assert all(c["status"] == "running" and c["scheduler_id"] and c["workers"]["ready"] == 0 for c in (bob, helm, ada))
        assert "scale" in bob["cannot"] and "adapt" in helm["cannot"]
        for cluster in (bob, helm):
            assert "a port-forward by kubectl" in shown(admin, cluster["id"])["route"]
            assert done(admin, "connect", cluster["id"], "--", "sh", "-c", "echo $DASK_SCHEDULER_ADDRESS").stdout.startswith("tcp://127.0.0.1:")
    finally:
        apply(owned, "delete")
        apply(objects, "delete")
    rigs.until(lambda: not any(c["name"] in ("dask-bob-1", "lab", GATEWAY) for c in admin.list()["clusters"]), 60, 0.3, what=lambda: admin.list())
