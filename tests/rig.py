"""Real Dask clusters, and ports that only pretend: started in groups of their own, ended with the `with` block.

Every process is remembered by pid and start time; at the end its whole group gets KILL, so nothing outlives a failed test.
Used by the tests and, as `python tests/rig.py up`, by hand.
"""
import atexit
import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

VERSIONS = ["dask-current", "dask-2024", "dask-2022"]
HANDSHAKE = bytes.fromhex("3a0000000000000001000000000000002a0000000000000083ab636f6d7072657373696f6ec0a6707974686f6e93030b07"
                          "af7069636b6c652d70726f746f636f6c05")
LOCAL = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]


# What a machine has of other systems is nobody's but the test's that is about it: their clients are not in a test's PATH.
CLIENTS = ["squeue", "qstat", "bjobs", "condor_q", "oarstat"]


@functools.cache
def plain_path():
    """PATH with every directory that holds such a client replaced by one of links to all else that is in it."""
    directories = []
    for name in os.environ["PATH"].split(os.pathsep):
        if not any(os.path.exists(os.path.join(name, client)) for client in CLIENTS):
            directories.append(name)
            continue
        links = tempfile.mkdtemp(prefix="dasktop-path-")
        atexit.register(shutil.rmtree, links, True)
        for entry in os.listdir(name):
            if entry not in CLIENTS:
                os.symlink(os.path.join(name, entry), os.path.join(links, entry))
        directories.append(links)
    return os.pathsep.join(directories)


def python(version):
    path = pathlib.Path(os.environ.get("DASKTOP_VENVS", pathlib.Path.home() / ".cache/dasktop/venv")) / version / "bin/python"
    assert path.exists(), f"{path} is missing: scripts/test makes it"
    return path


def start_time(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def alive(pid):
    """There and no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def until(test, seconds=60, every=0.1, what=None):
    """Waits for a true answer and returns it; fails the test after that."""
    end = time.monotonic() + seconds
    while True:
        found = test()
        if found:
            return found
        assert time.monotonic() < end, f"not in {seconds} s: {what or test}"
        time.sleep(every)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Scheduler:
    """One that was started: address, dashboard, its process, its workers' processes."""

    def __init__(self, rig, name, process, file):
        self.rig, self.name, self.process, self.file = rig, name, process, file
        found = until(self._read, what=f"scheduler {name}: {rig.log(name)}")
        self.address, self.id, self.dashboard = found["address"], found.get("id"), found["services"]["dashboard"]
        self.port = int(self.address.rsplit(":", 1)[1])

    def _read(self):
        assert self.process.poll() is None, self.rig.log(self.name)
        try:
            return json.loads(self.file.read_text())
        except (OSError, ValueError):
            return None

    def counts(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.dashboard}/json/counts.json", timeout=10) as answer:
            return json.load(answer)

    def workers(self, n, seconds=60):
        until(lambda: self.counts()["workers"] == n, seconds, what=f"{n} workers at {self.name}")


class Rig:
    def __init__(self, path, python):
        self.path, self.python, self.processes = pathlib.Path(path), pathlib.Path(python), []

    def __enter__(self):
        self.path.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_):
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)  # its own group: no one else's while a member lives or is not reaped
            except (ProcessLookupError, PermissionError):
                pass
        for process in self.processes:
            process.wait()

    def log(self, name):
        try:
            return (self.path / f"{name}.log").read_text()
        except OSError:
            return ""

    def spawn(self, name, command, **more):
        with open(self.path / f"{name}.log", "ab") as log:
            process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       start_new_session=True, cwd=self.path, **more)
        self.processes.append(process)
        return process

    def scheduler(self, name="scheduler", *arguments, port=0, **more):
        file = self.path / f"{name}.json"
        file.unlink(missing_ok=True)
        process = self.spawn(name, [self.python, "-m", "distributed.cli.dask_scheduler", *LOCAL, "--port", port,
                                    "--scheduler-file", file, *arguments], **more)
        return Scheduler(self, name, process, file)

    def worker(self, address, name="worker", *arguments, nanny=True, **more):
        return self.spawn(name, [self.python, "-m", "distributed.cli.dask_worker", address, *LOCAL, "--nthreads", 1, "--memory-limit",
                                 "200MB", "--local-directory", self.path / "scratch", "--name", name,
                                 *([] if nanny else ["--no-nanny"]), *arguments], **more)

    def script(self, name, text, *arguments, **more):
        """A Python script of a user's, in a file of that name."""
        file = self.path / f"{name}.py"
        file.write_text(text)
        return self.spawn(name, [self.python, file, *arguments], **more)

    def client(self, address, work="", name="client"):
        """A connected client that runs `work` (with c = the client) and stays."""
        ready = self.path / f"{name}.ready"
        process = self.script(name, "import pathlib, sys, time\nfrom distributed import Client\nc = Client(sys.argv[1])\n"
                              f"{work}\npathlib.Path(sys.argv[2]).write_text('')\ntime.sleep(10**6)\n", address, ready)
        until(lambda: ready.exists() or process.poll() is not None, what=f"client {name}")
        assert process.poll() is None, self.log(name)
        return process

    def local_cluster(self, name="analysis", workers=2, client=True, **kwargs):
        """A LocalCluster in a script of that name, with its client; gives the script's process and its Scheduler."""
        file = self.path / f"{name}.json"
        options = dict(n_workers=workers, threads_per_worker=1, memory_limit="200MB", host="127.0.0.1", dashboard_address="127.0.0.1:0",
                       worker_dashboard_address="127.0.0.1:0", local_directory=str(self.path / "scratch"), **kwargs)
        process = self.script(name, f"""
import json, pathlib, time
from distributed import Client, LocalCluster
if __name__ == "__main__":
    c = LocalCluster(**{options!r})
    k = Client(c) if {client!r} else None
    made = pathlib.Path({str(file)!r})
    temporary = made.with_suffix(".tmp")
    temporary.write_text(json.dumps({{"address": c.scheduler_address, "id": c.scheduler.id, "services": {{"dashboard": c.scheduler.services["dashboard"].port}}}}))
    temporary.rename(made)
    time.sleep(10**6)
""")
        return Scheduler(self, name, process, file)

    def lost_worker(self, name="lost"):
        """A worker whose scheduler was killed before it came: it waits for ever. Gives its process and the dead address."""
        scheduler = self.scheduler(f"{name}-scheduler")
        os.killpg(scheduler.process.pid, signal.SIGKILL)
        scheduler.process.wait()
        process = self.worker(scheduler.address, name, nanny=False)
        until(lambda: "Waiting to connect" in self.log(name), what="the lost worker")
        return process, scheduler.address


class Trap:
    """A port on 127.0.0.1 that is no Dask: silent, garbage, absurd (huge lengths), slow (a right handshake, one byte a second),
    half (half a handshake, then the end), huge (announces 2^63 bytes), http (a web server that waits for the other side)."""

    def __init__(self, kind):
        self.kind, self.connections = kind, 0
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(2048)
        self.port = self.socket.getsockname()[1]
        self.received = b""
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, c):
        try:
            if self.kind == "garbage":
                c.sendall(os.urandom(4096))
            elif self.kind == "absurd":
                c.sendall((1 << 62).to_bytes(8, "little") + (1 << 40).to_bytes(8, "little") * 2)
            elif self.kind == "huge":
                c.sendall(struct.pack("<QQQ", 1 << 63, 1, (1 << 63) - 16))
            elif self.kind == "half":
                c.sendall(HANDSHAKE[:33])
                c.close()
                return
            elif self.kind == "slow":
                for byte in HANDSHAKE:
                    c.sendall(bytes([byte]))
                    time.sleep(1)
            while True:
                got = c.recv(4096)
                if not got:
                    break
                self.received += got
        except OSError:
            pass
        c.close()

    def close(self):
        self.socket.close()
