"""The fixtures of the program's own tests: real Dask of each version, a home of its own, the built program."""
import importlib.util
import pathlib
import shutil
import subprocess
import sys

import pytest

PACKAGE = pathlib.Path(__file__).resolve().parents[1]
TOP = PACKAGE.parents[1]

spec = importlib.util.spec_from_file_location("dasktop_tests_conftest", TOP / "tests/conftest.py")
shared = importlib.util.module_from_spec(spec)
spec.loader.exec_module(shared)
program, home, any_dask, dask, rig, any_rig = (getattr(shared, name) for name in ("program", "home", "any_dask", "dask", "rig", "any_rig"))

import rig as rigs  # noqa: E402  (tests/conftest.py has put it into the path)


@pytest.fixture
def script(home, tmp_path):
    """Runs a script under a Python of the tests, with the package beside it; gives the finished process."""

    def run(python, text, *arguments, wait=True, env=None):
        file = tmp_path / "script.py"
        file.write_text(text)
        environment = {**home.env, "DASKTOP_PROGRAM": str(home.program), "PYTHONPATH": str(PACKAGE / "src"), "PYTHONDONTWRITEBYTECODE": "1", **(env or {})}
        child = subprocess.Popen([python, file, *map(str, arguments)], env=environment, cwd=tmp_path, text=True, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if not wait:
            return child
        output, errors = child.communicate(timeout=240)
        assert child.returncode == 0, errors
        return output
    return run


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The package as pip installs it, from a copy: nothing is built in the tree."""
    where = tmp_path_factory.mktemp("installed")
    shutil.copytree(PACKAGE, where / "source", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--target", where / "site",
                    where / "source"], check=True, timeout=240)
    return where / "site"
