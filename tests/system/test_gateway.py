"""A real Dask Gateway: two users, a client that is killed, everything that can be done with its clusters (scripts/test all)."""
import json
import os
import re
import signal
import subprocess

import gateways
import pytest
import rig as rigs


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    with gateways.Gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture
def alice(home, gateway):
    return see(home, gateway, "alice")


def see(home, gateway, user, key="gateway"):
    secret = home.path / "password"
    secret.write_text(gateways.PASSWORD + "\n")
    secret.chmod(0o600)
    home.config(f"""\
dasktop:
  auto: false
  backends:
    {key}: {{type: gateway, address: '{gateway.address}', proxy-address: '{gateway.proxy}', timeout: 8s,
             auth: {{type: basic, username: {user}, password: {{file: {secret}}}}}}}
""")
    home.env["GATEWAY_PYTHON"] = str(gateway.python)
    return home


def secrets_in(text):
    return "PRIVATE KEY" in text or "BEGIN CERTIFICATE" in text or gateways.PASSWORD in text


def test_a_cluster_whose_client_was_killed(alice, gateway):
    client = gateway.client("alice", 1)
    row = alice.list()["clusters"][0]
    assert row["id"] == f"gateway/{client.name}" and row["clients"] == 1 and row["owner"] == "alice" and row["workers"]["ready"] == 1
    client.kill()
    row = rigs.until(lambda: next((c for c in alice.list()["clusters"] if c["clients"] == 0), None), 30, 1)
    assert row["status"] == "running" and row["scheduler_id"].startswith("Scheduler-") and row["uid"] == client.name
    cluster = row["id"]

    raw = alice.run("show", cluster, "-o", "json")
    shown = json.loads(raw.stdout)
    assert shown["worker_spec"] == ["worker_cores: 1", 'profile: "small"']
    assert len(shown["workers"]) == 1 and not secrets_in(raw.stdout)
    done = alice.run("logs", cluster, "-n", "20")
    assert done.returncode == 0 and "[scheduler]" in done.stdout and "Remove client" in done.stdout
    assert "distributed.worker" in done.stdout, "workers' logs come through their scheduler"

    followed = alice.path / "followed"
    with open(followed, "w") as file:
        following = subprocess.Popen([alice.program, "logs", cluster, "-f"], env=alice.env, stdout=file, stdin=subprocess.DEVNULL)
    done = alice.run("scale", cluster, 3, timeout=120)
    assert done.returncode == 0, done.stderr
    assert alice.list()["clusters"][0]["workers"]["ready"] == 3
    starts = rigs.until(lambda: len(found := re.findall(r"Start Nanny at: \S+", followed.read_text())) >= 3 and found, 30)
    following.terminate()
    following.wait()
    assert len(set(starts)) == len(starts) == 3, "each line once"
    done = alice.run("scale", cluster, 9, timeout=120)
    assert done.returncode == 3 and "limit of 4 workers" in done.stderr
    done = alice.run("scale", cluster, 1, timeout=120)
    assert done.returncode == 0, done.stderr
    done = alice.run("scale", cluster, "--adapt", "1:9")
    assert done.returncode == 3 and "limit of 4 workers" in done.stderr and "maximum=4" in done.stderr
    assert alice.run("scale", cluster, "--adapt", "off").returncode == 0

    done = alice.run("connect", cluster, "--", gateway.python, "-c", "from distributed import Client; print(Client().submit(sum, [1, 2, 3]).result())",
                     timeout=90)
    assert done.returncode == 0 and done.stdout.split() == ["6"], done.stderr
    assert not list(alice.path.rglob("key.pem")), "the key lies about no longer than the route"
    done = alice.run("dashboard", cluster, "--print")
    assert done.stdout.strip() == f"{gateway.address}/clusters/{client.name}/status"
    code, page = gateway.ask(f"/clusters/{client.name}/status", user=None)
    assert code == 200 and "<title>Dask" in page
    done = alice.run("snippet", cluster)
    assert "shutdown_on_close=False" in done.stdout and not secrets_in(done.stdout)
    compile(done.stdout, "snippet", "exec")

    done = alice.run("delete", cluster, "--yes", "--force", "--no-wait", timeout=120)
    assert done.returncode == 0, done.stderr
    left = alice.list()["clusters"]
    assert {c["status"] for c in left} <= {"closing"}, "what is being stopped is there until it has stopped"
    assert all(set(c["cannot"].values()) == {"the gateway is stopping it"} for c in left), left
    done = alice.run("delete", cluster, "--yes", "--force", timeout=120)
    assert done.returncode in (0, 4), done.stderr
    assert gateway.status(client.name) in ("STOPPED", None)
    assert alice.list()["clusters"] == []
    assert not secrets_in("".join(p.read_text(errors="replace") for p in alice.path.rglob("*") if p.is_file() and p.name != "password"))


def test_one_does_not_see_the_others(alice, gateway, tmp_path, program):
    client = gateway.client("bob", 1)
    assert alice.list()["clusters"] == []
    done = alice.run("show", f"gateway/{client.name}")
    assert done.returncode in (4, 6)
    other = type(alice)(tmp_path / "bob", program)
    other.path.mkdir()
    see(other, gateway, "bob", key="uni")
    assert [c["id"] for c in other.list()["clusters"]] == [f"uni/{client.name}"]
    done = other.run("retire", f"uni/{client.name}", json.loads(other.run("show", f"uni/{client.name}", "-o", "json").stdout)["workers"][0]["name"], timeout=90)
    assert done.returncode == 0, done.stderr
    # the gateway keeps up the number that it was asked for last: without a word to it another would come
    rigs.until(lambda: re.search(rf"{client.name} heartbeat .count: 0, n_active: 0", gateway.log()), 30)
    assert other.list()["clusters"][0]["workers"]["ready"] == 0
    client.kill()
    assert other.run("delete", f"uni/{client.name}", "--yes", "--force", timeout=120).returncode == 0


def test_found_by_dasks_own_config(home, gateway):
    """As dask-gateway itself is configured, with templates over the environment: nothing of dasktop's."""
    where = home.path / ".config/dask"
    where.mkdir(parents=True)
    (where / "gateway.yaml").write_text(f"gateway:\n  address: '{gateway.address}/'\n  proxy-address: '{gateway.proxy}'\n"
                                        "  auth: {type: basic, kwargs: {username: '{GW_USER}', password: '{GW_PASSWORD}'}}\n")
    home.env.update(GW_USER="alice", GW_PASSWORD=gateways.PASSWORD)
    states = {b["name"]: b for b in json.loads(home.run("backends", "-o", "json").stdout)["backends"]}
    assert states["gateway"]["state"] == "ok", states["gateway"]
    home.env.pop("GW_PASSWORD")
    states = {b["name"]: b for b in json.loads(home.run("backends", "-o", "json").stdout)["backends"]}
    assert states["gateway"]["state"] == "absent" and "GW_PASSWORD" in states["gateway"]["error"]


def test_create(alice, gateway):
    spec = alice.path / "spec.yaml"
    spec.write_text("version: 1\nmodule: dask_gateway\nclass: GatewayCluster\nkwargs: {worker-cores: 2}\n")
    done = alice.run("create", "-f", spec, "--backend", "gateway")
    assert done.returncode == 2 and "has no option worker-cores" in done.stderr and "worker_cores, profile" in done.stderr
    for kwargs, words in (("{worker_cores: 9}", ":4:24: the gateway's option worker_cores must be at most 2"), ("{profile: huge}", "one of small, big"),
                          ("{address: 'http://elsewhere'}", "--backend"), ("{cluster_options: {profile: 1}}", "one of small, big")):
        spec.write_text(f"version: 1\nmodule: dask_gateway\nclass: GatewayCluster\nkwargs: {kwargs}\n")
        done = alice.run("create", "-f", spec, "--dry-run")
        assert done.returncode == 2 and words in done.stderr, done.stderr
    assert "names its clusters itself" in alice.run("create", "--backend", "gateway", "--name", "mine").stderr
    (alice.path / ".config/dask/defaults.yaml").write_text(f"gateway: {{address: '{gateway.address}', cluster: {{options: {{profile: '{{GW_PROFILE}}'}}}}}}")
    alice.env["GW_PROFILE"] = "big"
    assert "profile: big" in alice.run("create", "--backend", "gateway", "--dry-run").stdout, "Dask's own defaults for new clusters"
    spec.write_text("version: 1\nmodule: dask_gateway\nclass: GatewayCluster\nkwargs: {worker_cores: 1, cluster_options: {profile: big}}\n")
    done = alice.run("create", "-f", spec, "--workers", 3, "--dry-run")
    assert done.returncode == 0 and "profile: big" in done.stdout and done.stdout.startswith("create  workers 0 → 3\n"), done.stdout
    assert alice.list()["clusters"] == []
    done = alice.run("create", "-f", spec, "--timeout", "1s")
    begun = [c["id"] for c in alice.list()["clusters"]]
    assert done.returncode == 7 and len(begun) == 1 and done.stderr.startswith(f"dasktop: {begun[0]}: it was not ready in time"), done.stderr
    assert alice.run("delete", begun[0], "--yes", "--force", timeout=120).returncode == 0
    done = alice.run("create", "-f", spec, "--workers", 9, timeout=180)
    assert done.returncode == 3 and "limit of 4 workers" in done.stderr, done.stderr
    row = alice.list()["clusters"][0]
    assert row["id"] in done.stdout and row["workers"]["ready"] == 4
    assert alice.run("delete", row["id"], "--yes", "--force", timeout=120).returncode == 0


def test_a_scheduler_that_hangs_is_not_scaled(alice, gateway):
    """The gateway would stop its cluster."""
    client = gateway.client("alice", 1)
    pid = gateway.scheduler_pid(client.name)
    os.kill(pid, signal.SIGSTOP)
    try:
        row = alice.list(timeout=60)["clusters"][0]
        assert row["status"] in ("unresponsive", "unreachable") and row["workers"]["ready"] is None
        done = alice.run("scale", row["id"], 2, timeout=60)
        assert done.returncode == 6 and "would stop it" in done.stderr
        assert gateway.status(client.name) == "RUNNING"
    finally:
        os.kill(pid, signal.SIGCONT)
    client.kill()
    assert alice.run("delete", row["id"], "--yes", "--force", timeout=120).returncode == 0


def test_a_wrong_password(alice, gateway):
    (alice.path / "password").write_text("not this one\n")
    done = alice.run("list")
    assert done.returncode == 1 and "user and password" in done.stderr and "not this one" not in done.stderr
    assert done.stderr.count("\n") == 1, "nobody knows that there is no cluster"
    state = json.loads(alice.run("backends", "-o", "json").stdout)["backends"][0]
    assert state["state"] == "needs sign-in"
