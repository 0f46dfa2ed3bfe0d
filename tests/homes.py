"""Where the program and the tests are, and homes of users who have nothing yet. Not in conftest.py: there are several of that name."""
import json
import os
import pathlib
import subprocess

from rig import plain_path

TESTS = pathlib.Path(__file__).resolve().parent
TOP = TESTS.parent


def built_program():
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
