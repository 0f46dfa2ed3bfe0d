"""show, logs, connect, dashboard, snippet, wait, backends, and the words of errors."""
import json
import os
import re
import signal
import subprocess
import threading

from rig import free_port, until


def test_show_describes_workers_and_tasks(home, any_rig):
    scheduler = any_rig.scheduler()
    any_rig.worker(scheduler.address, "w1")
    scheduler.workers(1)
    any_rig.client(scheduler.address, "a = c.submit(sum, [1], key='my-sum'); b = c.submit(lambda: 1 / 0, key='will-err'); a.result()\n"
                   "while b.status == 'pending': time.sleep(0.1)")
    done = home.run("show", scheduler.address, "-o", "json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["cluster"]["scheduler_id"] == scheduler.id
    assert [w["name"] for w in shown["workers"]] == ["w1"] and shown["workers"][0]["memory"] > 0
    assert shown["resources"] and all(r["uid"] for r in shown["resources"] if r["kind"] != "file")
    prefixes = {p["name"]: p for p in shown["prefixes"]}
    assert prefixes["will-err"]["erred"] == 1
    assert shown["route"] and shown["worker_spec"] and shown["found"]
    for verb in ("scale", "adapt", "logs", "connect", "delete", "snippet"):
        assert (verb in shown["cluster"]["can"]) != (verb in shown["cluster"]["cannot"]), f"show decides {verb}"
    text = home.run("show", scheduler.address).stdout
    assert "w1" in text and "will-err" in text


def test_show_by_every_name(home, rig):
    scheduler = rig.scheduler()
    row = home.cluster(scheduler.address)
    for name in (row["id"], row["uid"], row["scheduler_id"], row["address"], row["uid"][:18]):
        done = home.run("show", name)
        assert done.returncode == 0, (name, done.stderr)
    assert home.run("show", "no-such-cluster").returncode == 4
    assert home.run("delete", row["uid"][:18], "--yes", "--force").returncode != 0, "a prefix is not enough for a change"
    assert home.cluster(scheduler.address)


def test_ambiguous_names_list_their_ids(home, rig):
    (rig.path / "a").mkdir()
    (rig.path / "b").mkdir()
    addresses = []
    for n in "ab":
        file = rig.path / n / "same.json"
        rig.spawn(f"same-{n}", [rig.python, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
                                "--dashboard-address", "127.0.0.1:0", "--scheduler-file", file])
        until(lambda: file.exists() and file.read_text().strip())
        addresses.append(json.loads(file.read_text())["address"])
    rows = [home.cluster(a) for a in addresses]
    assert rows[0]["name"] == rows[1]["name"], "both are called after their scheduler file"
    done = home.run("show", rows[0]["name"])
    assert done.returncode == 5 and all(r["id"] in done.stderr for r in rows)


def test_logs_of_all_components(home, any_rig):
    scheduler = any_rig.scheduler()
    any_rig.worker(scheduler.address, "w1", nanny=False)
    scheduler.workers(1)
    done = home.run("logs", scheduler.address)
    assert done.returncode == 0, done.stderr
    assert "[scheduler]" in done.stdout and "w1" in done.stdout
    only = home.run("logs", scheduler.address, "-c", "scheduler", "-n", "2").stdout.splitlines()
    assert len(only) == 2 and not only[0].startswith("[")
    stamped = home.run("logs", scheduler.address, "-c", "scheduler", "-n", "1", "--timestamps").stdout
    assert re.match(r"\d{4}-\d\d-\d\dT", stamped), stamped


def test_logs_follow_until_the_cluster_ends(home, rig):
    scheduler = rig.scheduler()
    process = subprocess.Popen([home.program, "logs", scheduler.address, "-f", "-c", "scheduler"], env=home.env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")), daemon=True)
    reader.start()
    until(lambda: lines)
    rig.worker(scheduler.address, "late", nanny=False)
    until(lambda: any("late" in line or "Register worker" in line for line in lines), what=lines)
    os.killpg(scheduler.process.pid, signal.SIGTERM)
    assert process.wait(60) == 0, process.stderr.read()


def test_connect_runs_a_command(home, rig, dask):
    scheduler = rig.scheduler()
    rig.worker(scheduler.address, "w1", nanny=False)
    scheduler.workers(1)
    done = home.run("connect", scheduler.address, "--", dask, "-c",
                    "import os; from distributed import Client; print(Client(os.environ['DASK_SCHEDULER_ADDRESS']).submit(sum, [20, 22]).result())")
    assert done.returncode == 0 and done.stdout.strip() == "42", done.stderr
    assert home.run("connect", scheduler.address, "--", "sh", "-c", "exit 7").returncode == 7
    assert home.run("connect", scheduler.address, "--", "no-such-program").returncode == 127


def test_connect_holds_the_route(home, rig):
    scheduler = rig.scheduler()
    process = subprocess.Popen([home.program, "connect", scheduler.address, "-o", "json"], env=home.env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    document = json.loads(process.stdout.readline())
    assert document["address"] == scheduler.address
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130


def test_dashboard_and_snippet(home, rig, dask):
    scheduler = rig.scheduler()
    done = home.run("dashboard", scheduler.address, "--print")
    assert done.returncode == 0 and done.stdout.strip() == f"http://127.0.0.1:{scheduler.dashboard}/status"
    over_ssh = home.run("dashboard", scheduler.address, "--print", env={"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"})
    assert f"ssh -L {scheduler.dashboard}:127.0.0.1:{scheduler.dashboard} " in over_ssh.stdout and "proxy/" in over_ssh.stdout
    snippet = home.run("snippet", scheduler.address).stdout
    ran = subprocess.run([dask, "-c", snippet + "\nprint(client.scheduler_info()['id'])\n"], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip().endswith(scheduler.id), (snippet, ran.stderr)


def test_wait(home, rig):
    scheduler = rig.scheduler()
    assert home.run("wait", scheduler.address, "--for", "running", "--timeout", "20s").returncode == 0
    late = home.run("wait", scheduler.address, "--for", "workers=1", "--timeout", "2s")
    assert late.returncode == 7, late.stderr
    rig.worker(scheduler.address, "w1", nanny=False)
    assert home.run("wait", scheduler.address, "--for", "workers=1", "--timeout", "30s").returncode == 0
    os.killpg(scheduler.process.pid, signal.SIGKILL)
    scheduler.process.wait()
    assert home.run("wait", scheduler.address, "--for", "gone", "--timeout", "20s").returncode == 0


def test_backends(home):
    document = json.loads(home.run("backends", "-o", "json").stdout)
    local = next(b for b in document["backends"] if b["name"] == "local")
    assert local["state"] == "ok" and local["took_ms"] is not None
    assert "local" in home.run("backends").stdout


def test_one_backend_of_two_does_not_answer(home, rig):
    scheduler = rig.scheduler()
    home.config("dasktop: {timeout: 1s, backends: {far: {type: scheduler, addresses: ['not an address']}}}\n")
    done = home.run("list")
    assert done.returncode == 2 and "not an address" in done.stderr and done.stdout == ""
    assert scheduler.counts() is not None


def test_usage_and_config_errors_are_one_line(home):
    for arguments in (["nothing"], ["show"], ["scale", "x"], ["scale", "x", "-1"], ["scale", "x", "many"], ["list", "--nothing"],
                      ["wait", "x"], ["wait", "x", "--for", "ever"], ["logs", "x", "-n", "few"], ["connect", "x", "--port", "99999"]):
        done = home.run(*arguments)
        assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1, (arguments, done)
        assert done.stderr.startswith("dasktop: ")
    home.config("dasktop:\n  refesh: 5s\n")
    done = home.run("list")
    assert done.returncode == 2 and "dasktop.yaml:2:3" in done.stderr and "refresh" in done.stderr and len(done.stderr.splitlines()) == 1
    home.config("dasktop:\n  timeout: soon\n")
    assert ":2:12" in home.run("list").stderr


def test_help_and_version(home):
    assert re.match(r"dasktop \d+\.\d+\.\d+\n", home.run("--version").stdout)
    assert "delete" in home.run("help").stdout
    for command in ("list", "show", "connect", "dashboard", "snippet", "create", "scale", "retire", "logs", "delete", "keep", "wait",
                    "backends", "journal", "help"):
        assert command in home.run("help", command).stdout
        assert home.run(command, "--help").returncode == 0


def test_dashboard_without_a_terminal_is_the_list(home, rig):
    scheduler = rig.scheduler()
    done = home.run()
    assert done.returncode == 0 and done.stdout.startswith("NAME") and str(scheduler.port) in home.run("list", "-o", "wide").stdout


def test_a_config_from_the_environment(home):
    assert home.list(env={"DASK_DASKTOP__AUTO": "false"})["backends"] == []
    assert home.run("list", env={"DASK_DASKTOP__TIMEOUT": "soon"}).returncode == 2


def test_unreachable_name_is_partial(home, rig):
    """Nothing found while some backend is incomplete is 3, never 4."""
    scheduler = rig.scheduler()
    os.kill(scheduler.process.pid, signal.SIGSTOP)
    try:
        home.config(f"dasktop: {{auto: false, timeout: 1s, backends: {{far: {{type: scheduler, addresses: ['{scheduler.address}']}}}}}}\n")
        assert home.run("show", "no-such-name").returncode in (3, 4)
    finally:
        os.kill(scheduler.process.pid, signal.SIGCONT)
    assert free_port()
