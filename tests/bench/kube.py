"""The dashboard on a real API server beside k9s's daskclusters view, kubectl and a bare curl of the same lists: 10 and 2,000 clusters; then
changes. Needs Go and what `scripts/test all` builds (the API server); k9s is built once into the cache, and left out where that fails."""
import concurrent.futures
import http.client
import json
import multiprocessing
import os
import pathlib
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid

from measure import CACHE, DASKTOP, HERE, RUNS, Place, key_times, row
from timed_tui import Tui, start

sys.path.insert(0, str(HERE.parent / "system"))
from kube_server import Server, authority  # noqa: E402
from kubernetes import Kubernetes  # noqa: E402

MANY = int(os.environ.get("BENCH_CLUSTERS", "2000"))
SPACES = 20
IMAGE = "ghcr.io/dask/dask:latest"
DASK = "/apis/kubernetes.dask.org/v1"
# What dasktop lists at its start, in one go.
LISTS = [f"{DASK}/daskclusters", f"{DASK}/daskworkergroups", f"{DASK}/daskautoscalers", f"{DASK}/daskjobs", "/api/v1/pods?labelSelector=dask.org%2Fcluster-name",
         "/api/v1/services?labelSelector=dask.org%2Fcluster-name", "/api/v1/pods?labelSelector=app%3Ddask%2C%21dask.org%2Fcluster-name"]


class Api:
    """Connections to the API server, one a thread."""

    def __init__(self, kube):
        self.port, self.here = kube.port["api"], threading.local()
        self.context = ssl.create_default_context(cafile=kube.path / "pki/ca.crt")

    def ask(self, method, path, body=None, kind="application/json"):
        if not hasattr(self.here, "connection"):
            self.here.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.context, timeout=60)
        body = None if body is None else json.dumps(body)
        for last in (False, True):  # a connection that was idle for long is closed by the server
            try:
                self.here.connection.request(method, path, body, {"Authorization": "Bearer admin-token", "Content-Type": kind})
                answer = self.here.connection.getresponse()
                break
            except http.client.RemoteDisconnected:
                self.here.connection.close()
                if last:
                    raise
        text = answer.read()
        assert answer.status < 300, (method, path, text[:300])
        return json.loads(text) if text[:1] == b"{" else text.decode()


def space_of(i):
    return f"team-{i % SPACES:02}"


def objects(i):
    """A cluster with what the operator makes of it: its worker group, its scheduler's service and pod (not yet ready: nothing is probed)."""
    name, space = f"c{i:05}", space_of(i)
    ports = {"tcp-comm": 8786, "http-dashboard": 8787}
    containers = {
        "scheduler": {"name": "scheduler", "image": IMAGE, "args": ["dask-scheduler"], "ports": [{"name": n, "containerPort": p} for n, p in ports.items()]},
        "worker": {"name": "worker", "image": IMAGE, "args": ["dask-worker", "--name", "$(DASK_WORKER_NAME)"],
                   "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}}}}
    cluster = {"apiVersion": "kubernetes.dask.org/v1", "kind": "DaskCluster", "metadata": {"name": name, "namespace": space}, "spec": {
        "idleTimeout": 0, "worker": {"replicas": 3, "spec": {"containers": [containers["worker"]]}}, "scheduler": {
            "spec": {"containers": [containers["scheduler"]]}, "service": {
                "type": "ClusterIP", "selector": {"dask.org/cluster-name": name, "dask.org/component": "scheduler"},
                "ports": [{"name": n, "protocol": "TCP", "port": p, "targetPort": n} for n, p in ports.items()]}}}}
    spec, labels = cluster["spec"], {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
    # Half of what is stored of a real one is such copies.
    cluster["metadata"]["annotations"] = {"kopf.zalando.org/last-handled-configuration": json.dumps({"spec": spec}),
                                          "kubectl.kubernetes.io/last-applied-configuration": json.dumps(cluster)}
    cluster["status"] = {"phase": "Running"}
    yield f"{DASK}/namespaces/{space}/daskclusters", cluster
    yield f"{DASK}/namespaces/{space}/daskworkergroups", {"apiVersion": "kubernetes.dask.org/v1", "kind": "DaskWorkerGroup", "metadata": {
        "name": f"{name}-default", "namespace": space}, "spec": {"cluster": name, "worker": spec["worker"]}}
    yield f"/api/v1/namespaces/{space}/services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"{name}-scheduler", "labels": labels},
                                                   "spec": {"selector": labels, "ports": spec["scheduler"]["service"]["ports"]}}
    pod = spec["scheduler"]["spec"] | {"nodeName": "node-1", "automountServiceAccountToken": False}
    yield f"/api/v1/namespaces/{space}/pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-scheduler-0", "labels": labels}, "spec": pod}


def fill(api, first, last):
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda i: [api.ask("POST", path, item) for path, item in objects(i)], range(first, last)))


def memory(pid):
    """RSS and anonymous memory, MiB."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return [int(re.search(rf"^{key}:\s+(\d+)", text, re.M)[1]) / 1024 for key in ("Rss", "Anonymous")]


def connections(pid):
    """TCP connections that a process holds."""
    folder = pathlib.Path(f"/proc/{pid}/fd")
    own = {os.readlink(folder / name) for name in os.listdir(folder)}
    lines = pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
    return sum(f"socket:[{line.split()[9]}]" in own and line.split()[3] == "01" for line in lines)


class Bench:
    def __init__(self, kube, place):
        self.kube, self.place, self.api = kube, place, Api(kube)
        self.k9s = CACHE / "k9s/k9s"
        if subprocess.run([HERE / "k9s.sh", CACHE / "k9s"], stdout=subprocess.DEVNULL).returncode != 0:
            self.k9s = None
        self.env = dict(place.env, KUBECONFIG=str(kube.kubeconfig()))

    def dasktop(self, **more):
        """A home with nothing remembered in it."""
        home = tempfile.mkdtemp(dir=self.place.path)
        config = pathlib.Path(home) / ".config/dask"
        config.mkdir(parents=True)
        (config / "dasktop.yaml").write_text("dasktop: {auto: false, backends: {lab: {type: kubernetes}}}\n")
        return dict(self.env, HOME=home, **more)

    def our_start(self, count):
        with Tui([DASKTOP], env=self.dasktop(), rows=50, cols=160) as screen:
            rows = 1000 * screen.wait(r"c0\d{4} ", 60)
            full = 1000 * screen.wait(rf"dasktop +{count:,} clusters|dasktop +{count} clusters", 60)
            time.sleep(1.5)
            return rows, full, *memory(screen.proc.pid)

    def their_start(self, count):
        """Its caches of what kinds there are stay, as on a machine where it is used; kubectl's own may be older than Dask's kinds."""
        home = tempfile.mkdtemp(dir=self.place.path)
        command = [self.k9s, "-c", "daskclusters", "-A", "--request-timeout", "60s", "--logLevel", "error"]
        env = dict(self.env, HOME=home, KUBECACHEDIR=str(self.place.path / "cache"))
        with Tui(command, env=env, rows=50, cols=160) as screen:
            rows = 1000 * screen.wait(r"c0\d{4} ", 120)
            full = 1000 * screen.wait(rf"\[({count}|{count:,})\]", 120)
            time.sleep(1.5)
            return rows, full, *memory(screen.proc.pid)

    def wall(self, *command):
        process, begin = start([str(c) for c in command], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert process.wait() == 0, command
        return 1000 * (time.monotonic() - begin)

    def curl(self, lists):
        """All of them over one connection, as soon as may be, with the credentials that the others have."""
        more, pki = [word for path in lists for word in ("-o", "/dev/null", self.kube.server + path)], self.kube.path / "pki"
        return self.wall("curl", "-sS", "--compressed", "--http2", "--parallel", "--cacert", pki / "ca.crt", "--cert", pki / "admin.crt", "--key", pki / "admin.key", *more)

    def start(self, count):
        """Everything in turn, so that all have the same noise."""
        print(f"kube: {count} clusters, start; medians of {RUNS}")
        runs = {"ours": [], "k9s": [], "kubectl": [], "all": [], "one": []}
        for _ in range(RUNS):
            runs["ours"].append(self.our_start(count))
            if self.k9s:
                runs["k9s"].append(self.their_start(count))
            runs["kubectl"].append(self.wall(self.kube.kubectl_path, "get", "daskclusters", "-A"))
            runs["all"].append(self.curl(LISTS))
            runs["one"].append(self.curl(LISTS[:1]))
        rows, full, rss, anonymous = (statistics.median(v) for v in zip(*runs["ours"]))
        theirs = [statistics.median(v) for v in zip(*runs["k9s"])] if self.k9s else [None] * 4
        kubectl, everything, one = (statistics.median(runs[name]) for name in ("kubectl", "all", "one"))
        row("first rows", rows, "k9s", theirs[0])
        row("first rows", rows, "curl, the clusters alone", one)
        row("full table", full, "k9s", theirs[1])
        row("full table", full, "kubectl get daskclusters -A", kubectl)
        row("full table", full, "curl, the same lists", everything)
        row("memory (RSS)", rss, "k9s", theirs[2], "MiB")
        row("memory (anonymous)", anonymous, "k9s", theirs[3], "MiB")

    def watch(self, seen):
        """Stamps each event of daskclusters as a bare watch gets it: seen[name] = time."""
        version = self.api.ask("GET", f"{DASK}/daskclusters?limit=1")["metadata"]["resourceVersion"]
        command = ["curl", "-sSN", "--cacert", self.kube.path / "pki/ca.crt", "-H", "Authorization: Bearer admin-token",
                   f"{self.kube.server}{DASK}/daskclusters?watch=1&resourceVersion={version}"]
        child = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True)

        def read():
            for line in child.stdout:
                seen.setdefault(json.loads(line)["object"]["metadata"]["name"], time.monotonic())
        threading.Thread(target=read, daemon=True).start()
        return child

    def changes(self, count=15):
        """A cluster that comes to be, until its row stands on the screen, counted from the event as a bare watch has it."""
        seen, times = {}, []
        child = self.watch(seen)
        with Tui([DASKTOP, "--filter", "name:new"], env=self.dasktop(), rows=50, cols=160) as screen:
            screen.wait(r"✓")
            time.sleep(1)
            for i in range(count):
                name = f"new{i:02}"
                path, item = next(objects(90000 + i))
                item["metadata"]["name"] = name
                self.api.ask("POST", path, item)
                shown = screen.t0 + screen.wait(rf"{name} ", 20)
                times.append(1000 * (shown - seen[name]))
                time.sleep(.3)
            for i in range(count):
                self.api.ask("DELETE", f"{DASK}/namespaces/{space_of(90000 + i)}/daskclusters/new{i:02}")
        child.kill()
        row("watch event to its row on the screen, median", statistics.median(times))
        row("watch event to its row on the screen, longest", max(times))

    def requests(self):
        text = self.api.ask("GET", "/metrics")
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("apiserver_request_total{"))

    def rest(self, seconds=20):
        before = self.requests()
        time.sleep(seconds)
        alone = self.requests() - before
        with Tui([DASKTOP], env=self.dasktop(), rows=50, cols=160) as screen:
            screen.wait(r"✓")
            time.sleep(8)
            before, cpu = self.requests(), screen.cpu_s()
            time.sleep(seconds)
            row("requests a second at rest, beside the server's own", (self.requests() - before - alone) / seconds, unit="/s")
            row("CPU a second at rest", 1000 * (screen.cpu_s() - cpu) / seconds)
            row("memory at rest (RSS)", memory(screen.proc.pid)[0], unit="MiB")
            row("connections to the server", connections(screen.proc.pid), unit="")


def stand_in(folder, count):
    """The tests' small API server with as many clusters: the real one on two cores cannot be made to change fast enough beside those who look."""
    server = Server(folder, authority(folder / "pki", "bench"), captured=False)
    for i in range(count):
        for path, item in objects(i):
            item["metadata"].update(uid=str(uuid.uuid4()), namespace=space_of(i), creationTimestamp="2026-11-23T06:48:33Z", resourceVersion="1")
            server.objects[path.rsplit("/", 1)[1]][space_of(i), item["metadata"]["name"]] = item
    return server


def churn(server, count, seconds, rate):
    """Labels of clusters change, some at a time; gives how many did."""
    begin, made = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        some = []
        for _ in range(rate // 50):
            i = made * 7 % count
            item = server.objects["daskclusters"][space_of(i), f"c{i:05}"]
            some.append(item | {"metadata": item["metadata"] | {"labels": {"turn": str(made)}}})
            made += 1
        server.put_all("daskclusters", some)
        time.sleep(max(0, begin + made / rate - time.monotonic()))
    return made, time.monotonic() - begin


def storm(pipe, folder, count, seconds, rate):
    """A process of its own: what makes the changes, which come from other machines elsewhere, must not hold up what measures keys."""
    os.nice(5)
    with stand_in(folder, count) as server:
        pipe.send(server.kubeconfig())
        pipe.recv()
        pipe.send(churn(server, count, seconds, rate))
        pipe.send({name: item["metadata"].get("labels", {}).get("turn") for (_, name), item in server.objects["daskclusters"].items()})
        pipe.recv()


def bench_storm(place, count=MANY, seconds=60, rate=500):
    """At its end what a dasktop that watched says is compared with a fresh list."""
    print(f"kube: {count} clusters, {rate} changes a second for {seconds} s")
    folder, rows = pathlib.Path(tempfile.mkdtemp(dir=place.path)), {}
    pipe, its = multiprocessing.Pipe()
    server = multiprocessing.get_context("fork").Process(target=storm, args=(its, folder, count, seconds, rate), daemon=True)
    server.start()
    place.config("dasktop: {auto: false, timeout: 60s, backends: {lab: {type: kubernetes}}}\n")
    env = dict(place.env, KUBECONFIG=str(pipe.recv()))
    watcher = subprocess.Popen(["nice", "-n", "5", DASKTOP, "list", "--watch", "-o", "json"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def read():
        for line in watcher.stdout:
            event = json.loads(line)
            if event["event"] == "cluster":
                rows[event["cluster"]["name"]] = event["cluster"]["labels"].get("turn")
    threading.Thread(target=read, daemon=True).start()
    with Tui([DASKTOP], env=env, rows=50, cols=160) as screen:
        screen.wait(r"✓", 120)
        before, keys = screen.cpu_s(), []
        pipe.send("go")
        while not pipe.poll():
            keys += key_times(screen, 20)
        (made, took), wanted, keys = pipe.recv(), pipe.recv(), sorted(keys)
        row("changes a second", made / took, unit="/s")
        row(f"key to the last byte meanwhile, median of {len(keys)}", statistics.median(keys))
        row("key to the last byte meanwhile, p99", keys[int(len(keys) * .99)])
        row("keys that took longer than a frame (16.7 ms)", sum(key > 16.7 for key in keys), unit="keys")
        row("CPU a second meanwhile", 1000 * (screen.cpu_s() - before) / took)
        row("memory after it (RSS)", memory(screen.proc.pid)[0], unit="MiB")
    end = time.monotonic() + 30
    while time.monotonic() < end and rows != wanted:
        time.sleep(.2)
    watcher.kill()
    done = subprocess.run([DASKTOP, "list", "-o", "json", "--timeout", "60s"], env=env, capture_output=True, text=True)
    fresh = {c["name"]: c["labels"].get("turn") for c in json.loads(done.stdout)["clusters"]}
    row("rows of the server that the one that watched has not", len(wanted.items() - rows.items()), unit="rows")
    row("rows of the server that a fresh list has not", len(wanted.items() - fresh.items()), unit="rows")
    pipe.send("over")
    server.join(10)


def bench_kube():
    place = Place()
    with tempfile.TemporaryDirectory(prefix="dasktop-kube-") as path, Kubernetes(path, operator=False) as kube:
        for name in ("controllers", "scheduler", "kubelet"):  # nothing moves by itself
            kube.stop(name)
        bench = Bench(kube, place)
        for i in range(SPACES):
            bench.api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": space_of(i)}})
            bench.api.ask("POST", f"/api/v1/namespaces/{space_of(i)}/serviceaccounts", {"metadata": {"name": "default"}})
        fill(bench.api, 0, 10)
        bench.start(10)
        bench.changes()
        begin = time.monotonic()
        fill(bench.api, 10, MANY)
        print(f"  ({MANY} clusters made in {time.monotonic() - begin:.0f} s)")
        bench.start(MANY)
        bench.changes()
        bench.rest()
    bench_storm(place)
