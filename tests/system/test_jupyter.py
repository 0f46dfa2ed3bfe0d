"""A real JupyterLab with Dask's extension: clusters that its sidebar makes, notebooks that use them, everything that can be done (scripts/test all)."""
import json
import os
import re
import signal
import urllib.request

import jupyters
import pytest
import rig as rigs
from ui.tui import Tui


@pytest.fixture(scope="module")
def jupyter(tmp_path_factory):
    with jupyters.Jupyter(tmp_path_factory.mktemp("jupyter")) as jupyter:
        yield jupyter


@pytest.fixture
def here(home, jupyter):
    """A user beside that server, who has configured nothing."""
    home.env["JUPYTER_RUNTIME_DIR"] = str(jupyter.runtime)
    home.env["DASK_DASKTOP__AUTO"] = "false"
    home.config("dasktop:\n  auto: false\n  timeout: 15s\n  backends: {jupyter: {}, local: {}}\n")
    yield home
    jupyter.delete_all()
    everything = "".join(p.read_text(errors="replace") for p in home.path.rglob("*") if p.is_file())
    assert jupyter.token not in everything, "the token lies in a file"


def rows(home, **more):
    found = home.list(**more)["clusters"]
    return {c["id"]: c for c in found if c["backend"] == "jupyter"}, [c for c in found if c["backend"] != "jupyter"]


def do(home, *arguments, status=0, **more):
    done = home.run(*arguments, timeout=200, **more)
    assert done.returncode == status, (arguments, done.stdout, done.stderr)
    assert jupyters.TOKEN not in done.stdout + done.stderr
    return done


def test_a_cluster_of_the_sidebar(here, jupyter):
    made = jupyter.put()
    mine, others = rows(here)
    id = f"jupyter:localhost:{jupyter.port}/{made['id']}"
    row = mine[id]
    assert row["name"] == made["name"] and row["type"] == "LocalCluster" and row["status"] == "running" and row["address"] == made["scheduler_address"]
    assert row["workers"]["ready"] == 1 and row["clients"] == 0 and row["threads"] == 1 and row["adaptive"] is False and row["same_as"] is None
    assert row["origin"] == {"kind": "jupyterlab", "path": str(jupyter.root), "host": row["origin"]["host"], "pid": jupyter.process.pid, "alive": True}
    assert row["verdict"]["state"] == "active" and row["labels"] == {} and set(row["can"]) == {"scale", "adapt", "logs", "connect", "delete", "snippet"}
    assert [(c["backend"], c["same_as"]) for c in others] == [("local", id)], "one scheduler, one row: the server owns it"

    # a notebook uses it; its name is the one that it has now
    session = jupyter.notebook("proj/analysis.ipynb")
    kernel = session["kernel"]["id"]
    jupyter.execute(kernel, f"from distributed import Client\nc = Client('{row['address']}')\nassert c.submit(sum, [1, 2]).result() == 3")
    shown = do(here, "show", id).stdout
    assert f"used by proj/analysis.ipynb: kernel {kernel}" in shown and "1 client" in shown
    jupyter.must(f"api/sessions/{session['id']}", "PATCH", {"path": "renamed.ipynb", "name": "renamed.ipynb"})
    assert rows(here)[0][id]["labels"] == {"notebooks": "renamed.ipynb"}
    os.kill(int(jupyter.execute(kernel, "import os; print(os.getpid())")), signal.SIGKILL)  # Jupyter starts another in its place, which knows of no cluster
    rigs.until(lambda: rows(here)[0][id]["labels"] == {}, 30, 1)
    assert jupyter.shut_down(kernel)[0] == 204
    assert "no kernel of that server is connected" in do(here, "show", id).stdout

    # without any client and work it is unattended after the limit, and nothing worse
    rigs.until(lambda: rows(here, env={"DASK_DASKTOP__VERDICT__UNATTENDED": "1s"})[0][id]["verdict"]["state"] == "unattended", 60, 2)

    done = do(here, "logs", id, "-n", 50)
    assert "[scheduler]" in done.stdout and "Register worker" in done.stdout and "distributed.worker" in done.stdout
    do(here, "scale", id, 3)
    assert rows(here)[0][id]["workers"]["ready"] == 3 and jupyter.clusters()[0]["workers"] == 3
    done = do(here, "connect", id, "--", jupyter.python, "-c", "from distributed import Client; print(Client().submit(sum, [1, 2, 3]).result())")
    assert done.stdout.split() == ["6"]
    printed = do(here, "dashboard", id, "--print").stdout.strip()
    with urllib.request.urlopen(printed, timeout=60) as page:
        assert printed == made["dashboard_link"] and b"<title>Dask" in page.read()
    code = do(here, "snippet", id).stdout
    compile(code, "snippet", "exec")
    assert made["scheduler_address"] in code
    name = json.loads(do(here, "show", id, "-o", "json").stdout)["workers"][0]["name"]
    do(here, "retire", id, name)
    rigs.until(lambda: rows(here)[0][id]["workers"]["ready"] == 2, 30, 1)

    assert do(here, "delete", id, "--dry-run").stdout.count("DELETE") == 1 and len(jupyter.clusters()) == 1
    do(here, "delete", id, "--yes", "--force")
    assert jupyter.clusters() == [] and rows(here) == ({}, [])
    assert re.search(r" delete .*done", do(here, "journal").stdout)


def test_adapting_ends_in_equal_limits(here, jupyter):
    """After the extension's own scale it would go on adapting, unsaid; and told its limits twice, the extension forgets that it adapts."""
    id = f"jupyter:localhost:{jupyter.port}/{jupyter.put()['id']}"
    do(here, "scale", id, "--adapt", "1:2")
    row = rows(here)[0][id]
    assert row["adaptive"] == {"minimum": 1, "maximum": 2}
    done = do(here, "scale", id, 0, "--dry-run")
    assert "cannot end that: both limits become 0" in done.stdout
    do(here, "scale", id, 0)
    do(here, "scale", id, 0)
    do(here, "scale", id, "--adapt", "off")
    model = jupyter.clusters()[0]
    assert model["adapt"] == {"minimum": 0, "maximum": 0} and model["workers"] == 0


def test_create(here, jupyter):
    assert f"PUT {jupyter.url}dask/clusters" in do(here, "create", "--backend", "jupyter", "--dry-run").stdout and jupyter.clusters() == []
    do(here, "create", "--backend", "jupyter", "--name", "mine", status=6)
    do(here, "create", "--backend", "jupyter:localhost:1", status=6)
    id = do(here, "create", "--backend", f"jupyter:localhost:{jupyter.port}", "--workers", 1).stdout.strip()
    assert rows(here)[0][id]["workers"]["ready"] == 1
    do(here, "delete", id, "--yes", "--force")


def test_looking_is_no_activity(here, jupyter):
    """A server that ends when it is idle still does."""
    jupyter.put()
    activity = jupyter.must("api/status?no_track_activity=1")["last_activity"]
    row = next(iter(rows(here)[0].values()))
    do(here, "show", row["id"])
    do(here, "logs", row["id"], "-n", 1)
    assert jupyter.must("api/status?no_track_activity=1")["last_activity"] == activity


def test_one_whose_scheduler_was_ended(here, jupyter):
    """By a client's shutdown, say: the server goes on listing it, and only deletion is left."""
    made = jupyter.put()
    id = f"jupyter:localhost:{jupyter.port}/{made['id']}"
    kernel = jupyter.notebook("ender.ipynb")["kernel"]["id"]
    jupyter.execute(kernel, f"from distributed import Client\nClient('{made['scheduler_address']}').shutdown()")
    row = rigs.until(lambda: next((c for c in rows(here)[0].values() if c["status"] == "unreachable"), None), 30, 1)
    assert row["id"] == id and "delete" in row["can"] and "scale" in row["cannot"]
    do(here, "delete", id, "--yes", "--force")
    assert jupyter.clusters() == [] and rows(here)[0] == {}
    jupyter.shut_down(kernel)


def test_through_the_server_only(here, jupyter):
    """As if it ran elsewhere: only its URL and token are known."""
    made = jupyter.put()
    here.config(f"dasktop:\n  auto: false\n  timeout: 15s\n  backends:\n    hub: {{type: jupyter, runtime-dir: {here.path}, "
                f"servers: [{{url: '{jupyter.url}lab', token: {{env: JUP}}}}]}}\n")
    here.env["JUP"] = jupyter.token
    row = here.list()["clusters"][0]
    id = f"hub:localhost:{jupyter.port}/{made['id']}"
    assert row["id"] == id and row["scheduler_id"].startswith("Scheduler-") and row["clients"] == 0 and row["workers"]["ready"] == 1 and row["memory"] > 0
    assert row["dashboard"] == f"{jupyter.url}dask/dashboard/{made['id']}/status" and jupyter.ask(f"dask/dashboard/{made['id']}/status")[0] == 200
    assert "only on the host of the Jupyter server" in row["cannot"]["connect"]
    do(here, "logs", id, status=6)
    do(here, "scale", id, 0)
    do(here, "delete", id, "--yes", "--force")
    assert jupyter.clusters() == []
    here.env["JUP"] = "wrong"
    done = do(here, "list", status=1)
    assert "does not take the token" in done.stderr


def test_two_servers_one_of_them_dies(here, jupyter, tmp_path):
    """The second on a UNIX socket, with a cluster of the same id, and killed without a word: its file stays, its rows do not."""
    id = "11111111-2222-4333-8444-555555555555"
    with jupyters.Jupyter(tmp_path / "second", home=jupyter.home, unix=tmp_path / "s") as second:
        jupyter.put(id)
        assert second.put(id)["id"] == id
        mine, others = rows(here)
        ids = {f"jupyter:localhost:{jupyter.port}/{id}", f"jupyter:{str(tmp_path / 's').replace('/', '%2F')}/{id}"}
        assert set(mine) == ids and {c["status"] for c in mine.values()} == {"running"}
        assert {c["same_as"] for c in others} == ids
        do(here, "scale", f"jupyter:{str(tmp_path / 's').replace('/', '%2F')}/{id}", 0)
        assert [m["workers"] for m in jupyter.clusters()] == [1] and [m["workers"] for m in second.clusters()] == [0]
        with Tui([here.program], {**here.env, "LC_ALL": "C.UTF-8"}) as tui:
            tui.wait(r"2 clusters")
            os.kill(second.process.pid, signal.SIGKILL)
            tui.wait(r"1 cluster\b", 30)
        assert (jupyter.runtime / f"jpserver-{second.process.pid}.json").exists()
        assert set(rows(here)[0]) == {f"jupyter:localhost:{jupyter.port}/{id}"}


def test_in_the_dashboard(here, jupyter):
    """Found while it runs, opened, about to be scaled. Alone: the local backend sees a cluster before its server lists it."""
    here.config("dasktop:\n  auto: false\n  timeout: 15s\n  backends: {jupyter: {}}\n")
    with Tui([here.program], {**here.env, "LC_ALL": "C.UTF-8"}) as tui:
        tui.wait("no Dask|0 clusters")
        made = jupyter.put()
        tui.wait(re.escape(made["name"]), 30)
        tui.send("\r")
        tui.wait("the Jupyter server", 60)
        tui.send("q", "S")
        tui.wait("min:max", 60)
