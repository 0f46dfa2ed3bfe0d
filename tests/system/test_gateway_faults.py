"""Gateways that misbehave: one clear line each, no secret, nobody else delayed."""
import contextlib
import datetime
import http.server
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest
import rig as rigs

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
                fake.headers.append(self.headers)
                status, kind, body = fake.answer(self.path)
                self.send_response(status)
                if fake.cookie:
                    self.send_header("Set-Cookie", fake.cookie)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body) + fake.missing))
                self.end_headers()
                self.wfile.write(body)

            def date_time_string(self, timestamp=None):
                return super().date_time_string((timestamp or time.time()) + fake.ahead)

            def log_message(self, *_):
                pass

        self.asked, self.headers, self.missing, self.cookie, self.ahead = [], [], 0, None, 0
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


def look(home, fake, proxy="127.0.0.1:9", timeout="2s", probe="full"):
    home.config(f"""\
dasktop:
  auto: false
  backends:
    hub: {{type: gateway, address: '{fake.address}', proxy-address: '{proxy}', timeout: {timeout}, probe: {probe},
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
    "a token that the Hub does not know": (500, "application/json", b'{"error": "Permission failure verifying user\'s JupyterHub API token"}', "needs sign-in", "expired"),
    "its Hub is down": (502, "application/json", b'{"error": "Upstream failure verifying user\'s JupyterHub API token"}', "failed", "Upstream failure"),
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


def test_nobody_is_asked_but_the_gateway(home, fake, material):
    """Then its word counts: not asked is not unknown."""
    fake.clusters(model(material[0]))
    _, found = look(home, fake, probe="off")
    row, = found["clusters"]
    assert row["status"] == "running" and row["workers"]["ready"] is None and row["clients"] is None and found["backends"][0]["state"] == "ok"
    assert [path for path, _ in fake.asked] == ["/api/v1/clusters/?status=pending,running,stopping"]


def test_who_stands_between_programs_and_the_network_is_not_passed_by(home, fake, material, tmp_path):
    """As torsocks does, by a library that is preloaded."""
    library = tmp_path / "between.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, pathlib.Path(__file__).with_name("between.c")], check=True)
    fake.clusters(model(material[0]))
    home.env.update(LD_PRELOAD=str(library), BETWEEN=str(tmp_path / "connections"))
    _, found = look(home, fake, probe="off")
    assert len(found["clusters"]) == 1 and (tmp_path / "connections").read_text().count("inet") == 1


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
    assert "its certificate was not accepted" in row["verdict"]["evidence"][0]


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


@contextlib.contextmanager
def many(home, count, stalled=0, status=200, timeout="30s"):
    """A gateway of so many schedulers, which is configured; their names."""
    script = pathlib.Path(__file__).parent.parent / "bench/fake_gateway.py"
    with subprocess.Popen([sys.executable, script, *map(str, (count, stalled, status))], stdout=subprocess.PIPE, text=True) as child:
        try:
            there = json.loads(child.stdout.readline())
            home.config(f"dasktop: {{auto: false, timeout: {timeout}, backends: {{gateway: {{address: '{there['address']}', proxy-address: '{there['proxy']}'}}}}}}\n")
            yield there["names"]
        finally:
            child.kill()


def test_who_hangs_holds_nobody_up(home):
    """More schedulers that take the connection and say nothing than are asked at once, before three that answer: these answer long before the others' time is over."""
    with many(home, 73, stalled=70, timeout="120s") as names, \
            subprocess.Popen([home.program, "list", "--watch", "-o", "json"], env=home.env, stdout=subprocess.PIPE, text=True) as child:
        limit = threading.Timer(80, child.kill)
        limit.start()
        missing = set(names[70:])
        for line in child.stdout:
            cluster = json.loads(line).get("cluster") or {}
            if cluster.get("clients") is not None:
                missing.discard(cluster["name"])
            if not missing:
                break
        limit.cancel()
        child.kill()
    assert not missing


@pytest.mark.parametrize("status", [404, 502])
def test_dashboards_that_cannot_be_reached(home, status):
    """Their schedulers answer all the same: what only a dashboard counts is unknown."""
    with many(home, 3, status=status) as names:
        rows = {c["name"]: c for c in home.list()["clusters"]}
    assert [(rows[name]["status"], rows[name]["clients"]) for name in names] == [("running", None)] * 3
    assert all(rows[name]["workers"]["ready"] is not None and "scale" in rows[name]["can"] for name in names)


def test_a_cookie_is_sent_back(home, fake, material):
    """So the gateway asks the Hub, or looks at the ticket, once in five minutes instead of in every look."""
    fake.clusters(model(material[0], status="PENDING"))
    fake.cookie = "dask-gateway-6f0f=43e2; Max-Age=600; Path=/"
    home.config(f"dasktop: {{auto: false, refresh: 1s, backends: {{gateway: {{address: '{fake.address}'}}}}}}\n")
    with subprocess.Popen([home.program, "list", "--watch", "-o", "json"], env=home.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        rigs.until(lambda: len(fake.asked) >= 2, 30)
        child.terminate()
        child.stdout.read()
    assert fake.headers[0].get("Cookie") is None and fake.headers[1].get("Cookie") == "dask-gateway-6f0f=43e2"
    assert not [p for p in home.path.rglob("*") if p.is_file() and b"43e2" in p.read_bytes()]


def test_another_clock(home, fake, material):
    """Its clock is an hour ahead of ours: a cluster of this minute is not one of the future."""
    one = model(material[0], status="PENDING")
    fake.ahead = 3600
    fake.clusters(dict(one, start_time=one["start_time"] + 3600_000))
    _, found = look(home, fake)
    created = datetime.datetime.fromisoformat(found["clusters"][0]["created"].replace("Z", "+00:00")).timestamp()
    assert abs(created - one["start_time"] / 1000) < 30


def dask_config(home, text):
    where = home.path / ".config/dask"
    where.mkdir(parents=True, exist_ok=True)
    (where / "gateway.yaml").write_text(text)
    home.config("dasktop: {auto: false, timeout: 8s, backends: {gateway: {}}}\n")


def backend(home):
    return json.loads(home.run("backends", "-o", "json").stdout)["backends"][0]


PLACES = {  # Dask's own environment: proxy-address, where its schedulers are then
    "nothing": (None, "gateway://127.0.0.1:{port}"),
    "a port": ("8786", "gateway://127.0.0.1:8786"),
    "gateway://": ("gateway://proxy.example.org:99", "gateway://proxy.example.org:99"),
    "tls://": ("tls://[::1]:99", "gateway://[::1]:99"),
    "a host and a port": ("proxy.example.org:99", "gateway://proxy.example.org:99"),
    "a template": ("{{GW_HOST}}:99", "gateway://proxy.example.org:99"),
}


@pytest.mark.parametrize("place", PLACES)
def test_places_of_dasks_environment(home, fake, material, place):
    """Nothing of dasktop's, no file: DASK_GATEWAY__… alone."""
    proxy, address = PLACES[place]
    fake.clusters(model(material[0], status="PENDING"), model(material[0], "f00d"))
    home.config("dasktop: {auto: false, timeout: 2s, backends: {gateway: {}}}\n")
    home.env.update(DASK_GATEWAY__ADDRESS="http://{GW}/", GW=fake.address.removeprefix("http://"), GW_HOST="proxy.example.org", DASK_GATEWAY__AUTH__TYPE="jupyterhub",
                    DASK_GATEWAY__AUTH__KWARGS__API_TOKEN="{HUB}", HUB=TOKEN, DASK_GATEWAY__PUBLIC_ADDRESS="https://{GW_HOST}/dask/")
    if proxy:
        home.env["DASK_GATEWAY__PROXY_ADDRESS"] = proxy.replace("{{", "{").replace("}}", "}")
    rows = {c["name"]: c for c in home.list()["clusters"]}
    assert rows[NAME]["address"] == address.format(port=fake.server.server_port) + "/" + NAME and rows[NAME]["status"] == "pending" and rows[NAME]["dashboard"] is None
    assert rows["f00d"]["dashboard"] == "https://proxy.example.org/dask/clusters/f00d/status"
    assert fake.asked[0][1] == f"jupyterhub {TOKEN}"


UNUSABLE = {
    "nothing is configured": ("gateway: {address: null, auth: {type: basic}}", "absent", "no gateway is configured"),
    "Python of its own": ("gateway: {address: 'http://127.0.0.1:9', auth: {type: my.Auth}}", "failed", "my.Auth"),
    "a password in the address": ("gateway: {address: 'http://me:hush-hush@127.0.0.1:9'}", "failed", "below `auth`"),
    "no address": ("gateway: {address: 'over there'}", "failed", "cannot be understood"),
    "a proxy-address that is none": ("gateway: {address: 'http://127.0.0.1:9', proxy-address: 'proxy:hush-hush'}", "failed", "proxy-address"),
    "a token that is not there": ("gateway: {address: 'http://127.0.0.1:9', auth: {type: jupyterhub}}", "needs sign-in", "JUPYTERHUB_API_TOKEN"),
    "a variable that is not there": ("gateway: {address: 'http://{NOT_THERE}'}", "absent", "NOT_THERE"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_config_that_cannot_be_used(home, what):
    text, state, words = UNUSABLE[what]
    dask_config(home, text)
    found = backend(home)
    assert found["state"] == state and words in found["error"] and "hush-hush" not in found["error"], found


def test_dasks_secrets_are_for_dasks_gateway(home, fake, material):
    """Another gateway that dasktop's config names does not get them; the same one, written again, does."""
    fake.clusters(model(material[0]))
    dask_config(home, f"gateway: {{address: '{fake.address}/', auth: {{type: jupyterhub, kwargs: {{api_token: {TOKEN}}}}}}}")
    for address, header in ((fake.address, f"jupyterhub {TOKEN}"), (fake.address.replace("127.0.0.1", "localhost"), "Basic ")):
        home.config(f"dasktop: {{auto: false, timeout: 2s, backends: {{gateway: {{address: '{address}'}}}}}}\n")
        home.list()
        assert fake.asked[-1][1].startswith(header) and (TOKEN in fake.asked[-1][1]) == (TOKEN in header)


def test_through_an_http_proxy(home, fake, material):
    """Dask's gateway.http-client.proxy: the gateway and its dashboards are asked through it, its password is shown to nobody else."""
    dask_config(home, "gateway: {address: 'http://gateway.invalid:8000', http-client: {proxy: 'http://me:{PROXY_PASSWORD}@%s'}}" % fake.address.removeprefix("http://"))
    home.env["PROXY_PASSWORD"] = "hush-hush"
    body = json.dumps({NAME: model(material[0], status="PENDING")}).encode()
    fake.answer = lambda path: (200, "application/json", body)
    row = home.list()["clusters"][0]
    assert row["status"] == "pending"
    assert fake.asked[0][0].startswith("http://gateway.invalid:8000/api/v1/clusters/")
    assert fake.headers[0]["Proxy-Authorization"] == "Basic bWU6aHVzaC1odXNo"
    fake.server.shutdown()
    fake.server.server_close()
    done = home.run("list")
    assert done.returncode == 1 and "hush-hush" not in done.stdout + done.stderr
