"""Another computer through a real OpenSSH server: it has namespaces of its own, so that nothing of it is seen but through ssh."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import urllib.request

import pytest
import rig as rigs

import test_queues as stand_ins
from far import Far, FarRig
from homes import Home
from rig import plain_path
from ui.tui import Tui

READ = "import json, urllib.request; print(urllib.request.urlopen('http://127.0.0.1:%d/json/counts.json', timeout=10).read().decode())"


class There:
    """The other computer, its clusters and a user here whose ssh knows it as login1."""

    def __init__(self, far, rig, home):
        self.far, self.rig, self.home = far, rig, home
        home.env["PATH"] = far.path_with_ssh(home)
        home.env["XDG_RUNTIME_DIR"] = str(home.path)
        self.patient()

    def patient(self):
        """No other config than that nobody is slow, however busy the machine."""
        self.home.config("dasktop: {timeout: 30s}\n")

    def run(self, *arguments, **more):
        return self.home.run("-H", "login1", *arguments, **more)

    def list(self, *arguments, status=0):
        done = self.run("list", "-o", "json", *arguments)
        assert done.returncode == status, (done.returncode, done.stderr)
        return json.loads(done.stdout)

    def row(self, address, test=lambda row: True):
        def look():
            rows = [row for row in self.list()["clusters"] if row["address"] == address and row["same_as"] is None]
            assert len(rows) < 2
            return rows and test(rows[0]) and rows[0]
        return rigs.until(look, 40, 0.5, what=f"the row of {address}")

    def counts(self, scheduler):
        return json.loads(self.far.run(self.rig.python, "-c", READ % scheduler.dashboard).stdout)

    def workers(self, scheduler, n):
        rigs.until(lambda: self.counts(scheduler)["workers"] == n, 60, what=f"{n} workers")


@pytest.fixture(scope="module")
def there(tmp_path_factory, program, dask):
    path = tmp_path_factory.mktemp("far")
    path.chmod(0o755)
    home = Home(tmp_path_factory.mktemp("h"), program)
    with Far(path / "far") as far, FarRig(far, path / "rig", dask) as rig:
        yield There(far, rig, home)


@pytest.fixture(scope="module")
def alpha(there):
    """A live cluster over there, with one worker."""
    scheduler = there.rig.scheduler("alpha")
    there.rig.worker(scheduler.address, "w1")
    there.workers(scheduler, 1)
    return scheduler


# ------------------------------------------------------------------------------------------------------------- what is seen


def test_nothing_is_seen_without_ssh(there, alpha, tmp_path, program):
    document = Home(tmp_path, program).list()
    assert not [c for c in document["clusters"] if c["address"] == alpha.address]
    assert not [b for b in document["backends"] if b["type"] == "ssh"]


def test_a_host_by_its_name_alone(there, alpha):
    row = there.row(alpha.address, lambda row: row["workers"]["ready"] == 1)
    assert row["id"] == f"login1:local/127.0.0.1:{alpha.port}" and row["uid"] == row["scheduler_id"] == alpha.id
    assert row["name"] == "alpha" and row["owner"] == "root" and row["status"] == "running" and row["threads"] == 1
    assert row["verdict"]["state"] == "active" and row["resources"] >= 3
    assert {"scale", "logs", "connect", "delete", "snippet"} <= set(row["can"])
    document = there.list()
    assert [(b["name"], b["instance"], b["type"], b["state"]) for b in document["backends"] if b["instance"] == "local"] == [("login1", "local", "ssh", "ok")]
    assert {b["name"] for b in document["backends"]} == {"login1"}, "and nothing of this computer"


def test_local_cluster_of_a_script_there(there):
    cluster = there.rig.local_cluster("eda")
    row = there.row(cluster.address, lambda row: row["clients"] == 1)
    assert row["type"] == "LocalCluster" and row["name"] == "eda.py" and row["workers"]["ready"] == 2
    assert row["origin"]["kind"] == "script" and row["origin"]["path"].endswith("eda.py")
    shown = json.loads(there.run("show", row["id"], "-o", "json").stdout)
    assert len([r for r in shown["resources"] if r["kind"] == "worker"]) == 2


def test_show(there, alpha):
    row = there.row(alpha.address)
    done = there.run("show", row["id"])
    assert done.returncode == 0 and "through ssh" in done.stdout and "w1" in done.stdout, done.stdout + done.stderr
    assert "distributed.cli.dask_worker" in done.stdout


def test_clusters_in_the_config(there, alpha):
    there.home.config(there.far.config())
    try:
        document = there.home.list("--backend", "login")
        row = next(c for c in document["clusters"] if c["address"] == alpha.address)
        assert row["id"].startswith("login:local/") and row["backend"] == "login"
        done = there.home.run("show", row["id"])
        assert done.returncode == 0, done.stderr
    finally:
        there.patient()


# ---------------------------------------------------------------------------------------------------------------- what is done


def test_logs(there, alpha):
    done = there.run("logs", there.row(alpha.address)["id"])
    assert done.returncode == 0 and "[w1]" in done.stdout and "[scheduler]" in done.stdout and "Registered to" in done.stdout, done.stderr


def test_connect_runs_a_command(there, alpha):
    code = "from distributed import Client; print(Client().submit(sum, [1, 2, 39]).result())"
    done = there.run("connect", there.row(alpha.address)["id"], "--", str(there.rig.python), "-c", code)
    assert done.returncode == 0 and done.stdout.strip() == "42", done.stderr


def test_connect_holds_a_port(there, alpha):
    port = rigs.free_port()
    process = subprocess.Popen([there.home.program, "-H", "login1", "connect", there.row(alpha.address)["id"], "--port", str(port), "-o", "json"],
                               env=there.home.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        text = process.stdout.readline()
        route = json.loads(text)
        assert route["address"] == f"tcp://127.0.0.1:{port}"
        code = f"from distributed import Client; print(Client('tcp://127.0.0.1:{port}').submit(sum, [40, 2]).result())"
        done = subprocess.run([there.rig.python, "-c", code], capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() == "42", done.stderr
        with urllib.request.urlopen(route["dashboard"].replace("/status", "/json/counts.json"), timeout=10) as answer:
            assert json.load(answer)["workers"] == 1
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert process.returncode == 130
    with socket.socket() as s:
        assert s.connect_ex(("127.0.0.1", port)) != 0, "the port is closed with the route"


def test_a_port_of_ones_own_for_the_dashboard(there, alpha):
    """--port is of what was asked for: the dashboard listens there, also where the scheduler has that number over there."""
    port = int(alpha.address.rsplit(":")[-1])
    process = subprocess.Popen([there.home.program, "-H", "login1", "dashboard", there.row(alpha.address)["id"], "--print", "--port", str(port)],
                               env=there.home.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == f"http://127.0.0.1:{port}/status\n"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/counts.json", timeout=10) as answer:
            assert json.load(answer)["workers"] == 1
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
    with socket.create_server(("127.0.0.1", port)):
        done = there.run("dashboard", there.row(alpha.address)["id"], "--print", "--port", str(port))
        assert done.returncode == 1 and f"port {port} of this host cannot be used" in done.stderr, done.stderr


def test_snippet_names_the_line_that_must_run(there, alpha):
    row = there.row(alpha.address)
    done = there.run("snippet", row["id"])
    assert f"dasktop -H login1 connect {row['id']} --port {alpha.port}" in done.stdout and f'Client("tcp://127.0.0.1:{alpha.port}")' in done.stdout
    compile(done.stdout, "snippet", "exec")


def test_scale_there_and_back(there, alpha):
    id = there.row(alpha.address)["id"]
    done = there.run("scale", id, "2")
    assert done.returncode == 0, done.stderr
    assert there.counts(alpha)["workers"] == 2
    assert alpha.process.poll() is None
    done = there.run("scale", id, "1")
    assert done.returncode == 0, done.stderr
    there.workers(alpha, 1)


def test_an_orphan_there_is_deleted(there, alpha):
    process, address = there.rig.lost_worker("lost")
    row = there.row(address, lambda row: row["verdict"]["state"] == "orphaned")
    done = there.run("logs", row["id"], "-n", "5")
    assert done.returncode == 0 and "[lost]" in done.stdout, done.stderr
    plan = there.run("delete", row["id"], "--dry-run")
    assert plan.returncode == 0 and "SIGTERM" in plan.stdout
    done = there.run("delete", row["id"], "--yes")
    assert done.returncode == 0, done.stderr
    rigs.until(lambda: process.poll() is not None, 10)
    assert not [c for c in there.list()["clusters"] if c["address"] == address]
    assert there.counts(alpha)["workers"] >= 1, "the live one is untouched"


def test_a_live_one_is_deleted_with_all_its_processes(there):
    scheduler = there.rig.scheduler("doomed")
    worker = there.rig.worker(scheduler.address, "d1")
    there.workers(scheduler, 1)
    done = there.run("delete", there.row(scheduler.address)["id"], "--yes", "--force")
    assert done.returncode == 0, done.stderr
    rigs.until(lambda: scheduler.process.poll() is not None and worker.poll() is not None, 20)


def test_a_worker_that_hangs_is_killed_there(there):
    scheduler = there.rig.scheduler("stopped")
    worker = there.rig.worker(scheduler.address, "s1", nanny=False)
    there.workers(scheduler, 1)
    id = there.row(scheduler.address)["id"]
    child = int(pathlib.Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()[0])  # below nsenter
    os.kill(child, signal.SIGSTOP)
    done = there.run("delete", id, "--yes", "--force")
    assert done.returncode == 0, done.stderr
    rigs.until(lambda: not rigs.alive(child), 10)


# ------------------------------------------------------------------------------------------------- what is not as it should be


@pytest.fixture
def faulty(there, tmp_path, program):
    """A user here whose config is the test's: give(more keys, the options of ssh)."""
    home = Home(tmp_path, program)
    home.env["XDG_RUNTIME_DIR"] = str(there.home.path)

    def give(key, options=None, host="127.0.0.1", port=None, identity=None, more=""):
        options = [f"UserKnownHostsFile={there.far.known}", "GlobalKnownHostsFile=/dev/null", "-F", "none"] + (options or [])
        listed = ", ".join(f'"{option}"' for option in options)
        identity = identity or there.far.path / "user"
        home.config(f"dasktop:\n  auto: false\n  backends:\n    {key}: {{type: ssh, host: \"{host}\", port: {port or there.far.port}, user: root, identity: {identity}, "
                    f"options: [{listed}], timeout: 30s{more}}}\n    local: {{}}\n")
        return home
    return give


def state(home, key, *arguments, **more):
    """The backend's own row of `backends` and all of standard error; a prompt would wait for its answer, and the call would not end."""
    done = home.run("backends", "-o", "json", *arguments, timeout=40, **more)
    rows = [b for b in json.loads(done.stdout)["backends"] if b["name"] == key]
    assert any(b["name"] == "local" and b["state"] == "ok" for b in json.loads(done.stdout)["backends"]), "nobody else is delayed"
    return rows, done.stderr


def test_no_key_needs_sign_in(there, faulty):
    rows, errors = state(faulty("nokey", identity=there.far.path / "stranger"), "nokey")
    assert [(r["state"], r["instance"]) for r in rows] == [("needs sign-in", None)] and "Permission denied" in rows[0]["error"]
    assert ":login nokey" in rows[0]["error"] and "\n" not in rows[0]["error"]
    done = faulty("nokey", identity=there.far.path / "stranger").run("list")
    assert done.returncode == 3 and done.stderr.count("\n") == 2 and "nokey" in done.stderr, done.stderr  # and the hint of an empty table


def with_known_hosts(there, faulty, known):
    home = faulty("unknown")
    file = home.path / ".config/dask/dasktop.yaml"
    file.write_text(file.read_text().replace(str(there.far.known), str(known)))
    return home


def test_unknown_host_key(there, faulty, tmp_path):
    (tmp_path / "none").write_text("")
    rows, _ = state(with_known_hosts(there, faulty, tmp_path / "none"), "unknown")
    assert rows[0]["state"] == "needs sign-in" and "host key is not known" in rows[0]["error"]
    assert (tmp_path / "none").read_text() == "", "nothing was learnt unasked"


def test_a_jump_host_never_asks_on_our_terminal(there, faulty):
    """The ssh that ssh itself starts for it is not told to keep quiet: its question, of an unknown host key, has no terminal to go to."""
    home = faulty("jump", options=["-J", f"root@localhost:{there.far.port}"])
    with Tui([home.program, "backends"], env=home.env) as screen:
        assert screen.wait_exit() == 3
        text = screen.text().replace("\n", "")
    assert "yes/no" not in text and "the way through its jump host or ProxyCommand ended: `:login jump`" in text, text


def test_changed_host_key(there, faulty, tmp_path):
    home = with_known_hosts(there, faulty, tmp_path / "none")
    (tmp_path / "none").write_text(f"[127.0.0.1]:{there.far.port} {(there.far.path / 'stranger.pub').read_text()}")
    rows, _ = state(home, "unknown")
    assert rows[0]["state"] == "denied" and "host key has changed" in rows[0]["error"] and "ssh-keygen -R" in rows[0]["error"]


def test_refused(faulty):
    rows, _ = state(faulty("nobody", port=rigs.free_port()), "nobody")
    assert rows[0]["state"] == "failed" and "refused" in rows[0]["error"]


@pytest.mark.parametrize("host", ["-oProxyCommand=touch x", "two words", "a;b", "$(id)", "", "host\\nother"])
def test_what_is_no_host(there, faulty, host, tmp_path):
    done = faulty("bad", host=host).run("backends")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "dasktop.yaml:4:" in done.stderr, done.stderr
    done = there.home.run("-H", host.replace("\\n", "\n"), "list")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "-H" in done.stderr, done.stderr
    assert not (tmp_path / "x").exists() and not pathlib.Path("x").exists()


def test_dash_H_needs_a_host(there):
    assert there.home.run("-H").returncode == 2
    assert there.home.run("-H", "root@", "list").returncode == 2
    assert there.home.run("--config", "/nonexistent", "-H").returncode == 2


def test_an_unknown_type_to_discover(faulty):
    done = faulty("bad", more=", discover: [kubernetes]").run("list")
    assert done.returncode == 2 and "discover" in done.stderr, done.stderr


def test_only_what_is_to_be_discovered(there, faulty, alpha):
    rows, _ = state(faulty("few", more=", discover: [local]"), "few")
    assert [(r["instance"], r["state"]) for r in rows] == [("local", "ok")]
    rows, _ = state(faulty("few", more=", discover: [slurm]"), "few")
    assert [(r["instance"], r["state"]) for r in rows] == [(None, "absent")] and "squeue" in rows[0]["error"]


def test_no_ssh(there, faulty, tmp_path):
    home = faulty("nossh")
    bare = tmp_path / "bare"
    bare.mkdir()
    rows, _ = state(home, "nossh", env={"PATH": str(bare)})
    assert rows[0]["state"] == "absent" and "no ssh in PATH" in rows[0]["error"]


def test_without_config_nobody_is_asked(there, tmp_path, program):
    home = Home(tmp_path, program)
    home.env["PATH"] = there.far.path_with_ssh(home)
    called = tmp_path / "called"
    ssh = tmp_path / "with-ssh/ssh"
    ssh.write_text(ssh.read_text().replace("exec ", f"echo >>{called}\nexec ", 1))
    (home.path / ".ssh").mkdir()
    (home.path / ".ssh/config").write_text("Host login1\n")
    home.run("list")
    assert not called.exists()


# ------------------------------------------------------------------------------------------------------ connections that go wrong


def answers_to(home):
    """What the live list says, event by event."""
    process = subprocess.Popen([home.program, "list", "--watch", "-o", "json"], env=home.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    events = []

    def read():
        for line in process.stdout:
            events.append(json.loads(line))
    threading.Thread(target=read, daemon=True).start()
    return process, events


@pytest.fixture
def own_far(tmp_path, dask):
    """A computer of the test's own, to break."""
    tmp_path.chmod(0o755)
    with Far(tmp_path / "own") as far, FarRig(far, tmp_path / "own-rig", dask) as rig:
        yield far, rig


def own_home(path, program, far, more=""):
    home = Home(path / "own-home", program)
    home.path.mkdir()
    home.env["XDG_RUNTIME_DIR"] = str(home.path)
    home.config(far.config(more=more))
    return home


def backend_state(events, instance="local"):
    rows = [e["backend"] for e in events if e["event"] == "backend" and e["backend"]["instance"] == instance]
    return rows[-1] if rows else {"state": None}


def test_a_connection_that_stalls_and_one_that_dies(own_far, tmp_path, program):
    """SIGSTOP: slow, then failed, while the row stays; then alive again. Cut in the middle: made anew without a word from anybody."""
    far, rig = own_far
    scheduler = rig.scheduler("beta")
    home = own_home(tmp_path, program, far, ", refresh: 1s, timeout: 1s, discover: [local]")
    process, events = answers_to(home)
    try:
        rigs.until(lambda: [e for e in events if e["event"] == "cluster" and e["cluster"]["address"] == scheduler.address], 30)
        rigs.until(lambda: backend_state(events)["state"] == "ok", 10)
        stopped = far.sshd_pids()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        rigs.until(lambda: backend_state(events)["state"] == "slow", 30)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        rigs.until(lambda: backend_state(events)["state"] == "ok", 30)
        far.cut()
        before = len(events)
        rigs.until(lambda: backend_state(events)["state"] == "ok" and len(far.connections) > 0, 60)
        assert not [e for e in events if e["event"] == "gone"], "it was there all the time"
        far.stop()
        far.cut()
        rigs.until(lambda: backend_state(events[before:])["state"] == "failed", 30)
        assert process.poll() is None and not [e for e in events if e["event"] == "gone"]
    finally:
        process.kill()
        process.wait()


def test_who_we_are_there_is_asked_once_for_all(tmp_path, program):
    """A second dasktop on the same connection has only its own question to ask."""
    tmp_path.chmod(0o755)
    calls = tmp_path / "calls"
    with Far(tmp_path / "own", rc=f"echo >>{calls}\n") as far:
        home = own_home(tmp_path, program, far, ", discover: [local]")
        home.list()
        before = calls.read_text().count("\n")
        home.list()
        assert calls.read_text().count("\n") == before + 1


def test_forwarding_is_forbidden(own_far, tmp_path, program):
    """A cluster is not gone because ssh leads nobody to it."""
    far, rig = own_far
    config = far.path / "sshd_config"
    config.write_text(config.read_text().replace("AllowTcpForwarding yes", "AllowTcpForwarding no"))
    far.restart()
    scheduler = rig.scheduler("beta")
    home = own_home(tmp_path, program, far, ", discover: [local]")
    document = home.list(status=3)
    row = next(c for c in document["clusters"] if c["address"] == scheduler.address)
    assert row["status"] == "unreachable" and row["verdict"]["state"] == "unknown"
    assert "AllowTcpForwarding" in document["backends"][0]["error"] and document["backends"][0]["state"] == "partial"


# ----------------------------------------------------------------------------------------------------------- what is over there

NOISE = """
echo "Welcome to login1: begin 000000000000000000000000"
echo "end 000000000000000000000000 0"
printf 'no newline \\033]0;title\\007'
echo "a warning of a profile" >&2
alias ls='ls --color=always' grep='grep --color=always' cat='cat -n'
cd /
"""


def first_row(home, address):
    def look():
        done = home.run("list", "-o", "json")
        assert done.stdout, done.stderr
        rows = [c for c in json.loads(done.stdout)["clusters"] if c["address"] == address]
        return rows and rows[0]
    return rigs.until(look, 30, 0.5, what=f"the row of {address}")


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/tcsh", "/usr/bin/fish"])
def test_login_shells(tmp_path, program, dask, shell):
    """Shells that print what they like before anything else, and shells that are no POSIX sh."""
    assert os.path.exists(shell), f"{shell} is missing: scripts/test installs it"
    tmp_path.chmod(0o755)
    with Far(tmp_path / "own", shell=shell, rc=NOISE if shell == "/bin/bash" else "") as far, FarRig(far, tmp_path / "own-rig", dask) as rig:
        if shell == "/bin/tcsh":
            (far.home / ".cshrc").write_text("echo 'a word of csh'\nalias ls 'ls -F'\n")
        if shell == "/usr/bin/fish":
            (far.home / ".config/fish").mkdir(parents=True, exist_ok=True)
            (far.home / ".config/fish/config.fish").write_text("echo 'a word of fish'\n")
        scheduler = rig.scheduler("beta")
        home = own_home(tmp_path, program, far, ", discover: [local]")
        row = first_row(home, scheduler.address)
        assert row["name"] == "beta" and row["status"] == "running"
        done = home.run("delete", row["id"], "--yes", "--force")
        assert done.returncode == 0, done.stderr
        rigs.until(lambda: scheduler.process.poll() is not None, 10)


def test_a_shell_that_runs_nothing(tmp_path, program):
    """An account for transfers alone says so, in one line."""
    tmp_path.chmod(0o755)
    shell = tmp_path / "only-files"
    shell.write_text("#!/bin/sh\necho 'This account is for file transfers only.'\nexit 1\n")
    shell.chmod(0o755)
    with Far(tmp_path / "own", shell=shell) as far:
        home = own_home(tmp_path, program, far)
        done = home.run("list", "-o", "json")
        backend = json.loads(done.stdout)["backends"][0]
        assert backend["state"] == "failed" and "runs no command: This account is for file transfers only." in backend["error"]


def test_a_computer_with_little_on_it(tmp_path, program, dask):
    """No ss, no ps, no Python, no awk in PATH: what POSIX has is enough."""
    tmp_path.chmod(0o755)
    few = tmp_path / "few"
    few.mkdir()
    for name in ("sh", "cat", "date", "env", "grep", "head", "id", "kill", "ls", "mkdir", "nohup", "sed", "sort", "tail", "tr", "wc"):
        (few / name).symlink_to(subprocess.run(["sh", "-c", f"command -v {name}"], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}).stdout.strip()
                                if name != "kill" else "/bin/kill")
    with Far(tmp_path / "own", programs=few) as far, FarRig(far, tmp_path / "own-rig", dask) as rig:
        scheduler = rig.scheduler("beta")
        rig.worker(scheduler.address, "w1")
        lost, address = rig.lost_worker("lost")
        home = own_home(tmp_path, program, far, ", discover: [local]")
        row = first_row(home, scheduler.address)
        assert row["name"] == "beta" and row["status"] == "running"
        row = rigs.until(lambda: (r := first_row(home, address)) and r["verdict"]["state"] == "orphaned" and r, 40, 1)
        document = json.loads(home.run("list", "-o", "json").stdout)
        assert {c["address"] for c in document["clusters"]} == {scheduler.address, address}, "no dashboard is taken for a cluster"
        done = home.run("delete", row["id"], "--yes")
        assert done.returncode == 0, done.stderr
        rigs.until(lambda: lost.poll() is not None, 10)


# ------------------------------------------------------------------------------------------------------------ its batch system


def stand_in_slurm(tmp_path, address, login="login1"):
    """Slurm's clients as they answer, in a directory of the far PATH: two jobs of one cluster, submitted from that login node."""
    home = Home(tmp_path / "clients", None)
    home.path.mkdir()
    clients = stand_ins.Clients(home, "slurm", stand_ins.slurm(home, address, "root", login))
    return clients


def test_a_queue_there(tmp_path, program, dask):
    """Its jobs are seen, its scheduler is reached, its jobs are cancelled there; and of a dead scheduler that computer itself says so."""
    tmp_path.chmod(0o755)
    clients = tmp_path / "clients/bin"
    with Far(tmp_path / "own", programs=f"{clients}{os.pathsep}{plain_path()}") as far, FarRig(far, tmp_path / "own-rig", dask) as rig:
        scheduler = rig.scheduler("tides")
        slurm = stand_in_slurm(tmp_path, scheduler.address)
        home = own_home(tmp_path, program, far)
        row = rigs.until(lambda: next((c for c in home.list()["clusters"] if c["type"] == "SLURMCluster" and c["status"] == "running"), None), 30, 1)
        assert row["id"] == f"login:slurm/root@127.0.0.1:{scheduler.port}" and row["scheduler_id"] == scheduler.id
        document = home.list()
        others = [c for c in document["clusters"] if c["address"] == scheduler.address and c["id"] != row["id"]]
        assert [c["same_as"] for c in others] == [row["id"]], "the queue owns the row that local sees, too"
        assert {b["instance"]: b["state"] for b in document["backends"]} == {"local": "ok", "slurm": "ok"}
        code = "from distributed import Client; print(Client().scheduler.address)"
        done = home.run("connect", row["id"], "--", str(dask), "-c", code)
        assert done.returncode == 0 and "127.0.0.1" in done.stdout, done.stderr
        assert "dasktop connect" in home.run("snippet", row["id"]).stdout
        os.killpg(scheduler.process.pid, signal.SIGKILL)
        row = rigs.until(lambda: next((c for c in home.list()["clusters"] if c["type"] == "SLURMCluster" and c["verdict"]["state"] == "orphaned"), None), 30, 1)
        assert "refused by that host itself" in json.dumps(row["verdict"]["evidence"])
        done = home.run("delete", row["id"], "--yes", "--no-wait")
        assert done.returncode == 0, done.stderr
        assert [call for call in slurm.calls("scancel")], "cancelled there"
    for call in slurm.calls("squeue"):
        assert call[2] == "UTC"


# -------------------------------------------------------------------------------------------------------------- on the screen


def test_a_log_that_is_a_pipe(tmp_path, program):
    """Whoever submits a job names its log: one that nobody writes to keeps nobody waiting."""
    tmp_path.chmod(0o755)
    os.mkfifo(tmp_path / "log")
    with Far(tmp_path / "own", programs=f"{tmp_path / 'clients/bin'}{os.pathsep}{plain_path()}") as far:
        clients = Home(tmp_path / "clients", None)
        clients.path.mkdir()
        answers = json.loads(json.dumps(stand_ins.slurm(clients, "tcp://127.0.0.1:1", "root", "login1")).replace("/data/dask-%J.err", str(tmp_path / "log")))
        answers["scontrol"] = [[[], {"out": "", "err": "scontrol: error: Access/permission denied", "status": 1}]]
        stand_ins.Clients(clients, "slurm", answers)
        home = own_home(tmp_path, program, far, ", discover: [slurm], timeout: 10s")
        done = home.run("list", "-o", "json")
        assert [b["state"] for b in json.loads(done.stdout)["backends"]] == ["ok"], done.stdout


def test_the_loopback_of_another_login_node(tmp_path, program, dask):
    """What answers at 127.0.0.1 of the node that ssh leads to, or refuses there, is nothing that the jobs of another node have to do with."""
    tmp_path.chmod(0o755)
    with Far(tmp_path / "own", programs=f"{tmp_path / 'clients/bin'}{os.pathsep}{plain_path()}") as far, FarRig(far, tmp_path / "own-rig", dask) as rig:
        scheduler = rig.scheduler("stranger")
        stand_in_slurm(tmp_path, scheduler.address, "login2")
        home = own_home(tmp_path, program, far, ", discover: [slurm]")

        def look():
            return next((c for c in home.list()["clusters"] if c["address"]), None)
        row = rigs.until(look, 30, 1)
        assert row["status"] == "unknown" and row["scheduler_id"] is None, row
        os.killpg(scheduler.process.pid, signal.SIGKILL)
        for _ in range(2):
            assert look()["verdict"]["state"] == "unknown", "a refusal here is no proof"
        done = home.run("show", row["id"])
        assert "listens on 127.0.0.1 of login2 alone" in done.stdout, done.stdout


def test_hosts_of_the_config_are_offered(tmp_path, program):
    home = Home(tmp_path, program)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host *\n  User x\nHost login1 login2\n  HostName 10.0.0.1\nHost !no *.example.org \"quoted\"\n")
    home.config("dasktop: {auto: false}\n")
    with Tui([program], env=home.env) as screen:
        screen.wait("dasktop -H login1")
        assert "dasktop -H login2" in screen.text() and "dasktop -H quoted" in screen.text()
        assert "example.org" not in screen.text() and "-H no" not in screen.text()
        screen.send("q")
        assert screen.wait_exit() == 0


def test_the_dashboard_of_a_host(there, alpha):
    """At 80x24: the far cluster is in the table, opens, and the host's name stands where it comes from."""
    with Tui([there.home.program, "-H", "login1"], env=there.home.env) as screen:
        screen.wait("alpha +login1 +root +running")
        screen.send("/alpha\r")
        screen.wait("▌ *alpha")
        screen.send("Enter")
        screen.wait("WORKER.*\n▌ *[^ ]+ .*running")
        screen.send("q")
        screen.send("b")
        screen.wait("login1.*local.*ssh")
        screen.send("qq")
        assert screen.wait_exit() == 0
    assert not (there.home.path / ".local/state/dasktop/last.jsonl").exists(), "the table of one host is not the next start's"
