"""The backend `python` of the program itself: entry points as rows, changes that really happen, bad ones that cost nothing."""
import json

import pytest
import rig as rigs
from child import Packages
from test_helper import BLOCKING, HANGING_AT_ONCE, HEALTHY, PRINTING, RAISING


@pytest.fixture
def environment(home, tmp_path, dask):
    """Packages beside the current Dask, and a config that names that Python."""
    packages = Packages(tmp_path / "packages")
    state = tmp_path / "state.json"
    packages.add("healthy", HEALTHY)
    packages.state = state
    home.env.update(PYTHONPATH=str(packages.path), HEALTHY_STATE=str(state))
    home.config(f"dasktop:\n  timeout: 2s\n  backends:\n    local: {{enabled: false}}\n    python: {{python: {dask}}}\n")
    return packages


def test_an_entry_point_is_an_instance_and_its_clusters_are_rows(home, environment):
    listed = home.list()
    assert [(c["id"], c["name"], c["type"], c["instance"]) for c in listed["clusters"]] == [
        ("python:healthy/a", "a", "Rack", "healthy"), ("python:healthy/b", "b", "Rack", "healthy")]
    assert [(b["name"], b["instance"], b["state"]) for b in listed["backends"] if b["name"] == "python"] == [("python", "healthy", "ok")]
    shown = home.run("show", "python:healthy/a", "-o", "json")
    assert shown.returncode == 0, shown.stderr
    shown = json.loads(shown.stdout)
    assert shown["cluster"]["uid"] == "Scheduler-a" and [w["name"] for w in shown["workers"]] == ["w0", "w1"]
    assert "Rack.from_name('a')" in home.run("snippet", "a").stdout
    logs = home.run("logs", "python:healthy/a")
    assert logs.returncode == 0 and "three" in logs.stdout, logs.stderr


def test_scale_and_delete_really_happen(home, environment):
    done = home.run("scale", "python:healthy/a", 4)
    assert done.returncode == 0, done.stderr
    assert json.loads(environment.state.read_text())["a"]["n"] == 4
    done = home.run("scale", "python:healthy/a", "--adapt", "1:3")
    assert done.returncode == 0, done.stderr
    assert json.loads(environment.state.read_text())["a"]["adapt"] == [1, 3]
    done = home.run("delete", "python:healthy/a", "--dry-run")
    assert done.returncode == 0 and "remove()" in done.stdout, (done.stdout, done.stderr)
    assert "a" in json.loads(environment.state.read_text())
    done = home.run("delete", "python:healthy/a", "--yes", "--force")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(environment.state.read_text())) == ["b"]
    assert home.run("show", "python:healthy/a").returncode == 4


def test_what_is_not_known_to_delete_is_refused(home, environment):
    environment.state.write_text(json.dumps({"unknown-1": {"id": "S", "n": 1}}))
    done = home.run("delete", "python:healthy/unknown-1", "--yes", "--force")
    assert done.returncode == 6 and "it is not known whether close() of Unknown deletes" in done.stderr, done.stderr
    assert "unknown-1" in json.loads(environment.state.read_text())


def test_bad_entry_points_have_one_clear_line_each(home, environment):
    for name, source in {"blocking": BLOCKING, "hanging": HANGING_AT_ONCE, "raising": RAISING, "printing": PRINTING}.items():
        environment.add(name, source)
    environment.add("missing", "import no_such_module\n")
    environment.add("announced", "", entry_points={"announced": "gone_since:discover"})
    listed = home.list(status=3)
    rows = {b["instance"]: (b["state"], b["error"]) for b in listed["backends"] if b["name"] == "python"}
    assert rows["healthy"] == ("ok", None) and rows["printing"] == ("ok", None)
    assert rows["raising"][0] == "partial" or rows["raising"][0] == "failed"
    assert "on fire" not in rows["raising"][1] and "geheim" not in rows["raising"][1] and "ValueError" in rows["raising"][1]
    assert "No module named 'no_such_module'" in rows["missing"][1] and rows["missing"][0] == "failed"
    assert rows["announced"][0] == "absent" and "does not have it" in rows["announced"][1]
    assert rows["blocking"][0] in ("slow", "failed") and rows["hanging"][0] in ("slow", "failed"), rows
    assert {"a", "b"} <= {c["name"] for c in listed["clusters"]}


def test_create_through_the_class_of_a_spec(home, environment, tmp_path):
    spec = tmp_path / "rack.yaml"
    spec.write_text("version: 1\nmodule: healthy\nclass: Rack\nkwargs: {name: fresh, n-workers: 2}\n")
    dry = home.run("create", "-f", spec, "--dry-run")
    assert dry.returncode == 0 and "Rack" in dry.stdout and not environment.state.exists(), (dry.stdout, dry.stderr)
    made = home.run("create", "-f", spec)
    assert made.returncode == 0 and made.stdout.split()[-1] == "python:healthy/fresh", (made.stdout, made.stderr)
    assert json.loads(environment.state.read_text())["fresh"]["n"] == 2
    spec.write_text("version: 1\nmodule: healthy\nclass: Rock\n")
    wrong = home.run("create", "-f", spec)
    assert wrong.returncode == 2 and "there is no class Rock in healthy" in wrong.stderr, wrong.stderr


def test_what_local_shows_already_folds(home, rig):
    scheduler = rig.scheduler(port=8786)
    home.config(f"dasktop:\n  timeout: 20s\n  backends:\n    python: {{python: {rigs.python('dask-ctl-current')}, entry-points: [proxycluster]}}\n")
    rows = {c["backend"]: c for c in home.list()["clusters"] if c["scheduler_id"] == scheduler.id}
    assert rows["local"]["same_as"] is None and rows["python"]["same_as"] == rows["local"]["id"]
    assert rows["python"]["id"] == "python:proxycluster/proxycluster-8786" and rows["python"]["type"] == "ProxyCluster"
    assert rigs.alive(scheduler.process.pid)
