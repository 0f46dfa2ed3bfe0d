"""Sweep: what goes, what stays, what is told, over real Dask. The program's wall clock is moved ahead where age counts (later.c)."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from rig import alive, until

HOUR = 3600
SOON = {"verdict": {"unattended": "2s", "idle": "2s"}}


@pytest.fixture(scope="session")
def later_library(tmp_path_factory):
    library = tmp_path_factory.mktemp("later") / "later.so"
    source = pathlib.Path(__file__).with_name("later.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, source], check=True)
    return library


@pytest.fixture
def later(later_library):
    """later(seconds): the environment of a program that runs so much later."""
    return lambda seconds=HOUR: {"LD_PRELOAD": str(later_library), "LATER_S": str(seconds)}


@pytest.fixture
def sweep(home, rig, later):
    """Runs a sweep, so much later, over nothing but this test's own clusters: the machine may have others."""
    def run(*arguments, at=HOUR, also=""):
        return home.run("sweep", *arguments, *mine(rig, also), env=later(at) if at else None, timeout=120)
    return run


def mine(rig, also=""):
    return "--filter", f"origin:\"{rig.path}\" {also}"


def configure(home, **sections):
    home.config("dasktop: " + json.dumps({**SOON, **sections}) + "\n")


def catcher(home):
    """A hook that writes down what it gets, one event a line, and a function that reads it."""
    script, file = home.path / "hook.py", home.path / "hook.log"
    script.write_text(f"import os, sys\nfacts = sys.stdin.read()\nopen({str(file)!r}, 'a').write(facts)\n"
                      f"assert os.getpgid(0) == os.getpid(), 'a group of its own'\n")
    return [sys.executable, str(script)], lambda: [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def fates(sweep, *arguments):
    done = sweep("-o", "json", *arguments)
    assert done.returncode in (0, 3), done.stderr
    return {item["name"]: item for item in json.loads(done.stdout)["sweep"]}


def orphan(home, rig, name="lost"):
    """A worker whose scheduler is dead: its process and its row."""
    process, address = rig.lost_worker(name)

    def found():
        row = home.cluster(address)
        return row if row and row["verdict"]["state"] == "orphaned" else None

    return process, until(found, what="its verdict")


def unattended(rig, name="left"):
    """A cluster whose client was killed after its work."""
    scheduler = rig.scheduler(name)
    rig.worker(scheduler.address, f"{name}-worker")
    scheduler.workers(1)
    client = rig.client(scheduler.address, "c.submit(sum, [1, 2, 3]).result()", f"{name}-client")
    os.killpg(client.pid, signal.SIGKILL)
    client.wait()
    until(lambda: scheduler.counts()["clients"] <= 1 and scheduler.counts()["memory"] == 0, what="the client is gone")
    return scheduler


def active(rig, name="busy"):
    scheduler = rig.scheduler(name)
    rig.worker(scheduler.address, f"{name}-worker")
    scheduler.workers(1)
    rig.client(scheduler.address, "import time\nf = c.submit(time.sleep, 10**6)\nwhile not c.processing(): time.sleep(0.1)\n"
               "while not any(c.processing().values()): time.sleep(0.1)", f"{name}-client")
    return scheduler


def journal(home):
    return json.loads(home.run("journal", "-o", "json").stdout)["journal"] if (home.path / ".local/state/dasktop/journal.jsonl").exists() else []


def test_no_rule(home):
    done = home.run("sweep")
    assert done.returncode == 2 and "--orphaned" in done.stderr
    assert home.run("sweep", "--older", "2d", "--backend", "local", "--owner", "me", "--filter", "x", "--yes").returncode == 2, "these only narrow"
    assert home.run("sweep", "--orphaned", "--backend", "nowhere").returncode == 2
    assert home.run("sweep", "--orphaned", "--filter", "age>nonsense").returncode == 2
    assert home.run("sweep", "--idle", "soon").returncode == 2
    assert home.run("sweep", "--orphaned", "-o", "csv").returncode == 2


def test_nothing_to_sweep(home, later):
    for arguments in ((), ("--yes",), ("--exit-code",)):
        assert home.run("sweep", "--orphaned", "--filter", "name:nothing-is-called-so", *arguments, env=later()).returncode == 0


def test_orphan_goes_and_the_living_stay(home, rig, sweep):
    """The whole of it: plan, exit code, deletion, journal; nothing else is touched."""
    process, row = orphan(home, rig)
    busy = active(rig)
    young = sweep("--orphaned", "--yes", at=0)
    assert young.returncode == 0 and alive(process.pid), "younger than 10 minutes"
    assert "younger" in young.stdout
    plan = sweep("--orphaned", "--unattended", "0s", "--idle", "0s")
    assert plan.returncode == 0 and row["id"] in plan.stdout and "ends" in plan.stdout, plan.stdout + plan.stderr
    assert busy.address not in plan.stdout
    assert sweep("--orphaned", "--exit-code").returncode == 10
    assert sweep("--unattended", "5d", "--exit-code").returncode == 0
    assert alive(process.pid) and not journal(home), "a plan changes nothing"
    done = sweep("--orphaned", "--unattended", "0s", "--idle", "0s", "--yes")
    assert done.returncode == 0, done.stderr
    until(lambda: not alive(process.pid))
    assert alive(busy.process.pid) and busy.counts()["workers"] == 1
    assert [(e["change"], e["id"]) for e in journal(home)] == [("delete", row["id"])]
    again = sweep("--orphaned", "--yes")
    assert again.returncode == 0


def test_unattended_goes_results_stay(home, rig, sweep, later):
    configure(home)
    left, holds = unattended(rig), rig.scheduler("holds")
    rig.worker(holds.address, "holds-worker")
    holds.workers(1)
    client = rig.client(holds.address, "f = c.submit(sum, [1, 2]); f.result(); c.publish_dataset(kept=f)", "holds-client")
    os.killpg(client.pid, signal.SIGKILL)
    until(lambda: holds.counts()["clients"] <= 1 or holds.counts()["memory"] == 1)
    rules = ("--unattended", "3s", "--idle", "3s")

    def ripe():
        found = {c["address"]: c["verdict"]["state"] for c in home.list(env=later())["clusters"]}
        return found.get(left.address) == "unattended" and found.get(holds.address) in ("unattended", "idle")

    until(ripe)
    rows = {c["name"]: c["address"] for c in home.list(env=later())["clusters"]}
    items = {rows[name]: item for name, item in fates(sweep, *rules).items()}
    assert items[left.address]["fate"] == "goes" and items[left.address]["plan"]["steps"], items
    assert items[holds.address]["fate"] == "stays" and "result" in items[holds.address]["why"]
    items = {rows[name]: item for name, item in fates(sweep, "--unattended", "5d", "--idle", "5d").items()}
    assert items[left.address]["fate"] == "no rule"
    done = sweep(*rules, "--yes")
    assert done.returncode == 0, done.stderr
    until(lambda: not alive(left.process.pid))
    assert alive(holds.process.pid)
    done = sweep(*rules, "--with-data", "--yes")
    assert done.returncode == 0, done.stderr
    until(lambda: not alive(holds.process.pid))


def test_kept_and_protected_stay(home, rig, sweep):
    first, row = orphan(home, rig, "kept")
    second, other = orphan(home, rig, "saved")
    configure(home, sweep={"orphaned": True, "protect": {"names": [other["name"]]}})
    assert home.run("keep", row["id"], "--for", "1d", "--reason", "not yet").returncode == 0
    items = fates(sweep)
    assert items[row["name"]]["fate"] == "stays" and "not yet" in items[row["name"]]["why"]
    assert items[other["name"]]["fate"] == "stays" and "protect" in items[other["name"]]["why"]
    assert sweep("--yes").returncode == 0
    assert alive(first.pid) and alive(second.pid)
    home.run("keep", row["id"], "--not")
    configure(home, sweep={"orphaned": True, "protect": {"owners": [row["owner"]]}})
    assert sweep("--yes").returncode == 0
    assert alive(first.pid) and alive(second.pid)
    configure(home, sweep={"orphaned": True})
    assert sweep("--backend", "local", "--older", "2d", "--yes").returncode == 0
    assert sweep("--owner", "nobody-is-called-so", "--yes").returncode == 0
    assert sweep("--yes", also=f"!\"{row['name']}\" !\"{other['name']}\"").returncode == 0
    assert alive(first.pid) and alive(second.pid), "narrowed to nothing"
    assert sweep("--owner", row["owner"], "--yes").returncode == 0
    until(lambda: not alive(first.pid) and not alive(second.pid))


def test_more_than_max(home, rig, sweep):
    processes = [orphan(home, rig, f"many{n}")[0] for n in range(2)]
    configure(home, sweep={"max": 1}, on={"orphaned": ["/bin/false"]})
    plan = sweep("--orphaned")
    assert plan.returncode == 0 and "max" in plan.stderr
    done = sweep("--orphaned", "--yes")
    assert done.returncode == 6 and "max" in done.stderr and "on.orphaned" not in done.stderr
    assert all(alive(p.pid) for p in processes) and not journal(home)


def test_read_only(home, rig, sweep):
    process, _ = orphan(home, rig)
    assert sweep("--orphaned", "--read-only").returncode == 0
    assert sweep("--orphaned", "--read-only", "--yes").returncode == 6
    configure(home, backends={"local": {"read-only": True}})
    assert sweep("--orphaned", "--yes").returncode == 0
    assert alive(process.pid)


def test_tell_first_then_delete(home, rig, sweep):
    process, row = orphan(home, rig)
    command, events = catcher(home)
    link = home.path / "link"
    link.symlink_to(command[0])
    configure(home, on={"orphaned": command, "swept": ["~/link", *command[1:]]})
    arguments = ("--orphaned", "--grace", "1h")
    assert sweep(*arguments).returncode == 0
    assert not events(), "a plan tells nobody"
    assert sweep("--orphaned", "--notify").returncode == 0
    assert [e["event"] for e in events()] == ["orphaned"]
    facts = events()[0]
    assert facts["cluster"]["id"] == row["id"] and facts["cluster"]["verdict"]["state"] == "orphaned" and facts["why"]
    waits = sweep(*arguments, "--yes", at=HOUR + 60)
    assert waits.returncode == 0 and "waits" in waits.stdout and alive(process.pid)
    assert len(events()) == 1, "told once"
    done = sweep(*arguments, "--yes", at=2 * HOUR + 60)
    assert done.returncode == 0, done.stderr
    until(lambda: not alive(process.pid))
    assert [e["event"] for e in events()] == ["orphaned", "swept"]
    assert events()[1]["left_over"] == []


def test_told_again_after_it_was_used(home, rig, sweep, later):
    """Unattended, told, used, unattended: the first telling does not count for the second time."""
    configure(home)
    left = unattended(rig)
    arguments = ("--unattended", "0s", "--grace", "10m", "--yes")
    state = lambda **more: [c["verdict"]["state"] for c in home.list(**more)["clusters"] if c["address"] == left.address]
    until(lambda: state(env=later()) == ["unattended"])
    assert "told" in sweep(*arguments).stdout
    assert "waits" in sweep(*arguments).stdout
    # the cluster's own clock was not moved: it was told now
    file = home.path / ".local/state/dasktop/told.json"
    told = json.loads(file.read_text())
    told["told"][0]["at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    file.write_text(json.dumps(told))
    time.sleep(1.1)  # stamps are whole seconds
    client = rig.client(left.address, "c.submit(sum, [4, 5]).result()", "again")
    os.killpg(client.pid, signal.SIGKILL)
    until(lambda: state(env=later(2 * HOUR)) == ["unattended"])
    done = sweep(*arguments, at=2 * HOUR)
    assert "told" in done.stdout and alive(left.process.pid), done.stdout + done.stderr


def test_a_hook_that_fails_keeps_it_untold(home, rig, sweep):
    process, _ = orphan(home, rig)
    configure(home, on={"orphaned": ["/bin/sh", "-c", "echo no mail today >&2; exit 3"]})
    for seconds in (HOUR, 2 * HOUR):
        done = sweep("--orphaned", "--grace", "0s", "--yes", at=seconds)
        assert done.returncode == 3 and "no mail today" in done.stderr, done.stderr
    assert alive(process.pid), "who could not be told of is not deleted"
    configure(home, on={"orphaned": ["~/no/such/program"]})
    assert sweep("--orphaned", "--notify").returncode == 3


def test_two_at_once(home, rig, sweep, later):
    """The first one is held up by its hook; the second one does nothing."""
    process, _ = orphan(home, rig)
    started, go = home.path / "started", home.path / "go"
    os.mkfifo(go)
    configure(home, on={"orphaned": ["/bin/sh", "-c", f"touch {started}; read line <{go}"]})
    first = subprocess.Popen([home.program, "sweep", "--orphaned", "--yes", *mine(rig)], env={**home.env, **later()}, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    until(started.exists)
    second = sweep("--orphaned", "--yes")
    assert second.returncode == 7 and "another sweep" in second.stderr
    assert sweep("--orphaned", "--exit-code").returncode == 10, "looking is allowed"
    assert alive(process.pid)
    with open(go, "w") as f:
        f.write("go\n")
    output, errors = first.communicate(timeout=120)
    assert first.returncode == 0, errors
    until(lambda: not alive(process.pid))


def complete(home, line):
    """What bash offers at the end of this line."""
    script = f"""dasktop() {{ if [[ $1 == -H ]]; then printf '%s:local/far\\n' "$2"; else printf 'local/abc\\nprod:kind/dask/x\\n'; fi; }}
source <({home.program} completion bash)
COMP_LINE=$1 COMP_POINT=${{#1}}
_dasktop
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", script, "bash", line], env=home.env, capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.split()


def test_completion_of_bash(home):
    commands = complete(home, "dasktop ")
    assert {"list", "sweep", "completion", "help"} <= set(commands)
    for command in commands:
        done = home.run("help", command)
        assert done.returncode == 0
        options = {word for word in done.stdout.split() if word.startswith("--") and word.strip("-").islower()}
        assert set(complete(home, f"dasktop {command} --")) >= {o for o in options if f"  {o}" in done.stdout or f", {o}" in done.stdout}
    assert complete(home, "dasktop sw") == ["sweep"]
    assert complete(home, "dasktop list -o j") == ["json"]
    assert complete(home, "dasktop delete ") == ["local/abc", "prod:kind/dask/x"]
    assert complete(home, "dasktop delete prod:k") == ["kind/dask/x"], "readline's word begins after the colon"
    assert complete(home, "dasktop --theme dark li") == ["list"]
    assert "-H" in complete(home, "dasktop -")
    for host in ("-H login", "-Hlogin"):
        assert complete(home, f"dasktop {host} sw") == ["sweep"]
        assert complete(home, f"dasktop {host} delete ") == ["login:local/far"], "what is on that host, of that host"
    assert complete(home, "dasktop -H no-such-host.") == []
    assert complete(home, "dasktop completion ") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_names_every_command(home, shell):
    done = home.run("completion", shell)
    assert done.returncode == 0
    for command in complete(home, "dasktop "):
        assert command in done.stdout
    assert ("-H+[" if shell == "zsh" else "-s H ") in done.stdout
    assert home.run("completion", "tcsh").returncode == 2 and home.run("completion").returncode == 2
