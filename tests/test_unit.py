"""The unit tests, tests/LAYER/test_*.c: plain clang, with address and undefined behaviour checks, and with thread checks."""
import concurrent.futures
import json
import os
import subprocess

import pytest

from homes import TOP

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
    """All chosen programs, one on each core: a test waits for its own."""
    def run(command):
        home = tmp_path_factory.mktemp("unit")
        env = dict(os.environ, HOME=str(home), XDG_STATE_HOME=str(home / "state"), XDG_CACHE_HOME=str(home / "cache"), **OPTIONS)
        return subprocess.run(command, cwd=home, env=env, capture_output=True, text=True, errors="replace")
    chosen = [item.callspec.params["command"] for item in request.session.items if item.fspath == request.fspath]
    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
    try:
        yield {str(command): pool.submit(run, command) for command in chosen}
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("command", list(programs()))
def test_unit(command, running):
    done = running[str(command)].result()
    assert done.returncode == 0, (done.stdout + done.stderr)[-8000:]
