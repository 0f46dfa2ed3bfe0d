"""API servers, kubeconfigs and plugins that misbehave: one clear line each, no secret, nobody else delayed. What the server says was
recorded from a real one (kube_server.py)."""
import base64
import json
import random
import signal
import subprocess
import threading
import time

import pytest

import rig as rigs
from kube_server import TOKEN, Server, authority, capture
from kube_streams import Streams
from ui.tui import Tui

V1 = "client.authentication.k8s.io/v1"
CLUSTERS = {"prod:lab/default/alpha", "prod:lab/team-a/beta", "prod:lab/team-b/gamma"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return authority(tmp_path_factory.mktemp("pki"), "lab")


@pytest.fixture
def server(tmp_path, pki):
    with Server(tmp_path, pki) as server:
        yield server


def configure(home, path, timeout="5s", more="", others=""):
    home.config(f"dasktop:\n  auto: false\n  backends:\n    prod: {{type: kubernetes, kubeconfig: '{path}', timeout: {timeout}{more}}}\n{others}")


def look(home, path, *arguments, seconds=60, **options):
    """`list`: its finished process, the clusters' ids, the backend's row."""
    configure(home, path, **options)
    done = home.run("list", "-o", "json", *arguments, timeout=seconds, env={"DASKTOP_LOG": str(home.path / "log")})
    secrets_are_kept(home, done.stdout + done.stderr)
    found = json.loads(done.stdout)
    row = next(b for b in found["backends"] if b["name"] == "prod")
    assert row["error"] is None or "\n" not in row["error"]
    return done, {c["id"] for c in found["clusters"] if c["backend"] == "prod"}, row


def secrets_are_kept(home, text):
    log = home.path / "log"
    text += log.read_text() if log.exists() else ""
    for secret in (TOKEN, "PRIVATE KEY", "SECRET"):
        assert secret not in text, text


class Watched:
    """`list --watch -o json` while the test goes on."""

    def __init__(self, home, path, **options):
        configure(home, path, **options)
        self.home, self.lines = home, []
        self.process = subprocess.Popen([home.program, "list", "--watch", "-o", "json"], env=dict(home.env, DASKTOP_LOG=str(home.path / "log")), text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.thread = threading.Thread(target=lambda: self.lines.extend(json.loads(line) for line in iter(self.process.stdout.readline, "")), daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
        self.thread.join(20)
        secrets_are_kept(self.home, json.dumps(self.lines) + self.process.stderr.read())

    def rows(self):
        """What is there now, by id."""
        rows = {}
        for line in list(self.lines):
            if line["event"] == "cluster":
                rows[line["cluster"]["id"]] = line["cluster"]
            elif line["event"] == "gone":
                rows.pop(line["id"], None)
        return rows

    def until(self, test, what):
        return rigs.until(lambda: test(self.rows()), every=0.02, what=lambda: (what, self.lines))

    def until_all(self, ids=CLUSTERS):
        self.until(lambda rows: set(rows) == ids, ids)


# ------------------------------------------------------------------------------------------------------------------ sign-in


def test_the_recorded_clusters_are_found(home, server):
    done, ids, row = look(home, server.kubeconfig())
    assert ids == CLUSTERS and row["state"] == "ok" and row["error"] is None and row["instance"] == "lab" and done.returncode == 0


def test_one_connection_for_all_lists(home, server):
    """Lists that are larger than what curl holds of one stream, whose frames come mixed."""
    for seed in range(12):
        chance = random.Random(seed)
        for plural, objects in server.objects.items():
            for item in objects.values():
                item["metadata"].setdefault("annotations", {})["about"] = "x" * chance.choice([10, 5000, 16384, 40000])
        with Streams(server, together=8, seed=seed) as streams:
            server.url = streams.url
            done, ids, row = look(home, server.kubeconfig(), seconds=20)
            assert done.returncode == 0 and row["state"] == "ok" and ids == CLUSTERS and streams.connections == 1, (seed, streams.connections, [a.path for a in server.asked][-16:])


def test_an_expired_token(home, server):
    server.tokens.clear()
    done, ids, row = look(home, server.kubeconfig())
    assert not ids and row["state"] == "needs sign-in" and "token of user ada" in row["error"] and done.returncode in (1, 6)
    assert len(server.asked) < 40, [a.path for a in server.asked]


def test_a_token_that_expires_while_one_looks(home, server):
    """The file it came from is read again, and everything goes on."""
    (server.folder / "token").write_text(TOKEN + "\n")
    with Watched(home, server.kubeconfig(user={"tokenFile": "token"})) as watched:
        watched.until_all()
        server.tokens = {"another-SECRET"}
        (server.folder / "token").write_text("another-SECRET\n")
        server.break_watches()
        server.remove("daskclusters", "team-b", "gamma")
        for kind in ("pods", "daskworkergroups", "services"):
            for space, name in list(server.objects[kind]):
                if space == "team-b":
                    server.remove(kind, space, name)
        watched.until_all(CLUSTERS - {"prod:lab/team-b/gamma"})


def test_a_wrong_authority(home, server, tmp_path):
    other = base64.b64encode((authority(tmp_path / "other", "other") / "ca.pem").read_bytes()).decode()
    _, ids, row = look(home, server.kubeconfig(cluster={"certificate-authority-data": other}))
    assert not ids and row["state"] in ("denied", "failed") and "certificate" in row["error"]
    assert not server.asked


def test_not_verified_is_said_all_the_time(home, server):
    done, ids, row = look(home, server.kubeconfig(cluster={"insecure-skip-tls-verify": True}))
    assert ids == CLUSTERS and row["state"] == "ok" and row["caution"] == "TLS not verified"
    assert "prod:lab: TLS not verified" in done.stderr and "TLS not verified" in home.run("backends").stdout
    with Tui([home.program], env=home.env, cols=120, rows=24) as screen:
        screen.wait("alpha")
        screen.wait("not verified")


def test_a_name_of_its_own_on_the_certificate(home, tmp_path):
    pki = authority(tmp_path / "named", "named", names="DNS:api.internal")
    ca = base64.b64encode((pki / "ca.pem").read_bytes()).decode()
    with Server(tmp_path, pki) as server:
        _, ids, row = look(home, server.kubeconfig())
        assert not ids and "certificate" in row["error"]
        _, ids, _ = look(home, server.kubeconfig(cluster={"certificate-authority-data": ca, "tls-server-name": "api.internal"}))
        assert ids == CLUSTERS
        assert {a.headers["Host"] for a in server.asked} == {f"127.0.0.1:{server.port}"}


def test_who_one_acts_as(home, server):
    look(home, server.kubeconfig(user={"token": TOKEN, "as": "bob", "as-groups": ["dev", "ops"], "as-user-extra": {"scopes": ["few"]}}))
    for ask in server.asked:
        assert ask.headers["Impersonate-User"] == "bob" and ask.headers.get_all("Impersonate-Group") == ["dev", "ops"]
        assert ask.headers["Impersonate-Extra-scopes"] == "few"


def plugin(server, body, mode="Never"):
    """A user's entry whose credentials a script gives; its runs are counted."""
    path = server.folder / "plugin"
    path.write_text(f"#!/bin/sh\necho run >> {server.folder}/runs\n{body}\n")
    path.chmod(0o700)
    return {"exec": {"apiVersion": V1, "command": "./plugin", "interactiveMode": mode}}


def runs(server):
    path = server.folder / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


def prints(token):
    return "echo '%s'" % json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": token}})


def test_one_run_of_a_plugin_serves_all(home, server):
    done, ids, _ = look(home, server.kubeconfig(user=plugin(server, "sleep 0.3\n" + prints(TOKEN))))
    assert ids == CLUSTERS and runs(server) == 1, done.stderr


BAD_PLUGINS = {
    "prints garbage": ("echo 'token SECRET <html>'", "failed", "is no ExecCredential"),
    "prints nothing": ("true", "failed", "is no ExecCredential"),
    "fails": ("echo SECRET; echo 'The SSO session has expired' >&2; exit 255", "needs sign-in", "255: The SSO session has expired"),
    "floods": ("yes SECRET", "failed", "wrote more than"),
    "gives a token that is refused": (prints("SECRET-of-yesterday"), "needs sign-in", "does not take what"),
}


@pytest.mark.parametrize("what", BAD_PLUGINS)
def test_a_plugin_that(home, server, what):
    body, state, words = BAD_PLUGINS[what]
    done, ids, row = look(home, server.kubeconfig(user=plugin(server, body)))
    assert not ids and row["state"] == state and words in row["error"], row
    assert runs(server) <= 3


def test_a_plugin_that_wants_a_terminal(home, server):
    _, ids, row = look(home, server.kubeconfig(user=plugin(server, prints(TOKEN), "Always")))
    assert not ids and row["state"] == "needs sign-in" and "terminal" in row["error"] and runs(server) == 0


def test_signing_in_at_the_terminal(home, server):
    """`:login` runs kubectl's own sign-in there; what the plugin kept of it then serves dasktop, too."""
    tools = home.path / "tools"
    tools.mkdir()
    (tools / "kubectl").write_text(f"#!/bin/sh\necho \"$@\" > {server.folder}/kubectl\necho 'who are you?'\nread name\necho $name > {server.folder}/name\n")
    (tools / "kubectl").chmod(0o700)
    home.env["PATH"] = f"{tools}:{home.env['PATH']}"
    path = server.kubeconfig(user=plugin(server, f"[ -s {server.folder}/name ] || exit 1\n" + prints(TOKEN), "Always"))
    configure(home, path)
    with Tui([home.program], env=home.env, cols=120, rows=24) as screen:
        screen.wait("needs sign-in")
        screen.send(":login prod\r")
        screen.wait("who are you")
        screen.send("ada\r")
        screen.wait("alpha")
    assert (server.folder / "kubectl").read_text() == f"--kubeconfig={path} --context=lab version\n" and runs(server) == 1


def test_a_plugin_that_hangs_delays_nobody_else(home, server, rig):
    scheduler = rig.scheduler()
    others = f"    here: {{type: scheduler, addresses: ['{scheduler.address}']}}\n"
    began = time.monotonic()
    done, ids, row = look(home, server.kubeconfig(user=plugin(server, "sleep 1000")), timeout="2s", others=others)
    assert time.monotonic() - began < 20 and not ids and row["state"] in ("slow", "failed")
    assert done.returncode == 3 and scheduler.address in done.stdout


BROKEN = {
    "no such context": (None, "context: gone", "there is no context gone"),
    "an old kind of user": ({"user": {"auth-provider": {"name": "gcp", "config": {"access-token": "SECRET"}}}}, "", "auth-provider gcp is not supported"),
    "no base64": ({"user": {"client-certificate-data": "*SECRET*", "client-key-data": "SECRET"}}, "", "client-certificate-data is no base64"),
    "a file that is not there": ({"cluster": {"certificate-authority": "gone.pem"}}, "", "gone.pem"),
    "no program of that name": ({"user": {"exec": {"apiVersion": V1, "command": "no-such-plugin", "interactiveMode": "Never", "installHint": "ask your admin"}}}, "",
                                "there is no such program: ask your admin"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_kubeconfig_with(home, server, what):
    entries, option, words = BROKEN[what]
    path = server.kubeconfig(**(entries or {}))
    done, ids, row = look(home, path, more=f", {option}" if option else "")
    assert not ids and row["state"] in ("failed", "absent") and words in row["error"], row
    assert not server.asked


def test_a_kubeconfig_that_is_none(home, server):
    path = server.kubeconfig()
    path.write_text("clusters: [\n")
    _, ids, row = look(home, path)
    assert not ids and row["state"] == "failed" and row["error"].startswith(f"{path}:2:1: not YAML"), row


# ------------------------------------------------------------------------------------------------------------- what it says


def test_it_has_too_much_to_do(home, server):
    """429 with Retry-After: asked again when it said, not before, and everything comes."""
    asked = {}

    def busy(ask):
        times = asked.setdefault(ask.handler.path, [])
        times.append(time.monotonic())
        return ask.is_list() and len(times) == 1 and ask.refuse(429, "TooManyRequests", "please try again later", headers=[("Retry-After", "1")])
    server.faults.append(busy)
    with Watched(home, server.kubeconfig()) as watched:
        watched.until_all()
    times = next(times for path, times in asked.items() if "/daskclusters?limit" in path)
    assert times[1] - times[0] > 0.95


def test_it_has_always_too_much_to_do(home, server):
    server.faults.append(lambda ask: ask.is_list() and ask.refuse(429, "TooManyRequests", "please try again later", headers=[("Retry-After", "60")]))
    _, ids, row = look(home, server.kubeconfig(), timeout="2s")
    assert not ids and "please try again later" in row["error"]
    assert len(server.asked) < 30, [a.path for a in server.asked]


def forbidden(ask, *spaces):
    """Nothing cluster-wide, and not these namespaces."""
    if ask.method == "GET" and ask.known and (ask.space is None or ask.space in spaces):
        return ask.refuse(403, "Forbidden", f'{ask.plural} is forbidden: User "ada" cannot list resource "{ask.plural}" in the namespace "{ask.space}"')
    if ask.path == "/api/v1/namespaces":
        return ask.refuse(403, "Forbidden", 'namespaces is forbidden: User "ada" cannot list resource "namespaces" at the cluster scope')
    return False


def test_half_of_the_namespaces_are_forbidden(home, server):
    server.faults.append(lambda ask: forbidden(ask, "team-b", "team-c"))
    done, ids, row = look(home, server.kubeconfig(), more=", namespace: [default, team-a, team-b, team-c]")
    assert ids == CLUSTERS - {"prod:lab/team-b/gamma"} and row["state"] == "partial" and "team-b" in row["error"], row
    assert done.returncode == 3


def test_only_one_s_own_namespace(home, server):
    """Where neither everything nor the list of namespaces may be read, the context's own is looked into."""
    server.faults.append(lambda ask: forbidden(ask, "default", "team-b"))
    _, ids, row = look(home, server.kubeconfig(namespace="team-a"))
    assert ids == {"prod:lab/team-a/beta"} and row["state"] in ("ok", "partial"), row


def test_everything_is_forbidden(home, server):
    server.faults.append(lambda ask: forbidden(ask, "default", "team-a", "team-b"))
    done, ids, row = look(home, server.kubeconfig())
    assert not ids and row["state"] == "denied" and "forbidden" in row["error"] and done.returncode in (1, 6), row


def test_dask_is_not_installed(home, server):
    """No such kind: that is no failure. Pods of a KubeCluster of old may still be there."""
    server.faults.append(lambda ask: "dask.org" in ask.path and ask.say(404, "404 page not found\n", "text/plain; charset=utf-8"))
    for kind in server.objects.values():
        kind.clear()
    done, ids, row = look(home, server.kubeconfig())
    assert not ids and done.returncode == 0 and row["state"] in ("ok", "absent"), row


def test_a_web_page_in_front_of_it(home, server):
    server.faults.append(lambda ask: ask.say(200, "<!doctype html><html>sign in with your badge: SECRET</html>", "text/html; charset=utf-8"))
    _, ids, row = look(home, server.kubeconfig())
    assert not ids and row["state"] == "failed" and "web page" in row["error"], row


def test_it_sends_one_elsewhere(home, server):
    """Credentials stay where they belong."""
    other = Server(server.folder, server.pki)
    with other:
        server.faults.append(lambda ask: ask.say(302, "", "text/html", headers=[("Location", other.url + ask.path)]))
        _, ids, row = look(home, server.kubeconfig())
        assert not ids and row["state"] == "failed" and "web page" in row["error"], row
        assert not other.asked


def test_no_answer_at_all_delays_nobody_else(home, server, rig):
    scheduler = rig.scheduler()
    stalled = threading.Event()
    server.faults.append(lambda ask: stalled.wait(30) or ask.cut())
    others = f"    here: {{type: scheduler, addresses: ['{scheduler.address}']}}\n"
    began = time.monotonic()
    done, ids, row = look(home, server.kubeconfig(), timeout="1s", others=others)
    stalled.set()
    assert time.monotonic() - began < 15 and not ids and row["state"] in ("slow", "failed"), row
    assert done.returncode == 3 and scheduler.address in done.stdout


def test_a_list_that_is_cut(home, server):
    """In the middle of an object: it is asked for again, and nothing is taken for gone meanwhile."""
    cuts = []

    def cut(ask):
        if ask.is_list("daskclusters") and len(cuts) < 1:
            cuts.append(ask)
            body = capture("daskclusters-list-all-namespaces.json")
            return ask.say(200, body[:len(body) // 2], length=len(body))
    server.faults.append(cut)
    with Watched(home, server.kubeconfig()) as watched:
        watched.until_all()
    assert len(cuts) == 1 and not [line for line in watched.lines if line["event"] == "gone"]


# ---------------------------------------------------------------------------------------------------------------- watching


def with_label(server, space, name, value):
    item = server.get("daskclusters", space, name)
    item["metadata"].setdefault("labels", {})["seen"] = value
    server.put("daskclusters", item)


def test_a_watch_that_is_too_old(home, server):
    """410 in its middle: listed again; what came and went meanwhile is known, and nothing else goes."""
    with Watched(home, server.kubeconfig()) as watched:
        watched.until_all()
        server.deaf = True  # what happens now no watch hears of
        with_label(server, "default", "alpha", "later")
        new = server.get("daskclusters", "team-a", "beta")
        new["metadata"].update(name="delta", uid="d0000000-0000-0000-0000-000000000000")
        server.put("daskclusters", new)
        server.remove("daskclusters", "team-b", "gamma")
        for kind in ("pods", "daskworkergroups", "services"):
            for space, name in list(server.objects[kind]):
                if space == "team-b":
                    server.remove(kind, space, name)
        server.deaf = False
        server.break_watches(capture("watch-error-410-expired.ndjson"))
        watched.until_all(CLUSTERS - {"prod:lab/team-b/gamma"} | {"prod:lab/team-a/delta"})
        watched.until(lambda rows: rows["prod:lab/default/alpha"]["labels"].get("seen") == "later", "the label")
    assert {line["id"] for line in watched.lines if line["event"] == "gone"} == {"prod:lab/team-b/gamma"}


def test_a_watch_that_is_cut_in_the_middle_of_an_event(home, server):
    """It goes on where it was: no event is lost, none is half taken."""
    with Watched(home, server.kubeconfig()) as watched:
        watched.until_all()
        server.cut_next = True
        with_label(server, "default", "alpha", "one")
        with_label(server, "default", "alpha", "two")
        watched.until(lambda rows: rows["prod:lab/default/alpha"]["labels"].get("seen") == "two", "the label")
        watched.until_all()
    assert not server.cut_next and not [line for line in watched.lines if line["event"] == "gone"]


def test_watching_is_not_permitted(home, server):
    """Then it is asked at intervals, and said."""
    server.faults.append(lambda ask: ask.is_watch() and ask.refuse(403, "Forbidden", f'{ask.plural} is forbidden: User "ada" cannot watch resource'))
    with Watched(home, server.kubeconfig(), more=", refresh: 1s") as watched:
        watched.until_all()
        with_label(server, "default", "alpha", "later")
        watched.until(lambda rows: rows["prod:lab/default/alpha"]["labels"].get("seen") == "later", "the label")


def test_garbage_on_a_watch(home, server):
    with Watched(home, server.kubeconfig()) as watched:
        watched.until_all()
        for garbage in (b"\x00\xff{]\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":{}}\n', b'{"type":"ADDED","object":{"metadata":{"resourceVersion":"9"}}}\n'):
            server.break_watches(garbage)
        with_label(server, "default", "alpha", "after")
        watched.until(lambda rows: rows["prod:lab/default/alpha"]["labels"].get("seen") == "after", "the label")
        watched.until_all()


def test_the_tree_s_lines_end_where_it_ends(home, server):
    configure(home, server.kubeconfig())
    with Tui([home.program], env=home.env, cols=150, rows=40) as screen:
        screen.wait("beta")
        screen.send(":filter name:beta\r")
        screen.wait("name:beta")
        screen.send("t")
        screen.wait("└─ pod beta")
        lines = screen.text().splitlines()
    for above, below in zip(lines, lines[1:]):
        for place, sign in enumerate(above):
            assert sign not in "├│" or below[place:place + 1] in tuple("├│└"), "\n".join(lines)


# --------------------------------------------------------------------------------------------------------------- permissions


def test_who_may_not_list_clusters_is_told_nothing_of_their_end(home, server):
    """Pods whose DaskCluster one may not see are no pods without one."""
    def hidden(ask):
        return ask.path == "/api/v1/namespaces" and ask.refuse(403, "Forbidden", "namespaces is forbidden") or \
            ask.is_list("daskclusters") and ask.refuse(403, "Forbidden", "daskclusters is forbidden")
    server.remove("pods", "team-a", next(name for space, name in server.objects["pods"] if space == "team-a" and name.startswith("beta-scheduler")))
    server.faults.append(hidden)
    look(home, server.kubeconfig())
    shown = home.run("show", "prod:lab/team-a/beta", "-o", "json")
    assert shown.returncode == 0, shown.stderr
    verdict = json.loads(shown.stdout)["cluster"]["verdict"]
    assert verdict["state"] != "orphaned" and "404" not in json.dumps(verdict), verdict


def row_of_beta(home, status=0):
    return next(c for c in home.list(status=status)["clusters"] if c["id"] == "prod:lab/team-a/beta")


def test_what_is_not_seen_is_not_deleted(home, server):
    """Nor taken for what is left: its DaskCluster is there, and one may not list it."""
    server.faults.append(lambda ask: ask.is_list("daskclusters") and ask.refuse(403, "Forbidden", "daskclusters is forbidden"))
    server.faults.append(may_all)
    configure(home, server.kubeconfig())
    found = row_of_beta(home, 3)
    why = "its DaskCluster is not seen: may daskclusters be listed?"
    assert found["cannot"]["delete"] == found["cannot"]["scale"] == why, found["cannot"]
    done = home.run("delete", found["id"], "--yes", "--force")
    assert done.returncode == 6 and why in done.stderr, done.stderr
    assert deleted(server) == []
    assert "objects of a DaskCluster that is not seen" in home.run("show", found["id"]).stdout


def test_pods_that_may_not_be_listed_are_not_none(home, server):
    server.faults.append(lambda ask: ask.is_list("pods") and ask.refuse(403, "Forbidden", "pods is forbidden"))
    server.faults.append(may_all)
    configure(home, server.kubeconfig())
    found = row_of_beta(home, 3)
    assert found["resources"] is None and found["cannot"]["logs"] == found["cannot"]["connect"] == "its pods may not be listed", found["cannot"]
    assert "workers" not in home.run("delete", found["id"], "--dry-run").stdout.splitlines()[0]
    server.faults.append(lambda ask: ask.method == "PATCH" and ask.say(200, server.get("daskworkergroups", "team-a", ask.name)))
    scaled = home.run("scale", found["id"], "1", "--group", "default")
    assert scaled.returncode == 3 and "its pods may not be listed" in scaled.stderr, scaled.stderr


def test_a_scheduler_that_will_come_again_is_not_gone(home, server):
    """Its pod was evicted, and there is no room for another one yet: its Deployment will make it."""
    server.remove("pods", "team-a", next(name for space, name in server.objects["pods"] if space == "team-a" and name.startswith("beta-scheduler")))
    configure(home, server.kubeconfig())
    verdict = lambda: row_of_beta(home)["verdict"]
    assert verdict()["state"] != "orphaned", verdict()
    shown = lambda: json.loads(home.run("show", "prod:lab/team-a/beta", "-o", "json").stdout)["cluster"]["verdict"]
    assert shown()["state"] != "orphaned", shown()
    server.remove("deployments", "team-a", "beta-scheduler")
    assert verdict()["state"] == "orphaned" and shown()["state"] == "orphaned"
    server.faults.append(lambda ask: ask.is_list("deployments") and ask.refuse(403, "Forbidden", "deployments is forbidden"))
    assert verdict()["state"] != "orphaned" and shown()["state"] != "orphaned", "nothing is concluded from what may not be listed"


def test_all_contexts_of_one_who_may_list_only_their_namespaces(home, server):
    """Two of them are the same but for their namespace: one row of backends, and both are looked into."""
    path = server.kubeconfig(namespace="team-a")
    config = json.loads(path.read_text())
    other = json.loads(json.dumps(config["contexts"][0]))
    other["name"] = "other"
    other["context"]["namespace"] = "team-b"
    config["contexts"].append(other)
    path.write_text(json.dumps(config))
    server.faults.append(lambda ask: forbidden(ask, "default"))
    _, ids, row = look(home, path, more=", context: '*'")
    assert ids == {"prod:lab/team-a/beta", "prod:lab/team-b/gamma"} and row["instance"] == "lab", (ids, row)
    _, ids, _ = look(home, path, more=", context: lab")
    assert ids == {"prod:lab/team-a/beta"}, "only the one that was asked for"
def test_what_adapts_already_is_patched(home, server):
    """Who may only change DaskAutoscalers adapts what has one, and cannot make what has none do so."""
    rules = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["daskclusters", "daskworkergroups", "pods"]},
             {"verbs": ["patch"], "apiGroups": ["kubernetes.dask.org"], "resources": ["daskautoscalers"]}]
    server.faults.append(lambda ask: ask.path.endswith("/selfsubjectrulesreviews") and ask.say(201, {"status": {"resourceRules": rules, "incomplete": False}}))
    server.put("daskautoscalers", {"metadata": {"name": "alpha", "namespace": "default", "uid": "scaler-1", "creationTimestamp": "2026-11-23T06:48:33Z"},
                                   "spec": {"cluster": "alpha", "minimum": 1, "maximum": 2}})
    configure(home, server.kubeconfig())
    found = {c["name"]: c for c in json.loads(home.run("list", "-o", "json").stdout)["clusters"]}
    assert "adapt" in found["alpha"]["can"] and "create daskautoscalers" in found["beta"]["cannot"]["adapt"]
    plan = home.run("scale", found["alpha"]["id"], "--adapt", "1:3", "--dry-run")
    assert plan.returncode == 0 and "PATCH" in plan.stdout, plan.stdout + plan.stderr
    assert home.run("scale", found["beta"]["id"], "--adapt", "1:3", "--dry-run").returncode == 6


def test_in_a_pod_no_port_forward_is_needed(home, server):
    """Whether a scheduler is reached directly is not known before it is tried: only from outside is that right all."""
    def no_forward(ask):
        rule = {"verbs": ["get", "list"], "apiGroups": ["*"], "resources": ["*"]}
        return ask.path.endswith("/selfsubjectrulesreviews") and ask.say(201, {"status": {"resourceRules": [rule], "incomplete": False}})
    server.faults.append(no_forward)
    configure(home, server.kubeconfig())
    outside, inside = (home.run("list", "-o", "json", env=more) for more in ({}, {"KUBERNETES_SERVICE_HOST": "127.0.0.1"}))
    outside, inside = ({c["name"]: c for c in json.loads(done.stdout)["clusters"]}["alpha"] for done in (outside, inside))
    assert outside["cannot"]["connect"] == "not permitted: create pods/portforward in default"
    assert "connect" in inside["can"] and "delete" in inside["cannot"], inside


# ----------------------------------------------------------------------------------------------------------------- changes


def test_two_of_one_name_in_two_namespaces(home, server):
    twin = server.get("daskclusters", "default", "alpha")
    twin["metadata"].update(namespace="team-a", uid="a0000000-0000-0000-0000-000000000001")
    server.put("daskclusters", twin)
    path = server.kubeconfig()
    _, ids, _ = look(home, path)
    assert ids == CLUSTERS | {"prod:lab/team-a/alpha"}
    done = home.run("show", "alpha")
    assert done.returncode == 5 and "prod:lab/default/alpha" in done.stderr and "prod:lab/team-a/alpha" in done.stderr
    done = home.run("delete", "alpha", "--yes", "--force")
    assert done.returncode == 5
    done = home.run("delete", "prod:lab/team-a/alpha", "--yes", "--force")
    assert done.returncode == 0, done.stderr
    assert ("default", "alpha") in server.objects["daskclusters"] and ("team-a", "alpha") not in server.objects["daskclusters"]
    assert ("default", "alpha-scheduler") in server.objects["services"]


def test_another_one_of_its_name_before_it_is_deleted(home, server):
    """Between the plan, which somebody has seen, and the answer to it: the new one stays."""
    configure(home, server.kubeconfig())
    with Tui([home.program, "delete", "prod:lab/default/alpha", "--force"], env=home.env, cols=140, rows=40) as screen:
        screen.wait(r"Type .*alpha|\[y/N\]|y/n")
        new = server.again("daskclusters", "default", "alpha")["metadata"]["uid"]
        screen.send("alpha\r" if screen.shows("Type") else "y\r")
        assert screen.wait_exit(30) == 6, screen.text()
    assert server.objects["daskclusters"]["default", "alpha"]["metadata"]["uid"] == new
    assert not [a for a in server.asked if a.method == "DELETE" and "dryRun" not in (a.body or {})]


def test_another_one_of_its_name_in_the_last_moment(home, server):
    """After the last look, too: the server itself refuses by the uid that the deletion names."""
    configure(home, server.kubeconfig())
    tried = []

    def replace(ask):
        if ask.method == "DELETE" and ask.plural == "daskclusters" and not ask.body.get("dryRun"):
            tried.append(ask.body)
            server.again("daskclusters", "default", "alpha")
        return False
    uid = server.objects["daskclusters"]["default", "alpha"]["metadata"]["uid"]
    server.faults.append(replace)
    done = home.run("delete", "prod:lab/default/alpha", "--yes", "--force")
    assert done.returncode == 6 and tried and tried[0]["preconditions"]["uid"] == uid, done.stderr
    assert tried[0]["propagationPolicy"] == "Foreground"
    assert ("default", "alpha") in server.objects["daskclusters"]


def may_all(ask):
    rule = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
    return ask.path.endswith("/selfsubjectrulesreviews") and ask.say(201, {"kind": "SelfSubjectRulesReview", "status": {"resourceRules": [rule], "incomplete": False}})


def deleted(server):
    return [ask.name for ask in server.asked if ask.method == "DELETE" and "dryRun" not in (ask.body or {})]


EVIL = "evil\x1b[31m\u202e\x07\n'\"\\); import os"


def test_no_text_of_a_server_reaches_the_terminal_as_it_came(home, server):
    """Nor Python: names that Kubernetes itself would never allow."""
    for kind, label in (("daskclusters", None), ("pods", "dask.org/cluster-name"), ("services", "dask.org/cluster-name"), ("daskworkergroups", None)):
        for space, name in list(server.objects[kind]):
            if space != "default" or not name.startswith("alpha"):
                continue
            item = server.get(kind, space, name)
            server.remove(kind, space, name)
            item["metadata"].update(name=name.replace("alpha", EVIL), labels={**item["metadata"].get("labels", {}), "user": EVIL, **({label: EVIL} if label else {})})
            if kind == "daskworkergroups":
                item["spec"]["cluster"] = EVIL
            if kind == "daskclusters":
                item["status"]["phase"] = EVIL
            server.put(kind, item)
    server.faults.append(may_all)
    server.faults.append(lambda ask: ask.sub == "log" and ask.say(200, "2026-11-23T06:48:33.000000000Z \x1b]0;title\x07\x1b[2J\n", "text/plain"))
    server.faults.append(lambda ask: ask.method == "DELETE" and ask.refuse(403, "Forbidden", f"{EVIL} is forbidden"))
    configure(home, server.kubeconfig())
    evil = next(c["id"] for c in home.list()["clusters"] if c["name"].startswith("evil"))
    runs = [["list", "-o", "wide"], ["show", evil], ["delete", evil, "--dry-run"], ["delete", evil, "--yes", "--force", "--timeout", "3s"], ["logs", evil, "-n", "5"], ["snippet", evil],
            ["scale", evil, "1", "--dry-run"], ["scale", evil, "1", "--group", EVIL, "--dry-run"], ["connect", evil, "--", "true"], ["journal"]]
    for words in runs:
        with Tui([home.program, *words], env={**home.env, "NO_COLOR": "1"}, cols=200, rows=50) as screen:
            screen.wait_exit(30)
            raw = bytes(screen.raw)
        assert not [sign for sign in ("\x1b[31m", "\u202e", "\x07", "\x1b]0;", "\x1b[2J") if sign.encode() in raw], (words, raw)
    assert "import os" not in home.run("snippet", evil).stdout


def test_what_is_left_of_a_gateways_cluster_is_deleted(home, server):
    """Its object has gone, so that no controller would end it."""
    def gateway(ask):
        if ask.group != "gateway.dask.org" or ask.method != "GET":
            return False
        other = {"metadata": {"name": "other", "namespace": "default", "uid": "b0000000-0000-0000-0000-000000000003"}, "spec": {"active": True}}
        return ask.say(200, {"kind": "DaskClusterList", "metadata": {"resourceVersion": "1"}, "items": [] if "fieldSelector" in ask.query else [other]})
    server.faults.append(gateway)
    pod = server.get("pods", "default", next(name for space, name in server.objects["pods"] if name.startswith("alpha-scheduler")))
    pod["metadata"].update(name="dask-scheduler-left", uid="b0000000-0000-0000-0000-000000000001", ownerReferences=[],
                           labels={"gateway.dask.org/cluster": "left", "app.kubernetes.io/component": "dask-scheduler"})
    server.put("pods", pod)
    server.faults.append(may_all)
    configure(home, server.kubeconfig())
    done = home.run("delete", "prod:lab/default/gateway/left", "--yes", "--force", "--timeout", "20s")
    assert done.returncode == 0 and deleted(server) == ["dask-scheduler-left"], done.stderr


def put_release(server, label):
    """As the Dask chart makes one: its service's ports have names of its own."""
    labels = {"app": "dask", "component": "scheduler", label: "uni"}
    pod = server.get("pods", "default", next(name for space, name in server.objects["pods"] if name.startswith("alpha-scheduler")))
    pod["metadata"].update(name="uni-dask-scheduler", uid="b0000000-0000-0000-0000-000000000006", ownerReferences=[], labels=labels)
    server.put("pods", pod)
    server.put("services", {"metadata": {"name": "uni-dask-scheduler", "namespace": "default", "uid": "b0000000-0000-0000-0000-000000000007", "labels": labels},
                            "spec": {"ports": [{"name": "uni-scheduler", "port": 8786, "targetPort": 8786}, {"name": "uni-webui", "port": 80, "targetPort": 8787}]}})


@pytest.mark.parametrize("label", ["release", "app.kubernetes.io/instance"])
def test_a_release_is_opened(home, server, label):
    put_release(server, label)
    server.faults.append(may_all)
    configure(home, server.kubeconfig())
    assert "prod:lab/default/helm/uni" in {c["id"] for c in home.list()["clusters"]}
    done = home.run("show", "prod:lab/default/helm/uni", "-o", "json")
    assert done.returncode == 0, (done.returncode, done.stderr)
    found = json.loads(done.stdout)
    assert found["route"].endswith("/services/uni-dask-scheduler:uni-webui/proxy/status"), found["route"]
    assert {r["name"] for r in found["resources"]} == {"uni-dask-scheduler"}


def test_a_release_that_others_keep_is_not_said_to_be_let_go(home, server):
    put_release(server, "release")
    pod = server.get("pods", "default", "uni-dask-scheduler")
    pod["metadata"]["annotations"] = {"dasktop/keep": "2099-01-01"}
    server.put("pods", pod)
    service = server.get("services", "default", "uni-dask-scheduler")
    service["metadata"]["annotations"] = {"dasktop/keep": "2099-01-01"}
    server.put("services", service)
    server.faults.append(may_all)
    configure(home, server.kubeconfig())
    done = home.run("keep", "prod:lab/default/helm/uni", "--not")
    assert done.returncode == 3 and "could not be removed" in done.stderr, (done.returncode, done.stderr)
    assert next(c for c in home.list()["clusters"] if c["name"] == "uni")["kept"]


@pytest.mark.parametrize("chart", ["dask-2024.1.1", "platform-3.0.0", None])
def test_a_release_that_holds_more_than_dask_is_not_uninstalled(home, server, chart):
    """Dask's chart may be a part of another one: its pods bear that one's name, and all of it would go."""
    pod = server.get("pods", "default", next(name for space, name in server.objects["pods"] if name.startswith("alpha-scheduler")))
    pod["metadata"].update(name="uni-dask-scheduler", uid="b0000000-0000-0000-0000-000000000005", ownerReferences=[],
                           labels={"app": "dask", "component": "scheduler", "release": "uni"})
    server.put("pods", pod)
    server.faults.append(may_all)
    folder = home.path / "programs"
    folder.mkdir()
    (folder / "releases").write_text(json.dumps([{"name": "unit", "chart": "dask-2024.1.1"}] + ([{"name": "uni", "chart": chart}] if chart else [])))
    (folder / "helm").write_text(f"#!/bin/sh\necho \"$@\" >> {folder}/runs\nif [ $1 = list ]; then cat {folder}/releases; fi\n")
    (folder / "helm").chmod(0o700)
    home.env["PATH"] = f"{folder}:{home.env['PATH']}"
    configure(home, server.kubeconfig())
    done = home.run("delete", "prod:lab/default/helm/uni", "--yes", "--force", "--no-wait")
    uninstalled = "uninstall uni --cascade foreground --namespace default --kube-context lab" in (folder / "runs").read_text().splitlines()
    assert uninstalled == bool(chart and chart.startswith("dask-")) and done.returncode == (0 if uninstalled else 6), done.stderr
    assert uninstalled or (chart or "no release uni") in done.stderr


@pytest.mark.parametrize("ago, hangs", [(1, False), (60, True)])
def test_whether_a_deletion_hangs_is_told_by_the_servers_clock(home, server, ago, hangs):
    server.ahead = -3600
    cluster = server.get("daskclusters", "default", "alpha")
    cluster["metadata"].update(finalizers=["kopf.zalando.org/KopfFinalizerMarker"],
                               deletionTimestamp=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + server.ahead - ago)))
    server.put("daskclusters", cluster)
    configure(home, server.kubeconfig())
    done = home.run("delete", "prod:lab/default/alpha", "--dry-run")
    assert done.returncode == 0 and ("takes off the operator's finalizer" in done.stdout + done.stderr) == hangs, done.stdout + done.stderr


@pytest.fixture
def forwarded(home, server, rig):
    """beta's scheduler is a real one; kubectl's port-forward leads to it."""
    scheduler = rig.scheduler()
    folder = home.path / "programs"
    folder.mkdir()
    (folder / "kubectl").write_text(f"#!/bin/sh\nfor port in {scheduler.port} {scheduler.dashboard}; do echo \"Forwarding from 127.0.0.1:$port -> 1\"; done\nexec sleep 600\n")
    (folder / "kubectl").chmod(0o700)
    home.env["PATH"] = f"{folder}:{home.env['PATH']}"
    server.faults.append(may_all)
    configure(home, server.kubeconfig())
    return scheduler


@pytest.mark.parametrize("listed", [True, False])
def test_a_worker_that_is_called_as_something_else(home, server, rig, forwarded, listed):
    """Whoever starts a worker names it: what else has that name stays."""
    other = server.get("deployments", "team-a", "beta-scheduler")
    other["metadata"].update(name="database", uid="b0000000-0000-0000-0000-000000000002", labels={"app": "database"})
    server.put("deployments", other)
    name = "beta-scheduler" if listed else "database"
    rig.worker(forwarded.address, name, nanny=False)
    forwarded.workers(1)
    done = home.run("retire", "prod:lab/team-a/beta", name)
    assert done.returncode == 6 and f"the Deployment {name} is something else" in done.stderr, done.stderr
    assert deleted(server) == [] and forwarded.counts()["workers"] == 1


def test_a_worker_whose_data_cannot_be_moved_keeps_its_pod(home, server, rig, forwarded):
    name = next(name for space, name in server.objects["deployments"] if space == "team-a" and name.startswith("beta-default-worker-"))
    rig.worker(forwarded.address, name, nanny=False)
    forwarded.workers(1)
    rig.client(forwarded.address, "held = c.submit(bytes, 1000)\nheld.result()")
    done = home.run("retire", "prod:lab/team-a/beta", name)
    assert done.returncode == 3 and "its data could not be moved away" in done.stderr, done.stderr
    assert deleted(server) == [] and forwarded.counts()["workers"] == 1


def test_a_group_that_is_scaled_meanwhile_keeps_its_number(home, server, rig, forwarded):
    """Retiring one of three would set two, whatever somebody else has wanted since."""
    def scaled(ask):
        if ask.is_list("daskworkergroups") and ask.space:
            server.objects["daskworkergroups"]["team-a", "beta-default"]["spec"]["worker"]["replicas"] += 1
        return False
    server.faults.append(scaled)
    name = next(name for space, name in server.objects["deployments"] if space == "team-a" and name.startswith("beta-default-worker-"))
    rig.worker(forwarded.address, name, nanny=False)
    forwarded.workers(1)
    done = home.run("retire", "prod:lab/team-a/beta", name)
    assert done.returncode == 6 and "beta-default was scaled to" in done.stderr, done.stderr
    assert deleted(server) == [] and not [ask for ask in server.asked if ask.method == "PATCH"] and forwarded.counts()["workers"] == 1


def test_a_job_that_may_not_be_seen_is_named(home, server):
    cluster = server.get("daskclusters", "default", "alpha")
    cluster["metadata"]["ownerReferences"] = [{"apiVersion": "kubernetes.dask.org/v1", "kind": "DaskJob", "name": "nightly", "uid": "b0000000-0000-0000-0000-000000000004"}]
    server.put("daskclusters", cluster)
    server.faults.append(lambda ask: ask.is_list("daskjobs") and ask.refuse(403, "Forbidden", "daskjobs is forbidden"))
    configure(home, server.kubeconfig())
    done = home.run("delete", "prod:lab/default/alpha", "--dry-run")
    assert done.returncode == 0 and "the DaskJob nightly, which is not seen and stays" in done.stdout + done.stderr, done.stdout + done.stderr


# ------------------------------------------------------------------------------------------------------------- many changes


def many(server, count):
    """So many clusters, each with its worker group."""
    for i in range(count):
        name, meta = f"many-{i}", {"namespace": "team-a", "creationTimestamp": "2026-11-23T06:48:33Z"}
        server.put("daskclusters", {"metadata": {**meta, "name": name, "uid": f"c{i}"}, "spec": {"worker": {"replicas": 1}}, "status": {"phase": "Running"}})
        server.put("daskworkergroups", {"metadata": {**meta, "name": f"{name}-default", "uid": f"g{i}"}, "spec": {"cluster": name, "worker": {"replicas": 1}}})


def test_no_change_is_missed(home, server):
    """Thousands of them as quickly as they can be told; in the end the table is what a fresh list says."""
    many(server, 100)
    chance = random.Random(1)
    with Watched(home, server.kubeconfig()) as seen:
        seen.until(lambda rows: len(rows) == 103, "all clusters")
        for change in range(4000):
            name = f"many-{chance.randrange(100)}"
            if change % 40 == 0 and server.get("daskclusters", "team-a", name):
                server.again("daskclusters", "team-a", name)
            elif change % 40 == 20:
                server.remove("daskclusters", "team-a", name)
            elif change % 1000 == 999:
                server.break_watches()
            else:
                group = server.get("daskworkergroups", "team-a", f"{name}-default")
                group["spec"]["worker"]["replicas"] = chance.randrange(50)
                server.put("daskworkergroups", group)
        facts = lambda cluster: (cluster["uid"], cluster["workers"]["wanted"], cluster["status"] == "unknown")
        fresh = {c["id"]: facts(c) for c in home.list()["clusters"]}
        seen.until(lambda rows: {i: facts(c) for i, c in rows.items()} == fresh, fresh)
    assert len(fresh) > 3


def test_many_at_rest_are_not_asked_for(home, server):
    many(server, 1200)  # three chunks
    with Watched(home, server.kubeconfig()) as seen:
        seen.until(lambda rows: len(rows) == 1203, "all clusters")
        rigs.until(lambda: any(ask.is_watch("daskclusters") for ask in server.asked), what="a watch")
        rigs.until(lambda: any(ask.is_watch("daskworkergroups") for ask in server.asked), what="a watch")
        lists = [ask.path for ask in server.asked if ask.is_list() and not ask.is_watch()]
        server.put("daskclusters", {"metadata": {"namespace": "team-a", "name": "one-more", "uid": "one-more"}, "spec": {}})
        seen.until(lambda rows: "prod:lab/team-a/one-more" in rows, "one more")
        assert [ask.path for ask in server.asked if ask.is_list() and not ask.is_watch()] == lists
        assert sum(path == "/apis/kubernetes.dask.org/v1/daskclusters" for path in lists) == 3
