"""A real JupyterLab with Dask's extension on this machine, in a home of its own, with a fixed token on a free port of loopback.

`with Jupyter(path) as jupyter:` starts one. Its clusters are small: the extension's factory is told so by Dask's own config. As the sidebar
does, `jupyter.put()` makes one, `jupyter.clusters()` lists them, `jupyter.delete(id)` ends one. `jupyter.notebook(name)` starts a notebook's kernel,
`jupyter.execute(kernel, code)` runs code in it. Used by the tests and, as `python tests/system/jupyters.py PATH`, by hand."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import rig as rigs  # noqa: E402

TOKEN = "jupyter-token-nobody-may-see"

FACTORY = """\
labextension:
  factory:
    kwargs: {n_workers: 1, threads_per_worker: 1, memory_limit: 200MB, host: 127.0.0.1, dashboard_address: '127.0.0.1:0',
             worker_dashboard_address: '127.0.0.1:0'}
"""

# Runs in the environment of the kernels: what stands on its standard input, in the kernel whose connection file is named; prints what it prints.
EXECUTE = """
import sys
from jupyter_client import BlockingKernelClient
client = BlockingKernelClient(connection_file=sys.argv[1])
client.load_connection_file()
client.start_channels()
client.wait_for_ready(timeout=120)
reply = client.execute_interactive(sys.stdin.read(), timeout=180, output_hook=lambda m: m["msg_type"] == "stream" and print(m["content"]["text"], end=""))
client.stop_channels()
sys.exit(0 if reply["content"]["status"] == "ok" else str(reply["content"]))
"""


class Jupyter:
    """home: its HOME (default: `path`), so that several servers may be one user's; config: of jupyter_server_config.json; dask: text of a Dask config
    file; options: on its command line; env: on top of its environment; base_url; unix: the path of a UNIX socket instead of a port."""

    def __init__(self, path, home=None, token=TOKEN, config=None, dask=FACTORY, options=(), env=None, base_url="/", unix=None):
        self.path, self.python, self.token, self.base_url, self.socket = pathlib.Path(path), rigs.python("jupyter"), token, base_url, unix
        self.home = pathlib.Path(home or path)
        self.root, self.runtime = self.path / "work", self.home / ".local/share/jupyter/runtime"
        settings = self.path / "jupyter"
        for directory in (self.root, settings, self.home / ".config/dask"):
            directory.mkdir(parents=True, exist_ok=True)
        (settings / "jupyter_server_config.json").write_text(json.dumps(config or {}))
        (self.home / ".config/dask/labextension.yaml").write_text(dask)
        self.port = rigs.free_port()
        self.url = f"http://127.0.0.1:{self.port}{base_url}"
        self.options = list(options)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "JPY", "DASK", "XDG", "IPYTHON"))}
        self.env.update(HOME=str(self.home), PATH=f"{self.python.parent}:{os.environ['PATH']}", JUPYTER_CONFIG_DIR=str(settings), PYTHONUNBUFFERED="1")
        self.env.update(env or {})
        self.process = None

    def __enter__(self):
        where = [f"--ServerApp.sock={self.socket}"] if self.socket else ["--ip=127.0.0.1", f"--port={self.port}", "--ServerApp.port_retries=0"]
        with open(self.path / "server.log", "ab") as log:
            self.process = subprocess.Popen([self.python, "-m", "jupyter", "lab", "--no-browser", "--allow-root", *where, f"--IdentityProvider.token={self.token}",
                                             f"--ServerApp.root_dir={self.root}", f"--ServerApp.base_url={self.base_url}", *self.options],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd=self.root, start_new_session=True)
        try:
            rigs.until(lambda: self.process.poll() is not None or self.ready(), 120, what=f"JupyterLab: {self.path}/server.log")
            assert self.process.poll() is None, self.log()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        """In order, so that its kernels and clusters end with it; then whatever is left of its group."""
        for sign, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
            if self.process.poll() is None:
                os.kill(self.process.pid, sign)
                try:
                    self.process.wait(seconds)
                except subprocess.TimeoutExpired:
                    pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # its own group; pid and group are not given anew while a member lives
        except (ProcessLookupError, PermissionError):
            pass

    def ready(self):
        if self.socket:
            return pathlib.Path(self.socket).exists() and any(self.runtime.glob(f"jpserver-{self.process.pid}.json"))
        return self.ask("api/status")[0] == 200

    def log(self):
        return (self.path / "server.log").read_text()

    def ask(self, path, method="GET", body=None, token=None, timeout=120):
        """Status and text of an answer; 0 where none came."""
        if self.socket:
            return self._ask_socket(path, method, body)
        request = urllib.request.Request(self.url + path, method=method, data=None if body is None else json.dumps(body).encode())
        request.add_header("Authorization", f"token {token or self.token}")
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def _ask_socket(self, path, method, body):
        connection = http.client.HTTPConnection("localhost", timeout=120)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.socket))
        connection.request(method, self.base_url + path, None if body is None else json.dumps(body), {"Authorization": f"token {self.token}"})
        answer = connection.getresponse()
        try:
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def must(self, *arguments, **more):
        """The JSON of an answer that has to be a good one."""
        status, text = self.ask(*arguments, **more)
        assert 200 <= status < 300, (arguments, status, text, self.log()[-3000:])
        return json.loads(text) if text else None

    # what the sidebar does

    def put(self, id=None):
        return self.must(f"dask/clusters/{id}" if id else "dask/clusters", "PUT", {})

    def clusters(self):
        return self.must("dask/clusters")

    def delete(self, id):
        return self.must(f"dask/clusters/{id}", "DELETE")

    def delete_all(self):
        for cluster in self.clusters():
            self.delete(cluster["id"])

    # what a notebook does

    def notebook(self, name="analysis.ipynb", kind="notebook"):
        """Starts a session; gives it, with its kernel. `session["kernel"]["id"]` is the kernel's."""
        where = self.root / name
        if kind == "notebook":
            where.parent.mkdir(parents=True, exist_ok=True)
            where.write_text(json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        return self.must("api/sessions", "POST", {"path": name, "name": where.name, "type": kind, "kernel": {"name": "python3"}})

    def execute(self, kernel, code):
        """Runs it in that kernel to its end; gives what it printed."""
        done = subprocess.run([self.python, "-c", EXECUTE, self.runtime / f"kernel-{kernel}.json"], input=textwrap.dedent(code), text=True, capture_output=True,
                              env=self.env, cwd=self.path, timeout=240)
        assert done.returncode == 0, (code, done.stderr)
        return done.stdout

    def shut_down(self, kernel):
        return self.ask(f"api/kernels/{kernel}", "DELETE")


if __name__ == "__main__":
    with Jupyter(sys.argv[1]) as started:
        print(json.dumps({"url": started.url, "token": started.token, "home": str(started.home), "pid": started.process.pid}), flush=True)
        signal.sigwait([signal.SIGINT, signal.SIGTERM])
