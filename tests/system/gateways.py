"""A real Dask Gateway on this machine: its server, its proxy, clusters as processes of this user (UnsafeLocalBackend), users by password.

`with Gateway(path) as gateway:` starts one; `gateway.client(user)` is a Python process that has a cluster and stays until it is killed."""
import base64
import json
import os
import pathlib
import signal
import subprocess
import textwrap
import urllib.error
import urllib.request

import rig as rigs

PASSWORD = "open sesame"

CLIENT = """
import sys, time
from dask_gateway import BasicAuth, Gateway
address, proxy, user, password, workers = sys.argv[1:6]
gateway = Gateway(address, proxy_address=proxy, auth=BasicAuth(user, password))
cluster = gateway.new_cluster()
cluster.scale(int(workers))
client = cluster.get_client()
client.wait_for_workers(int(workers), timeout=240)
print(cluster.name, flush=True)
while True:
    time.sleep(60)
"""


class Client:
    def __init__(self, gateway, user, workers):
        self.process = subprocess.Popen([gateway.python, "-c", CLIENT, gateway.address, gateway.proxy, user, PASSWORD, str(workers)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                                        cwd=gateway.path, env=gateway.env)
        self.name = self.process.stdout.readline().strip()
        assert self.name, self.process.stderr.read()

    def kill(self):
        """As a notebook's kernel dies: nothing is said to anybody."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()
        self.process.stderr.close()


BASIC = f"""\
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.SimpleAuthenticator.password = "{PASSWORD}"
"""


class Gateway:
    """sign_in: lines of its config that say how its users sign in; env: what its server needs for that."""

    def __init__(self, path, sign_in=BASIC, env=None):
        self.path, self.python, self.clients = pathlib.Path(path), rigs.python("gateway"), []
        self.path.mkdir(parents=True, exist_ok=True)
        private, public, tls = (rigs.free_port() for _ in range(3))
        self.address, self.proxy = f"http://127.0.0.1:{public}", f"gateway://127.0.0.1:{tls}"
        self.env = dict(os.environ, HOME=str(self.path), PATH=f"{self.python.parent}:{os.environ['PATH']}", **(env or {}))
        self.config = self.path / "gateway.py"
        self.config.write_text(textwrap.dedent(f"""\
            from dask_gateway_server.options import Integer, Options, Select
            c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
            c.DaskGateway.address = "127.0.0.1:{private}"
            c.Proxy.address = "127.0.0.1:{public}"
            c.Proxy.tcp_address = "127.0.0.1:{tls}"
            c.UnsafeLocalBackend.clusters_directory = "{self.path}/clusters"
            c.ClusterConfig.scheduler_cmd = ["dask", "scheduler"]
            c.ClusterConfig.worker_cmd = ["dask", "worker"]
            c.ClusterConfig.cluster_max_workers = 4
            c.DBBackendBase.cluster_start_timeout = 240
            c.DBBackendBase.worker_start_timeout = 240
            c.Backend.cluster_options = Options(
                Integer("worker_cores", default=1, min=1, max=2), Select("profile", ["small", "big"], default="small"),
                handler=lambda o: {{"worker_cores": o.worker_cores, "worker_memory": 2**28}})
            """) + sign_in)

    def __enter__(self):
        with open(self.path / "server.log", "ab") as log:
            self.process = subprocess.Popen([self.python.parent / "dask-gateway-server", "-f", self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.env, cwd=self.path, start_new_session=True)
        rigs.until(lambda: self.ask("/api/health", user=None)[0] == 200, 90, what=f"gateway: {self.path}/server.log")
        return self

    def __exit__(self, *_):
        for client in self.clients:
            if client.process.poll() is None:
                client.kill()
        self.process.terminate()  # it stops its clusters in order
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def ask(self, path, user="alice", method="GET", body=None):
        request = urllib.request.Request(self.address + path, method=method, data=body and json.dumps(body).encode())
        if user:
            request.add_header("Authorization", "Basic " + base64.b64encode(f"{user}:{PASSWORD}".encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def client(self, user="alice", workers=1):
        client = Client(self, user, workers)
        self.clients.append(client)
        return client

    def status(self, name, user="alice"):
        code, text = self.ask(f"/api/v1/clusters/{name}", user)
        return json.loads(text)["status"] if code == 200 else None

    def log(self):
        return (self.path / "server.log").read_text(errors="replace")

    def scheduler_pid(self, name):
        """Of its scheduler's process: the one that has the cluster's name in its environment."""
        for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if f"DASK_GATEWAY_CLUSTER_NAME={name}".encode() in path.read_bytes() and b"scheduler" in path.with_name("cmdline").read_bytes():
                    return int(path.parent.name)
            except OSError:
                pass
        return None
