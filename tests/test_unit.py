"""The unit tests, tests/LAYER/test_*.c: plain clang, with address and undefined behaviour checks, and with thread checks."""
import json
import os
import subprocess

import pytest

from conftest import TOP, ahead

PRESETS = ["clang", "asan+ubsan", "tsan"]
OPTIONS = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
           "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1"}


def programs():
    for preset in PRESETS:
        where = TOP / "build" / preset
        try:
            listed = subprocess.run(["ctest", "--show-only=json-v1"], cwd=where, capture_output=True, text=True)
            tests = json.loads(listed.stdout)["tests"]
        except (OSError, ValueError, KeyError):
            tests = []
        assert tests, f"{where} has no tests: scripts/test builds them"
        for test in tests:
            yield pytest.param(test["command"], id=f"{preset}-{test['name']}")


@pytest.fixture(scope="module")
def running(request, tmp_path_factory):
    def run(command):
        home = tmp_path_factory.mktemp("unit")
        env = dict(os.environ, HOME=str(home), XDG_STATE_HOME=str(home / "state"), XDG_CACHE_HOME=str(home / "cache"), **OPTIONS)
        return subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, errors="replace")
    yield from ahead(request, "command", run)


@pytest.mark.parametrize("command", list(programs()))
def test_unit(command, running):
    done = running[str(command)].result()
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
