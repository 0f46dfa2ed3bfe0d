"""The helper as dasktop starts it, and packages with entry points made on the fly."""
import io
import itertools
import json
import os
import pathlib
import queue
import re
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
SOURCE = TOP / "src/backends/python/helper.py"
# As in python.c: the helper's source comes through the same pipe as the messages after it.
BOOTSTRAP = re.search(r'BOOTSTRAP\[\] = "(.*)";', (TOP / "src/backends/python/python.c").read_text()).group(1)


class Failed(Exception):
    def __init__(self, error):
        super().__init__(error["message"])
        self.code, self.message, self.data = error["code"], error["message"], error.get("data")


class Packages:
    """A directory of packages, each a module with its dist-info, as pip would have installed them."""

    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def add(self, name, source, entry_points=None, value=None, distribution=None):
        (self.path / f"{name}.py").write_text(textwrap.dedent(source))
        about = self.path / f"{distribution or name}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution or name}\nVersion: 1.0\n")
        points = entry_points or {name: value or f"{name}:discover"}
        (about / "entry_points.txt").write_text("[console_scripts]\nx = y:z\n\n[dask_cluster_discovery]\n" +
                                                "".join(f"{key} = {one}\n" for key, one in points.items()))


class Child:
    def __init__(self, packages=None, python=sys.executable, config=None, env=None, hello=True):
        self.home = tempfile.TemporaryDirectory(prefix="dasktop-test-")  # packages write configs into it
        environment = {**os.environ, "HOME": self.home.name, **({"PYTHONPATH": str(packages.path)} if packages else {}), **(env or {})}
        self.process = subprocess.Popen([python, "-u", "-c", BOOTSTRAP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        cwd="/", env=environment, bufsize=0, start_new_session=True)
        self.numbers, self.answers, self.notes, self.errors, self.strange = itertools.count(1), {}, {}, [], []
        self.lock = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=self.read_errors, daemon=True).start()
        source = SOURCE.read_bytes()
        first = {"jsonrpc": "2.0", "id": 0, "method": "hello", "params": {"protocol": 1, "dasktop": "0", "config": config or {}}}
        # in one piece: what the bootstrap has read ahead must not be lost
        self.write(f"{len(source)}\n".encode() + source + (json.dumps(first).encode() + b"\n" if hello else b""))
        if hello:
            self.hello = self.wait(0)

    def write(self, data):
        while data:
            data = data[self.process.stdin.write(data):]

    def read(self):
        for line in io.BufferedReader(self.process.stdout, 1 << 20):
            try:
                message = json.loads(line)
                assert message["jsonrpc"] == "2.0"
            except (ValueError, AssertionError):
                self.strange.append(line)
                continue
            with self.lock:
                if "method" in message:
                    self.notes.setdefault(message["params"]["request"], queue.Queue()).put((message["method"], message["params"]))
                else:
                    if message["id"] in self.answers:
                        self.strange.append(line)
                    self.answers[message["id"]] = (message, time.monotonic())
                self.lock.notify_all()
        with self.lock:
            self.answers[None] = None
            self.lock.notify_all()

    def read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line.decode("utf-8", "replace"))

    def send(self, method, **params):
        number = next(self.numbers)
        self.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n")
        return number

    def cancel(self, number):
        self.write(json.dumps({"jsonrpc": "2.0", "method": "cancel", "params": {"request": number}}).encode() + b"\n")

    def wait(self, number, seconds=60):
        with self.lock:
            assert self.lock.wait_for(lambda: number in self.answers or None in self.answers, seconds), (number, self.errors)
            assert number in self.answers, ("it ended", "".join(self.errors))
            message = self.answers[number][0]
        if "error" in message:
            raise Failed(message["error"])
        return message["result"]

    def note(self, number, seconds=30):
        with self.lock:
            notes = self.notes.setdefault(number, queue.Queue())
        return notes.get(timeout=seconds)

    def heard(self, number, kind):
        """All notes of that kind that came for it; after its answer."""
        with self.lock:
            notes = list(self.notes.get(number, queue.Queue()).queue)
        return [params[kind] for method, params in notes if method == kind]

    def ask(self, method, **params):
        return self.wait(self.send(method, **params))

    def discover(self, entry_point, deadline_ms=10000):
        """(result, clusters)"""
        number = self.send("discover", entry_point=entry_point, deadline_ms=deadline_ms)
        return self.wait(number), self.heard(number, "cluster")

    def close(self):
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            return self.process.wait(5)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.home.cleanup()
