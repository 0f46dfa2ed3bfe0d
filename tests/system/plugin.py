"""A plugin for the tests, good or bad as its config says. What it "has" stands in a file, so that a test sees from outside what was
really done: {"clusters": {id: {...}}, "calls": [...]}.
"""
import json
import os
import pathlib
import signal
import sys
import threading
import time

lock = threading.Lock()
cancelled = {}


def say(**message):
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def raw(text):
    with lock:
        os.write(1, text if isinstance(text, bytes) else text.encode())


class Refused(Exception):
    def __init__(self, code, message, **data):
        self.code, self.message, self.data = code, message, data


def public(cluster):
    """Without what only this plugin knows of it."""
    return {key: value for key, value in cluster.items() if key not in ("parts", "left_over")}


class Plugin:
    def __init__(self, config):
        self.mode = config.get("mode", "good")
        self.file = pathlib.Path(config["state"]) if "state" in config else None
        self.config = config

    def state(self):
        return json.loads(self.file.read_text()) if self.file and self.file.exists() else {"clusters": {}, "calls": []}

    def change(self, call, change=None):
        with lock:
            state = self.state()
            state["calls"].append(call)
            if change:
                change(state["clusters"])
            new = self.file.with_suffix(".new")
            new.write_text(json.dumps(state))
            new.rename(self.file)

    def cluster(self, params):
        found = self.state()["clusters"].get(params["id"])
        if not found:
            raise Refused(-32002, "no such cluster")
        if params.get("uid") not in (None, found.get("uid")):
            raise Refused(-32003, "it is another one by now")
        return found

    # -------------------------------------------------------------------------------------------------------- methods

    def discover(self, request, params):
        if self.mode == "hangs":
            threading.Event().wait()
        if self.mode == "dies-once" and ["died"] not in self.state()["calls"]:
            self.change(["died"])
            os.abort()
        if self.mode == "late":
            time.sleep(self.config.get("seconds", 60))
        if self.mode == "garbage":
            raw("Traceback (most recent call last):\n")
            threading.Event().wait()
        if self.mode == "latin":
            raw(b'{"jsonrpc": "2.0", "method": "caf\xe9"}\n')
        if self.mode == "long-line":
            raw("x" * (9 << 20))
        if self.mode == "floods":
            while True:
                raw('{"jsonrpc": "2.0", "method": "cluster", "params": {"request": 999999, "cluster": {"id": "x", "name": "x"}}}\n' * 1000)
        if self.mode == "floods-errors":
            while True:
                os.write(2, b"what a day\n" * 10000)
        if self.mode == "too-many":
            for i in range(100001):
                say(method="cluster", params={"request": request, "cluster": {"id": str(i), "name": str(i)}})
        for i in range(self.config.get("many", 0)):
            say(method="cluster", params={"request": request, "cluster": {
                "id": f"c{i}", "name": f"cluster-{i}", "uid": f"u{i}", "status": "running", "owner": "ada", "clients": 0,
                "workers": {"ready": 4, "wanted": 4}, "memory": 2 ** 34, "created": "2026-11-23T01:02:03Z"}})
        for number, cluster in enumerate(self.state()["clusters"].values()):
            if self.mode == "dies" and number == 1:
                os.kill(os.getpid(), signal.SIGKILL)
            say(method="cluster", params={"request": request, "cluster": public(cluster)})
        if self.mode == "twice":
            say(method="cluster", params={"request": request, "cluster": {"id": "a", "name": "not the first"}})
        if self.mode == "partial":
            return {"complete": False, "reason": "rack 7 is dark"}
        return {"complete": True}

    def watch(self, request, params):
        if self.mode != "watch":
            raise Refused(-32601, "no")
        before = {}
        first = True
        while request not in cancelled:
            now = self.state()["clusters"]
            for key, cluster in now.items():
                if before.get(key) != cluster:
                    say(method="cluster", params={"request": request, "cluster": public(cluster)})
            for key in before.keys() - now.keys():
                say(method="gone", params={"request": request, "id": key})
            if first:
                say(method="synced", params={"request": request})
            before, first = now, False
            time.sleep(0.05)
        raise Refused(-32800, "cancelled")

    def show(self, request, params):
        cluster = self.cluster(params)
        say(method="worker", params={"request": request, "worker": {"name": "w0", "address": "tcp://10.0.0.1:4000", "threads": 2, "status": "running"}})
        return {"cluster": public(cluster), "workers": [{"name": "w1", "memory": 1 << 30, "memory_limit": 1 << 31}],
                "resources": cluster.get("parts", [])}

    def route(self, request, params):
        cluster = self.cluster(params)
        say(method="route", params={"request": request, "address": cluster["address"]})
        while request not in cancelled:
            if self.state().get("cut"):
                return {}
            time.sleep(0.02)
        self.change(["route closed", params["id"]])
        raise Refused(-32800, "cancelled")

    def plan(self, request, params):
        cluster = self.cluster(params)
        return {"resources": cluster.get("parts", []), "plan": {"token": cluster["uid"]}, "note": "a rack has feelings"}

    def scale(self, request, params):
        self.cluster(params)
        wanted = min(params.get("workers", 0), 8)
        for done in range(3):
            say(method="progress", params={"request": request, "message": "moving", "done": done, "total": 3})

        def change(clusters):
            if "adapt" in params:
                clusters[params["id"]]["adaptive"] = params["adapt"] or False
            else:
                clusters[params["id"]]["workers"] = {"ready": wanted, "wanted": wanted}
        self.change(["scale", params.get("workers"), params.get("adapt"), params.get("plan")], change)
        return {"cluster": public(self.state()["clusters"][params["id"]])}

    def delete(self, request, params):
        cluster = self.cluster(params)
        self.change(["delete", params["id"], params.get("plan"), sorted(params["resources"])], lambda clusters: clusters.pop(params["id"]))
        return {"left_over": cluster.get("left_over", [])}

    def logs(self, request, params):
        self.cluster(params)
        tail = params["tail"]
        lines = [("scheduler", "2026-11-23T01:00:00Z", "scheduler began"), ("worker-0", "2026-11-23T01:00:01Z", "worker began")]
        for component, at, line in lines[-tail:] if tail is not None else lines:
            if not params["components"] or component in params["components"]:
                say(method="log", params={"request": request, "component": component, "time": at, "line": line})
        number = 0
        while params["follow"]:
            if request in cancelled:
                if self.mode == "no-cancel":
                    threading.Event().wait()
                raise Refused(-32800, "cancelled")
            number += 1
            say(method="log", params={"request": request, "component": "worker-0", "time": None, "line": f"tick {number}"})
            time.sleep(0.05)
        return {}

    def create(self, request, params):
        spec, name = params["spec"], params["name"] or "made"
        cluster = {"id": name, "name": name, "uid": f"uid-{name}", "status": "running", "type": spec.get("class"), "clients": 0,
                   "workers": {"ready": params["workers"] or 1, "wanted": params["workers"] or 1}}
        if spec.get("kwargs", {}).get("impossible"):
            raise Refused(-32602, "impossible is not possible")
        if params["dry_run"]:
            return {"cluster": cluster, "note": "nothing was made"}
        say(method="progress", params={"request": request, "message": "making it", "done": 0, "total": 1})
        self.change(["create", name, spec], lambda clusters: clusters.update({name: cluster}))
        return {"cluster": cluster}

    def snippet(self, request, params):
        return {"python": f"from mine import connect\n\nclient = connect({params['id']!r})\n"}

    # -------------------------------------------------------------------------------------------------------- the rest

    def answer(self, request, method, params):
        if self.mode == "deaf" and method != "discover":
            return
        try:
            if method not in self.config.get("methods", ["discover", "watch", "show", "route", "plan", "scale", "delete", "logs", "create", "snippet"]):
                raise Refused(-32601, "no such method")
            say(id=request, result=getattr(self, method)(request, params))
        except Refused as no:
            say(id=request, error={"code": no.code, "message": no.message, "data": no.data})


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    if mode == "early":
        raw('{"jsonrpc": "2.0", "method": "hurrah", "params": {}}\n')
    if mode == "silent":
        threading.Event().wait()
    if mode == "stubborn":  # does not leave when it is asked
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            time.sleep(600)
    plugin = None
    for line in sys.stdin:
        message = json.loads(line)
        method, params, request = message["method"], message.get("params", {}), message.get("id")
        if method == "hello":
            plugin = Plugin(params["config"])
            print("hello from its standard error", file=sys.stderr, flush=True)
            for name in params["config"].get("show-environment", []):
                print(name, "=", os.environ.get(name), file=sys.stderr, flush=True)
            say(id=request, result={"protocol": params["config"].get("protocol", 1), "name": "test", "version": "1.0",
                                    "can": ["scale", "adapt", "logs", "connect", "delete", "snippet"], "watch": plugin.mode == "watch",
                                    "probe": bool(params["config"].get("probe"))})
        elif method == "cancel":
            cancelled[params["request"]] = True
        else:
            threading.Thread(target=plugin.answer, args=(request, method, params), daemon=True).start()
    if mode == "stubborn":
        time.sleep(600)
    os._exit(0)


main()
