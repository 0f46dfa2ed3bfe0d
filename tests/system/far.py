"""Another computer, as far as anybody can tell: network, processes, mounts and host name of its own, with a real OpenSSH server and real Dask
clusters in it. From here only a port leads there, to that server. Needs root, as namespaces do.

`with Far(path) as far:` starts one; `far.rig` starts clusters there; `far.options` is what ssh needs, `far.environment(home)` an `ssh` in PATH that
needs no options."""
import ctypes
import os
import pathlib
import shlex
import signal
import socket
import subprocess
import threading

import rig as rigs
from daemons import Daemons
from rig import plain_path

KEEPER = """\
set -e
ip link set lo up
ip address add 10.99.0.1/32 dev lo
hostname {name}
mount --bind {path}/passwd /etc/passwd
mkdir -p /run/sshd
mount -t tmpfs -o mode=755 tmpfs /run/sshd
echo up >{path}/up
sleep 1000000 # not exec: who is process 1 has to wait for orphans, or Slurm holds their jobs to be still completing
exit
"""


class FarRig(rigs.Rig):
    """Clusters on the other computer."""

    def __init__(self, far, path, python):
        super().__init__(path, python)
        self.far = far

    def spawn(self, name, command, **more):
        return super().spawn(name, [*self.far.enter, *command], **more)


def setns(fd, kind=0x40000000):
    assert ctypes.CDLL(None, use_errno=True).setns(fd, kind) == 0, os.strerror(ctypes.get_errno())


class Far(Daemons):
    farewell = signal.SIGKILL  # it has nothing to put away, and its first process heeds nothing else

    def __init__(self, path, programs=None, shell="/bin/bash", rc="", name="login1", variables=""):
        """programs: PATH of who signs in there; else this machine's, without clients of batch systems. variables: more for the environment."""
        super().__init__(path)
        self.shell, self.rc, self.programs = shell, rc, programs or plain_path()
        self.name, self.variables, self.listener = name, variables, None

    def __exit__(self, *_):
        if self.listener:
            self.listener.close()
        super().__exit__()

    def start(self):
        self.path.chmod(0o755)
        self.home = self.path / "home"
        (self.home / ".ssh").mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o755)
        (self.home / ".bashrc").write_text(self.rc)
        lines = pathlib.Path("/etc/passwd").read_text().splitlines()
        (self.path / "passwd").write_text("\n".join([f"root:x:0:0:root:{self.home}:{self.shell}", *(line for line in lines if not line.startswith("root:"))]) + "\n")
        for key in ("host", "user", "stranger"):
            if not (self.path / key).exists():
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path / key], check=True)
        (self.home / ".ssh/authorized_keys").write_text((self.path / "user.pub").read_text())
        keeper = self.spawn("unshare", "--net", "--pid", "--uts", "--ipc", "--mount", "--mount-proc", "--fork", "--kill-child", "sh", "-c",
                            KEEPER.format(name=self.name, path=self.path))
        rigs.until((self.path / "up").exists, 20, what=f"another computer: {self.path}/log")
        self.pid = int(pathlib.Path(f"/proc/{keeper.pid}/task/{keeper.pid}/children").read_text().split()[0])
        self.enter = ["nsenter", "-t", str(self.pid), "-n", "-p", "-u", "-i", "-m", "--"]
        self.inner = rigs.free_port()
        (self.path / "sshd_config").write_text(f"""\
ListenAddress 127.0.0.1:{self.inner}
HostKey {self.path}/host
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
AllowTcpForwarding yes
MaxStartups 100
MaxSessions 100
SetEnv PATH={self.programs} {self.variables}
""")
        self.sshd()
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        self.known = self.path / "known_hosts"
        self.known.write_text(f"[127.0.0.1]:{self.port} {(self.path / 'host.pub').read_text()}")
        self.options = [f"UserKnownHostsFile={self.known}", "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "-F", "none"]
        rigs.until(self.answers, 20, what=f"sshd: {self.path}/sshd.log")

    def sshd(self):
        self.server = self.spawn(*self.enter, "/usr/sbin/sshd", "-D", "-e", "-f", self.path / "sshd_config", log="sshd.log")

    def stop(self):
        self.send(self.server, signal.SIGKILL)
        self.server.wait()

    def restart(self):
        self.cut()
        self.stop()
        self.sshd()
        rigs.until(self.answers, 20, what=f"sshd: {self.path}/sshd.log")

    def sshd_pids(self):
        """Of the server and of all its connections, as this computer numbers them."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                ours = entry.name.isdigit() and (entry / "comm").read_text() == "sshd\n" and os.readlink(entry / "ns/pid") == os.readlink(f"/proc/{self.pid}/ns/pid")
            except OSError:
                continue
            if ours:
                found.append(int(entry.name))
        return found

    def _connect(self):
        """A socket that is made over there: each thread has its own namespaces."""
        setns(self.netns)
        return socket.create_connection(("127.0.0.1", self.inner), 5)

    def _accept(self, listener):
        self.netns = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = self._connect()
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            self.connections.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        """All connections die, without a word to either side's program."""
        for pair in self.connections:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.connections.clear()

    def answers(self):
        return self.ssh("true").returncode != 255

    def ssh(self, *command):
        """The bare ssh, without dasktop."""
        return subprocess.run(["ssh", "-o", "BatchMode=yes", *self.arguments(), "127.0.0.1", *command], capture_output=True, text=True, timeout=30)

    def arguments(self):
        out = ["-p", str(self.port), "-i", str(self.path / "user"), "-o", "IdentitiesOnly=yes"]
        for option in self.options:
            out += [option] if option.startswith("-") or option == "none" else ["-o", option]
        return out

    def run(self, *command, **more):
        """On the other computer, without ssh."""
        return subprocess.run([*self.enter, *map(str, command)], capture_output=True, text=True, timeout=60, **more)

    def config(self, key="login", more=""):
        options = ", ".join(f'"{option}"' for option in self.options)
        more += "" if "timeout" in more else ", timeout: 30s"
        return (f"dasktop:\n  auto: false\n  backends:\n    {key}: {{type: ssh, host: 127.0.0.1, port: {self.port}, user: root, identity: {self.path / 'user'}, "
                f"options: [{options}]{more}}}\n")

    def path_with_ssh(self, home, alias="login1"):
        """A PATH whose `ssh` reads a config of the test's, as a user's own would be read: there `alias` is this computer."""
        directory = home.path / "with-ssh"
        directory.mkdir(exist_ok=True)
        (directory / "config").write_text(f"Host {alias}\n  HostName 127.0.0.1\n  Port {self.port}\n  User root\n  IdentityFile {self.path / 'user'}\n"
                                          f"  IdentitiesOnly yes\n  UserKnownHostsFile {self.known}\n  GlobalKnownHostsFile /dev/null\n")
        script = directory / "ssh"
        script.write_text(f"#!/bin/sh\nexec {shlex.quote(subprocess.run(['sh', '-c', 'command -v ssh'], capture_output=True, text=True).stdout.strip())} "
                          f"-F {shlex.quote(str(directory / 'config'))} \"$@\"\n")
        script.chmod(0o755)
        return f"{directory}{os.pathsep}{home.env['PATH']}"
