"""The Python helper, driven as dasktop drives it, over entry points good and bad."""
import json

import pytest
from child import Child, Failed, Packages

HEALTHY = """
    import asyncio, json, os, pathlib

    STATE = pathlib.Path(os.environ.get("HEALTHY_STATE", "/nonexistent/state"))

    def read():
        return json.loads(STATE.read_text()) if STATE.exists() else {"a": {"id": "Scheduler-a", "n": 2}, "b": {"id": "Scheduler-b", "n": 0}}

    def write(state):
        STATE.write_text(json.dumps(state))

    class Rack:
        __dasktop__ = {"delete": "remove", "adapt": True, "lives_elsewhere": True}

        def __init__(self, name, n_workers=1, racks_of=None):
            state = read()
            state[name] = {"id": "Scheduler-" + name, "n": n_workers}
            write(state)
            self.name = name

        @classmethod
        def from_name(cls, name):
            read()[name]
            self = cls.__new__(cls)
            self.name = name
            return self

        @property
        def scheduler_info(self):
            me = read()[self.name]
            return {"id": me["id"], "workers": {f"tcp://10.0.0.{i}:1": {"name": f"w{i}", "nthreads": 2, "memory_limit": 100} for i in range(me["n"])}}

        scheduler_address = "tcp://10.0.0.1:8786"
        status = "running"

        def scale(self, n):
            state = read()
            state[self.name]["n"] = n
            write(state)

        def adapt(self, minimum=None, maximum=None):
            state = read()
            state[self.name]["adapt"] = [minimum, maximum]
            write(state)

        def get_logs(self):
            return {"Scheduler": "one\\ndistributed.core - INFO - two\\n", "worker-1": "three"}

        def close(self):
            raise SystemExit("close() was called")

        def remove(self):
            state = read()
            del state[self.name]
            write(state)

    class Unknown(Rack):
        __dasktop__ = None

        def remove(self):
            raise SystemExit("it was removed")

    async def discover():
        for name in read():
            await asyncio.sleep(0)
            yield name, Unknown if name.startswith("unknown") else Rack
"""

HANGING = "import asyncio\nclass C: pass\nasync def discover():\n    yield 'first', C\n    await asyncio.sleep(10**6)\n"
HANGING_AT_ONCE = "import asyncio\nasync def discover():\n    await asyncio.sleep(10**6)\n    yield 'x', int\n"
BLOCKING = "import time\nasync def discover():\n    time.sleep(10**6)\n    yield 'x', int\n"
RAISING = "async def discover():\n    yield 'before', int\n    raise ValueError('the rack at http://ada:geheim@rack/ is\\non fire')\n"
PRINTING = """
    import os, subprocess, sys
    print("imported")
    class C: pass
    async def discover():
        print("hello"); os.write(1, b"raw\\n"); sys.stdout.write("more\\n"); subprocess.run(["echo", "child"])
        yield "got " + repr(sys.stdin.read()) + repr(subprocess.run(["cat"], stdout=subprocess.PIPE).stdout), C
"""
MANY = "class C: pass\nasync def discover():\n    for i in range(10000):\n        yield f'cluster-{i}', C\n"
ENDLESS = "import itertools\nclass C: pass\nasync def discover():\n    for i in itertools.count():\n        yield f'c{i}', C\n"
HOSTILE = """
    class C: pass
    NAMES = ["\\x1b[2J", "a\\nb", "a\\0b", "\\ud800", "\\u202e", "../../etc", "x" * 100000, "", '"', 'same', 'same']
    async def discover():
        for name in NAMES:
            yield name, C
        yield None, None
"""


@pytest.fixture
def packages(tmp_path):
    return Packages(tmp_path / "packages")


@pytest.fixture
def healthy(packages, tmp_path):
    packages.add("healthy", HEALTHY)
    state = tmp_path / "state.json"
    with Child(packages, config={"entry_points": ["healthy"]}, env={"HEALTHY_STATE": str(state)}) as child:
        child.state = state
        yield child


def test_hello_names_what_is_installed_and_imports_nothing(packages):
    packages.add("broken", "raise SystemExit('imported')")
    packages.add("healthy", HEALTHY)
    packages.add("own", "raise SystemExit('imported')", entry_points={"dasktop": "own:discover"}, distribution="Dasktop")
    with Child(packages) as child:
        assert child.hello["protocol"] == 1 and child.hello["watch"] is False and " at /" in child.hello["python"]
        points = {point["name"]: point for point in child.hello["entry_points"]}
        assert points["healthy"] == {"name": "healthy", "value": "healthy:discover", "distribution": "healthy", "error": None}
        assert "broken" in points and "dasktop" not in points
    with Child(packages, config={"entry_points": ["healthy", "lost"]}) as child:
        assert [(p["name"], p["error"]) for p in child.hello["entry_points"]] == [("healthy", None), ("lost", "no installed package has it")]


def test_a_healthy_one(healthy):
    result, clusters = healthy.discover("healthy")
    assert result == {"complete": True}
    assert [(c["id"], c["name"], c["type"]) for c in clusters] == [("a", "a", "Rack"), ("b", "b", "Rack")]
    assert clusters[0]["can"] == ["scale", "adapt", "logs", "delete", "connect", "snippet"] and clusters[0]["cannot"] == {}
    number = healthy.send("show", entry_point="healthy", id="a", uid=None)
    shown = healthy.wait(number)
    assert shown["cluster"]["uid"] == "Scheduler-a" and shown["cluster"]["workers"] == {"ready": 2, "wanted": 2}
    assert shown["cluster"]["threads"] == 4 and shown["cluster"]["memory"] == 200 and shown["cluster"]["status"] == "running"
    assert [w["name"] for w in healthy.heard(number, "worker")] == ["w0", "w1"]
    assert healthy.ask("snippet", entry_point="healthy", id="a")["python"].splitlines()[3] == "cluster = Rack.from_name('a')"
    compile(healthy.ask("snippet", entry_point="healthy", id="a")["python"], "snippet", "exec")


def test_changes_really_happen_and_only_to_what_was_shown(healthy):
    target = {"entry_point": "healthy", "id": "a", "uid": "Scheduler-a"}
    plan = healthy.ask("plan", change={"scale": 5}, **target)
    done = healthy.ask("scale", workers=5, plan=plan["plan"], **target)
    assert done["cluster"]["workers"]["wanted"] == 5 and json.loads(healthy.state.read_text())["a"]["n"] == 5
    healthy.ask("scale", adapt={"minimum": 1, "maximum": 4}, **target)
    assert json.loads(healthy.state.read_text())["a"]["adapt"] == [1, 4]
    plan = healthy.ask("plan", change={"delete": True}, **target)
    assert [r["uid"] for r in plan["resources"]] == ["Scheduler-a"] and "remove()" in plan["note"] and "5 workers" in plan["note"]

    with pytest.raises(Failed) as other:  # not what the plan showed
        healthy.ask("delete", plan=plan["plan"], resources=["Scheduler-z"], **target)
    assert other.value.code == -32003
    state = json.loads(healthy.state.read_text())
    state["a"]["id"] = "Scheduler-new"
    healthy.state.write_text(json.dumps(state))
    with pytest.raises(Failed) as other:  # another cluster under its name
        healthy.ask("delete", plan=plan["plan"], resources=["Scheduler-a"], **target)
    assert other.value.code == -32003 and "a" in json.loads(healthy.state.read_text())

    target["uid"] = "Scheduler-new"
    plan = healthy.ask("plan", change={"delete": True}, **target)
    assert healthy.ask("delete", plan=plan["plan"], resources=["Scheduler-new"], **target) == {"left_over": []}
    assert list(json.loads(healthy.state.read_text())) == ["b"]
    with pytest.raises(Failed) as gone:
        healthy.ask("show", **target)
    assert gone.value.code == -32002


def test_one_that_is_gone_meanwhile_is_not_found(healthy):
    healthy.ask("show", entry_point="healthy", id="a", uid=None)  # its object is kept
    healthy.state.write_text(json.dumps({"b": {"id": "Scheduler-b", "n": 0}}))
    with pytest.raises(Failed) as gone:
        healthy.ask("show", entry_point="healthy", id="a", uid=None)
    assert gone.value.code == -32002
    with pytest.raises(Failed) as gone:
        healthy.ask("show", entry_point="healthy", id="never was", uid=None)
    assert gone.value.code == -32002


def test_unknown_classes_are_not_closed(healthy):
    healthy.state.write_text(json.dumps({"unknown-1": {"id": "S", "n": 1}}))
    _, clusters = healthy.discover("healthy")
    assert "delete" not in clusters[0]["can"] and "not known whether close()" in clusters[0]["cannot"]["delete"]
    target = {"entry_point": "healthy", "id": "unknown-1", "uid": "S"}
    for method, more in (("plan", {"change": {"delete": True}}), ("delete", {"plan": {"uid": "S"}, "resources": ["S"]}),
                         ("plan", {"change": {"adapt": {"minimum": 1, "maximum": 2}}})):
        with pytest.raises(Failed) as no:
            healthy.ask(method, **target, **more)
        assert no.value.code == -32004
    assert healthy.process.poll() is None and "unknown-1" in json.loads(healthy.state.read_text())


def test_logs_and_following_them(healthy):
    number = healthy.send("logs", entry_point="healthy", id="a", uid=None, components=None, tail=1000, since=None, follow=False)
    assert healthy.wait(number) == {}
    lines = [healthy.note(number)[1] for _ in range(3)]
    assert [(p["component"], p["line"], p["level"]) for p in lines] == [
        ("Scheduler", "one", None), ("Scheduler", "distributed.core - INFO - two", "info"), ("worker-1", "three", None)]
    number = healthy.send("logs", entry_point="healthy", id="a", uid=None, components=["worker"], tail=10, since=None, follow=True)
    assert healthy.note(number)[1]["line"] == "three"
    healthy.cancel(number)
    with pytest.raises(Failed) as ended:
        healthy.wait(number, 2)
    assert ended.value.code == -32800


def test_a_route_is_held_until_it_is_cancelled(healthy):
    number = healthy.send("route", entry_point="healthy", id="a", uid=None)
    assert healthy.note(number) == ("route", {"request": number, "address": "tcp://10.0.0.1:8786", "dashboard": None, "tls": None})
    assert number not in healthy.answers
    healthy.cancel(number)
    with pytest.raises(Failed) as ended:
        healthy.wait(number, 2)
    assert ended.value.code == -32800


def test_bad_ones_cost_the_good_one_nothing(packages):
    for name, source in {"healthy": HEALTHY, "hanging": HANGING, "stuck": HANGING_AT_ONCE, "blocking": BLOCKING, "raising": RAISING,
                         "printing": PRINTING, "sync": "def discover():\n    yield 'x', int\n", "notasync": "async def discover():\n    return []\n",
                         "nothing": "discover = 5\n", "exits": "import sys\nasync def discover():\n    sys.exit(3)\n    yield\n",
                         "pairs": "async def discover():\n    yield 'only a name'\n"}.items():
        packages.add(name, source)
    packages.add("missing", "import no_such_module\n")
    packages.add("absent", "", entry_points={"absent": "no_such_module_at_all:discover"})
    with Child(packages) as child:
        said = {}
        numbers = {p["name"]: child.send("discover", entry_point=p["name"], deadline_ms=1000) for p in child.hello["entry_points"]}
        first = child.wait(numbers["healthy"])
        assert first == {"complete": True}
        for name, number in numbers.items():
            try:
                said[name] = child.wait(number, 20)
            except Failed as error:
                said[name] = (error.code, error.message)
        assert said["hanging"] == {"complete": False, "reason": "timeout: not done after 1 s"}
        assert [c["name"] for c in child.heard(numbers["hanging"], "cluster")] == ["first"]
        assert said["stuck"] == (-32006, "timeout: not done after 1 s")
        assert said["blocking"] == (-32006, "blocked: no answer in 1 s, and its thread is held")
        assert said["raising"] == (-32603, "ValueError: the rack at http://ada:…@rack/ is")
        assert said["printing"] == {"complete": True}
        assert said["missing"] == (-32603, "missing:discover cannot be imported: ModuleNotFoundError: No module named 'no_such_module'")
        assert said["absent"][0] == -32005 and "absent announces it and does not have it" in said["absent"][1] and "No module named 'no_such_module_at_all'" in said["absent"][1]
        assert said["sync"] == (-32603, "sync:discover is no async generator") and said["notasync"] == (-32603, "notasync:discover is no async generator")
        assert said["nothing"] == (-32603, "nothing:discover cannot be called")
        assert said["exits"] == (-32603, "SystemExit: 3")
        assert said["pairs"] == (-32603, "pairs:discover does not yield (name, class)")
        assert child.heard(numbers["printing"], "cluster")[0]["name"] == "got ''b''"
        assert child.strange == []
        assert child.discover("healthy")[0] == {"complete": True}
        # its standard output went where errors go
        assert [word for word in ("imported\n", "hello\n", "raw\n", "more\n", "child\n") if word not in child.errors] == []
        assert child.close() == 0  # though two of them still hang


def test_a_blocked_one_is_answered_again_and_cancel_is_prompt(packages):
    packages.add("blocking", BLOCKING)
    with Child(packages) as child:
        for _ in range(2):
            with pytest.raises(Failed) as late:
                child.discover("blocking", 300)
            assert late.value.code == -32006
        number = child.send("discover", entry_point="blocking", deadline_ms=60000)
        child.cancel(number)
        with pytest.raises(Failed) as ended:
            child.wait(number, 2)
        assert ended.value.code == -32800


def test_what_is_slow_comes_late_and_not_never(packages, tmp_path):
    """It needs longer than its deadline: the next request takes the run over that the first one had begun."""
    packages.add("slow", f"""
        import asyncio, pathlib
        class C: pass
        GO, RUNS = pathlib.Path({str(tmp_path / 'go')!r}), pathlib.Path({str(tmp_path / 'runs')!r})
        async def discover():
            with RUNS.open("a") as runs:
                runs.write("x")
            while not GO.exists():
                await asyncio.sleep(0.02)
            yield "at last", C
    """)
    with Child(packages) as child:
        with pytest.raises(Failed):
            child.discover("slow", 200)
        (tmp_path / "go").touch()
        result, clusters = child.discover("slow", 20000)
        assert result == {"complete": True} and [c["name"] for c in clusters] == ["at last"]
        assert (tmp_path / "runs").read_text() == "x"


def test_the_clock_starts_after_the_import(packages, tmp_path):
    packages.add("heavy", "import time\ntime.sleep(1)\nclass C: pass\nasync def discover():\n    yield 'x', C\n")
    with Child(packages) as child:
        assert child.discover("heavy", 500)[0] == {"complete": True}


def test_a_blocking_from_name(packages):
    packages.add("deep", """
        import time
        class Stuck:
            @classmethod
            def from_name(cls, name):
                time.sleep(10**6)
        async def discover():
            yield "x", Stuck
    """)
    with Child(packages) as child:
        child.discover("deep")
        with pytest.raises(Failed) as late:
            child.ask("show", entry_point="deep", id="x", uid=None, deadline_ms=300)
        assert late.value.code == -32006
        number = child.send("show", entry_point="deep", id="x", uid=None)
        child.cancel(number)
        with pytest.raises(Failed) as ended:
            child.wait(number, 2)
        assert ended.value.code == -32800
        assert child.discover("deep")[0] == {"complete": True}


def test_ten_thousand(packages):
    packages.add("many", MANY)
    with Child(packages) as child:
        result, clusters = child.discover("many", 60000)
        assert result == {"complete": True} and len(clusters) == 10000 and clusters[9999]["name"] == "cluster-9999"


def test_endless_names_have_an_end(packages):
    packages.add("endless", ENDLESS)
    with Child(packages) as child:
        result, clusters = child.discover("endless", 120000)
        assert result == {"complete": False, "reason": "more than 100000 clusters"} and len(clusters) == 100000


def test_hostile_names(packages):
    packages.add("hostile", HOSTILE)
    with Child(packages) as child:
        result, clusters = child.discover("hostile")
        assert result == {"complete": False, "reason": "1 left out: another cluster has that name; 1 left out: without a name"}
        names = [c["name"] for c in clusters]
        assert names[:6] == ["\x1b[2J", "a\nb", "a\ufffdb", "?", "\u202e", "../../etc"] and names[7:] == ['"', "same", "None"]
        assert child.strange == []


def test_unknown_methods_and_senseless_params(healthy):
    for method, params, code in (("watch", {}, -32601), ("fly", {}, -32601), ("show", {}, -32602), ("show", {"id": 5}, -32602),
                                 ("discover", {"entry_point": "other"}, -32002), ("plan", {"id": "a", "change": 5}, -32602),
                                 ("plan", {"id": "a", "change": {"explode": True}}, -32602)):
        with pytest.raises(Failed) as no:
            healthy.ask(method, **params)
        assert no.value.code == code, (method, params, no.value.message)
    healthy.write(b"garbage\n[1]\n{}\n" + json.dumps({"id": 7.5, "method": "discover"}).encode() + b"\n")
    assert healthy.discover("healthy")[0] == {"complete": True}


def test_create(healthy):
    spec = {"version": 1, "module": "healthy", "class": "Rack", "args": [], "kwargs": {"name": "new", "racks-of": "iron"}}
    dry = healthy.ask("create", spec=spec, name=None, workers=3, dry_run=True)
    assert dry["cluster"]["name"] == "new" and "lives on" in dry["note"] and not healthy.state.exists()
    made = healthy.ask("create", spec=spec, name="newer", workers=3, dry_run=False)
    assert made["cluster"]["id"] == "newer" and made["entry_point"] == "healthy"
    assert json.loads(healthy.state.read_text())["newer"] == {"id": "Scheduler-newer", "n": 3}
    assert "newer" in [c["name"] for c in healthy.discover("healthy")[1]]


@pytest.mark.parametrize("change, code, words", [
    ({"version": 2}, -32602, "version"), ({"module": None}, -32602, "module and class"), ({"module": "no_such"}, -32602, "No module named"),
    ({"class": "Rock"}, -32602, "there is no class Rock in healthy"), ({"kwargs": {"nam": "x"}}, -32602, "kwargs: Rack"), ({"kwargs": [1]}, -32602, "map"),
])
def test_specs_that_cannot_be_made_are_refused_before_anything_is(healthy, change, code, words):
    spec = {"version": 1, "module": "healthy", "class": "Rack", "kwargs": {"name": "x"}, **change}
    with pytest.raises(Failed) as no:
        healthy.ask("create", spec=spec, name=None, workers=None, dry_run=False)
    assert no.value.code == code and words in no.value.message
    assert not healthy.state.exists()


def test_the_end_of_input_is_the_end(packages):
    packages.add("exits", """
        import atexit, threading, time
        atexit.register(lambda: time.sleep(10**6))
        threading.Thread(target=lambda: time.sleep(10**6)).start()
        class C: pass
        async def discover():
            yield "x", C
    """)
    with Child(packages) as child:
        child.discover("exits")
        assert child.close() == 0


def test_messages_that_came_with_the_source_are_read(packages):
    packages.add("healthy", HEALTHY)
    with Child(packages) as child:  # the hello of each test came in one piece with the source
        numbers = [child.send("discover", entry_point="healthy", deadline_ms=5000) for _ in range(200)]
        assert all(child.wait(number) == {"complete": True} for number in numbers)
