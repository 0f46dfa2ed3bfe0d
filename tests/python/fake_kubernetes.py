"""As much of an API server as dask-kubernetes needs to find, reach, scale and delete a DaskCluster: objects in memory, one call log."""
import http.server
import json
import threading
import urllib.parse

KINDS = {"daskclusters": ("kubernetes.dask.org/v1", "DaskCluster"), "daskworkergroups": ("kubernetes.dask.org/v1", "DaskWorkerGroup"),
         "daskautoscalers": ("kubernetes.dask.org/v1", "DaskAutoscaler"), "pods": ("v1", "Pod"), "services": ("v1", "Service")}


class FakeKubernetes:
    def __init__(self):
        self.objects, self.calls, self.lock = {}, [], threading.Lock()
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = fake.answer(self.command, self.path, json.loads(body) if body else None)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            do_GET = do_PATCH = do_POST = do_DELETE = do_PUT = handle_any

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def config(self, path):
        """A kubeconfig for it."""
        path.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "fake",
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}],
            "users": [{"name": "me", "user": {}}], "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "me", "namespace": "default"}}]}))
        return path

    def put(self, plural, name, labels=None, **body):
        version, kind = KINDS[plural]
        self.objects[plural, name] = {"apiVersion": version, "kind": kind, **body,
                                      "metadata": {"name": name, "namespace": "default", "uid": f"uid-of-{name}", "labels": labels or {}}}

    def put_cluster(self, name, scheduler):
        """A DaskCluster whose scheduler pod is a real scheduler on this host."""
        labels = {"dask.org/cluster-name": name, "dask.org/component": "scheduler"}
        container = {"name": "x", "image": "dask", "args": ["dask-scheduler"]}
        self.put("daskclusters", name, spec={"worker": {"replicas": 1, "spec": {"containers": [container]}},
                                             "scheduler": {"spec": {"containers": [container]}}}, status={"phase": "Running"})
        self.put("daskworkergroups", f"{name}-default", spec={"cluster": name, "worker": {"replicas": 1}})
        self.put("pods", f"{name}-scheduler-x", labels, spec={}, status={"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}]})
        self.put("services", f"{name}-scheduler", labels, status={"loadBalancer": {"ingress": [{"ip": "127.0.0.1"}]}}, spec={
            "type": "LoadBalancer", "clusterIP": "127.0.0.1", "selector": labels, "ports": [
                {"name": "tcp-comm", "port": scheduler.port}, {"name": "http-dashboard", "port": int(scheduler.dashboard)}]})

    def answer(self, method, url, body):
        path, _, query = url.partition("?")
        parts, wanted = path.strip("/").split("/"), urllib.parse.parse_qs(query)
        if parts == ["version"]:
            return 200, {"major": "1", "minor": "35", "gitVersion": "v1.35.0"}
        if parts == ["api"]:
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if parts == ["apis"]:
            return 200, {"kind": "APIGroupList", "groups": [{"name": "kubernetes.dask.org", "versions": [{"groupVersion": "kubernetes.dask.org/v1", "version": "v1"}],
                                                             "preferredVersion": {"groupVersion": "kubernetes.dask.org/v1", "version": "v1"}}]}
        if parts in (["api", "v1"], ["apis", "kubernetes.dask.org", "v1"]):
            version = "/".join(parts[1:])
            return 200, {"kind": "APIResourceList", "groupVersion": version, "resources": [
                {"name": plural, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": ["get", "list", "delete", "patch"]}
                for plural, (group, kind) in KINDS.items() if group == version]}
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        if rest[:1] == ["namespaces"]:
            rest = rest[2:]
        with self.lock:
            return self.answer_object(method, rest, wanted, body)

    def answer_object(self, method, rest, wanted, body):
        plural, name = rest[0], rest[1] if len(rest) > 1 else None
        if method != "GET":
            self.calls.append((method, "/".join(rest), body))
        if name is None:
            items = [one for (kind, _), one in self.objects.items() if kind == plural and matches(one, wanted)]
            return 200, {"kind": KINDS[plural][1] + "List", "apiVersion": KINDS[plural][0], "metadata": {"resourceVersion": "1"}, "items": items}
        found = self.objects.get((plural, name))
        if not found:
            return 404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "message": f"{plural} {name} not found", "code": 404}
        if method == "DELETE":
            del self.objects[plural, name]
        if method == "PATCH":
            replicas = body.get("spec", {}).get("worker", {}).get("replicas", body.get("spec", {}).get("replicas"))
            if replicas is not None:
                found["spec"]["worker"]["replicas"] = replicas
        return 200, found


def matches(one, wanted):
    for selector in wanted.get("labelSelector", []):
        for term in selector.split(","):
            key, _, value = term.partition("=")
            if one["metadata"]["labels"].get(key) != value.lstrip("="):
                return False
    for selector in wanted.get("fieldSelector", []):
        for term in selector.split(","):
            key, _, value = term.partition("=")
            found = one
            for word in key.split("."):
                found = found.get(word, {})
            if found != value.lstrip("="):
                return False
    return True
