"""Gateways that misbehave: one clear line each, no secret, nobody else delayed."""
import http.server
import json
import socket
import ssl
import subprocess
import threading
import time

import pytest

NAME = "7ea61650c1314bbc9c7a36565973faf1"
TOKEN = "hub-token-nobody-may-see"


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """Two clusters' certificates, as the gateway makes them: self-signed, CN dask-internal, for both sides."""
    made = []
    for name in ("one", "two"):
        path = tmp_path_factory.mktemp(name)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", path / "key", "-out", path / "cert", "-days", "2", "-subj",
                        "/CN=dask-internal"], check=True, capture_output=True)
        made.append(path)
    return made


def model(material, name=NAME, status="RUNNING"):
    return {"name": name, "dashboard_route": f"/clusters/{name}/status", "status": status, "start_time": int(time.time() * 1000), "stop_time": None,
            "options": {"environment": {"SECRET": "option-secret"}}, "tls_cert": (material / "cert").read_text(), "tls_key": (material / "key").read_text()}


class Fake:
    """An HTTP server whose answer to the list is what the test says, and a port for its proxy."""

    def __init__(self):
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                fake.asked.append((self.path, self.headers.get("Authorization")))
                status, kind, body = fake.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body) + fake.missing))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.asked, self.missing = [], 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def clusters(self, *models):
        body = json.dumps({m["name"]: m for m in models}).encode()
        self.answer = lambda path: (200, "application/json; charset=utf-8", body) if path.startswith("/api/v1/clusters") else (502, "text/plain", b"")


@pytest.fixture
def fake():
    fake = Fake()
    yield fake
    fake.server.shutdown()
    fake.server.server_close()


def look(home, fake, proxy="127.0.0.1:9", timeout="2s"):
    home.config(f"""\
dasktop:
  auto: false
  backends:
    hub: {{type: gateway, address: '{fake.address}', proxy-address: '{proxy}', timeout: {timeout},
           auth: {{type: jupyterhub, api-token: {{env: HUB_TOKEN}}}}}}
""")
    home.env["HUB_TOKEN"] = TOKEN
    done = home.run("list", "-o", "json", timeout=60)
    everything = done.stdout + done.stderr
    assert TOKEN not in everything and "PRIVATE" not in everything and "option-secret" not in everything
    return done, json.loads(done.stdout)


FAULTS = {
    "an expired token": (401, "application/json", b'{"error": "Authentication required"}', "needs sign-in", "token"),
    "somebody else's": (403, "application/json", b'{"error": "User bob lacks permissions"}', "denied", "lacks permissions"),
    "its server is down": (502, "text/plain", b"", "failed", "down"),
    "an error of its own": (500, "text/plain", b"500 Internal Server Error\n\nServer got itself in trouble", "failed", "status 500"),
    "a sign-in page": (200, "text/html", b"<html>sign in</html>", "failed", "not with the gateway's JSON"),
    "no JSON": (200, "application/json", b'{"a": ', "failed", "hub"),
    "a list": (200, "application/json", b"[1, 2]", "failed", "not the clusters"),
    "deep JSON": (200, "application/json", b'{"a":' * 5000 + b"1" + b"}" * 5000, "failed", "hub"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_answers_that_are_none(home, fake, fault):
    status, kind, body, state, words = FAULTS[fault]
    fake.answer = lambda path: (status, kind, body)
    done, found = look(home, fake)
    assert found["clusters"] == [] and found["backends"][0]["state"] == state, found["backends"]
    assert words in found["backends"][0]["error"] and "\n" not in found["backends"][0]["error"]
    assert done.returncode in (1, 6)
    assert fake.asked[0] == ("/api/v1/clusters/?status=pending,running,stopping", f"jupyterhub {TOKEN}")


def test_an_answer_that_is_cut(home, fake, material):
    fake.clusters(model(material[0]))
    fake.missing = 1000
    _, found = look(home, fake)
    assert found["clusters"] == [] and found["backends"][0]["state"] in ("failed", "slow")


def test_hostile_names_are_left_out(home, fake, material):
    fake.clusters(model(material[0], "../../etc"), model(material[0], "a b"), model(material[0], "\x1b[31m"), model(material[0], "x" * 500))
    _, found = look(home, fake)
    assert found["clusters"] == [] and found["backends"][0]["state"] == "ok"


def test_a_proxy_that_accepts_and_stalls(home, fake, material):
    with socket.socket() as stall:
        stall.bind(("127.0.0.1", 0))
        stall.listen(16)
        fake.clusters(model(material[0]))
        _, found = look(home, fake, f"127.0.0.1:{stall.getsockname()[1]}")
    row = found["clusters"][0]
    assert row["status"] in ("unresponsive", "unreachable", "running") and row["workers"]["ready"] is None and row["clients"] is None
    assert row["verdict"]["state"] == "unknown"
    assert found["backends"][0]["state"] in ("ok", "slow")


def serve_tls(path, hello):
    """A TLS port with that certificate; gives its address. hello is what it says first; then it closes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path / "cert", path / "key")
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as stream:
                    stream.sendall(hello)
            except OSError:
                pass
    threading.Thread(target=run, daemon=True).start()
    return listener


def test_a_certificate_that_is_not_the_clusters(home, fake, material):
    with serve_tls(material[1], b"") as listener:
        fake.clusters(model(material[0]))
        _, found = look(home, fake, f"127.0.0.1:{listener.getsockname()[1]}")
    row = found["clusters"][0]
    assert row["status"] == "unreachable" and row["workers"]["ready"] is None


def test_a_cluster_that_ends_while_it_is_probed(home, fake, material):
    """The proxy closes what it has no way for, in the middle of the handshake."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return
    threading.Thread(target=run, daemon=True).start()
    with listener:
        fake.clusters(model(material[0]), model(material[0], "feed", "PENDING"), model(material[0], "dead", "FAILED"))
        _, found = look(home, fake, f"127.0.0.1:{listener.getsockname()[1]}")
    rows = {c["name"]: c for c in found["clusters"]}
    assert rows[NAME]["status"] in ("unreachable", "unknown") and rows[NAME]["verdict"]["state"] == "unknown"
    assert rows["feed"]["status"] == "pending" and rows["feed"]["verdict"]["state"] == "starting"
    assert rows["dead"]["status"] == "failed"


def test_several_gateways(home, fake, material):
    """One that is dead delays and hides nobody."""
    fake.clusters(model(material[0]))
    home.config(f"""\
dasktop:
  auto: false
  backends:
    uni: {{type: gateway, address: '{fake.address}', proxy-address: '127.0.0.1:9', timeout: 2s}}
    work: {{type: gateway, address: 'http://127.0.0.1:9', timeout: 2s}}
""")
    done = home.run("list", "-o", "json")
    found = json.loads(done.stdout)
    assert done.returncode == 3 and [c["id"] for c in found["clusters"]] == [f"uni/{NAME}"]
    assert {b["name"]: b["state"] for b in found["backends"]} == {"uni": "ok", "work": "failed"}
