"""What all tests share: where the program is, a home of its own for each test, real Dask clusters to look at."""
import concurrent.futures
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import rig as rigs  # noqa: E402
from homes import Home, built_program  # noqa: E402

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
    return built_program()


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
