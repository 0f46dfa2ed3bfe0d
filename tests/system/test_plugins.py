"""Backends in any language: a plugin that works, and every way in which one may not."""
import json
import os
import pathlib
import pty
import re
import signal
import subprocess
import sys

import pytest

from rig import until

PLUGIN = pathlib.Path(__file__).with_name("plugin.py")


class World:
    """What the plugin has, in a file that both sides read."""

    def __init__(self, path):
        self.path = path
        self.write({})

    def write(self, clusters):
        new = self.path.with_suffix(".test")
        new.write_text(json.dumps({"clusters": clusters, "calls": []}))
        new.rename(self.path)

    def read(self):
        return json.loads(self.path.read_text())

    @property
    def calls(self):
        return self.read()["calls"]


def cluster(name, **more):
    return {"id": name, "uid": f"uid-{name}", "name": name, "status": "running", "clients": 0, "workers": {"ready": 2, "wanted": 2},
            "parts": [{"kind": "rack", "name": f"rack of {name}", "uid": f"rack-{name}", "status": "lit"}], **more}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path / "world.json")


@pytest.fixture
def configure(home, world):
    """configure(mine={...}, other={...}): backends of type exec with these plugin configs; `argument`, `timeout`, `env` are ours."""

    def write(**plugins):
        text = "dasktop:\n  auto: false\n  backends:\n"
        for key, config in plugins.items():
            argument = [config.pop("argument")] if "argument" in config else []
            ours = {name: config.pop(name) for name in ("timeout", "env", "refresh", "cwd") if name in config}
            backend = {"type": "exec", "command": [sys.executable, str(PLUGIN), *argument], "config": {"state": str(world.path), **config}, **ours}
            text += f"    {key}: {json.dumps(backend)}\n"
        home.config(text)
        return home

    return write


def backend(answer, name):
    return next(b for b in answer["backends"] if b["name"] == name)


def started(argument):
    """Processes of a plugin that was started with this argument."""
    done = subprocess.run(["pgrep", "-f", f"plugin.py {argument}"], capture_output=True, text=True)
    return done.stdout.split()


# ----------------------------------------------------------------------------------------------------------------- as it should be

def test_its_clusters_are_rows(configure, world):
    world.write({"a": cluster("a", owner="ada", labels={"team": "climate"}, created="2026-11-23T01:02:03Z"), "b": cluster("b", adaptive=False)})
    answer = configure(mine={}).list()
    assert [c["id"] for c in answer["clusters"]] == ["mine/a", "mine/b"]
    a = answer["clusters"][0]
    assert (a["uid"], a["backend"], a["instance"], a["owner"], a["labels"]) == ("uid-a", "mine", None, "ada", {"team": "climate"})
    assert a["created"] == "2026-11-23T01:02:03Z" and a["workers"] == {"ready": 2, "wanted": 2} and a["threads"] is None
    assert a["can"] == ["scale", "adapt", "logs", "connect", "delete", "snippet"]
    assert backend(answer, "mine")["state"] == "ok" and backend(answer, "mine")["type"] == "exec"


def test_show_names_its_workers_and_parts(configure, world):
    world.write({"a": cluster("a")})
    done = configure(mine={}).run("show", "mine/a")
    assert done.returncode == 0
    assert "w0" in done.stdout and "w1" in done.stdout and "rack of a" in done.stdout


def test_delete_gives_its_plan_back_and_verifies(configure, world):
    world.write({"a": cluster("a"), "b": cluster("b")})
    home = configure(mine={})
    plan = home.run("delete", "mine/a", "--dry-run")
    assert plan.returncode == 0 and "rack of a" in plan.stdout and "rack-a" in plan.stdout and "a rack has feelings" in plan.stdout
    assert world.calls == []
    done = home.run("delete", "mine/a", "--yes", "--force")
    assert done.returncode == 0, done.stderr
    assert world.calls == [["delete", "a", {"token": "uid-a"}, ["rack-a"]]]
    assert list(world.read()["clusters"]) == ["b"]


def test_what_is_left_over_is_named(configure, world):
    world.write({"a": cluster("a", left_over=["a disk", {"name": "a cable"}])})
    done = configure(mine={}).run("delete", "mine/a", "--yes", "--force")
    assert done.returncode == 3 and "a disk" in done.stderr and "a cable" in done.stderr


def test_another_one_under_the_same_id_is_not_deleted(configure, world):
    """Changed between the plan and the deletion: the confirmation is answered after the change."""
    world.write({"a": cluster("a")})
    home = configure(mine={})
    controller, terminal = pty.openpty()
    asked = subprocess.Popen([home.program, "delete", "mine/a"], env=home.env, stdin=terminal, stdout=terminal, stderr=terminal)
    seen = b""
    while b"Type a" not in seen and b"y or n" not in seen:
        seen += os.read(controller, 4096)
    world.write({"a": cluster("a", uid="uid-another")})
    os.write(controller, b"a\n" if b"Type a" in seen else b"y\n")
    assert asked.wait(30) == 6
    assert world.calls == [] and "a" in world.read()["clusters"]


def test_a_deletion_without_plan_shows_what_show_lists(configure, world):
    world.write({"a": cluster("a")})
    home = configure(mine={"methods": ["discover", "show", "delete"]})
    plan = home.run("delete", "mine/a", "--dry-run")
    assert plan.returncode == 0 and "rack-a" in plan.stdout
    assert home.run("delete", "mine/a", "--yes", "--force").returncode == 0
    assert world.calls == [["delete", "a", None, ["rack-a"]]]


def test_no_identity_no_deletion(configure, world):
    world.write({"a": dict(cluster("a"), uid=None, parts=[])})
    done = configure(mine={"methods": ["discover", "show", "delete"]}).run("delete", "mine/a", "--yes", "--force")
    assert done.returncode == 6 and "without an identity" in done.stderr and world.calls == []


def test_a_method_that_is_missing_is_not_possible(configure, world):
    world.write({"a": cluster("a")})
    done = configure(mine={"methods": ["discover", "show", "plan"]}).run("scale", "mine/a", "3")
    assert done.returncode == 6 and "cannot scale" in done.stderr


def test_scale_waits_and_says_a_limit(configure, world):
    world.write({"a": cluster("a")})
    home = configure(mine={})
    done = home.run("scale", "mine/a", "5")
    assert done.returncode == 0, done.stderr
    assert world.read()["clusters"]["a"]["workers"] == {"ready": 5, "wanted": 5}
    assert world.calls == [["scale", 5, None, {"token": "uid-a"}]]
    done = home.run("scale", "mine/a", "99")
    assert done.returncode == 3 and "8" in done.stderr


def test_adapt_and_off(configure, world):
    world.write({"a": cluster("a")})
    home = configure(mine={})
    assert home.run("scale", "mine/a", "--adapt", "1:4").returncode == 0
    assert world.calls[-1][:3] == ["scale", None, {"minimum": 1, "maximum": 4}]
    assert home.list()["clusters"][0]["adaptive"] == {"minimum": 1, "maximum": 4}
    assert home.run("scale", "mine/a", "--adapt", "off").returncode == 0
    assert home.list()["clusters"][0]["adaptive"] is False


def test_logs_are_merged_and_followed(configure, world):
    world.write({"a": cluster("a")})
    home = configure(mine={})
    done = home.run("logs", "mine/a")
    assert done.returncode == 0 and re.search("scheduler.*scheduler began\n.*worker-0.*worker began", done.stdout)
    assert "worker began" not in home.run("logs", "mine/a", "-c", "scheduler").stdout
    following = subprocess.Popen([home.program, "logs", "mine/a", "-f"], env=home.env, stdout=subprocess.PIPE, text=True)
    for line in following.stdout:
        if "tick 5" in line:
            break
    following.send_signal(signal.SIGINT)
    assert following.wait(10) == 130


def test_a_route_is_held_until_the_command_ends(configure, world):
    world.write({"a": cluster("a", address="tcp://127.0.0.1:5999")})
    home = configure(mine={})
    done = home.run("connect", "mine/a", "--", "sh", "-c", "echo $DASK_SCHEDULER_ADDRESS; exit 7")
    assert (done.returncode, done.stdout) == (7, "tcp://127.0.0.1:5999\n")


def test_snippet(configure, world):
    world.write({"a": cluster("a")})
    done = configure(mine={}).run("snippet", "mine/a")
    assert done.returncode == 0
    exec(compile(done.stdout.replace("from mine import connect", "connect = str"), "snippet", "exec"), {})


def test_create_from_a_spec(configure, world, tmp_path):
    spec = tmp_path / "spec.yaml"
    spec.write_text("version: 1\nmodule: rack\nclass: RackCluster\nkwargs: {n_workers: 3, colour: blue}\n")
    home = configure(mine={})
    done = home.run("create", "-f", spec, "--backend", "mine", "--name", "r1", "--dry-run")
    assert done.returncode == 0 and "nothing was made" in done.stdout and world.calls == []
    done = home.run("create", "-f", spec, "--backend", "mine", "--name", "r1")
    assert (done.returncode, done.stdout) == (0, "mine/r1\n"), done.stderr
    assert world.calls == [["create", "r1", {"version": 1, "module": "rack", "class": "RackCluster", "kwargs": {"n_workers": 3, "colour": "blue"}}]]
    assert home.list()["clusters"][0]["workers"]["ready"] == 3
    spec.write_text("version: 1\nmodule: rack\nclass: RackCluster\nkwargs: {impossible: true}\n")
    done = home.run("create", "-f", spec, "--backend", "mine")
    assert done.returncode == 2 and "impossible is not possible" in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_watched_one_is_seen_at_once(configure, world):
    world.write({"a": cluster("a")})
    home = configure(mine={"mode": "watch"})
    watching = subprocess.Popen([home.program, "list", "--watch", "-o", "json"], env=home.env, stdout=subprocess.PIPE, text=True)

    def events():
        for line in watching.stdout:
            yield json.loads(line)
    stream = events()
    assert next(e for e in stream if e["event"] == "cluster")["cluster"]["id"] == "mine/a"
    world.write({"a": cluster("a"), "b": cluster("b")})
    assert next(e for e in stream if e["event"] == "cluster")["cluster"]["id"] == "mine/b"
    world.write({"b": cluster("b")})
    assert next(e for e in stream if e["event"] == "gone")["id"] == "mine/a"
    watching.send_signal(signal.SIGINT)
    watching.wait(10)


def test_only_the_listed_environment(configure, world, home):
    home.env.update(MY_TOKEN="s3cret", OTHER="never")
    configure(mine={"env": ["MY_TOKEN"], "show-environment": ["MY_TOKEN", "OTHER", "HOME", "TERM"]})
    log = home.path / "log"
    home.run("list", env={"DASKTOP_LOG": str(log)})
    text = log.read_text()
    assert "MY_TOKEN = s3cret" in text and "OTHER = None" in text and "TERM = None" in text and f"HOME = {home.path}" in text


def test_its_scheduler_is_asked_where_it_wishes(configure, world, rig):
    scheduler = rig.scheduler("s")
    world.write({"a": {"id": "a", "name": "a", "address": scheduler.address}})
    row = configure(mine={"probe": True}).list()["clusters"][0]
    assert row["scheduler_id"] == scheduler.id and row["clients"] == 0 and row["status"] == "running"
    assert row["created"] and row["verdict"]["state"] == "active", "its clock is ours"


# ------------------------------------------------------------------------------------------------------------------------ as it may be

BAD = {
    "silent": ({"argument": "silent"}, "slow", None),
    "hangs": ({"mode": "hangs"}, "slow", None),
    "garbage": ({"mode": "garbage"}, "failed", "no JSON object"),
    "latin": ({"mode": "latin"}, "failed", "not UTF-8"),
    "long-line": ({"mode": "long-line"}, "failed", "8 MiB"),
    "floods": ({"mode": "floods"}, "failed", "floods"),
    "floods-errors": ({"mode": "floods-errors"}, "failed", "floods its standard error"),
    "dies": ({"mode": "dies"}, "failed", "signal 9"),
    "late": ({"mode": "late"}, "slow", None),
    "early": ({"argument": "early"}, "failed", "before it had answered hello"),
    "future": ({"protocol": 2}, "failed", "protocol 2"),
    "too-many": ({"mode": "too-many", "timeout": "30s"}, "failed", "100000 clusters"),
    "partial": ({"mode": "partial"}, "partial", "rack 7 is dark"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_one_has_one_clear_line_and_the_good_one_its_row(configure, world, name):
    config, state, words = BAD[name]
    world.write({"a": cluster("a"), "b": cluster("b")})
    home = configure(good={}, bad={"timeout": "2s", **config})
    answer = home.list(status=3)
    assert [c["id"] for c in answer["clusters"] if c["backend"] == "good"] == ["good/a", "good/b"]
    bad = backend(answer, "bad")
    assert bad["state"] == state, bad
    assert words is None or words in bad["error"], bad
    assert "\n" not in bad["error"] and "Traceback" not in bad["error"]


def test_all_bad_ones_at_once(configure, world):
    world.write({"a": cluster("a")})
    home = configure(good={}, **{f"bad-{name}": {"timeout": "2s", **dict(BAD[name][0])} for name in BAD if name != "too-many"})
    answer = home.list(status=3)
    assert [c["id"] for c in answer["clusters"] if c["backend"] == "good"] == ["good/a"]


def test_fields_of_a_wrong_type_are_unknown(configure, world):
    world.write({"a": {"id": "a", "name": "a", "uid": 7, "status": "dancing", "workers": "many", "threads": -3, "memory": "12 GiB", "gpus": 1.5,
                       "created": "yesterday", "owner": ["ada"], "labels": 3, "clients": True, "tasks": [], "memory_used": 2 ** 60}})
    row = configure(mine={}).list()["clusters"][0]
    assert row["status"] == "unknown" and row["workers"] == {"ready": None, "wanted": None}
    for field in ("uid", "threads", "memory", "gpus", "created", "owner", "clients", "memory_used"):
        assert row[field] is None, field


def test_a_cluster_without_a_name_is_left_out_and_said(configure, world):
    world.write({"a": cluster("a"), "b": {"id": "b"}})
    answer = configure(mine={}).list(status=3)
    assert [c["id"] for c in answer["clusters"]] == ["mine/a"]
    assert backend(answer, "mine")["state"] == "partial" and "without name" in backend(answer, "mine")["error"]


def test_of_two_with_one_id_the_first_wins(configure, world):
    world.write({"a": cluster("a")})
    answer = configure(mine={"mode": "twice"}).list()
    assert [c["name"] for c in answer["clusters"]] == ["a"]


def test_hostile_text_is_harmless(configure, world):
    evil = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\nsecond\x00"
    world.write({"a": dict(cluster("a"), name=evil, owner=evil, labels={evil: evil}), "e": cluster("\x1b[31m")})
    home = configure(mine={})
    for arguments in (["list"], ["list", "-o", "wide"], ["list", "-o", "csv"], ["show", "mine/a"]):
        out = home.run(*arguments).stdout
        assert "\x1b" not in out and "\u202e" not in out and "\x07" not in out


def test_an_orphan_is_one_when_its_system_says_so(configure, world):
    world.write({"a": cluster("a", verdict={"state": "orphaned", "evidence": ["its rack lost its head"]})})
    verdict = configure(mine={}).list()["clusters"][0]["verdict"]
    assert verdict["state"] == "orphaned" and any("its rack lost its head" in line for line in verdict["evidence"])


def test_one_that_its_own_system_keeps(configure, world):
    world.write({"a": cluster("a", kept={"until": "2099-01-01T00:00:00Z", "reason": "a demo"})})
    home = configure(mine={})
    row, = home.list()["clusters"]
    assert row["kept"]["reason"] == "a demo"
    done = home.run("keep", row["id"], "--not")
    assert done.returncode == 6 and "its own system says that it is kept" in done.stderr


def test_a_program_that_is_not_there(home):
    home.config("dasktop: {auto: false, backends: {mine: {type: exec, command: [/no/such/program]}}}")
    answer = home.list(status=1)
    assert backend(answer, "mine")["state"] == "failed" and "/no/such/program" in backend(answer, "mine")["error"]


def test_bad_config_is_one_line(home):
    home.config("dasktop: {auto: false, backends: {mine: {type: exec}}}")
    done = home.run("list")
    assert done.returncode == 2 and "command" in done.stderr and len(done.stderr.splitlines()) == 1


def test_nothing_outlives_the_command(configure, world):
    world.write({"a": cluster("a")})
    assert configure(mine={"argument": "stubborn"}).list()["clusters"]
    until(lambda: not started("stubborn"), 5)


def test_one_that_died_is_started_again(configure, world):
    world.write({"a": cluster("a")})
    home = configure(mine={"mode": "dies-once", "refresh": "1s"})
    watching = subprocess.Popen([home.program, "list", "--watch", "-o", "json"], env=home.env, stdout=subprocess.PIPE, text=True)
    events = (json.loads(line) for line in watching.stdout)
    failed = next(e for e in events if e["event"] == "backend" and e["backend"]["state"] == "failed")
    assert "signal 6" in failed["backend"]["error"]
    assert next(e for e in events if e["event"] == "cluster")["cluster"]["id"] == "mine/a"
    assert next(e for e in events if e["event"] == "backend" and e["backend"]["state"] == "ok")
    watching.send_signal(signal.SIGINT)
    watching.wait(10)


def test_a_change_through_one_that_reads_nothing_ends_in_time(configure, world):
    """It answers discover and then nothing more: the command ends by its own timeout, with 7."""
    world.write({"a": cluster("a")})
    done = configure(mine={"mode": "deaf"}).run("delete", "mine/a", "--yes", "--force", "--timeout", "2s")
    assert done.returncode == 7 and len(done.stderr.splitlines()) == 1, done.stderr
    assert world.calls == []


def test_a_cancel_that_is_ignored_starts_it_anew(configure, world, home):
    """In the dashboard's place: a watched list goes on while a log was cancelled; here the log's own command just leaves."""
    world.write({"a": cluster("a")})
    configure(mine={"mode": "no-cancel"})
    following = subprocess.Popen([home.program, "logs", "mine/a", "-f"], env=home.env, stdout=subprocess.PIPE, text=True)
    following.stdout.readline()
    following.send_signal(signal.SIGINT)
    assert following.wait(5) == 130


# ----------------------------------------------------------------------------------------------------------------------------- --check

def points(done):
    return [line.split(None, 2) for line in done.stdout.splitlines()]


def test_check_of_a_good_one(configure, world):
    world.write({"a": cluster("a")})
    done = configure(mine={"mode": "watch"}).run("backends", "--check", "mine")
    assert done.returncode == 0, done.stdout
    assert all(point[0] == "ok" for point in points(done))
    assert {"hello", "discover", "show", "plan", "snippet"} <= {point[1] for point in points(done)}
    assert done.stdout.count("ends with -32800") == 2  # logs and watch
    assert world.calls == []


@pytest.mark.parametrize("config, cluster_fields, words", [
    ({"argument": "early"}, {}, "before it had answered hello"),
    ({"protocol": 7}, {}, "protocol 7"),
    ({"mode": "garbage"}, {}, "no JSON object"),
    ({"mode": "dies"}, {}, "signal 9"),
    ({"mode": "twice"}, {}, "came twice"),
    ({"mode": "no-cancel"}, {}, "did not end within 2 s"),
    ({}, {"threads": "four"}, "threads should be a whole number"),
    ({}, {"colour": "blue"}, "colour is no field"),
    ({}, {"created": "today"}, "created should be a time"),
    ({}, {"status": "fine"}, "status should be one of"),
    ({"methods": ["discover"]}, {}, "it is missing"),
])
def test_check_names_a_deviation(configure, world, config, cluster_fields, words):
    world.write({"a": cluster("a", **cluster_fields), "b": cluster("b")})
    done = configure(mine=dict(config)).run("backends", "--check", "mine", timeout=120)
    assert done.returncode == 1
    assert any(point[0] == "DEVIATION" and words in point[2] for point in points(done)), done.stdout
    assert json.loads(configure(mine=dict(config)).run("backends", "--check", "mine", "-o", "json", timeout=120).stdout)["deviations"] > 0


# ------------------------------------------------------------------------------------------------------------------------------ README

def test_the_plugin_of_the_readme(home, rig, tmp_path):
    """As it stands there: it finds a real scheduler, and deviates in nothing."""
    readme = (PLUGIN.parents[2] / "README.md").read_text()
    code = re.search("```python\n(#!/usr/bin/env python3\n.*?)```", readme, re.S).group(1)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    script, folder = tmp_path / "files.py", tmp_path / "folder"
    script.write_text(code)
    folder.mkdir()
    scheduler = rig.scheduler("s")
    (folder / "mine.json").write_text(scheduler.file.read_text())
    home.config(f"dasktop: {{auto: false, backends: {{files: {{type: exec, command: [{sys.executable}, {script}], config: {{folder: {folder}}}}}}}}}")
    row = home.list()["clusters"][0]
    assert (row["id"], row["uid"], row["clients"], row["status"]) == ("files/mine", scheduler.id, 0, "running")
    assert home.run("logs", "files/mine").returncode == 0
    done = home.run("backends", "--check", "files")
    assert done.returncode == 0, done.stdout
