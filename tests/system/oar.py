"""Real OAR on this machine: its server, a node's sshd and a PostgreSQL of its own, all under one directory. OAR's programs are setuid and read
/etc/oar/oar.conf and nothing else: the rig's own files are mounted over the package's until the end. Needs root."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import textwrap

import rig as rigs
from queues import Queue

CORES = 10


class Oar(Queue):
    kind, cancel_program = "oar", "oardel"
    options = {"queue": "default", "memory_per_core_property_name": "memcore"}  # as a site has it that tells its nodes' memory
    held = ["--hold"]
    server = None

    def __init__(self, path):
        super().__init__(path)
        self.mounted = []

    def start(self):
        self.database, self.port, self.node = (rigs.free_port() for _ in range(3))
        self.env["PWD"] = str(self.path)  # it is what oarsub takes for the directory
        self.env["PATH"] = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
        for name in "log", "run", "ssh":
            (self.path / name).mkdir(exist_ok=True)
            shutil.chown(self.path / name, "oar", "oar")
        self.start_database()
        self.start_node()
        self.configure()
        self.must("oar-database", "--create", "--db-admin-user", "postgres", "--db-admin-pass", "none")
        # a rule of the default ones: here root is the only user
        self.sql("UPDATE admission_rules SET enabled = 'NO' WHERE rule LIKE '%root and oar users are not allowed%'")
        self.server = self.daemon("almighty", "/usr/sbin/Almighty")
        for name in "core", "memcore":
            self.must("oarproperty", "-a", name)
        for i in range(CORES):
            self.must("oarnodesetting", "-a", "-h", "n1", "-p", f"core={i + 1}", "-p", "memcore=4000")
        self.works("oarstat")

    def start_database(self):
        home = self.path / "postgres"
        home.mkdir()
        shutil.chown(home, "postgres", "postgres")
        program = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
        user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
        self.must(*user, program.parent / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust", "--no-sync", cwd=home)
        self.daemon("postgres", *user, program, "-D", home / "data", "-k", home, "-h", "127.0.0.1", "-p", self.database, "-F")
        self.works(program.parent / "pg_isready", "-q", "-h", "127.0.0.1", "-p", self.database)

    def start_node(self):
        """The sshd by which the server, as user oar, reaches its node: one of its own, whatever name the node has."""
        ssh = self.path / "ssh"
        for key in "host", "id":
            self.must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh / key)
        (ssh / "authorized_keys").write_text(f'environment="OAR_KEY=1" {(ssh / "id.pub").read_text()}')
        (ssh / "config").write_text(textwrap.dedent(f"""\
            Host *
              HostName 127.0.0.1
              Port {self.node}
              User oar
              IdentityFile {ssh}/id
              UserKnownHostsFile /dev/null
              StrictHostKeyChecking no
              LogLevel ERROR
            """))
        (ssh / "sshd_config").write_text(textwrap.dedent(f"""\
            ListenAddress 127.0.0.1:{self.node}
            HostKey {ssh}/host
            PidFile none
            StrictModes no
            UsePAM no
            AuthorizedKeysFile {ssh}/authorized_keys
            PermitUserEnvironment yes
            AcceptEnv OAR_CPUSET OAR_USER_CPUSET OAR_USER_GPUDEVICE OAR_JOB_USER
            AllowUsers oar
            MaxStartups 100
            """))
        for name in "id", "authorized_keys":
            shutil.chown(ssh / name, "oar", "oar")
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        self.daemon("sshd", "/usr/sbin/sshd", "-D", "-e", "-f", ssh / "sshd_config")

    def configure(self):
        file = self.path / "oar.conf"
        file.write_text(textwrap.dedent(f"""\
            DB_TYPE="Pg"
            DB_HOSTNAME="127.0.0.1"
            DB_PORT="{self.database}"
            DB_BASE_NAME="oar"
            DB_BASE_LOGIN="oar"
            DB_BASE_PASSWD="oar"
            DB_BASE_LOGIN_RO="oar_ro"
            DB_BASE_PASSWD_RO="oar_ro"
            SERVER_HOSTNAME="127.0.0.1"
            SERVER_PORT="{self.port}"
            LOG_FILE="{self.path}/log/oar.log"
            LOG_LEVEL="2"
            OAR_RUNTIME_DIRECTORY="{self.path}/run"
            OARSUB_DEFAULT_RESOURCES="/resource_id=1"
            OARSUB_NODES_RESOURCES="network_address"
            OPENSSH_CMD="/usr/bin/ssh -F {self.path}/ssh/config"
            PINGCHECKER_GENERIC_COMMAND="/bin/true"
            DETACH_JOB_FROM_SERVER="1"
            SCHEDULER_NB_PROCESSES="1"
            SCHEDULER_TIMEOUT="30"
            SCHEDULER_JOB_SECURITY_TIME="1"
            SCHEDULER_GANTT_HOLE_MINIMUM_TIME="10"
            SCHEDULER_MIN_TIME_BETWEEN_2_CALLS="1"
            SCHEDULER_RESOURCE_ORDER="network_address ASC, resource_id ASC"
            SCHEDULER_PRIORITY_HIERARCHY_ORDER="network_address/resource_id"
            SCHEDULER_AVAILABLE_SUSPENDED_RESOURCE_TYPE="default"
            """))
        shutil.chown(file, "oar", "oar")
        file.chmod(0o600)
        empty = self.path / "bashrc"
        empty.touch()
        self.mount(file, "/etc/oar/oar.conf")
        self.mount(empty, "/var/lib/oar/.batch_job_bashrc")  # before each job: it would read root's own .bashrc, whatever that has

    def mount(self, file, place):
        self.must("mount", "--bind", file, place)
        self.mounted.append(place)

    def __exit__(self, *_):
        self.empty()
        if self.server:
            self.send(self.server, signal.SIGKILL)  # it looks only every ten seconds whether it shall end
        super().__exit__()
        while self.mounted:
            self.must("umount", self.mounted.pop())

    def must(self, *command, **more):
        done = self.run(*command, **more)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def sql(self, text):
        self.must("psql", "-q", "-h", "127.0.0.1", "-p", self.database, "-U", "postgres", "-d", "oar", "-c", text)

    def listed(self):
        if not self.server or self.server.poll() is not None:
            return {}
        return json.loads(self.run("oarstat", "-J").stdout or "{}")

    def cancel_all(self):
        if jobs := self.listed():
            self.run("oardel", *jobs)

    def left(self):
        return list(self.listed())

    def jobs(self):
        """Ids of what is in the queue and not leaving."""
        return [id for id, job in self.listed().items() if job["state"] not in ("Finishing", "Terminated", "Error", "toError")]
