"""What is started here and needs root: real systems, another computer. Their processes end with the `with` block, the last first."""
import os
import pathlib
import signal
import subprocess


class Daemons:
    """A subclass has `start`. prefix: words before each of its programs, which run on another computer then; env: what they are given."""
    prefix = []
    farewell = signal.SIGTERM  # what they are asked with to end; after ten seconds they are not asked

    def __init__(self, path):
        self.path, self.processes, self.env = pathlib.Path(path), [], dict(os.environ)

    def __enter__(self):
        assert os.geteuid() == 0, f"{type(self).__name__} needs root: run scripts/test all as root"
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            self.send(process, self.farewell)
        for process in reversed(self.processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                self.send(process, signal.SIGKILL)
                process.wait()

    @staticmethod
    def send(process, sign):
        """To its whole group, which is no one else's while it is not reaped."""
        if process.returncode is None:
            try:
                os.killpg(process.pid, sign)
            except ProcessLookupError:
                pass

    def spawn(self, *command, log="log", **more):
        with open(self.path / log, "ab") as out:
            process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, **more)
        self.processes.append(process)
        return process

    def daemon(self, name, *command, **more):
        """With what `prefix` and `env` say; its words go into NAME.log."""
        return self.spawn(*self.prefix, *command, log=f"{name}.log", env=dict(self.env, **more))
