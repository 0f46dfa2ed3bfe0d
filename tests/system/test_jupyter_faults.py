"""Jupyter servers that misbehave: one clear line each, the token to nobody else, no cluster but the one that was meant."""
import http.server
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest
import rig as rigs
from ui.tui import Tui

TOKEN = "jupyter-token-nobody-may-see"
ID = "5103a765-516a-4a08-a16d-a5035f888dbe"
NOT_FOUND = (404, "text/html", b"<!DOCTYPE HTML><html><title>Jupyter Server</title><h1>404 : Not Found</h1></html>")


def model(address="tcp://127.0.0.1:1", id=ID, name="LocalCluster 1", **more):
    return {"id": id, "name": name, "scheduler_address": address, "dashboard_link": "", "workers": 2, "memory": "23.54 GiB", "cores": 2, **more}


class Fake:
    """A server of this very process, which holds its port: so its runtime file is believed."""

    def __init__(self, home):
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                fake.asked.append((self.command, self.path, self.headers.get("Authorization")))
                status, kind, answer, *headers = fake.answer(self.command, self.path.split("?")[0], body)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer) + fake.missing))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_PATCH = do_DELETE = do_any

            def log_message(self, *_):
                pass

        self.asked, self.missing, self.answer = [], 0, lambda method, path, body: NOT_FOUND
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.name, self.url = f"localhost:{self.port}", f"http://127.0.0.1:{self.port}/"
        self.runtime = home.path / ".local/share/jupyter/runtime"
        self.announce()
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def announce(self, **more):
        """Its runtime file, as a server of today writes it."""
        self.runtime.mkdir(parents=True, exist_ok=True)
        (self.runtime / f"jpserver-{os.getpid()}{self.port}.json").write_text(json.dumps({
            "base_url": "/", "hostname": "127.0.0.1", "password": False, "pid": os.getpid(), "port": self.port, "root_dir": "/home/user/notebooks",
            "secure": False, "sock": "", "token": TOKEN, "url": self.url, "version": "2.21.1", **more}))

    def clusters(self, *models):
        """Answers as the extension does."""
        self.models = {str(m["id"]): m for m in models}

        def answer(method, path, body):
            id = path.removeprefix("/dask/clusters").strip("/")
            if path == "/api":
                return 200, "application/json", b'{"version": "2.21.1"}'
            if path == "/dask/clusters" and method == "GET":
                return 200, "application/json", json.dumps(list(self.models.values())).encode()
            if id in self.models and method == "GET":
                return 200, "application/json", json.dumps(self.models[id]).encode()
            if id in self.models and method == "DELETE":
                self.models.pop(id)
                return 204, "application/json", b""
            return 404, "application/json", json.dumps({"message": f"Dask cluster {id} not found", "reason": None}).encode()
        self.answer = answer

    def methods(self):
        return {method for method, _, _ in self.asked}

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def fake(home):
    fake = Fake(home)
    home.config("dasktop:\n  auto: false\n  backends: {jupyter: {timeout: 2s}}\n")
    yield fake
    fake.close()


def look(home, **more):
    done = home.run("list", "-o", "json", **more)
    assert TOKEN not in done.stdout + done.stderr
    return done, json.loads(done.stdout)


FAULTS = {
    "a wrong token": (403, "application/json", b'{"message": "Forbidden", "reason": null}', "needs sign-in", "does not take the token"),
    "an error of its own": (500, "application/json", b'{"message": "Unhandled error", "reason": null, "traceback": ""}', "failed", "says: Unhandled error"),
    "its proxy has lost it": (502, "text/plain", b"", "failed", "down"),
    "a sign-in page": (200, "text/html", b"<html>sign in</html>", "failed", "sign-in page"),
    "half JSON": (200, "application/json", b'[{"id": ', "failed", "localhost"),
    "an object": (200, "application/json", b'{"id": "x"}', "failed", "not the clusters"),
    "deep JSON": (200, "application/json", b"[" * 5000 + b"]" * 5000, "failed", "localhost"),
    "numbers": (200, "application/json", b"[1, 2, null, []]", "ok", None),
    "hostile words": (500, "application/json", b'{"message": "\\u001b[31mred\\u202e", "reason": null}', "failed", "red"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_answers_that_are_none(home, fake, fault):
    status, kind, body, state, words = FAULTS[fault]
    fake.answer = lambda method, path, _: (status, kind, body)
    done, found = look(home)
    backend = next(b for b in found["backends"] if b["instance"] == fake.name)
    assert found["clusters"] == [] and backend["state"] == state, backend
    if words:
        assert words in backend["error"] and "\n" not in backend["error"] and "\x1b" not in backend["error"]
    assert done.returncode == (state != "ok")
    assert fake.asked[0] == ("GET", "/dask/clusters?no_track_activity=1", f"token {TOKEN}")


def test_an_answer_that_is_cut(home, fake):
    fake.clusters(model())
    fake.missing = 1000
    _, found = look(home)
    assert found["clusters"] == [] and found["backends"][0]["state"] in ("failed", "slow")


def test_a_server_without_the_extension_has_no_clusters(home, fake):
    done, found = look(home)
    assert done.returncode == 0 and found["clusters"] == [] and [b["state"] for b in found["backends"]] == ["ok"]
    assert len(fake.asked) == 1


def test_a_server_that_accepts_and_stalls(home, fake):
    free = threading.Event()
    fake.answer = lambda method, path, body: free.wait(30) and NOT_FOUND
    home.config("dasktop:\n  auto: false\n  backends: {jupyter: {timeout: 500ms}}\n")
    begin = time.monotonic()
    done, found = look(home)
    assert done.returncode == 3 or done.returncode == 1
    assert found["backends"][0]["state"] == "slow" and time.monotonic() - begin < 15
    free.set()


def test_a_password_and_no_token(home, fake):
    fake.announce(token="", password=True)
    fake.answer = lambda *_: (403, "application/json", b'{"message": "Forbidden", "reason": null}')
    done, found = look(home)
    assert found["backends"][0]["state"] == "needs sign-in" and done.returncode == 1
    assert "password" in found["backends"][0]["error"] and "servers" in found["backends"][0]["error"]
    assert fake.asked[0][2] is None
    # a token that the config gives takes the place of the file's
    home.config(f"dasktop:\n  auto: false\n  backends: {{jupyter: {{servers: [{{url: '{fake.url}lab?', token: {{env: JUP}}}}]}}}}\n")
    fake.clusters(model())
    home.env["JUP"] = TOKEN
    _, found = look(home)
    assert [c["id"] for c in found["clusters"]] == [f"jupyter:{fake.name}/{ID}"] and fake.asked[-1][2] == f"token {TOKEN}"
    assert [b["instance"] for b in found["backends"]] == [fake.name], "the config's and the file's are one"


def test_a_token_for_a_server_below_a_base_url(home, fake):
    """What the config says of it is said of the very one that was found by itself: it stays a server of this host."""
    fake.announce(token="", base_url="/x/y/", url=f"{fake.url}x/y/")
    home.config(f"dasktop:\n  auto: false\n  backends: {{jupyter: {{servers: [{{url: '{fake.url}x/y/lab?token={TOKEN}'}}]}}}}\n")
    fake.clusters(model())
    listed = fake.answer
    fake.answer = lambda method, path, body: listed(method, path.removeprefix("/x/y"), body)
    _, found = look(home)
    assert [(b["instance"], b["state"]) for b in found["backends"]] == [(f"{fake.name}/x/y", "ok")]
    row, = found["clusters"]
    assert row["origin"]["pid"] == os.getpid() and row["status"] == "unreachable", "refused by this host is known of a server of this host alone"


def test_a_token_that_is_not_there_hides_no_other_server(home, fake):
    home.config("dasktop:\n  auto: false\n  backends: {jupyter: {servers: [{url: 'http://127.0.0.1:9/', token: {env: NOWHERE}}]}}\n")
    fake.clusters(model())
    done, found = look(home)
    assert done.returncode == 3 and len(found["clusters"]) == 1
    assert {b["instance"]: b["state"] for b in found["backends"]} == {None: "failed", fake.name: "ok"}
    assert "the environment has no NOWHERE" in done.stderr


def test_a_certificate_of_its_own(home, fake, tmp_path):
    """Nobody vouches for it until the user does, as for curl and Python."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    fake.server.socket = context.wrap_socket(fake.server.socket, server_side=True)
    fake.announce(secure=True, url=fake.url.replace("http:", "https:"))
    fake.clusters(model())
    _, found = look(home)
    assert found["backends"][0]["state"] == "denied" and "its certificate was not accepted" in found["backends"][0]["error"]
    assert "SSL_CERT_FILE" in found["backends"][0]["error"] and fake.asked == []
    home.env["SSL_CERT_FILE"] = str(tmp_path / "cert.pem")
    assert len(look(home)[1]["clusters"]) == 1


def test_a_redirect_to_another_host_gets_no_token(home, fake):
    other = Fake(home)
    for path in other.runtime.glob(f"*{other.port}.json"):
        path.unlink()
    try:
        fake.answer = lambda method, path, body: (302, "text/html", b"", ("Location", other.url + "dask/clusters"))
        _, found = look(home)
        assert other.asked == [] and found["backends"][0]["state"] == "needs sign-in" and "redirect" in found["backends"][0]["error"]
        fake.answer = lambda method, path, body: (302, "text/html", b"", ("Location", f"http://localhost:{fake.port}/login"))
        look(home)
        assert other.asked == []
    finally:
        other.close()


def test_stale_and_foreign_runtime_files(home, fake):
    fake.clusters(model())
    good = next(fake.runtime.glob("jpserver-*.json")).read_text()
    dead = json.loads(good)
    files = {
        "jpserver-1.json": json.dumps({**dead, "pid": 2 ** 22 + 1}),               # dead
        "jpserver-2.json": json.dumps({**dead, "pid": os.getppid()}),              # alive, and not who holds that port
        "jpserver-3.json": json.dumps({**dead, "port": rigs.free_port()}),         # the right process, a port that nobody holds
        "jpserver-4.json": "{", "jpserver-5.json": "", "jpserver-6.json": "[]", "jpserver-7.json": "null",
        "jpserver-8.json": json.dumps({**dead, "pid": "x", "port": -1}), "jpserver-9.json": json.dumps({**dead, "url": "file:///etc/passwd"}),
        "nbserver-10.json": "x" * 100000, "kernel-11.json": good,
    }
    for name, text in files.items():
        (fake.runtime / name).write_text(text)
    (fake.runtime / "jpserver-12.json").symlink_to(next(fake.runtime.glob(f"jpserver-*{fake.port}.json")))
    (fake.runtime / "jpserver-13.json").mkdir()
    _, found = look(home)
    assert [b["instance"] for b in found["backends"]] == [fake.name] and len(found["clusters"]) == 1


def test_two_servers_with_a_cluster_of_one_id(home, fake):
    other = Fake(home)
    try:
        fake.clusters(model("tcp://127.0.0.1:1"))
        other.clusters(model("tcp://127.0.0.1:2"))
        _, found = look(home)
        assert sorted(c["id"] for c in found["clusters"]) == sorted(f"jupyter:{f.name}/{ID}" for f in (fake, other))
        done = home.run("show", "LocalCluster 1")
        assert done.returncode == 5 and fake.name in done.stderr and other.name in done.stderr
    finally:
        other.close()


def test_which_of_two_servers_makes_a_cluster_is_not_left_to_chance(home, fake):
    fake.announce(base_url="/x.y/", url=f"{fake.url}x.y/")
    other = Fake(home)
    try:
        fake.clusters()
        other.clusters()
        listed = fake.answer
        fake.answer = lambda method, path, body: listed(method, path.removeprefix("/x.y"), body)
        home.config("dasktop:\n  auto: false\n  backends: {jupyter: {}}\n")
        done = home.run("create", "--backend", "jupyter", "--workers", 1)
        assert done.returncode == 5 and "KEY:INSTANCE" in done.stderr and fake.methods() | other.methods() == {"GET"}, done.stderr
        done = home.run("create", "--backend", f"jupyter:{fake.name}/x.y", "--dry-run")
        assert done.returncode == 0 and f"PUT {fake.url}x.y/dask/clusters" in done.stdout, done.stderr
        with Tui([home.program], {**home.env, "LC_ALL": "C.UTF-8"}) as tui:
            tui.wait("no Dask|0 clusters")
            tui.send("N")
            tui.wait(f"jupyter:{other.name} ")
            tui.wait(re.escape(f"jupyter:{fake.name}/x.y "))
            tui.send("\x1b", f":create jupyter:{fake.name}/x.y\r")
            tui.wait(re.escape(f"a new cluster on jupyter:{fake.name}/x.y"))
    finally:
        other.close()


def test_what_a_sidebar_only_shows_is_no_cluster_of_its_server(home, fake):
    """integrations/jupyter lists there what dasktop itself has found elsewhere."""
    fake.clusters(model(id="shown", discovered={"by": "dasktop", "id": "local/127.0.0.1:1", "uid": "Scheduler-1"}), model(id="own", discovered=None))
    assert [c["id"].split("/", 1)[1] for c in look(home)[1]["clusters"]] == ["own"]


def test_hostile_names_and_ids(home, fake):
    fake.clusters(model(id="../../api/kernels"), model(id=".."), model(id=""), model(id="a\nb"), model(id="x" * 500), model(id=["l"]),
                  model(id="a?b#c%d e", name="\x1b[2J\u202ered\n"), model(id="plain", name=""))
    _, found = look(home)
    assert [c["id"].split("/", 1)[1] for c in found["clusters"]] == ["a%3Fb%23c%25d%20e", "plain"]
    assert found["clusters"][0]["name"] == "<1B>[2J<U+202E>red<0A>" and found["clusters"][1]["name"] == "plain"
    home.run("show", found["clusters"][0]["id"])
    assert ("GET", "/dask/clusters/a%3Fb%23c%25d%20e?no_track_activity=1", f"token {TOKEN}") in fake.asked, "it stays one segment of the path"


def test_wrong_types_are_unknown(home, fake):
    fake.clusters(model(address=7, workers="many", cores=1.5, adapt={"minimum": "a", "maximum": -1}, dashboard_link=["x"]))
    row = look(home)[1]["clusters"][0]
    assert row["address"] is None and row["workers"]["ready"] is None and row["threads"] is None and row["verdict"]["state"] == "unknown"
    assert "connect" in row["cannot"] and "logs" in row["cannot"]


def test_a_cluster_that_ends_while_it_is_looked_at(home, fake):
    fake.clusters(model())
    listed = fake.answer
    fake.answer = lambda method, path, body: listed(method, path, body) if path == "/dask/clusters" else (
        404, "application/json", b'{"message": "Dask cluster not found", "reason": null}')
    id = look(home)[1]["clusters"][0]["id"]
    for command in (["show"], ["logs"], ["snippet"], ["connect"], ["delete", "--yes", "--force"]):
        done = home.run(command[0], id, *command[1:])
        assert done.returncode == 4 and "no such cluster any more" in done.stderr, (command, done.stderr)
    assert fake.methods() == {"GET"}


def test_a_scheduler_that_has_ended(home, fake):
    """The server still lists it. Refused by this very host is a proof; it can be deleted, nothing else."""
    fake.clusters(model(f"tcp://127.0.0.1:{rigs.free_port()}"))
    row = look(home)[1]["clusters"][0]
    assert row["status"] == "unreachable" and row["verdict"]["state"] == "orphaned" and "refused by this host" in " ".join(row["verdict"]["evidence"])
    assert "scale" in row["cannot"] and "logs" in row["cannot"] and "delete" in row["can"]
    assert home.run("scale", row["id"], 3).returncode != 0 and fake.methods() == {"GET"}
    done = home.run("delete", row["id"], "--yes")
    assert done.returncode == 0 and fake.models == {} and look(home)[1]["clusters"] == [], done.stderr


def test_another_scheduler_behind_an_id(home, fake, rig):
    """Between the look and the change: other port, or the same port and another scheduler."""
    one, two = rig.scheduler("one"), rig.scheduler("two")
    fake.clusters(model(one.address))
    row = look(home)[1]["clusters"][0]
    assert row["uid"] == one.id and row["status"] == "running"
    seen = []

    def swap(method, path, body):
        """From the second look at this one on it is another."""
        if path.endswith(ID):
            seen.append(method)
            if len(seen) > 2:
                fake.models[ID] = model(two.address)
        return listed(method, path, body)
    listed, fake.answer = fake.answer, swap
    done = home.run("delete", row["id"], "--yes", "--force")
    assert done.returncode == 6 and "changed since it was seen" in done.stderr, done.stderr
    assert fake.methods() == {"GET"} and ID in fake.models
    fake.answer = listed
    done = home.run("delete", row["id"], "--yes", "--force", "--uid", row["uid"])
    assert done.returncode == 6 and fake.methods() == {"GET"}


def test_a_server_elsewhere(home, rig):
    """Only named by the config: its schedulers are asked through it, and what cannot be done says why. Its loopback is not ours."""
    fake = Fake(home)
    for path in fake.runtime.glob("*.json"):
        path.unlink()
    try:
        mine = rig.scheduler("mine")
        fake.clusters(model(mine.address, dashboard_link="http://127.0.0.1:8787/status"))
        listed = fake.answer
        identity = {"type": "Scheduler", "id": "Scheduler-far", "address": mine.address, "services": {"dashboard": 8787}, "started": time.time() - 7200,
                    "n_workers": 2, "total_threads": 2, "total_memory": 2 ** 30, "workers": {}}
        counts = {"bytes": 0, "clients": 3, "cores": 2, "erred": 0, "memory": 1, "processing": 0, "released": 0, "tasks": 1, "unrunnable": 0, "waiting": 0, "workers": 2}
        pages = {f"/dask/dashboard/{ID}/json/identity.json": identity, f"/dask/dashboard/{ID}/json/counts.json": counts}
        fake.answer = lambda method, path, body: (200, "application/json", json.dumps(pages[path]).encode()) if path in pages else listed(method, path, body)
        home.config("dasktop:\n  auto: false\n  backends:\n    hub: {type: jupyter, servers: "
                    f"[{{url: 'http://127.0.0.1:{fake.port}/', token: {{env: JUP}}}}, {{url: 'http://127.0.0.1:9/user/ada/'}}]}}\n")
        home.env["JUP"] = TOKEN
        done, found = look(home)
        assert done.returncode == 3 and {b["instance"]: b["state"] for b in found["backends"]} == {fake.name: "ok", "localhost:9/user/ada": "failed"}
        row = found["clusters"][0]
        assert row["uid"] == "Scheduler-far" and row["clients"] == 2 and row["tasks"]["stored"] == 1 and row["workers"]["ready"] == 2
        assert row["dashboard"] == f"http://127.0.0.1:{fake.port}/dask/dashboard/{ID}/status" and TOKEN not in row["dashboard"]
        assert all("only on the host of the Jupyter server" in row["cannot"][what] for what in ("logs", "connect", "snippet"))
        assert "scale" in row["can"] and "delete" in row["can"]
        assert all(who == f"token {TOKEN}" for _, _, who in fake.asked)
        done = home.run("connect", row["id"], "--", "true")
        assert done.returncode == 6 and "only on the host" in done.stderr and "dasktop dashboard" in done.stderr
        assert home.run("dashboard", row["id"], "--print").stdout.strip() == row["dashboard"]
        identity["id"] = "Scheduler-other"
        done = home.run("delete", row["id"], "--yes", "--force", "--uid", "Scheduler-far")
        assert done.returncode == 6 and "changed since it was seen" in done.stderr and ID in fake.models
        fake.models[ID]["name"] = "LocalCluster 2"  # the extension counts what it makes
        done = home.run("delete", row["id"], "--yes", "--force")
        assert done.returncode == 0 and fake.models == {}, done.stderr
    finally:
        fake.close()


def test_an_address_that_is_no_jupyter_server(home, fake):
    for path in fake.runtime.glob("*.json"):
        path.unlink()
    home.config(f"dasktop:\n  auto: false\n  backends: {{jupyter: {{servers: [{{url: '{fake.url}wrong/', token: {TOKEN}}}]}}}}\n")
    done, found = look(home)
    assert done.returncode == 1 and "no Jupyter server answers there" in found["backends"][0]["error"]


@pytest.mark.parametrize("config, words", [
    ("servers: http://x/", "is not a list of maps"),
    ("servers: [{token: x}]", "needs url"),
    ("servers: [{url: http://x/, tokn: y}]", "did you mean token?"),
    ("servers: [{url: http://x/, token: [a]}]", "token is not a text"),
])
def test_config_that_is_wrong(home, config, words):
    home.config(f"dasktop:\n  backends: {{jupyter: {{{config}}}}}\n")
    done = home.run("list")
    assert done.returncode == 2 and words in done.stderr and "dasktop.yaml:2:" in done.stderr, done.stderr


def test_an_url_that_is_none(home):
    home.config("dasktop:\n  auto: false\n  backends: {jupyter: {servers: [{url: 'localhost:8888/lab?token=sesame'}]}}\n")
    done = home.run("list")
    assert done.returncode == 2 and "http(s)://HOST[:PORT]/" in done.stderr and "sesame" not in done.stderr, done.stderr


def test_without_any_server(home):
    home.config("dasktop:\n  auto: false\n  backends: {jupyter: {}}\n")
    done = home.run("backends", "-o", "json")
    backend = json.loads(done.stdout)["backends"][0]
    assert backend["state"] == "absent" and str(home.path / ".local/share/jupyter/runtime") in backend["error"]


def test_a_dead_port_behind_a_socket_file(home):
    """A server that was killed leaves its UNIX socket, and another of our processes has its pid by now."""
    runtime = home.path / ".local/share/jupyter/runtime"
    runtime.mkdir(parents=True)
    where = home.path / "jupyter.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(where))
    (runtime / "jpserver-1.json").write_text(json.dumps({"base_url": "/", "pid": os.getpid(), "port": 0, "sock": str(where), "token": TOKEN, "url": "http+unix://x/"}))
    home.config("dasktop:\n  auto: false\n  backends: {jupyter: {}}\n")
    done, found = look(home)
    assert found["clusters"] == [] and found["backends"][0]["state"] == "failed" and done.returncode == 1
