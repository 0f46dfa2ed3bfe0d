"""A small API server over TLS that answers with what a real one once said (tests/captures/kubernetes), and misbehaves on demand.

It keeps objects by kind, lists them in chunks and by label, tells watches of changes, deletes under preconditions. A test puts functions
into `faults`: each gets the Ask first and may answer in its own way. Nothing of Kubernetes runs here: the real one has its own tests.
"""
import base64
import copy
import http.server
import json
import pathlib
import ssl
import subprocess
import threading
import time
import urllib.parse
import uuid

CAPTURES = pathlib.Path(__file__).resolve().parent.parent / "captures/kubernetes"
LISTS = {"daskclusters": "daskclusters-list-all-namespaces", "daskworkergroups": "daskworkergroups-list", "daskautoscalers": "daskautoscalers-list",
         "pods": "pods-all-dask", "services": "services-schedulers-all", "deployments": "deployments-beta"}
KINDS = {"daskclusters": "DaskCluster", "daskworkergroups": "DaskWorkerGroup", "daskautoscalers": "DaskAutoscaler", "daskjobs": "DaskJob", "pods": "Pod",
         "services": "Service", "deployments": "Deployment"}
GROUPS = {"pods": "", "services": "", "deployments": "apps"}  # of the others: Dask's
TOKEN = "token-that-nobody-may-see"


def capture(name):
    return (CAPTURES / name).read_bytes()


def authority(folder, name, names="IP:127.0.0.1,DNS:localhost"):
    """A certificate authority of one's own and a server's certificate by it; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)

    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", "ca.key",
            "-out", "ca.pem")
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=kube", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text(f"subjectAltName={names}\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.pem")
    return folder


class Ask:
    """One request, and the ways to answer it."""

    def __init__(self, handler, method):
        self.handler, self.method = handler, method
        parts = urllib.parse.urlsplit(handler.path)
        self.path, self.query = parts.path, dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
        self.headers = handler.headers
        length = int(self.headers.get("Content-Length") or 0)
        self.body = json.loads(handler.rfile.read(length)) if length else None
        self.space, self.plural, self.name, self.sub = self._parts()
        self.known = self.plural in KINDS and GROUPS.get(self.plural, "kubernetes.dask.org") == self.group

    def _parts(self):
        """Of /api/v1/… and /apis/GROUP/VERSION/…: namespace, plural, name, what is below."""
        words = self.path.strip("/").split("/")
        self.group = words[1] if words[0] == "apis" and len(words) > 1 else ""
        words = words[2:] if words[0] == "api" else words[3:]
        space = None
        if len(words) > 2 and words[0] == "namespaces":
            space, words = words[1], words[2:]
        return space, words[0] if words else None, words[1] if len(words) > 1 else None, "/".join(words[2:])

    def is_list(self, plural=None):
        return self.method == "GET" and self.known and not self.name and "watch" not in self.query and plural in (None, self.plural)

    def is_watch(self, plural=None):
        return self.method == "GET" and self.known and "watch" in self.query and plural in (None, self.plural)

    def say(self, status, body, kind="application/json", headers=(), length=None):
        body = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        handler = self.handler
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)
        if length is not None:
            self.cut()
        return True

    def refuse(self, code, reason, message, headers=(), **details):
        return self.say(code, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "details": details,
                               "code": code}, headers=headers)

    def cut(self):
        """The connection ends here, in the middle of whatever it was."""
        self.handler.wfile.flush()
        self.handler.close_connection = True
        self.handler.connection.close()
        return True

    def stream(self):
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", "application/json")
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def chunk(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.handler.wfile.flush()


class Server:
    def __init__(self, folder, pki, captured=True):
        self.pki, self.folder = pki, pathlib.Path(folder)
        self.asked, self.faults, self.tokens = [], [], {TOKEN}
        self.objects = {plural: {} for plural in KINDS}
        self.events, self.changed, self.closed = [], threading.Condition(), False
        self.version, self.ahead = 450, 0  # ahead: seconds by which its clock is
        self.deaf = self.cut_next = False  # watches hear of nothing; the next event is cut in its middle, and its connection
        self.ending, self.last = 0, b""    # all watches that began before this count end with these bytes
        for plural, name in LISTS.items() if captured else ():
            for item in json.loads(capture(name + ".json"))["items"]:
                item["metadata"].pop("managedFields", None)
                self.objects[plural][item["metadata"]["namespace"], item["metadata"]["name"]] = item
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self):
                ask = Ask(self, self.command)
                with server.changed:
                    server.asked.append(ask)
                server._answer(ask)

            do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = answer

            def date_time_string(self, timestamp=None):
                return super().date_time_string((timestamp or time.time()) + server.ahead)

            def log_message(self, *_):
                pass

        class Threads(http.server.ThreadingHTTPServer):
            daemon_threads, request_queue_size = True, 128

            def finish_request(self, request, address):  # the handshake on the connection's own thread: one that stalls stalls nobody else
                try:
                    with server.context.wrap_socket(request, server_side=True) as secure:
                        self.RequestHandlerClass(secure, address, self)
                except OSError:  # the client went, or did not like our certificate
                    pass

            def shutdown_request(self, request):
                try:
                    super().shutdown_request(request)
                except OSError:
                    pass

            def handle_error(self, request, address):
                pass

        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pki / "server.pem", pki / "server.key")
        self.http = Threads(("127.0.0.1", 0), Handler)
        self.port = self.http.server_port
        self.url = f"https://127.0.0.1:{self.port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.http.shutdown()
        self.http.server_close()

    # -------------------------------------------------------------------------------------------------------------- objects

    def put(self, plural, item):
        """Adds or replaces it; watches hear of it."""
        return self.put_all(plural, [item])[0]

    def put_all(self, plural, items):
        with self.changed:
            for item in items:
                self._put(plural, item)
            self.changed.notify_all()
        return items

    def _put(self, plural, item):
        key = item["metadata"]["namespace"], item["metadata"]["name"]
        item["metadata"]["resourceVersion"] = str(self._next())
        known = key in self.objects[plural] and self.objects[plural][key]["metadata"]["uid"] == item["metadata"]["uid"]
        if key in self.objects[plural] and not known:
            self._tell(plural, "DELETED", self.objects[plural][key])
        self.objects[plural][key] = item
        self._tell(plural, "MODIFIED" if known else "ADDED", item)

    def remove(self, plural, space, name):
        with self.changed:
            item = self.objects[plural].pop((space, name), None)
            if item:
                item["metadata"]["resourceVersion"] = str(self._next())
                self._tell(plural, "DELETED", item)
                self.changed.notify_all()
        return item

    def get(self, plural, space, name):
        return copy.deepcopy(self.objects[plural].get((space, name)))

    def again(self, plural, space, name):
        """The same object made anew under its name: with another uid."""
        item = self.get(plural, space, name)
        item["metadata"].update(uid=str(uuid.uuid4()), creationTimestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        return self.put(plural, item)

    def _next(self):
        self.version += 1
        return self.version

    def _tell(self, plural, kind, item):
        self.events.append((self.version, plural, item["metadata"]["namespace"], item["metadata"].get("labels", {}),
                            json.dumps({"type": kind, "object": item}) + "\n"))

    # ------------------------------------------------------------------------------------------------------------- answers

    def _answer(self, ask):
        if any(fault(ask) for fault in list(self.faults)):
            return True
        if ask.path == "/version":
            return ask.say(200, capture("version.json"))
        if ask.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
            return ask.say(401, capture("err-401.json"))
        if ask.path.endswith("/selfsubjectrulesreviews"):
            return ask.say(201, capture("ssrr-operator-team-a.json"))
        if ask.path.endswith("/selfsubjectreviews"):
            return ask.say(201, capture("selfsubjectreview.json"))
        if ask.path.endswith("/selfsubjectaccessreviews"):
            return ask.say(201, {"kind": "SelfSubjectAccessReview", "status": {"allowed": True}})
        if ask.path == "/apis/kubernetes.dask.org/v1":
            return ask.say(200, capture("apigroup-resources.json"))
        if ask.plural == "services" and ask.sub.startswith("proxy"):
            return self._proxied(ask)
        if not ask.known:
            return ask.say(404, "404 page not found\n", "text/plain; charset=utf-8")
        if ask.sub == "log":
            return ask.say(200, capture("log-tail3-timestamps.txt"), "text/plain")
        return self._watch(ask) if ask.is_watch() else self._list(ask) if not ask.name else self._one(ask)

    def _proxied(self, ask):
        """alpha's scheduler answers, the others' do not."""
        for page in ("identity", "counts"):
            if ask.name.startswith("alpha-") and ask.path.endswith(f"/json/{page}.json"):
                return ask.say(200, capture(f"proxy-{page}.json"))
        return ask.say(503, capture("err-503-proxy-unreachable.json"))

    def _selected(self, ask, space, labels):
        def holds(part):
            key, sign, value = part.partition("=")
            return labels.get(key) == value if sign else key[1:] not in labels if key.startswith("!") else key in labels
        return ask.space in (None, space) and all(holds(part) for part in ask.query.get("labelSelector", "").split(",") if part)

    def _list(self, ask):
        if ask.method == "POST":
            item = ask.body
            item["metadata"].setdefault("namespace", ask.space)
            item["metadata"].setdefault("uid", str(uuid.uuid4()))
            return ask.say(201, item if "dryRun" in ask.query else self.put(ask.plural, item))
        with self.changed:
            items = [i for (space, _), i in sorted(self.objects[ask.plural].items()) if self._selected(ask, space, i["metadata"].get("labels", {}))]
            first, limit = int(ask.query.get("continue") or 0), int(ask.query.get("limit") or 0) or len(items)
            left = len(items) - first - limit
            metadata = {"resourceVersion": str(self.version)}
            if left > 0:
                metadata.update({"continue": str(first + limit), "remainingItemCount": left})
            body = json.dumps({"kind": KINDS[ask.plural] + "List", "apiVersion": "v1", "metadata": metadata, "items": items[first:first + limit]})
        return ask.say(200, body)

    def break_watches(self, last=b""):
        """Each watch that there is says this, and ends; without anything to say its connection is cut."""
        with self.changed:
            self.ending, self.last = self.ending + 1, last
            self.changed.notify_all()

    def _heard(self, ask, since, place):
        """What of the events since `place` belongs to this watch."""
        return [line for version, plural, space, labels, line in self.events[place:] if version > since and plural == ask.plural and self._selected(ask, space, labels)]

    def _watch(self, ask):
        since, place, ending = int(ask.query.get("resourceVersion") or 0), 0, self.ending
        ask.stream()
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.closed or self.ending > ending or (not self.deaf and len(self.events) > place), 5)
                over, last = self.closed or self.ending > ending, self.last
                lines, place = ([], place) if self.deaf or over else (self._heard(ask, since, place), len(self.events))
                cut = bool(lines) and self.cut_next
                self.cut_next = self.cut_next and not cut
            if cut:
                ask.chunk(lines[0][:len(lines[0]) // 2])
                return ask.cut()
            if over:
                if last:
                    ask.chunk(last)
                return ask.cut()
            if lines:
                ask.chunk("".join(lines))

    def _one(self, ask):
        item = self.get(ask.plural, ask.space, ask.name)
        if not item:
            return ask.refuse(404, "NotFound", f'{ask.plural} "{ask.name}" not found', name=ask.name, kind=ask.plural)
        if ask.method == "DELETE":
            return self._delete(ask, item)
        if ask.method == "PATCH" and "dryRun" not in ask.query:
            self._merge(item, ask.body)
            item = self.put(ask.plural, item)
        return ask.say(200, item)

    def _merge(self, into, patch):
        for key, value in patch.items():
            if isinstance(value, dict) and isinstance(into.get(key), dict):
                self._merge(into[key], value)
            elif value is None:
                into.pop(key, None)
            else:
                into[key] = value

    def _delete(self, ask, item):
        """What stands below it goes with it, at once."""
        body, uid = ask.body or {}, item["metadata"]["uid"]
        wanted = body.get("preconditions", {})
        if wanted.get("uid", uid) != uid or wanted.get("resourceVersion", item["metadata"]["resourceVersion"]) != item["metadata"]["resourceVersion"]:
            return ask.say(409, capture("err-409-delete-uid.json"))
        if not body.get("dryRun"):
            self.remove(ask.plural, ask.space, ask.name)
            for plural, objects in self.objects.items():
                for (space, name), below in list(objects.items()):
                    labels, cluster = below["metadata"].get("labels", {}), below.get("spec", {}).get("cluster")
                    if space == ask.space and plural != "daskclusters" and ask.name in (labels.get("dask.org/cluster-name"), cluster):
                        self.remove(plural, space, name)
        return ask.say(200, item)

    # ---------------------------------------------------------------------------------------------------------- kubeconfig

    def kubeconfig(self, user=None, cluster=None, context="lab", namespace=None, file="kubeconfig"):
        """Writes one for this server; user and cluster replace the ordinary entries."""
        ca = base64.b64encode((self.pki / "ca.pem").read_bytes()).decode()
        entry = {"cluster": "here", "user": "ada", **({"namespace": namespace} if namespace else {})}
        document = {"apiVersion": "v1", "kind": "Config", "current-context": context, "contexts": [{"name": context, "context": entry}],
                    "clusters": [{"name": "here", "cluster": {"server": self.url, **({"certificate-authority-data": ca} if cluster is None else cluster)}}],
                    "users": [{"name": "ada", "user": {"token": TOKEN} if user is None else user}]}
        path = self.folder / file
        path.write_text(json.dumps(document))
        return path
