"""What `list` finds on this machine, against real Dask of each version that is tested, and among ports that only pretend."""
import json
import os
import signal
import subprocess

import pytest

from rig import Trap, alive, free_port, until

KEYS = ["id", "uid", "name", "type", "backend", "instance", "scheduler_id", "same_as", "owner", "origin", "status", "address", "dashboard",
        "workers", "adaptive", "resources", "threads", "gpus", "memory", "memory_used", "tasks", "clients", "versions", "created",
        "last_active", "ends", "seen", "stale", "kept", "usage", "cost", "verdict", "can", "cannot", "labels"]


def found(home, address, test=lambda row: True, **more):
    """The row of this address once it fits the test; counts may be some seconds old, as the load budget wants it."""
    row = None

    def look():
        nonlocal row
        row = home.cluster(address, **more)
        return row and test(row) and row
    try:
        return until(look, 40, every=0.5)
    except AssertionError:
        raise AssertionError(f"no such row at {address}: {json.dumps(row, indent=1)}") from None


def test_scheduler_of_each_version(home, any_rig):
    scheduler = any_rig.scheduler()
    any_rig.worker(scheduler.address, "w1")
    any_rig.worker(scheduler.address, "solo", nanny=False)
    scheduler.workers(2)
    any_rig.client(scheduler.address, "a = c.submit(sum, [1, 2, 3]); a.result()")
    row = found(home, scheduler.address, lambda r: r["clients"] == 1 and r["tasks"]["stored"] == 1)
    assert list(row) == KEYS
    assert row["status"] == "running" and row["backend"] == "local" and row["type"] == "Scheduler"
    assert row["workers"]["ready"] == 2 and row["threads"] == 2
    assert row["scheduler_id"] == row["uid"] == scheduler.id
    assert row["resources"] >= 3, "scheduler, nanny, two workers"
    assert row["verdict"]["state"] == "active"
    assert row["versions"]["distributed"].split(".")[0] in ("2022", "2024", "2026", "2025")
    assert row["dashboard"].startswith(f"http://127.0.0.1:{scheduler.dashboard}")
    assert row["gpus"] is None or row["gpus"] == 0
    assert "Traceback" not in any_rig.log("scheduler") and "ERROR" not in any_rig.log("scheduler"), any_rig.log("scheduler")


def test_document(home, rig):
    scheduler = rig.scheduler()
    document = home.list()
    assert document["schema"] == "dasktop/v1"
    assert {b["name"] for b in document["backends"]} >= {"local"}
    local = next(b for b in document["backends"] if b["name"] == "local")
    assert set(local) >= {"name", "instance", "type", "state", "took_ms", "clusters", "error"} and local["state"] == "ok"
    row = next(c for c in document["clusters"] if c["address"] == scheduler.address)
    assert row["workers"] == {"ready": 0, "wanted": None} or row["workers"]["ready"] == 0
    assert row["ends"] == {"at": None, "why": None}
    assert row["same_as"] is None and row["stale"] is False and row["kept"] is None


def test_local_cluster_says_where_it_comes_from(home, rig):
    cluster = rig.local_cluster("eda")
    row = found(home, cluster.address, lambda r: r["clients"] == 1)
    assert row["type"] == "LocalCluster" and row["workers"]["ready"] == 2
    assert row["origin"]["kind"] == "script" and row["origin"]["path"].endswith("eda.py")
    assert row["origin"]["pid"] == cluster.process.pid and row["origin"]["alive"] is True
    assert "eda.py" in row["name"]


def test_inproc_cluster_is_seen_and_left_alone(home, rig):
    made = rig.path / "made"
    rig.script("threads", f"""
import pathlib, time
from distributed import LocalCluster
if __name__ == "__main__":
    c = LocalCluster(processes=False, n_workers=1, dashboard_address="127.0.0.1:0")
    t = pathlib.Path({str(made)!r} + ".tmp"); t.write_text(c.scheduler_address); t.rename({str(made)!r})
    time.sleep(10**6)
""")
    until(made.exists)
    row = found(home, made.read_text())
    assert row["address"].startswith("inproc://") and "delete" not in row["can"] and row["cannot"]["delete"]


def test_lost_worker_is_orphaned(home, rig):
    process, address = rig.lost_worker()
    row = found(home, address, lambda r: r["verdict"]["state"] == "orphaned")
    assert row["status"] in ("failed", "unreachable", "stopped") and row["resources"] >= 1
    assert row["workers"]["ready"] is None
    assert any("refused" in line for line in row["verdict"]["evidence"]), row["verdict"]
    assert alive(process.pid)


def test_killed_client_leaves_it_unattended(home, rig):
    scheduler = rig.scheduler()
    rig.worker(scheduler.address)
    scheduler.workers(1)
    client = rig.client(scheduler.address, "c.submit(sum, [1, 2, 3]).result()")
    os.killpg(client.pid, signal.SIGKILL)
    home.config("dasktop: {verdict: {unattended: 2s}}\n")
    row = found(home, scheduler.address, lambda r: r["verdict"]["state"] == "unattended")
    assert row["clients"] == 0
    assert any("no client" in line for line in row["verdict"]["evidence"])


def test_detached_is_no_evidence(home, rig):
    """A scheduler under nohup with a client that is idle for less than the limit is active."""
    scheduler = rig.scheduler()
    row = found(home, scheduler.address, lambda r: r["clients"] == 0)
    assert row["verdict"]["state"] == "active", "it never worked: that counts from its start"


def test_stuck_says_why(home, rig):
    scheduler = rig.scheduler()
    rig.client(scheduler.address, "f = c.map(lambda x: x, range(5), pure=False)")
    row = found(home, scheduler.address, lambda r: r["verdict"]["state"] == "stuck")
    assert any("no worker" in line for line in row["verdict"]["evidence"])


def test_no_trap_is_listed_or_talked_to(home, rig):
    scheduler = rig.scheduler()
    traps = [Trap(kind) for kind in ("silent", "garbage", "absurd", "slow", "half", "huge")]
    rows = [c for c in home.list()["clusters"]]
    ports = {str(t.port) for t in traps}
    assert [c for c in rows if c["address"] == scheduler.address]
    assert not [c for c in rows if c["address"] and c["address"].rsplit(":", 1)[-1] in ports]
    for trap in traps:
        assert trap.received == b"", f"{trap.kind}: a stranger's port got {trap.received!r}"
        trap.close()


def test_blocked_scheduler_is_unresponsive_and_holds_up_nobody(home, rig):
    blocked, other = rig.scheduler("blocked"), rig.scheduler("other")
    home.config("dasktop: {timeout: 2s}\n")
    os.kill(blocked.process.pid, signal.SIGSTOP)
    try:
        rows = {c["address"]: c for c in home.list()["clusters"] if c["same_as"] is None}
        assert rows[other.address]["status"] == "running"
        assert rows[blocked.address]["status"] == "unresponsive"
        assert rows[blocked.address]["verdict"]["state"] in ("unknown", "active"), "silence is never evidence"
    finally:
        os.kill(blocked.process.pid, signal.SIGCONT)


def certificates(path):
    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], cwd=path, check=True, capture_output=True)
    path.mkdir(parents=True, exist_ok=True)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", 30, "-subj", "/CN=ca")
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", 30, "-out", f"{name}.pem")
    return path


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    return certificates(tmp_path_factory.mktemp("tls"))


def tls_scheduler(rig, tls):
    return rig.scheduler("secure", "--protocol", "tls", "--tls-ca-file", tls / "ca.pem", "--tls-cert", tls / "server.pem",
                         "--tls-key", tls / "server.key")


def scheduler_config(scheduler, ca, cert=None, key=None):
    material = f"ca-file: {ca}" + (f", cert: {cert}, key: {key}" if cert else "")
    return (f"dasktop:\n  auto: false\n  timeout: 3s\n  backends:\n    hpc1: {{type: scheduler, addresses: ['{scheduler.address}'], "
            f"tls: {{{material}}}}}\n")


def test_tls_with_the_right_certificates(home, rig, tls):
    scheduler = tls_scheduler(rig, tls)
    home.config(scheduler_config(scheduler, tls / "ca.pem", tls / "client.pem", tls / "client.key"))
    row = home.cluster(scheduler.address)
    assert row["backend"] == "hpc1" and row["status"] == "running" and row["scheduler_id"] == scheduler.id


def test_tls_with_the_wrong_ca_or_no_certificate(home, rig, tls, tmp_path):
    scheduler = tls_scheduler(rig, tls)
    other = certificates(tmp_path / "other")
    home.config(scheduler_config(scheduler, other / "ca.pem", tls / "client.pem", tls / "client.key"))
    row = home.cluster(scheduler.address)
    assert row["status"] != "running" and row["scheduler_id"] is None
    home.config(scheduler_config(scheduler, tls / "ca.pem"))
    row = home.cluster(scheduler.address)
    assert row["status"] != "running" and row["verdict"]["state"] == "unknown"


def test_tls_without_material_is_still_found(home, rig, tls):
    scheduler = tls_scheduler(rig, tls)
    rows = [c for c in home.list()["clusters"] if c["address"] == scheduler.address]
    assert len(rows) == 1


def test_one_scheduler_found_twice_is_one_row(home, rig):
    scheduler = rig.scheduler()
    home.config(f"dasktop: {{backends: {{hpc1: {{type: scheduler, files: ['{scheduler.file}']}}}}}}\n")
    rows = [c for c in home.list()["clusters"] if c["scheduler_id"] == scheduler.id]
    assert len(rows) == 2
    owner = next(r for r in rows if r["same_as"] is None)
    other = next(r for r in rows if r["same_as"] is not None)
    assert owner["backend"] == "local" and other["same_as"] == owner["id"]
    shown = home.run("show", owner["name"])
    assert shown.returncode == 0, "a name that fits only such a set is not ambiguous: " + shown.stderr


def test_stale_scheduler_file(home, rig):
    scheduler = rig.scheduler()
    os.killpg(scheduler.process.pid, signal.SIGKILL)
    scheduler.process.wait()
    assert scheduler.file.exists()
    home.config(f"dasktop: {{auto: false, backends: {{f: {{type: scheduler, files: ['{scheduler.file}']}}}}}}\n")
    rows = home.list()["clusters"]
    assert len(rows) == 1 and rows[0]["status"] == "unreachable"
    assert rows[0]["verdict"]["state"] != "active"


def test_nothing_is_found(home):
    home.config("dasktop: {auto: false}\n")
    done = home.run("list")
    assert done.returncode == 0 and done.stdout.startswith("NAME") and len(done.stdout.splitlines()) == 1 and done.stderr
    assert home.list()["clusters"] == []
    assert home.run("list", "-o", "name").stdout == ""


def test_refused_address_is_unreachable(home):
    home.config(f"dasktop: {{auto: false, backends: {{gone: {{type: scheduler, addresses: ['tcp://127.0.0.1:{free_port()}']}}}}}}\n")
    row = home.list()["clusters"][0]
    assert row["status"] == "unreachable" and row["workers"]["ready"] is None and row["clients"] is None and row["uid"] is None


def test_who_says_nothing_has_no_count(home):
    """A gateway that accepts and stalls, and one whose port is none: one line each, and of neither is it known that it has nothing."""
    trap = Trap("silent")
    backends = f"stalls: {{type: gateway, address: 'http://127.0.0.1:{trap.port}', timeout: 1s, auth: {{password: hush}}}}"
    home.config(f"dasktop:\n  auto: false\n  backends:\n    {backends}\n")
    done = home.run("list")
    assert done.returncode == 1 and done.stderr.startswith("dasktop: stalls: no complete answer in time") and done.stderr.count("\n") == 1, done.stderr
    backends += "\n    far: {type: gateway, address: 'http://127.0.0.1:1', proxy-address: 99999, auth: {password: hush}}"
    home.config(f"dasktop:\n  auto: false\n  backends:\n    {backends}\n")
    done = home.run("backends", "-o", "json")
    found = {b["name"]: b for b in json.loads(done.stdout)["backends"]}
    assert done.returncode == 1 and all(b["clusters"] is None for b in found.values()) and "proxy-address cannot be understood" in found["far"]["error"]
    trap.close()


def test_hostile_worker_name(home, rig):
    scheduler = rig.scheduler()
    rig.worker(scheduler.address, "w\x1b]0;title\x07\x1b[2J\u202eevil", nanny=False)
    scheduler.workers(1)
    for arguments in (["list"], ["show", scheduler.address], ["show", scheduler.address, "-o", "json"], ["logs", scheduler.address]):
        done = home.run(*arguments)
        assert done.returncode == 0, done.stderr
        assert not any(c in done.stdout for c in "\x1b\x07\u202e"), repr(done.stdout)


def test_output_formats(home, rig):
    scheduler = rig.scheduler()
    row = found(home, scheduler.address)
    assert row["id"] in home.run("list", "-o", "name").stdout.splitlines()
    csv = home.run("list", "-o", "csv", "--columns", "name,address,workers").stdout
    assert csv.splitlines()[0] == "name,address,workers" and scheduler.address in csv
    assert scheduler.address in home.run("list", "-o", "wide").stdout
    assert home.list("--filter", "name:no-such-name")["clusters"] == []
    assert home.list("--orphaned")["clusters"] == [] or all(
        c["verdict"]["state"] == "orphaned" for c in home.list("--orphaned")["clusters"])
    for wrong in (["--sort", "nothing"], ["--columns", "a,b"], ["-o", "xml"], ["--filter", "nothing:1"], ["--backend", "none"], ["--timeout", "soon"]):
        done = home.run("list", *wrong)
        assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1, (wrong, done)


def test_no_line_in_the_owners_log(home, any_rig):
    """Looking ten times leaves nothing in the scheduler's log: no traceback, no warning, not even a closed connection."""
    scheduler = any_rig.scheduler()
    any_rig.worker(scheduler.address, "w")
    scheduler.workers(1)
    before = any_rig.log("scheduler")
    for _ in range(10):
        assert home.cluster(scheduler.address)
    assert any_rig.log("scheduler") == before, any_rig.log("scheduler")[len(before):]


def test_watch_tells_changes(home, rig):
    process = subprocess.Popen([home.program, "list", "--watch", "-o", "json"], env=home.env, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if json.loads(line)["event"] == "synced":
                break
        scheduler = rig.scheduler()
        event = next(e for e in map(json.loads, process.stdout) if e["event"] == "cluster" and e["cluster"]["address"] == scheduler.address)
        os.killpg(scheduler.process.pid, signal.SIGKILL)
        gone = next(e for e in map(json.loads, process.stdout) if e["event"] == "gone")
        assert gone["id"] == event["cluster"]["id"]
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130


def test_the_first_table_of_a_watch_is_no_empty_one(home, rig):
    """An empty table says that there is nothing: it is not printed before anybody has answered."""
    scheduler = rig.scheduler()
    home.config(f"dasktop: {{auto: false, backends: {{hpc1: {{type: scheduler, addresses: ['{scheduler.address}']}}}}}}\n")
    process = subprocess.Popen([home.program, "list", "--watch", "--columns", "address,status"], env=home.env, stdout=subprocess.PIPE, text=True)
    try:
        table = list(iter(process.stdout.readline, "\n"))
        assert len(table) == 2 and scheduler.address in table[1], table
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        process.stdout.close()


@pytest.mark.parametrize("output", ["json", "table"])
def test_watch_ends_when_nobody_reads_any_more(home, output):
    """Also where nothing changes, so that there is nothing to write: who reads may have been killed."""
    process = subprocess.Popen([home.program, "list", "--watch", "-o", output, "--filter", "name:no-such"], env=home.env, stdout=subprocess.PIPE)
    try:
        for line in process.stdout:
            if output == "table" or json.loads(line)["event"] == "synced":
                break
        process.stdout.close()
        until(lambda: process.poll() is not None, 30, what="the end")
    finally:
        process.kill()
        process.wait()


def test_a_published_dataset_is_no_client(home, any_rig):
    """It keeps its results although nobody is there: Dask holds it by a client of its own making."""
    scheduler = any_rig.scheduler()
    any_rig.worker(scheduler.address, "w1", nanny=False)
    scheduler.workers(1)
    client = any_rig.client(scheduler.address, "x = c.submit(sum, [1, 2]); x.result(); c.publish_dataset(mine=x)")
    assert home.cluster(scheduler.address)["clients"] == 1
    client.kill()
    until(lambda: scheduler.counts()["clients"] == 2, 60, what="only fire-and-forget and published-mine are left")
    (home.path / '.cache/dasktop/probes.jsonl').unlink(missing_ok=True)  # what was counted less than 15 s ago would stand
    row = home.cluster(scheduler.address)
    assert row["clients"] == 0 and row["tasks"]["stored"] == 1
