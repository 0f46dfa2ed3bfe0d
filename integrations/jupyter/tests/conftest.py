"""The package beside the tests, and a dasktop that only pretends."""
import json
import os
import pathlib
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PACKAGE / "src"))

# A real JupyterLab and a real browser are big: scripts/test all has them.
collect_ignore = [] if os.environ.get("DASKTOP_TESTS") in ("all", "long") else ["test_browser.py"]

PRETENDER = """#!{python}
import json, os, sys, time
here = {here!r}
with open(here + "/calls.jsonl", "a") as calls:
    calls.write(json.dumps({{"pid": os.getpid(), "argv": sys.argv[1:]}}) + "\\n")
if sys.argv[1] == "list":
    told = 0
    while True:
        lines = open(here + "/says.txt").readlines()
        for line in lines[told:]:
            if line.startswith("EXIT"):
                sys.stderr.write("dasktop: slurm: nobody answers: wait\\n")
                os.rename(here + "/says.txt", here + "/said.txt")
                open(here + "/says.txt", "w").close()
                sys.exit(int(line.split()[1]))
            sys.stdout.write(line)
        sys.stdout.flush()
        told = len(lines)
        time.sleep(0.02)
answer = json.load(open(here + "/answer.json"))
time.sleep(answer["seconds"])
sys.stderr.write(answer["stderr"])
sys.exit(answer["status"])
"""


class Pretender:
    """Says in `list --watch` what it is told to, answers changes as it is told to, and remembers how it was called."""

    def __init__(self, path):
        self.path, self.program = path, path / "dasktop"
        self.program.write_text(PRETENDER.format(python=sys.executable, here=str(path)))
        self.program.chmod(0o755)
        (path / "says.txt").touch()
        self.answer()

    def say(self, *events):
        with open(self.path / "says.txt", "a") as says:
            says.writelines(event if isinstance(event, str) else json.dumps(event) + "\n" for event in events)

    def answer(self, status=0, stderr="", seconds=0):
        (self.path / "answer.json").write_text(json.dumps({"status": status, "stderr": stderr, "seconds": seconds}))

    def calls(self, command):
        try:
            lines = (self.path / "calls.jsonl").read_text().splitlines()
        except OSError:
            return []
        return [call for call in map(json.loads, lines) if call["argv"][0] == command]


@pytest.fixture
def pretender(tmp_path):
    return Pretender(tmp_path)


@pytest.fixture
def row():
    """Makes rows as `dasktop list -o json` has them."""
    def make(name="train-042", **more):
        return {"id": f"slurm/{name}", "uid": f"Scheduler-{name}", "name": name, "backend": "slurm", "scheduler_id": f"Scheduler-{name}", "same_as": None,
                "status": "running", "address": "tcp://10.0.0.5:8786", "dashboard": "http://10.0.0.5:8787/status", "workers": {"ready": 3, "wanted": 5},
                "adaptive": None, "threads": 12, "memory": 25769803776, "stale": False, "verdict": {"state": "unattended"}, **more}
    return make
