"""Real batch systems on this machine: Slurm with two nodes and slurmrestd, Grid Engine with one (OAR is in oar.py). Daemons are plain processes of the test
run; nothing but Grid Engine's own cell stands outside its directory. Both need root, as their daemons do.

`with Slurm(path) as queue:` starts one; `queue.env` is what its clients need; clusters are dask-jobqueue's own (`queue.cluster`)."""
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import textwrap
import time

import rig as rigs
from daemons import Daemons

CLUSTER = """
import ast, ctypes, json, os, sys, time
import dask_jobqueue as q
from distributed import Client

def hold():
    ctypes.PyDLL(None).sleep(3600)  # keeps the interpreter's lock: such a worker does not notice that its scheduler is gone

kind, name, jobs, options = sys.argv[1], sys.argv[2], int(sys.argv[3]), ast.literal_eval(sys.argv[4])
busy = options.pop("busy", False)
c = {"slurm": q.SLURMCluster, "sge": q.SGECluster, "oar": q.OARCluster}[kind](
    name=name, cores=options.pop("cores", 1), memory="300MB", processes=options.pop("processes", 1),
    scheduler_options={"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}, **options)
c.scale(jobs=jobs)
print(json.dumps({"address": c.scheduler_address}), flush=True)
wanted = jobs * c._dummy_job.worker_processes if not options.get("job_extra_directives") else 0
while len(c.scheduler_info["workers"]) < wanted:
    time.sleep(0.1)
if busy:
    client = Client(c)
    kept = [client.submit(hold, workers=[w], pure=False) for w in c.scheduler_info["workers"]]
    while not all(client.processing().get(w) for w in c.scheduler_info["workers"]):
        time.sleep(0.1)
print("ready", flush=True)
while True:
    time.sleep(60)
"""


class Cluster:
    """One of dask-jobqueue's: the Python process that holds it, and its address once it is `ready`."""

    def __init__(self, queue, name, jobs, options):
        self.name, self.queue = name, queue
        options = dict(options, log_directory=str(queue.path / "logs"), walltime="00:30:00", **queue.options)
        self.out = queue.path / f"cluster-{name}.out"
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen([*queue.prefix, rigs.python("jobqueue"), "-c", CLUSTER, queue.kind, name, str(jobs), repr(options)],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=queue.env, cwd=queue.path, start_new_session=True)

    def ready(self):
        rigs.until(lambda: "ready" in self.out.read_text() or self.process.poll() is not None, 120, what=f"cluster {self.name}")
        assert self.process.poll() is None, self.out.read_text()
        line = next(line for line in self.out.read_text().splitlines() if line.startswith("{"))
        self.address = json.loads(line)["address"]
        return self

    def kill(self):
        """As a notebook's kernel dies."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Queue(Daemons):
    """Empty at the end as between two tests. `options` are dask-jobqueue's for each cluster, `held` lets a job wait."""
    options = {}

    def __init__(self, path):
        super().__init__(path)
        self.clusters = []
        self.env["LC_ALL"] = "C.UTF-8"

    def __enter__(self):
        (self.path / "logs").mkdir(parents=True, exist_ok=True)
        return super().__enter__()

    def __exit__(self, *_):
        self.empty()
        super().__exit__()

    def empty(self):
        """No cluster, and no job."""
        for cluster in self.clusters:
            if cluster.process.poll() is None:
                cluster.kill()
        self.clusters.clear()
        self.cancel_all()
        end = time.monotonic() + 60
        while self.left() and time.monotonic() < end:
            time.sleep(0.3)

    def run(self, *command, **more):
        return subprocess.run([str(c) for c in (*self.prefix, *command)], env=self.env, text=True, capture_output=True, timeout=60, **more)

    def works(self, *command):
        return rigs.until(lambda: self.run(*command).returncode == 0, 40, 0.2, what=" ".join(map(str, command)))

    def begin(self, name, jobs, **options):
        cluster = Cluster(self, name, jobs, options)
        self.clusters.append(cluster)
        return cluster

    def cluster(self, name, jobs, **options):
        return self.begin(name, jobs, **options).ready()


class Slurm(Queue):
    kind, cancel_program = "slurm", "scancel"
    options = {"queue": "regular"}

    def start(self):
        name, ports = socket.gethostname().split(".")[0], [rigs.free_port() for _ in range(4)]
        self.rest = rigs.free_port()
        (self.path / "munge").mkdir(mode=0o700, exist_ok=True)
        key = self.path / "munge/key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o600)
        jwt = self.path / "jwt.key"
        jwt.write_bytes(secrets.token_bytes(32))
        jwt.chmod(0o600)
        sock = self.path / "munge.sock"
        for directory in ("state", "n1", "n2"):
            (self.path / directory).mkdir(exist_ok=True)
        conf = self.path / "slurm.conf"
        conf.write_text(textwrap.dedent(f"""\
            ClusterName=test
            SlurmctldHost={name}(127.0.0.1)
            SlurmctldPort={ports[0]}
            SlurmUser=root
            AuthType=auth/munge
            AuthInfo=socket={sock}
            AuthAltTypes=auth/jwt
            AuthAltParameters=jwt_key={jwt}
            CredType=cred/munge
            StateSaveLocation={self.path}/state
            SlurmdSpoolDir={self.path}/%n
            SlurmctldPidFile={self.path}/slurmctld.pid
            SlurmdPidFile={self.path}/slurmd-%n.pid
            SlurmdParameters=config_overrides
            ProctrackType=proctrack/pgid
            TaskPlugin=task/none
            SelectType=select/cons_tres
            SelectTypeParameters=CR_CPU_Memory
            SchedulerType=sched/backfill
            SchedulerParameters=sched_interval=2,bf_interval=2,defer_batch
            MaxJobCount=20000
            KillWait=3
            ReturnToService=2
            MpiDefault=none
            AccountingStorageType=accounting_storage/none
            NodeName=n1 NodeHostname={name} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=64 RealMemory=64000
            NodeName=n2 NodeHostname={name} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=64 RealMemory=64000
            PartitionName=regular Nodes=n1,n2 Default=YES MaxTime=INFINITE DefaultTime=01:00:00 State=UP
            """))
        self.env["SLURM_CONF"] = str(conf)
        self.daemon("munged", "munged", "--force", "--foreground", f"--socket={sock}", f"--key-file={key}", f"--pid-file={self.path}/munge/pid",
                    f"--log-file={self.path}/munge/log", f"--seed-file={self.path}/munge/seed")
        rigs.until(sock.exists, 20, what=f"munged: {self.path}/munged.log")
        self.path.chmod(0o755)
        self.controller = self.daemon("slurmctld", "slurmctld", "-D")
        for node in ("n1", "n2"):
            self.daemon(f"slurmd-{node}", "slurmd", "-D", "-N", node)
        self.works("scontrol", "ping")
        rigs.until(lambda: "up 2 idle" in " ".join(self.run("sinfo", "-h", "-o", "%a %D %t").stdout.split()), 60, 0.3, what=f"two idle nodes: {self.path}")

    def restd(self):
        """slurmrestd as a site runs it: not as root, with tokens. Gives its URL and a token."""
        self.daemon("slurmrestd", "setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "slurmrestd", "-a", "rest_auth/jwt", "-s",
                    "openapi/v0.0.38,openapi/v0.0.37", f"127.0.0.1:{self.rest}", SLURM_JWT="daemon")
        token = self.run("scontrol", "token", "lifespan=3600").stdout.strip().removeprefix("SLURM_JWT=")
        assert token

        def answers():
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.rest)) == 0
        rigs.until(answers, 20, what=f"slurmrestd: {self.path}/slurmrestd.log")
        return f"http://127.0.0.1:{self.rest}", token

    def cancel_all(self):
        if self.controller.poll() is None:
            ids = self.run("squeue", "-h", "-r", "-o", "%i").stdout.split()
            self.run("scancel", *ids)

    def left(self):
        """Whatever the queue still knows, also what is leaving."""
        return self.controller.poll() is None and self.run("squeue", "-h", "-o", "%i").stdout.split()

    def jobs(self):
        """Ids of what is in the queue and not leaving."""
        if self.controller.poll() is not None:
            return []
        return self.run("squeue", "-h", "-r", "-t", "PD,R,S,CF", "-o", "%i").stdout.split()

    held = ["--hold"]

    def submit(self, script, *options):
        done = self.run("sbatch", "--parsable", *options, input=textwrap.dedent(script), cwd=self.path)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


class GridEngine(Queue):
    """The Debian package's own cell and spool are used: it has no private state."""
    kind, cancel_program = "sge", "qdel"
    options = {"queue": "regular.q"}
    held = ["-h"]

    def start(self):
        root, host = "/var/lib/gridengine", socket.gethostname()
        self.env.update(SGE_ROOT=root, SGE_CELL="default")
        common = pathlib.Path(root, "default/common")
        (common / "act_qmaster").write_text(host + "\n")
        names = {"localhost"}
        for line in pathlib.Path("/etc/hosts").read_text().splitlines():
            words = line.split("#")[0].split()
            if words and words[0].startswith("127."):
                names.update(words[1:])
        (common / "host_aliases").write_text(" ".join([host, *sorted(names - {host})]) + "\n")
        run = pathlib.Path("/run/gridengine")
        run.mkdir(exist_ok=True)
        shutil.chown(run, "sgeadmin", "sgeadmin")
        self.daemon("qmaster", "/usr/sbin/sge_qmaster", SGE_ND="1")
        self.works("qconf", "-sh")
        for what in ("-am", "root"), ("-ah", host), ("-as", host):
            self.run("runuser", "-u", "sgeadmin", "--", "qconf", *what)
        self.add("-se", host, "-Ae", "\n".join([f"hostname {host}", "load_scaling NONE", "complex_values NONE", "user_lists NONE", "xuser_lists NONE",
                                               "projects NONE", "xprojects NONE", "usage_scaling NONE", "report_variables NONE"]))
        self.add("-shgrp", "@allhosts", "-Ahgrp", f"group_name @allhosts\nhostlist {host}")
        template = self.run("qconf", "-sq").stdout
        wanted = {"qname": "regular.q", "hostlist": "@allhosts", "slots": "32", "load_thresholds": "NONE", "shell": "/bin/bash",
                  "shell_start_mode": "posix_compliant", "pe_list": "NONE"}
        self.add("-sq", "regular.q", "-Aq", self.changed(template, wanted))
        self.change("-sconf", "-Mconf", "global", min_uid="0", min_gid="0", execd_params="ENABLE_ADDGRP_KILL=true", gid_range="30000-30200")
        self.change("-ssconf", "-Msconf", "sched", schedule_interval="0:0:1")
        self.daemon("execd", "/usr/sbin/sge_execd", SGE_ND="1")
        rigs.until(self.is_up, 60, 0.5, what=f"a queue that takes jobs: {self.run('qstat', '-f').stdout}")

    def is_up(self):
        """A queue instance without a letter for what is wrong."""
        for line in self.run("qstat", "-f").stdout.splitlines():
            words = line.split()
            if words and words[0].startswith("regular.q@"):
                return len(words) == 5 and words[3] != "-NA-"
        return False

    @staticmethod
    def changed(text, wanted):
        lines = []
        for line in text.splitlines():
            key = line.split()[0] if line.split() else ""
            lines.append(f"{key} {wanted[key]}" if key in wanted else line)
        return "\n".join(lines)

    def add(self, show, name, add, text):
        if self.run("qconf", show, name).returncode == 0:
            return
        file = self.path / "qconf.txt"
        file.write_text(text + "\n")
        done = self.run("qconf", add, file)
        assert done.returncode == 0, done.stdout + done.stderr

    def change(self, show, change, name, **wanted):
        file = self.path / name
        file.write_text(self.changed(self.run("qconf", show).stdout, wanted) + "\n")
        self.run("qconf", change, file)

    def cancel_all(self):
        self.run("qdel", "-f", "-u", "*")

    def left(self):
        return self.run("qstat", "-u", "*").stdout.split()

    def jobs(self):
        lines = [line.split() for line in self.run("qstat", "-u", "*").stdout.splitlines()[2:]]
        return [words[0] for words in lines if "d" not in words[4]]

    def submit(self, script, *options):
        done = self.run("qsub", "-terse", *options, input=textwrap.dedent(script), cwd=self.path)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
