"""What all tests share: where the program is, a home of its own for each test, real Dask clusters to look at."""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parent
TOP = TESTS.parent
sys.path.insert(0, str(TESTS))

import rig as rigs  # noqa: E402
from rig import plain_path  # noqa: E402

# The soaks take many minutes each: scripts/test long runs them, and only them beside the rest.
collect_ignore = [] if os.environ.get("DASKTOP_TESTS") == "long" else ["soak"]
# Real systems beside Dask are big: scripts/test all has them.
if os.environ.get("DASKTOP_TESTS") not in ("all", "long"):
    collect_ignore += ["system/test_batch.py", "system/test_gateway.py", "system/test_ssh_batch.py", "system/test_gateway_sign_in.py", "system/test_kubernetes.py",
                       "system/test_jupyter.py"]


@pytest.fixture(scope="session", autouse=True)
def beside(request, tmp_path_factory):
    """What takes long and needs no answer in time runs beside all other tests, one at a time, from the first on: what a module calls
    `run_beside`, with the parameter of each of its chosen tests and a folder. By the test's id, what it will have returned."""
    pool = concurrent.futures.ThreadPoolExecutor(1)
    try:
        yield {item.nodeid: pool.submit(item.module.run_beside, *item.callspec.params.values(), tmp_path_factory.mktemp("beside"))
               for item in request.session.items if hasattr(getattr(item, "module", None), "run_beside")}
    finally:
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def program():
    """The release build, as users run it. DASKTOP_PROGRAM names another one."""
    path = pathlib.Path(os.environ.get("DASKTOP_PROGRAM", TOP / "build/release/dasktop"))
    assert path.exists(), f"{path} is not built: scripts/test builds it"
    return path


class Home:
    """A user's home with nothing in it: no config, no state, no variable that would lead dasktop elsewhere."""

    def __init__(self, path, program):
        self.path, self.program = path, program
        self.env = {k: v for k, v in os.environ.items()
                    if k in ("PATH", "LANG", "LC_ALL", "TMPDIR", "ASAN_OPTIONS", "TSAN_OPTIONS", "UBSAN_OPTIONS", "USER")}
        self.env.update(HOME=str(path), TERM="xterm-256color", DASK_ROOT_CONFIG=str(path / "no-etc"))
        self.env.setdefault("LANG", "C.UTF-8")
        self.env["PATH"] = plain_path()

    def config(self, text):
        """Writes ~/.config/dask/dasktop.yaml."""
        where = self.path / ".config/dask"
        where.mkdir(parents=True, exist_ok=True)
        (where / "dasktop.yaml").write_text(text)

    def run(self, *arguments, input=None, timeout=60, env=None, **more):
        """Runs dasktop without a terminal; gives the finished process with texts."""
        return subprocess.run([self.program, *map(str, arguments)], env=dict(self.env, **(env or {})), timeout=timeout, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL if input is None else None, input=input, **more)

    def list(self, *arguments, status=0, **more):
        """`list -o json`, parsed; its exit status is checked."""
        done = self.run("list", "-o", "json", *arguments, **more)
        assert done.returncode == status, (done.returncode, done.stderr)
        return json.loads(done.stdout)

    def cluster(self, address, **more):
        """The one row of `list` with this scheduler address, or None."""
        rows = [c for c in self.list(**more)["clusters"] if c["address"] == address and c["same_as"] is None]
        assert len(rows) <= 1, rows
        return rows[0] if rows else None


@pytest.fixture
def home(tmp_path, program):
    return Home(tmp_path, program)


@pytest.fixture(scope="session", params=rigs.VERSIONS)
def any_dask(request):
    """The Python of each Dask version that is tested, one after another."""
    return rigs.python(request.param)


@pytest.fixture(scope="session")
def dask():
    """The Python of the current Dask."""
    return rigs.python("dask-current")


@pytest.fixture
def rig(tmp_path, dask):
    """An empty rig of the current Dask: start what the test needs; all of it ends with the test."""
    with rigs.Rig(tmp_path / "rig", dask) as rig:
        yield rig


@pytest.fixture
def any_rig(tmp_path, any_dask):
    with rigs.Rig(tmp_path / "rig", any_dask) as rig:
        yield rig
