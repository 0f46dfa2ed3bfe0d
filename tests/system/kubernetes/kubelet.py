"""A node's agent for the tests: it runs the containers of pods as processes of this machine, and serves their logs.

usage: kubelet.py FOLDER API-ADDRESS ADMIN-TOKEN DASK NODE-PORT NETWORK

A container's process is what its arguments say, where that is Dask (`dask-scheduler …`, `dask worker …`, `python -c …`); others are shown as running, with
nothing behind them. Every pod has an address 10.NETWORK.a.b of the cluster, whose ports are those of 127.NETWORK.a.b here, so that ports are the spec's own.
Annotations of a pod (a DaskCluster's reach its pods) steer it:

    test/state: pull | pending | nothing     its image cannot be had; it is not started; it is ready, with no process
    test/exit-after: "5"                     each of its processes is ended after that many seconds: the container restarts

Each line that a process writes is kept with the time at which it was written, as a real node does. Listens on FOLDER/kubelet.sock (logs, addresses: the
API server comes through kubelet-ports) and on FOLDER/egress.sock (the API server's way to pods: HTTP CONNECT).
"""
import datetime
import http.client
import http.server
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from urllib.parse import parse_qs, quote, urlsplit

FOLDER, API, TOKEN, DASK, PORT, NETWORK = pathlib.Path(sys.argv[1]), *sys.argv[2:7]
HOST, API_PORT = API.rsplit(":", 1)
TLS = ssl.create_default_context(cafile=FOLDER / "pki/ca.crt")
NODE, MERGE = "node-1", "application/merge-patch+json"
NAMES = FOLDER / "names.json"
own = threading.local()
lock = threading.Lock()
pods, numbers, names = {}, itertools.count(1), {}  # by uid; of addresses; NAME.NAMESPACE -> address


def stamp(seconds=None, fraction=False):
    at = datetime.datetime.fromtimestamp(time.time() if seconds is None else seconds, datetime.timezone.utc)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f000Z" if fraction else "%Y-%m-%dT%H:%M:%SZ")


def call(method, path, body=None, kind="application/json"):
    """status and the parsed answer; connections are kept, one a thread."""
    for last in (False, True):
        if getattr(own, "connection", None) is None:
            own.connection = http.client.HTTPSConnection(HOST, int(API_PORT), context=TLS, timeout=30)
        try:
            own.connection.request(method, path, None if body is None else json.dumps(body), {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind})
            answer = own.connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text[:1] == b"{" else text
        except (OSError, http.client.HTTPException):
            own.connection = None
            if last:
                raise


def watch(path, handle):
    """Lists and watches for ever; handle(kind, object)."""
    glue = "&" if "?" in path else "?"
    while True:
        try:
            _, listed = call("GET", path)
            for item in listed["items"]:
                handle("ADDED", item)
            connection = http.client.HTTPSConnection(HOST, int(API_PORT), context=TLS, timeout=330)
            connection.request("GET", f"{path}{glue}watch=1&timeoutSeconds=300&resourceVersion={listed['metadata']['resourceVersion']}",
                               headers={"Authorization": f"Bearer {TOKEN}"})
            for line in connection.getresponse():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    break
                handle(event["type"], event["object"])
        except Exception as problem:
            print("watch", path, repr(problem), flush=True)
            time.sleep(1)


class Container:
    """One process after another, and the files of what they wrote: of this one and of the one before."""

    def __init__(self, pod, spec):
        self.pod, self.spec, self.name, self.restarts = pod, spec, spec["name"], 0
        self.process, self.code, self.started, self.stopping = None, None, None, False
        self.folder = FOLDER / "logs" / pod.uid
        self.folder.mkdir(parents=True, exist_ok=True)
        self.command = self.real_command()

    def log(self, previous=False):
        return self.folder / f"{self.name}.{self.restarts - previous}.log"

    def environment(self):
        given = {e["name"]: e.get("value", "") for e in self.spec.get("env", [])}
        return {"PATH": os.environ["PATH"], "HOME": str(FOLDER), "PYTHONPATH": str(pathlib.Path(__file__).parent / "names"), "DASKTOP_NAMES": str(NAMES),
                "DASK_LOGGING__DISTRIBUTED": "info", "DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE": "false", **given}

    def real_command(self):
        words = [*self.spec.get("command", []), *self.spec.get("args", [])]
        words = [re.sub(r"\$\((\w+)\)", lambda m: self.environment().get(m[1], m[0]), w) for w in words]
        if words[:1] == ["python"]:
            return [str(pathlib.Path(DASK).with_name("python")), *words[1:]]
        role = words[0].removeprefix("dask-") if words and words[0].startswith("dask-") else words[1] if words[:1] == ["dask"] and len(words) > 1 else None
        if role not in ("scheduler", "worker", "cuda-worker"):
            return None
        rest, here = words[1 if words[0].startswith("dask-") else 2:], self.pod.here
        options, skip = [], False
        for word, after in zip(rest, [*rest[1:], ""]):
            if skip or word == "--dashboard":
                skip = False
            elif word in ("--host", "--port", "--dashboard-address", "--nthreads", "--memory-limit"):
                skip = True
            else:
                options.append(word)
        if role == "scheduler":
            return [DASK, "scheduler", "--host", here, "--port", "8786", "--dashboard-address", f"{here}:8787", "--no-show", *options]
        return [DASK, "worker", "--host", here, "--nthreads", "1", "--memory-limit", "256MiB", "--no-nanny", "--no-dashboard", "--death-timeout", "60",
                "--local-directory", str(FOLDER / "tmp"), *options]

    def start(self):
        self.started, self.code = time.time(), None
        if not self.command:
            return
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment(),
                                        start_new_session=True, preexec_fn=lambda: os.nice(3))
        threading.Thread(target=self.read, args=(self.process, self.log()), daemon=True).start()
        after = self.pod.annotation("test/exit-after")
        if after:
            timer = threading.Timer(float(after), self.process.terminate)
            timer.daemon = True
            timer.start()

    def read(self, process, path):
        with open(path, "ab", buffering=0) as out:
            for line in process.stdout:
                out.write(f"{stamp(fraction=True)} ".encode() + line.rstrip(b"\n") + b"\n")
        self.code = process.wait()
        if not self.stopping:
            self.pod.container_ended(self)

    def stop(self):
        self.stopping = True
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


class Pod:
    def __init__(self, item):
        self.item, self.uid = item, item["metadata"]["uid"]
        self.name, self.namespace = item["metadata"]["name"], item["metadata"]["namespace"]
        number = next(numbers)
        self.address = f"10.{NETWORK}.{number // 250}.{number % 250 + 1}"
        self.here = self.address.replace("10.", "127.", 1)
        self.ended = self.restarting = False
        self.containers = [Container(self, spec) for spec in item["spec"]["containers"]]

    def annotation(self, name):
        return (self.item["metadata"].get("annotations") or {}).get(name)

    def label(self, name):
        return (self.item["metadata"].get("labels") or {}).get(name)

    @property
    def path(self):
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"

    def listening(self):
        """A scheduler is ready when its port answers, as its probe says."""
        if self.label("dask.org/component") != "scheduler" or not self.containers[0].command:
            return True
        try:
            socket.create_connection((self.here, 8787), 1).close()
            return True
        except OSError:
            return False

    def status(self, ready):
        state = self.annotation("test/state")
        statuses = []
        for container in self.containers:
            status = {"name": container.name, "image": container.spec["image"], "imageID": "", "restartCount": container.restarts,
                      "ready": ready, "started": ready, "state": {"running": {"startedAt": stamp(container.started)}}}
            if state == "pull":
                status["state"] = {"waiting": {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{container.spec["image"]}"'}}
            elif self.ended:
                status["state"] = {"terminated": {"exitCode": container.code, "reason": "Error" if container.code else "Completed", "finishedAt": stamp()}}
            elif self.restarting:
                status["state"] = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting failed container"}}
            if container.restarts:
                status["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error", "finishedAt": stamp(container.started)}}
            statuses.append(status)
        phase = "Pending" if state == "pull" else ("Failed" if any(c.code for c in self.containers) else "Succeeded") if self.ended else "Running"
        truth = {True: "True", False: "False"}
        return {"phase": phase, "hostIP": "127.0.0.1", "podIP": self.address, "podIPs": [{"ip": self.address}], "startTime": self.item["metadata"]["creationTimestamp"],
                "containerStatuses": statuses, "conditions": [{"type": kind, "status": truth[value], "lastTransitionTime": stamp()} for kind, value in (
                    ("PodScheduled", True), ("Initialized", True), ("ContainersReady", ready), ("Ready", ready))]}

    def tell(self, ready):
        call("PATCH", self.path + "/status", {"status": self.status(ready)}, MERGE)

    def run(self):
        state = self.annotation("test/state")
        if state == "pending":
            return
        if state == "pull":
            self.tell(False)
            return
        for container in self.containers:
            if state == "nothing":
                container.command = None
            container.start()
        self.tell(False)
        while not self.listening() and self.uid in pods:
            time.sleep(0.1)
        self.name_service()
        self.tell(True)

    def name_service(self):
        cluster = self.label("dask.org/cluster-name")
        if cluster and self.label("dask.org/component") == "scheduler":
            with lock:
                names[f"{cluster}-scheduler.{self.namespace}"] = self.here
                NAMES.with_suffix(".new").write_text(json.dumps(names))
                NAMES.with_suffix(".new").rename(NAMES)

    def container_ended(self, container):
        if self.uid not in pods:
            return
        if self.item["spec"].get("restartPolicy", "Always") == "Never" or (self.item["spec"].get("restartPolicy") == "OnFailure" and container.code == 0):
            self.ended = True
            self.tell(False)
            return
        container.restarts += 1
        self.restarting = True
        self.tell(False)
        time.sleep(min(1 + container.restarts, 10))
        self.restarting = False
        if self.uid in pods:
            container.start()
            while not self.listening() and self.uid in pods:
                time.sleep(0.2)
            self.tell(True)

    def stop(self):
        for container in self.containers:
            container.stop()

    def leave(self):
        self.stop()
        call("DELETE", self.path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}})


def seldom_fails(act, *arguments):
    def run():
        try:
            act(*arguments)
        except Exception as problem:
            print(getattr(act, "__qualname__", act), repr(problem), flush=True)
    threading.Thread(target=run, daemon=True).start()


def handle(kind, item):
    uid = item["metadata"]["uid"]
    pod = pods.get(uid)
    if kind == "DELETED":
        if pods.pop(uid, None):
            seldom_fails(pod.stop)
    elif item["metadata"].get("deletionTimestamp"):
        pod = pods.pop(uid, None) or Pod(item)
        seldom_fails(pod.leave)
    elif not pod and item["spec"].get("nodeName") == NODE:
        pods[uid] = Pod(item)
        seldom_fails(pods[uid].run)


def beat():
    """A node that does not report is not given pods."""
    while True:
        conditions = [{"type": kind, "status": status, "reason": "Test", "message": "", "lastHeartbeatTime": stamp(), "lastTransitionTime": stamp()} for kind, status in (
            ("Ready", "True"), ("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False"))]
        room = {"cpu": "512", "memory": "4Ti", "pods": "20000"}
        seldom_fails(call, "PATCH", f"/api/v1/nodes/{NODE}/status", {"status": {
            "conditions": conditions, "capacity": room, "allocatable": room, "daemonEndpoints": {"kubeletEndpoint": {"Port": int(PORT)}},
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}, {"type": "Hostname", "address": NODE}]}}, "application/strategic-merge-patch+json")
        time.sleep(10)


# ------------------------------------------------------------------------------------------------------------------------------------ what is served


class Unix(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads, request_queue_size = True, 256

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)


def find(namespace, name):
    return next((p for p in list(pods.values()) if (p.namespace, p.name) == (namespace, name)), None)


class Node(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def whole(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urlsplit(self.path)
        part = url.path.strip("/").split("/")
        if part[0] not in ("address", "containerLogs") or len(part) < 3:
            return self.whole(404, "404 page not found\n")
        pod = find(part[1], part[2])
        if not pod:
            return self.whole(404, f'pod "{part[2]}" does not exist\n')
        if part[0] == "address":
            return self.whole(200, pod.here)
        container = next((c for c in pod.containers if len(part) == 4 and c.name == part[3]), None)
        if not container:
            return self.whole(404, "no such container\n")
        self.serve_log(pod, container, {k: v[0] for k, v in parse_qs(url.query).items()})

    def serve_log(self, pod, container, asked):
        previous = asked.get("previous") == "true"
        if previous and not container.restarts:
            return self.whole(400, f'previous terminated container "{container.name}" in pod "{pod.name}" not found\n')
        path, since = container.log(previous), asked.get("sinceTime", "")
        if "sinceSeconds" in asked:
            since = stamp(time.time() - int(asked["sinceSeconds"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        wanted = lambda lines: [line for line in lines if line.split(b" ", 1)[0].decode()[:19] >= since[:19]]
        shape = lambda lines: b"".join((line if asked.get("timestamps") == "true" else line.split(b" ", 1)[1]) + b"\n" for line in lines)
        raw = path.read_bytes() if path.exists() else b""
        raw = raw[:raw.rfind(b"\n") + 1]
        lines, position = wanted(raw.splitlines()), len(raw)
        if "tailLines" in asked:
            lines = lines[-int(asked["tailLines"]):] if int(asked["tailLines"]) else []
        try:
            self.chunk(shape(lines))
            while asked.get("follow") == "true" and pod.uid in pods and path == container.log(previous):
                time.sleep(0.1)
                with open(path, "rb") if path.exists() else open(os.devnull, "rb") as file:
                    file.seek(position)
                    raw = file.read()
                raw = raw[:raw.rfind(b"\n") + 1]
                position += len(raw)
                self.chunk(shape(raw.splitlines()))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def chunk(self, body):
        if body:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))
            self.wfile.flush()


class Egress(socketserver.StreamRequestHandler):
    """CONNECT 10.N.a.b:PORT, as the API server asks it of its way to pods."""

    def handle(self):
        try:
            host, port = self.rfile.readline().split()[1].decode().rsplit(":", 1)
            while self.rfile.readline().strip():
                pass
            there = socket.create_connection((host.replace("10.", "127.", 1), int(port)), 5)
            there.settimeout(None)
        except (OSError, IndexError, ValueError):
            self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            return
        self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=self.pump, args=(there, self.connection), daemon=True)
        back.start()
        self.pump(self.connection, there)
        back.join()
        there.close()

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
        except OSError:
            pass
        try:
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def serve(name, handler):
    path = FOLDER / name
    path.unlink(missing_ok=True)
    server = Unix(str(path), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def leave(*_):
    for pod in list(pods.values()):
        for container in pod.containers:
            if container.process and container.process.poll() is None:
                os.killpg(container.process.pid, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, leave)
    (FOLDER / "tmp").mkdir(exist_ok=True)
    NAMES.write_text("{}")
    serve("kubelet.sock", Node)
    serve("egress.sock", Egress)
    threading.Thread(target=beat, daemon=True).start()
    watch(f"/api/v1/pods?fieldSelector={quote(f'spec.nodeName={NODE}')}", handle)
