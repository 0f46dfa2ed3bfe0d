"""A real Kubernetes on this machine: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and Dask's real operator; its one node is
kubelet.py, which runs the pods' Dask processes here. Everything listens on loopback. tests/system/kubernetes/build makes the programs, once.

`with Kubernetes(path) as kubernetes:` starts one, empty. `python tests/system/kubernetes.py FOLDER` starts one by hand and waits for Ctrl-C.
"""
import base64
import json
import os
import pathlib
import random
import shlex
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent / "kubernetes"
sys.path.insert(0, str(HERE.parents[1]))

import rig as rigs  # noqa: E402

VERSIONS = dict(line.split("=", 1) for line in (HERE / "versions").read_text().splitlines() if "=" in line)
CACHE = pathlib.Path(os.environ.get("DASKTOP_CACHE") or pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "dasktop")
BIN = CACHE / "kubernetes" / VERSIONS["KUBERNETES"] / "bin"
NAMESPACES = ["team-a", "team-b"]
DASK_KINDS = "[daskclusters, daskworkergroups, daskautoscalers, daskjobs]"

# Who may what: viewers look everywhere and touch nothing, not even a scheduler; `dasher` does everything with Dask in team-a.
TOKENS = {"admin": ("admin", "system:masters"), "viewer": ("viewer", "dask-viewers"), "dasher": ("dasher", "dask-users"), "nobody": ("nobody", "")}
ROLES = f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: dask-viewer}}
rules:
- {{apiGroups: [kubernetes.dask.org], resources: {DASK_KINDS}, verbs: [get, list, watch]}}
- {{apiGroups: [""], resources: [pods, services, events], verbs: [get, list, watch]}}
- {{apiGroups: [""], resources: [pods/log], verbs: [get]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: dask-user}}
rules:
- {{apiGroups: [kubernetes.dask.org], resources: {DASK_KINDS}, verbs: [get, list, watch, create, patch, delete]}}
- {{apiGroups: [""], resources: [pods, services, events], verbs: [get, list, watch]}}
- {{apiGroups: [""], resources: [pods/log], verbs: [get]}}
- {{apiGroups: [""], resources: [services/proxy], verbs: [get, create]}}
- {{apiGroups: [""], resources: [pods/portforward], verbs: [get, create]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: dask-viewers}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: dask-viewer}}
subjects: [{{kind: Group, name: dask-viewers, apiGroup: rbac.authorization.k8s.io}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: dask-users, namespace: team-a}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: dask-user}}
subjects: [{{kind: Group, name: dask-users, apiGroup: rbac.authorization.k8s.io}}]
"""
NODE = """
apiVersion: v1
kind: Node
metadata: {name: node-1, labels: {kubernetes.io/hostname: node-1, kubernetes.io/os: linux, node.kubernetes.io/instance-type: test.large}}
"""
EGRESS = """
apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- {name: cluster, connection: {proxyProtocol: HTTPConnect, transport: {uds: {udsName: %s}}}}
"""
CLUSTER = """
apiVersion: kubernetes.dask.org/v1
kind: DaskCluster
metadata: {name: %(name)s, namespace: %(namespace)s, annotations: %(annotations)s, labels: %(labels)s}
spec:
  idleTimeout: 0
  worker:
    replicas: %(workers)d
    spec:
      containers:
      - name: worker
        image: ghcr.io/dask/dask:latest
        args: [dask-worker, --name, $(DASK_WORKER_NAME)]
        resources: {requests: {cpu: "1", memory: 2Gi}, limits: {cpu: "2", memory: 4Gi}}
  scheduler:
    spec:
      containers:
      - name: scheduler
        image: ghcr.io/dask/dask:latest
        args: [dask-scheduler]
        ports: [{name: tcp-comm, containerPort: 8786}, {name: http-dashboard, containerPort: 8787}]
    service:
      type: ClusterIP
      selector: {dask.org/cluster-name: %(name)s, dask.org/component: scheduler}
      ports:
      - {name: tcp-comm, protocol: TCP, port: 8786, targetPort: tcp-comm}
      - {name: http-dashboard, protocol: TCP, port: 8787, targetPort: http-dashboard}
"""


class Kubernetes:
    """operator False: the API server and its controllers alone, with Dask's CRDs."""

    def __init__(self, path, operator=True):
        assert (BIN / "kube-apiserver").exists(), f"{BIN} is empty: scripts/test all builds it (tests/system/kubernetes/build)"
        self.path, self.with_operator, self.processes = pathlib.Path(path), operator, {}
        self.python = rigs.python("kubernetes")
        self.network = random.randint(64, 250)
        self.port = {name: rigs.free_port() for name in ("api", "etcd", "peer", "controllers", "scheduler", "node", "alive")}
        self.server = f"https://127.0.0.1:{self.port['api']}"
        self.kubectl_path = BIN / "kubectl"

    # ------------------------------------------------------------------------------------------------------------ start, end

    def __enter__(self):
        began = time.monotonic()
        for name in ("pki", "log", "etcd"):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        (self.path / "etcd").chmod(0o700)
        try:
            self.write_keys()
            self.start_all()
        except BaseException:
            self.__exit__()
            raise
        print(f"Kubernetes {VERSIONS['KUBERNETES']} is up after {time.monotonic() - began:.1f} s", file=sys.stderr)
        return self

    def __exit__(self, *_):
        for name in ("operator", "kubelet"):
            self.stop(name)
        for name in list(self.processes):
            self.stop(name, signal.SIGKILL)

    def spawn(self, name, *command, **env):
        with open(self.path / "log" / f"{name}.log", "ab") as log:
            self.processes[name] = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.path,
                                                    start_new_session=True, env={**os.environ, **env})

    def stop(self, name, how=signal.SIGTERM):
        process = self.processes.pop(name, None)
        if not process:
            return
        for sign in (how, signal.SIGKILL):
            try:
                os.killpg(process.pid, sign)
            except ProcessLookupError:
                pass
            try:
                process.wait(10)
                return
            except subprocess.TimeoutExpired:
                pass

    def log(self, name):
        return (self.path / "log" / f"{name}.log").read_text(errors="replace")

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.path / "pki", check=True, capture_output=True)

    def write_keys(self):
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        pki = self.path / "pki"
        self.openssl("req", "-x509", *curve, "-days", "3650", "-subj", "/CN=kubernetes-ca", "-keyout", "ca.key", "-out", "ca.crt")
        for name, subject, extension in (
                ("server", "/CN=kube-apiserver", "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc"),
                ("node", "/CN=node-1", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
                ("admin", "/O=system:masters/CN=admin", "extendedKeyUsage=clientAuth")):
            (pki / "extension").write_text(extension + "\n")
            self.openssl("req", *curve, "-subj", subject, "-keyout", f"{name}.key", "-out", f"{name}.csr")
            self.openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-out", f"{name}.crt",
                         "-extfile", "extension")
        self.openssl("genrsa", "-out", "sa.key", "2048")
        self.openssl("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")
        (pki / "tokens.csv").write_text("".join(f'{name}-token,{user},u-{name},"{groups}"\n' for name, (user, groups) in TOKENS.items()))
        (self.path / "egress.yaml").write_text(EGRESS % (self.path / "egress.sock"))
        data = {name: base64.b64encode((pki / name).read_bytes()).decode() for name in ("ca.crt", "admin.crt", "admin.key")}
        self.write_kubeconfig("admin", {"client-certificate-data": data["admin.crt"], "client-key-data": data["admin.key"]})
        for name in TOKENS:
            if name != "admin":
                self.write_kubeconfig(name, {"token": f"{name}-token"}, "team-a" if name == "dasher" else "default")

    def write_kubeconfig(self, name, user, namespace="default"):
        """JSON, which is YAML too. The context is called as the test's Kubernetes is: lab."""
        authority = base64.b64encode((self.path / "pki/ca.crt").read_bytes()).decode()
        file = self.kubeconfig(name)
        file.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": self.server, "certificate-authority-data": authority}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": name, "namespace": namespace}}],
            "users": [{"name": name, "user": user}]}, indent=1))
        file.chmod(0o600)
        return file

    def kubeconfig(self, name="admin"):
        return self.path / f"kubeconfig-{name}"

    def start_all(self):
        pki, config, port = self.path / "pki", self.kubeconfig(), self.port
        etcd = f"http://127.0.0.1:{port['etcd']}"
        self.spawn("kubelet", sys.executable, HERE / "kubelet.py", self.path, f"127.0.0.1:{port['api']}", "admin-token", self.python.parent / "dask", port["node"],
                   self.network)
        self.spawn("ports", BIN / "kubelet-ports", f"127.0.0.1:{port['node']}", pki / "node.crt", pki / "node.key", self.path / "kubelet.sock")
        self.spawn("etcd", BIN / "etcd", "--data-dir", self.path / "etcd", "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
                   "--listen-peer-urls", f"http://127.0.0.1:{port['peer']}", "--initial-advertise-peer-urls", f"http://127.0.0.1:{port['peer']}",
                   "--initial-cluster", f"default=http://127.0.0.1:{port['peer']}", "--unsafe-no-fsync")
        self.spawn("apiserver", BIN / "kube-apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", port["api"],
                   "--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.255.0.0/16",
                   "--authorization-mode", "RBAC", "--client-ca-file", pki / "ca.crt", "--token-auth-file", pki / "tokens.csv",
                   "--tls-cert-file", pki / "server.crt", "--tls-private-key-file", pki / "server.key", "--service-account-issuer", "https://kubernetes.default.svc",
                   "--service-account-key-file", pki / "sa.pub", "--service-account-signing-key-file", pki / "sa.key",
                   "--kubelet-preferred-address-types", "InternalIP", "--egress-selector-config-file", self.path / "egress.yaml", "--profiling=false")
        rigs.until(lambda: self.ask("/readyz")[0] == 200, 120, what=f"kube-apiserver: {self.path}/log/apiserver.log")
        self.spawn("controllers", BIN / "kube-controller-manager", "--kubeconfig", config, "--authentication-kubeconfig", config, "--authorization-kubeconfig", config,
                   "--bind-address", "127.0.0.1", "--secure-port", port["controllers"], "--leader-elect=false", "--service-account-private-key-file", pki / "sa.key",
                   "--root-ca-file", pki / "ca.crt", "--use-service-account-credentials=false", "--controllers", "*,-nodeipam,-route,-cloud-node-lifecycle")
        self.spawn("scheduler", BIN / "kube-scheduler", "--kubeconfig", config, "--authentication-kubeconfig", config, "--authorization-kubeconfig", config,
                   "--bind-address", "127.0.0.1", "--secure-port", port["scheduler"], "--leader-elect=false")
        package = next(self.python.parent.parent.glob("lib/python3*/site-packages/dask_kubernetes"))
        self.kubectl("apply", "--server-side", "-f", package / "operator/deployment/helm/dask-kubernetes-operator/crds")
        spaces = "".join(f"---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n" for name in NAMESPACES)
        self.kubectl("apply", "-f", "-", input=NODE + spaces + "---\n" + ROLES)
        if self.with_operator:
            self.start_operator()
        rigs.until(lambda: self.ask("/api/v1/namespaces/team-b/serviceaccounts/default")[0] == 200, 60, what="service accounts")

    def start_operator(self):
        alive = f"http://127.0.0.1:{self.port['alive']}/healthz"
        self.spawn("operator", self.python.parent / "kopf", "run", "-m", "dask_kubernetes.operator.controller", "--all-namespaces", "--liveness", alive,
                   KUBECONFIG=str(self.kubeconfig()), PYTHONUNBUFFERED="1", **self.names())
        rigs.until(lambda: self.answers(alive), 60, what=f"the operator: {self.path}/log/operator.log")

    def kill_operator(self):
        self.stop("operator", signal.SIGKILL)

    @staticmethod
    def answers(url):
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    # ------------------------------------------------------------------------------------------------------------------- use

    def names(self):
        """The environment in which Services' names can be looked up, as in a pod."""
        return {"PYTHONPATH": str(HERE / "names"), "DASKTOP_NAMES": str(self.path / "names.json")}

    def ask(self, path, method="GET", body=None, token="admin-token", kind="application/json"):
        """status, parsed JSON (or text) of the API server itself."""
        if not hasattr(self, "tls"):
            self.tls = ssl.create_default_context(cafile=self.path / "pki/ca.crt")
        request = urllib.request.Request(self.server + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": f"Bearer {token}", "Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=20, context=self.tls) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        except OSError as error:
            return 0, str(error)
        return status, json.loads(text) if text[:1] == b"{" else text.decode()

    def kubectl(self, *arguments, input=None, user="admin", check=True):
        done = subprocess.run([self.kubectl_path, "--kubeconfig", self.kubeconfig(user), *map(str, arguments)], input=input, text=True, capture_output=True, timeout=120,
                              stdin=subprocess.DEVNULL if input is None else None)
        assert not check or done.returncode == 0, (arguments, done.stderr)
        return done.stdout

    def items(self, kinds, namespace="default", selector=None):
        """What kubectl has of these kinds; names, sorted."""
        more = ["-l", selector] if selector else []
        return sorted(i["metadata"]["name"] for i in json.loads(self.kubectl("get", kinds, "-n", namespace, "-o", "json", *more))["items"])

    def pods(self, cluster, namespace="default", component="worker"):
        return self.items("pods", namespace, f"dask.org/cluster-name={cluster},dask.org/component={component}")

    def all_of(self, cluster, namespace="default"):
        """Everything that is there of a cluster, whatever made it."""
        mine = lambda name: name == cluster or name.startswith(cluster + "-")
        kinds = "daskclusters.kubernetes.dask.org,daskworkergroups,daskautoscalers,daskjobs,deployments,replicasets,pods,services"
        return sorted(f"{i['kind']}/{i['metadata']['name']}" for i in json.loads(self.kubectl("get", kinds, "-n", namespace, "-o", "json"))["items"]
                      if mine(i["metadata"]["name"]))

    def object(self, kind, name, namespace="default"):
        text = self.kubectl("get", kind, name, "-n", namespace, "-o", "json", check=False)
        return json.loads(text) if text else None

    def cluster(self, name, namespace="default", workers=1, annotations=None, labels=None, wait=True):
        """A DaskCluster as kubectl makes one, ready with all its workers' pods."""
        self.kubectl("apply", "-f", "-", input=CLUSTER % {"name": name, "namespace": namespace, "workers": workers, "annotations": json.dumps(annotations or {}),
                                                          "labels": json.dumps(labels or {})})
        if wait:
            self.ready(name, namespace, workers)

    def ready(self, name, namespace="default", workers=1):
        def count():
            status, found = self.ask(f"/api/v1/namespaces/{namespace}/services/{name}-scheduler:http-dashboard/proxy/json/counts.json")
            return status == 200 and found["workers"] == workers
        rigs.until(count, 90, 0.2, what=f"{namespace}/{name} with {workers} workers: {self.path}/log")

    def remove(self, name, namespace="default"):
        self.kubectl("delete", "daskclusters.kubernetes.dask.org", name, "-n", namespace, "--cascade=foreground", "--ignore-not-found", "--wait=false")
        rigs.until(lambda: not self.all_of(name, namespace), 60, 0.3, what=f"{name} gone")


if __name__ == "__main__":
    with Kubernetes(sys.argv[1] if len(sys.argv) > 1 else "kubernetes-by-hand") as up:
        print(f"export KUBECONFIG={shlex.quote(str(up.kubeconfig().resolve()))} PATH={shlex.quote(str(BIN))}:$PATH")
        print("Ctrl-C ends it", file=sys.stderr)
        try:
            signal.pause()
        except KeyboardInterrupt:
            pass
