"""The dashboard in a terminal, over a plugin whose clusters stand in a file: keys, dialogs and what really happened."""
import json
import os
import pathlib
import sys

import pytest

from rig import until
from ui.tui import Tui

PLUGIN = pathlib.Path(__file__).resolve().parent.parent / "system/plugin.py"


def cluster(name, **more):
    return {"id": name, "uid": f"uid-{name}", "name": name, "status": "running", "clients": 0, "workers": {"ready": 2, "wanted": 2},
            "tasks": {"processing": 0, "waiting": 0, "queued": 0, "stored": 0, "erred": 0, "unrunnable": 0},
            "created": "2026-01-01T00:00:00Z", "last_active": "2026-01-01T00:00:00Z", "owner": os.environ.get("USER", "root"),
            "parts": [{"kind": "rack", "name": f"rack of {name}", "uid": f"rack-{name}", "status": "lit"}], **more}


class Stage:
    def __init__(self, home, tmp_path):
        self.home, self.file, self.open = home, tmp_path / "world.json", []
        self.clusters({})

    def clusters(self, clusters, mode="watch", ui=None):
        self.write(clusters)
        backend = {"type": "exec", "command": [sys.executable, str(PLUGIN)], "config": {"state": str(self.file), "mode": mode}}
        self.home.config("dasktop: " + json.dumps({"auto": False, "backends": {"mine": backend}, **({"ui": ui} if ui else {})}))

    def write(self, clusters):
        new = self.file.with_suffix(".test")
        new.write_text(json.dumps({"clusters": clusters, "calls": self.calls if self.file.exists() else []}))
        new.rename(self.file)

    @property
    def world(self):
        return json.loads(self.file.read_text())

    @property
    def calls(self):
        return self.world["calls"]

    def start(self, *arguments, wait=r"\d+ clusters?", env=None, **more):
        tui = Tui([self.home.program, *arguments], {**self.home.env, "LC_ALL": "C.UTF-8", **(env or {})}, **more)
        self.open.append(tui)
        tui.wait(wait)
        tui.settle()
        return tui


@pytest.fixture
def stage(home, tmp_path):
    stage = Stage(home, tmp_path)
    yield stage
    for tui in stage.open:
        tui.__exit__()


def test_delete_asks_and_deletes(stage):
    stage.clusters({"a": cluster("a"), "b": cluster("b")})
    tui = stage.start(wait="2 clusters")
    tui.send("D")
    tui.wait("Delete a")
    tui.wait("rack of a")
    tui.settle()
    tui.send("\r")
    tui.settle()
    assert stage.calls == [], "Enter alone never deletes"
    tui.send("D")
    tui.wait("y delete")
    tui.settle()
    tui.send("y")
    until(lambda: stage.calls, 10)
    assert stage.calls == [["delete", "a", {"token": "uid-a"}, ["rack-a"]]]
    tui.wait("it is gone")
    assert list(stage.world["clusters"]) == ["b"]


def test_several_need_their_number(stage):
    stage.clusters({n: cluster(n) for n in "abc"})
    tui = stage.start(wait="3 clusters")
    tui.send(" ", " ", "D")  # marking goes down, as in htop
    tui.wait("Delete 2 clusters")
    tui.settle()
    tui.send("y")
    tui.settle()
    assert stage.calls == []
    tui.send("\x7f", "2", "\r")
    until(lambda: len(stage.calls) == 2, 10)
    assert sorted(call[1] for call in stage.calls) == ["a", "b"]


def test_marks_survive_a_filter_and_a_sort(stage):
    stage.clusters({n: cluster(n) for n in "abc"})
    tui = stage.start(wait="3 clusters")
    tui.send(" ", "/", "c", "\r")
    tui.wait("1 marked|c ")
    tui.send("\x1b")
    tui.settle(0.6)
    tui.send("o", "O")
    tui.wait("1 marked")


def test_one_that_changed_is_refused(stage):
    """The dialog is open while another cluster takes its id."""
    stage.clusters({"a": cluster("a")})
    tui = stage.start(wait="1 cluster")
    tui.send("D")
    tui.wait("y delete")
    stage.write({"a": cluster("a", uid="uid-another")})
    tui.settle(1)
    tui.send("y")
    tui.wait("changed|another")
    assert [call for call in stage.calls if call[0] == "delete"] == []


def test_somebody_elses_needs_the_owners_name(stage):
    stage.clusters({"a": cluster("a", owner="ada")})
    tui = stage.start(wait="cluster")
    tui.send(":", *"all", "\r")
    tui.settle()
    tui.send("D")
    tui.wait("ada")
    tui.settle()
    tui.send("y", "\r")
    tui.settle()
    assert stage.calls == []
    tui.send("\x1b")
    tui.settle(0.6)
    tui.send("D")
    tui.wait("owner ada")
    tui.settle()
    tui.send(*"ada", "\r")
    until(lambda: stage.calls, 10)


def test_scale_shows_now_and_then(stage):
    stage.clusters({"a": cluster("a")})
    tui = stage.start(wait="1 cluster")
    tui.send("S")
    tui.wait("min:max")
    tui.settle()
    tui.send("5", "\r")
    tui.wait("now 2, then 5")
    tui.settle()
    tui.send("y")
    until(lambda: stage.calls, 10)
    assert stage.world["clusters"]["a"]["workers"]["ready"] == 5


def test_retire_takes_the_worker_under_the_cursor(home, rig):
    scheduler = rig.scheduler()
    stays = rig.worker(scheduler.address, "stays", nanny=False)
    goes = rig.worker(scheduler.address, "goes", nanny=False)
    scheduler.workers(2)
    home.config("dasktop: " + json.dumps({"auto": False, "backends": {"here": {"type": "scheduler", "addresses": [scheduler.address]}}}))
    with Tui([home.program], {**home.env, "LC_ALL": "C.UTF-8"}) as tui:
        tui.wait("1 cluster")
        tui.send("\r")
        tui.wait("stays")
        text = tui.wait("(?m)^. goes")
        tui.send("G" if text.index(" stays ") < text.index(" goes ") else "g")
        tui.wait("▌ *goes")
        tui.send("D")
        tui.wait("Retire .* of")
        tui.wait("y retire")
        tui.settle()
        tui.send("\r")
        tui.wait("y retire", absent=True)
        tui.settle()
        assert goes.poll() is None and stays.poll() is None, "Enter alone retires nobody"
        tui.send("D")
        tui.wait("y retire")
        tui.settle()
        tui.send("y")
        until(lambda: goes.poll() is not None, 30)
        tui.wait("goes", absent=True)
    assert stays.poll() is None and scheduler.counts()["workers"] == 1


def test_keep_takes_it_out_of_the_unused(stage):
    stage.clusters({"a": cluster("a")})
    tui = stage.start(wait="unattended")
    tui.send("K")
    tui.wait("Keep")
    tui.settle()
    tui.send("\x15", *"2d a demo", "\r")
    tui.wait("kept|Kept")
    kept = next(row["kept"] for row in stage.home.list()["clusters"])
    assert kept["reason"] == "a demo" and kept["until"]


@pytest.mark.parametrize("locale", ["C.UTF-8", "C"])
def test_kept_is_said_once(stage, locale):
    stage.clusters({"a": cluster("a")})
    assert stage.home.run("keep", "a", "--reason", "a demo").returncode == 0
    tui = stage.start(env={"LC_ALL": locale}, wait="unattended.*kept", rows=30, cols=160)
    row = tui.shows("^.*unattended.*kept.*$")[0]
    assert row.count("kept") == 1, row


def test_new_from_a_spec_file(stage, tmp_path):
    stage.clusters({})
    (tmp_path / "racks.yaml").write_text("version: 1\nmodule: rack\nclass: RackCluster\nkwargs: {n_workers: 3}\n")
    tui = stage.start(wait="No Dask cluster", cwd=tmp_path)
    tui.send("N")
    tui.wait("racks.yaml")
    tui.wait("mine")
    tui.settle()
    tui.send("j", "\r")  # by the backend: nobody but it takes this class
    tui.wait("y create")
    tui.settle()
    assert stage.calls == [], "showing what would be made makes nothing"
    tui.send("y")
    until(lambda: stage.calls, 10)
    assert stage.calls[0][0] == "create"
    tui.wait("1 cluster")


def test_the_tree_unfolds_to_workers(stage):
    stage.clusters({"a": cluster("a", address="tcp://127.0.0.1:1")})
    tui = stage.start(wait="1 cluster")
    tui.send("t")
    tui.wait("worker w1")
    tui.wait("rack of a")
    tui.send("\x1b[D")
    tui.wait("worker w1", absent=True)
    tui.send("\x1b[C")
    tui.wait("worker w1")


def test_details_say_why_and_what_was_found(stage):
    stage.clusters({"a": cluster("a")})
    tui = stage.start(wait="1 cluster", rows=40, cols=120)
    tui.send("\r")
    tui.wait("w1")
    for words in ("evidence", "found", "no client", "Nothing to do"):
        assert tui.shows(words), tui.text()


def test_columns_and_history_are_kept(stage):
    stage.clusters({"a": cluster("a")})
    tui = stage.start(wait="1 cluster")
    tui.send(":", *"columns name,age", "\r")
    tui.wait("OWNER", absent=True)
    tui.send("q")
    assert tui.wait_exit() == 0
    tui = stage.start(wait="1 cluster")
    assert tui.shows("NAME") and tui.shows("AGE") and not tui.shows("OWNER")
    tui.send(":", "\x1b[A")
    tui.wait("columns name,age")
    tui.send("\x15", *"columns default", "\r")
    tui.wait("OWNER")


def test_a_click_goes_to_a_line(stage):
    stage.clusters({n: cluster(n) for n in "abc"}, ui={"mouse": True})
    tui = stage.start(wait="3 clusters")
    row = next(i for i, line in enumerate(tui.text().splitlines()) if " c " in line and "mine" in line)
    press = f"\x1b[<0;10;{row + 1}M\x1b[<0;10;{row + 1}m"
    tui.send(press)
    tui.settle()
    tui.send("y")
    tui.wait('"id": "mine/c"')


def test_without_asking_the_mouse_is_the_terminals(stage):
    stage.clusters({"a": cluster("a")})
    tui = stage.start(wait="1 cluster")
    assert b"\x1b[?1000h" not in tui.raw


def test_python_with_a_client(stage, rig, dask):
    scheduler = rig.scheduler("s")
    stage.clusters({"a": cluster("a", address=scheduler.address)}, mode="good")
    tui = stage.start(wait="1 cluster", env={"PATH": f"{dask.parent}:{os.environ['PATH']}"})
    tui.send("C")
    tui.wait("Python")
    tui.settle()
    tui.send("\r")
    tui.wait("client is", 40)
    tui.send("print('sum', sum([20, 22]), client.scheduler.address)\n")
    tui.wait(f"sum 42 {scheduler.address}")
    tui.send("exit()\n")
    tui.wait("it ended with 0")
    assert tui.shows("NAME")


def test_read_only_offers_no_change(stage):
    stage.clusters({"a": cluster("a")})
    tui = stage.start("--read-only", wait="1 cluster")
    for key in "DSNKX":
        tui.send(key)
        tui.wait("read-only")
        tui.send("\x1b")
        tui.settle(0.5)
    assert stage.calls == []


def test_what_can_be_done_has_room_before_what_cannot(stage):
    """An orphaned cluster at 80 columns: nothing can be connected to, and D is what one came for."""
    cannot = {word: "its scheduler is gone" for word in ("scale", "connect", "adapt", "snippet")}
    stage.clusters({"a": cluster("a", cannot=cannot, can=["logs", "delete"], verdict={"state": "orphaned", "evidence": ["gone"]})})
    tui = stage.start(wait="orphaned")
    assert tui.shows("D delete") and tui.shows("K keep") and tui.shows("q quit"), tui.text()
