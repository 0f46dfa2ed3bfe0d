"""Batch systems by stand-in clients that print what the real ones do (recorded of Slurm 22.05, Grid Engine 8.1.9 and OAR 2.5.9; of the others what
their manuals show), and clients that misbehave."""
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import textwrap
import time

import pytest
import rig as rigs

CLIENT = """\
#!{python}
import json, os, pathlib, sys, time
here = pathlib.Path({here!r})
name, arguments = os.path.basename(sys.argv[0]), sys.argv[1:]
with open(here / "calls", "a") as calls:
    calls.write(json.dumps([name, arguments, dict(os.environ).get("TZ"), sys.stdin.read()]) + "\\n")
for words, answer in json.loads((here / "answers").read_text())[name]:
    if all(word in arguments for word in words):
        if isinstance(answer, str):
            answer = {{"out": answer}}
        if "once" in answer:
            answer = answer["once"] if not (here / "done").exists() else answer["then"]
        if answer.get("mark"):
            (here / "done").touch()
        time.sleep(answer.get("sleep", 0))
        number = len((here / "calls").read_text().splitlines())
        sys.stdout.buffer.write(answer.get("out", "").replace("@NUMBER@", str(number)).encode("utf-8", "surrogateescape"))
        sys.stdout.flush()
        sys.stderr.write(answer.get("err", ""))
        sys.exit(answer.get("status", 0))
sys.exit("not expected: " + repr(sys.argv))
"""


class Clients:
    """A directory of stand-ins. answers: of each program [[words that must be in its arguments], what it prints]…"""

    def __init__(self, home, type, answers, more=""):
        self.home, self.path = home, home.path / "bin"
        self.path.mkdir()
        (self.path / "answers").write_text(json.dumps(answers))
        for name in answers:
            file = self.path / name
            file.write_text(CLIENT.format(python=sys.executable, here=str(self.path)))
            file.chmod(0o755)
        home.config(f"dasktop:\n  auto: false\n  backends:\n    {type}: {{bin: '{self.path}'{', ' if more else ''}{more}}}\n")

    def calls(self, name=None):
        """[program, arguments] of each call so far."""
        lines = [json.loads(line) for line in (self.path / "calls").read_text().splitlines()]
        return [line for line in lines if name in (None, line[0])]


def me():
    import pwd
    return pwd.getpwuid(os.geteuid()).pw_name


def worker(address, name, more=""):
    return f"/opt/env/bin/python -m distributed.cli.dask_worker {address} --name {name} --nthreads 2 --memory-limit 4.00GiB {more}--nanny --death-timeout 60"


def dead_address():
    return f"tcp://127.0.0.1:{rigs.free_port()}"


def log_of(path, address, name):
    path.write_text(f"2026-11-23 06:40:01,000 - distributed.worker - INFO -          Worker name:    {name}\n"
                    f"2026-11-23 06:40:01,100 - distributed.worker - INFO -         Registered to:      {address}\n")
    return path


# ------------------------------------------------------------------------------------------------- what each system's client prints


def slurm(home, address, user=None, login=None):
    fields = ["{id}", "{id}", user or me(), "{state}", "{why}", "research", "regular", "2026-11-23T06:00:0{id}", "2026-11-23T06:01:00", "2026-11-23T23:31:00",
              "2", "cpu=2,mem=4G,node=1,billing=2,gres/gpu=1", "N/A", "{node}", "4242", login or socket.gethostname(), "/data/dask-%J.err", "/data/dask-%J.out", "/data",
              "dask-worker"]
    def record(id, state, why="None", node="n1"):
        return "\x1f".join(fields).format(id=id, state=state, why=why, node=node) + "\x1e\n"
    return {"squeue": [[["-j"], {"once": {"out": record(1, "RUNNING") + record(2, "PENDING", "Priority", "")}, "then": {"out": "", "err": "slurm_load_jobs error: Invalid job id specified", "status": 1}}],
                       [[], record(1, "RUNNING") + record(2, "PENDING", "Priority", "")]],
            "scontrol": [[["1"], "#!/bin/bash\n#SBATCH -J dask-worker\nexport TOKEN=secret\n" + worker(address, "tides-0") + "\n"],
                         [["2"], "#!/bin/bash\n" + worker(address, "tides-1") + "\n"]],
            "scancel": [[["1"], {"mark": True}], [[], ""]], "sbatch": [[[], "77\n"]]}


def pbs(home, address, spoilt=False):
    log = log_of(home.path / "dask.e12", address, "tides-0")
    job = {"Job_Name": "dask-worker", "Job_Owner": f"{me()}@login1", "queue": "batch", "ctime": "Mon Nov 23 06:00:00 2026",
           "stime": "Mon Nov 23 06:01:00 2026", "Error_Path": f"login1:{log}", "Output_Path": f"login1:{log}", "exec_host": "n1/0*2",
           "Resource_List": {"ncpus": 2, "mem": "4gb", "walltime": "17:30:00"}, "Variable_List": {"PBS_O_WORKDIR": "/data"}, "Submit_arguments": "/tmp/x.sh"}
    text = json.dumps({"timestamp": 1, "pbs_version": "23.06", "pbs_server": "s", "Jobs": {"11.s": dict(job, job_state="R"), "12.s": dict(job, job_state="R")}})
    plain = "".join(textwrap.dedent(f"""\
        Job Id: {id}.s
            Job_Name = dask-worker
            Job_Owner = {me()}@login1
            job_state = R
            queue = batch
            ctime = Mon Nov 23 06:00:00 2026
            stime = Mon Nov 23 06:01:00 2026
            Error_Path = login1:{str(log)[:20]}
        \t{str(log)[20:]}
            exec_host = n1/0
            Resource_List.ncpus = 2
            Resource_List.mem = 4gb
            Resource_List.walltime = 17:30:00
            Variable_List = PBS_O_HOME=/home/x,PBS_O_WORKDIR=/data,PBS_O_PATH=/bin

        """) for id in (11, 12))
    return {"qstat": [[["--version"], "pbs_version = 23.06.06\n"],
                      [["11.s", "json"], {"once": {"out": text}, "then": {"out": "", "err": "qstat: Unknown Job Id 11.s\n", "status": 153}}],
                      [["json"], text.replace('"/data"', "/data") if spoilt else text], [["-f"], plain]],
            "qdel": [[[], {"mark": True}]]}


def torque(home, address):
    answers = pbs(home, address)
    answers["qstat"] = [[["--version"], {"err": "Version: 6.1.2\nCommit: abc\n"}], [["11.s"], {"once": {"out": answers["qstat"][3][1]}, "then": {"out": ""}}],
                        [["-f"], answers["qstat"][3][1]]]
    return answers


def lsf(home, address):
    def record(id, state):
        return {"JOBID": str(id), "JOBINDEX": "0", "STAT": state, "USER": me(), "QUEUE": "normal", "JOB_NAME": "dask-worker", "PROJ_NAME": "default",
                "SUBMIT_TIME": "Nov 23 06:00", "START_TIME": "Nov 23 06:01" if state == "RUN" else "", "FINISH_TIME": "", "SLOTS": "2", "EXEC_HOST": "2*n1",
                "OUTPUT_FILE": "tides-%J.out", "ERROR_FILE": "tides-%J.err", "EXEC_CWD": "/data", "SUB_CWD": "/data", "PEND_REASON": "",
                "COMMAND": "#!/usr/bin/env bash;#BSUB -J dask-worker;" + worker(address, f"tides-{id}")}
    text = json.dumps({"COMMAND": "bjobs", "JOBS": 2, "RECORDS": [record(11, "RUN"), record(12, "PEND")]})
    return {"bjobs": [[["11"], {"once": {"out": text}, "then": {"out": '{"COMMAND":"bjobs","JOBS":0,"RECORDS":[]}', "err": "Job <11> is not found\n", "status": 255}}],
                      [[], text]],
            "bkill": [[["11"], {"mark": True, "out": "Job <11> is being terminated\nJob <12> is being terminated\n"}], [[], ""]],
            "bsub": [[[], "Job <13> is submitted to queue <normal>.\n"]]}


def htcondor(home, address):
    def job(proc, status):
        inner = worker(address, "tides-0").replace("'", "''")
        return {"ClusterId": 11, "ProcId": proc, "Owner": me(), "JobStatus": status, "JobBatchName": "tides-0", "Cmd": "/bin/sh", "Args": f"-c '{inner}'",
                "QDate": 1795413600, "JobCurrentStartDate": 1795413660, "RequestCpus": 2, "RequestMemory": 4096, "RemoteHost": "slot1@n1", "Out": "w.out",
                "Err": "w.err", "Iwd": "/data", "DaskWorkerName": "htcondor--11.0--"}
    text = json.dumps([job(0, 2), job(1, 1)])
    return {"condor_q": [[["11.0"], {"once": {"out": text}, "then": {"out": ""}}], [[], text]],
            "condor_rm": [[["11.0"], {"mark": True, "out": "Job 11.0 marked for removal\n"}], [[], ""]]}


def oar(home, address):
    def job(id, state):
        runs = state == "Running"
        return {"exit_code": None, "name": "dask-worker", "owner": me(), "job_user": me(), "reservation": "None", "properties": "drain='NO'", "queue": "default",
                "Job_Id": id, "cpuset_name": None, "project": "default", "submissionTime": 1795413600, "types": [], "array_index": 1, "state": state, "stopTime": 0,
                "events": [], "assigned_resources": [1] if runs else [], "walltime": 63000 if runs else None, "assigned_network_address": ["n1"] if runs else [],
                "message": "R=1,W=17:30:0,J=B,N=dask-worker (Karma=0.000,quota_ok)" if runs else "No enough matching resources (no_matching_slot)",
                "startTime": 1795413660 if runs else 0, "array_id": id, "command": worker(address, f"tides-{id}"), "jobType": "PASSIVE",
                "launchingDirectory": "/data", "resubmit_job_id": 0, "dependencies": [], "stdout_file": f"OAR.dask-worker.{id}.stdout",
                "stderr_file": f"OAR.dask-worker.{id}.stderr", "wanted_resources": "-l \"{type = 'default'}/core=2,walltime=17:30:0\" -l \"/core=1,walltime=20:0:0\" ",
                "initial_request": "oarsub …", "scheduledStart": 1795413660 if runs else None}
    text = json.dumps({"11": job(11, "Running"), "12": job(12, "Waiting")})
    return {"oarstat": [[["-j"], {"once": {"out": text}, "then": {"out": ""}}], [[], text]],
            "oardel": [[["11"], {"mark": True, "out": "Deleting the job = 11 ...REGISTERED.\n"}], [[], ""]],
            "oarsub": [[[], "[ADMISSION RULE] Modify resource description with type constraints\nOAR_JOB_ID=13\n"]]}


def sge(home, address):
    def job(id, state):
        return textwrap.dedent(f"""\
            <job_list state="{'running' if state == 'r' else 'pending'}"><JB_job_number>{id}</JB_job_number><JB_name>dask-worke</JB_name>
            <JB_owner>{me()}</JB_owner><state>{state}</state>{'<JAT_start_time>2026-11-23T06:01:00</JAT_start_time><queue_name>regular.q@n1</queue_name>' if state == 'r' else
            '<JB_submission_time>2026-11-23T06:00:00</JB_submission_time><queue_name></queue_name>'}<slots>2</slots><full_job_name>dask-worker</full_job_name>
            <hard_request name="h_rt" resource_contribution="0.000000">63000</hard_request></job_list>""")
    log = home.path / "logs"
    log.mkdir()
    log_of(log / "dask-worker.o11", address, "tides-0")
    log_of(log / "dask-worker.o12", address, "tides-1")
    element = """<element><JB_job_number>{id}</JB_job_number><JB_submission_time>1795413600</JB_submission_time><JB_owner>{me}</JB_owner>
        <JB_merge_stderr>true</JB_merge_stderr><JB_job_name>dask-worker</JB_job_name><JB_stdout_path_list><path_list><PN_path>{log}/</PN_path></path_list>
        </JB_stdout_path_list><JB_cwd>/data</JB_cwd></element>"""
    top = "<?xml version='1.0'?>\n<job_info xmlns:xsd='x'><queue_info>{}</queue_info><job_info>{}</job_info></job_info>"
    some = top.format(job(11, "r") + job(12, "r"), "")
    return {"qstat": [[["-help"], "SGE 8.1.9\nusage: qstat [options]\n   [-xml] display in XML\n"],
                      [["-j"], "<detailed_job_info><djob_info>" + "".join(element.format(id=i, me=me(), log=log) for i in (11, 12)) + "</djob_info></detailed_job_info>"],
                      [[], {"once": {"out": some}, "then": {"out": top.format("", "")}}]],
            "qconf": [[[], "execd_spool_dir   /nowhere\n"]],
            "qdel": [[[], {"mark": True, "out": "root has registered the job 11 for deletion\nroot has registered the job 12 for deletion\n"}]]}


KINDS = {"slurm": (slurm, "SLURMCluster", "scancel", ["1", "2"]), "sge": (sge, "SGECluster", "qdel", ["11", "12"]),
         "pbs": (pbs, "PBSCluster", "qdel", ["11.s", "12.s"]), "torque": (torque, "PBSCluster", "qdel", ["11.s", "12.s"]),
         "spoilt pbs": (lambda home, address: pbs(home, address, True), "PBSCluster", "qdel", ["11.s", "12.s"]),
         "lsf": (lsf, "LSFCluster", "bkill", ["11", "12"]), "htcondor": (htcondor, "HTCondorCluster", "condor_rm", ["11.0", "11.1"]),
         "oar": (oar, "OARCluster", "oardel", ["11", "12"])}


@pytest.mark.parametrize("kind", KINDS)
def test_found_and_deleted(home, kind):
    make, type, cancel, ids = KINDS[kind]
    address = dead_address()
    backend = {"torque": "pbs", "spoilt pbs": "pbs"}.get(kind, kind)
    clients = Clients(home, backend, make(home, address))
    found = home.list()
    row = next(c for c in found["clusters"] if c["address"] == address)
    assert row["id"] == f"{backend}/{me()}@{address[6:]}" and row["type"] == type and row["owner"] == me()
    assert row["name"] == "tides" and row["resources"] == 2 and row["uid"]
    assert row["verdict"]["state"] == "orphaned" and row["status"] == "unreachable"
    assert row["created"].startswith("2026-11-23T06:00:0") or kind == "lsf"
    assert all(call[2] == "UTC" for call in clients.calls()), "times are asked in one zone"
    done = home.run("delete", row["id"], "--yes")
    assert done.returncode == 0, done.stderr
    cancelled = [i for call in clients.calls(cancel) for i in call[1]]
    assert sorted(set(cancelled)) == ids


def test_the_list_is_asked_once_and_scripts_once_in_their_life(home):
    clients = Clients(home, "slurm", slurm(home, dead_address()))
    first = home.list()
    assert len(clients.calls("squeue")) == 1 and len(clients.calls("scontrol")) == 2
    second = home.list()
    assert len(clients.calls("squeue")) == 2 and len(clients.calls("scontrol")) == 2
    assert [c["uid"] for c in first["clusters"]] == [c["uid"] for c in second["clusters"]]
    state = "".join(p.read_text() for p in (home.path / ".local/state/dasktop/batch").iterdir())
    assert "secret" not in state and "tides" in state


def test_one_answer_serves_all_dasktops_of_a_user(home):
    """Of two that look every second, each sees answers that the other has asked for."""
    answers = slurm(home, dead_address())
    answers["squeue"][1][1] = answers["squeue"][1][1].replace("\x1f2\x1fcpu=2,", "\x1f@NUMBER@\x1fcpu=@NUMBER@,")  # CPUs, to be told from another
    Clients(home, "slurm", answers, "refresh: 1s")
    command = [home.program, "list", "--watch", "-o", "json"]
    seen = [home.path / "one", home.path / "two"]
    running = []
    try:
        for file in seen:
            with open(file, "wb") as out:
                running.append(subprocess.Popen(command, env=home.env, stdin=subprocess.DEVNULL, stdout=out))
        rigs.until(lambda: len(set.intersection(*(set(re.findall(r'"threads": \d+', file.read_text())) for file in seen))) >= 3, 60)
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_one_more_job_is_the_same_script(home, rig):
    scheduler = rig.scheduler()
    clients = Clients(home, "slurm", slurm(home, scheduler.address))
    row = home.cluster(scheduler.address)
    assert row["workers"] == {"ready": 0, "wanted": 2} and row["verdict"]["state"] != "orphaned"
    done = home.run("scale", row["id"], 4, "--no-wait")
    assert done.returncode == 0, done.stderr
    calls = clients.calls("sbatch")
    assert len(calls) == 2 and all(call[1] == ["--parsable", "--chdir=/data"] for call in calls)
    names = [line.split("--name ")[1].split()[0] for call in calls for line in call[3].splitlines() if "--name" in line]
    assert len(set(names)) == 2 and all(name.startswith("tides-") for name in names)
    assert all(call[3].replace(name, "tides-0") == slurm(home, scheduler.address)["scontrol"][0][1] for call, name in zip(calls, names))
    journal = (home.path / ".local/state/dasktop/journal.jsonl").read_text()
    assert "secret" not in journal + done.stdout + done.stderr


def test_one_more_job_of_oar_asks_for_the_same(home, rig):
    """Its options do not stand in its command: they are those that the queue tells."""
    scheduler = rig.scheduler()
    clients = Clients(home, "oar", oar(home, scheduler.address))
    row = home.cluster(scheduler.address)
    done = home.run("scale", row["id"], 3, "--no-wait")
    assert done.returncode == 0, done.stderr
    (call,) = clients.calls("oarsub")
    *options, command = call[1]
    assert options == ["-d", "/data", "-n", "dask-worker", "-q", "default", "--project", "default", "-l", "{type = 'default'}/core=2,walltime=17:30:0",
                       "-l", "/core=1,walltime=20:0:0", "-p", "drain='NO'", "-O", "OAR.dask-worker.%jobid%.stdout", "-E", "OAR.dask-worker.%jobid%.stderr", "--"]
    name = command.split("--name ")[1].split()[0]
    assert name.startswith("tides-") and name not in ("tides-11", "tides-12") and command == worker(scheduler.address, name)


def test_a_worker_that_came_again_keeps_its_job(home, rig):
    """Scaling down cancels jobs of workers that were retired, and no others: who registers under the same name meanwhile was not."""
    scheduler = rig.scheduler()
    answers = slurm(home, scheduler.address)
    running = answers["squeue"][1][1].replace("PENDING", "RUNNING").replace("Priority", "None")
    answers["squeue"] = [[[], running]]
    clients = Clients(home, "slurm", answers)
    for name in "tides-0", "tides-1":
        rig.worker(scheduler.address, name)
    scheduler.workers(2)
    row = home.cluster(scheduler.address)
    with subprocess.Popen([home.program, "scale", row["id"], "1"], env=home.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as scaling:
        scheduler.workers(1)
        gone = next(name for name in ("tides-0", "tides-1") if "Stopping worker" in rig.log(name) or "Closing Nanny" in rig.log(name))
        rig.worker(scheduler.address, gone, "--death-timeout", "60")
        out, said = scaling.communicate(timeout=90)
    assert scaling.returncode == 3 and f"its worker {gone} has registered again" in out + said
    assert clients.calls("scancel") == []


# ---------------------------------------------------------------------------------------------------------------- bad input


def state_of(found, name="slurm"):
    return next(b for b in found["backends"] if b["name"] == name)


def test_a_client_that_is_not_there(home):
    home.config("dasktop:\n  auto: false\n  backends:\n    slurm: {bin: /nowhere}\n")
    state = json.loads(home.run("backends", "-o", "json").stdout)["backends"][0]
    assert state["state"] == "absent" and "no squeue in /nowhere" in state["error"]


def test_a_controller_that_is_down(home):
    answers = slurm(home, dead_address())
    answers["squeue"] = [[[], {"err": "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n", "status": 1}]]
    Clients(home, "slurm", answers)
    found = home.list(status=1)
    assert state_of(found)["state"] == "failed" and "Unable to contact slurm controller" in state_of(found)["error"]
    answers["squeue"][0][1]["err"] = "squeue: fatal: Could not establish a configuration source\n"
    (home.path / "bin/answers").write_text(json.dumps(answers))
    found = home.list(status=1)
    assert "squeue: fatal" in state_of(found)["error"] and "squeue: squeue" not in state_of(found)["error"], "it says once who it is"


def test_a_client_that_hangs(home):
    answers = slurm(home, dead_address())
    answers["squeue"] = [[[], {"sleep": 300}]]
    Clients(home, "slurm", answers, "timeout: 1s")
    begin = time.monotonic()
    found = home.list(status=1)
    assert state_of(found)["state"] == "slow" and time.monotonic() - begin < 30


@pytest.mark.parametrize("kind, cut", [("lsf", lambda t: t[:len(t) // 2]), ("htcondor", lambda t: t[:-30]), ("oar", lambda t: t[:-3]),
                                       ("slurm", lambda t: t[:-5]), ("slurm", lambda t: t.replace("\x1f", "|", 4)), ("sge", lambda t: t[:-9])])
def test_an_answer_that_is_cut(home, kind, cut):
    answers = KINDS[kind][0](home, dead_address())
    program = next(iter(answers))
    text = answers[program][-1][1]
    answers[program][-1][1] = cut(text["once"]["out"] if isinstance(text, dict) else text)
    Clients(home, kind, answers)
    found = home.list(status=1)
    assert found["clusters"] == [] and state_of(found, kind)["state"] == "failed" and state_of(found, kind)["error"]


def test_hostile_names(home):
    address = dead_address()
    answers = slurm(home, address)
    answers["squeue"][1][1] = answers["squeue"][1][1].replace("dask-worker", "dask-worker\x1b]0;owned\x07\x1b[31m").replace("Priority", "\x1b[2J")
    Clients(home, "slurm", answers)
    done = home.run("list", "-o", "json")
    assert "\x1b" not in done.stdout and address in done.stdout
    done = home.run("show", json.loads(done.stdout)["clusters"][0]["id"])
    assert "\x1b" not in done.stdout + done.stderr


def test_scripts_of_other_people(home):
    """They are told to nobody else: the jobs are shown as what they say they are, and cannot be cancelled by us."""
    answers = slurm(home, dead_address(), "ada", "login1")
    answers["scontrol"] = [[[], {"err": "job script retrieval failed: Invalid user id\n"}]]
    answers["scancel"] = [[[], {"err": "scancel: error: Kill job error on job id 1: Access/permission denied\n", "status": 210}]]
    Clients(home, "slurm", answers, "owner: '*'")
    row = home.list()["clusters"][0]
    assert row["id"] == "slurm/ada@login1:4242" and row["owner"] == "ada" and row["address"] is None and row["resources"] == 2
    assert row["verdict"]["state"] == "unknown" or row["status"] == "pending"
    assert "address is not known" in row["cannot"]["connect"]
    done = home.run("snippet", row["id"])
    assert done.returncode == 6 and "address is not known" in done.stderr
    done = home.run("delete", row["id"], "--yes", "--force")
    assert done.returncode == 6 and ("not permitted" in done.stderr or "denied" in done.stderr or "somebody else" in done.stderr)


@pytest.mark.parametrize("where", ["file", "script"])
def test_a_program_under_mpi(home, rig, where):
    """dask_mpi.initialize() makes its first process the scheduler: neither its job's name nor a command tells, the program does."""
    program = "from dask_mpi import initialize\ninitialize()\n"
    (home.path / "flow.py").write_text(program if where == "file" else "")
    scheduler, log = rig.scheduler(), home.path / "flow-1.out"
    answers = slurm(home, scheduler.address)
    for rule in answers["squeue"]:
        if isinstance(rule[1], str):
            rule[1] = rule[1].split("\x1e")[0].replace("dask-worker", "flow").replace("/data/dask-%J.err", str(log)) \
                .replace("/data", str(home.path)) + "\x1e\n"
    answers["scontrol"] = [[[], "#!/bin/bash\nsrun -n 3 python " + ("flow.py --size 4\n" if where == "file" else f"- <<END\n{program}END\n")]]
    Clients(home, "slurm", answers)
    (row,) = home.list()["clusters"]
    assert row["type"] == "Scheduler" and row["address"] is None and row["name"] == "flow-1"
    log.write_text(f"distributed.scheduler - INFO -   Scheduler at: {scheduler.address}\ndistributed.core - INFO - Registered to: {scheduler.address}\n")
    row = home.cluster(scheduler.address)
    assert row["origin"]["kind"] == "job" and row["uid"] == scheduler.id and row["name"] == "flow-1"


def test_an_address_that_only_another_host_understands(home, rig):
    """Loopback of another login node: what listens there on this host is another's, or nobody's, and is not asked."""
    scheduler = rig.scheduler()
    clients = Clients(home, "slurm", slurm(home, scheduler.address, login="login2.cluster"))
    row = home.list()["clusters"][0]
    assert row["status"] == "unknown" and row["scheduler_id"] is None and row["resources"] == 2
    assert row["verdict"]["state"] == "unknown" and any("127.0.0.1 of login2.cluster alone" in line for line in row["verdict"]["evidence"])
    assert "login2.cluster" in row["cannot"]["scale"] and "delete" in row["can"]
    done = home.run("scale", row["id"], 4)
    assert done.returncode == 6 and "login2.cluster" in done.stderr and clients.calls("sbatch") == []
    (home.path / "bin/answers").write_text(json.dumps(slurm(home, scheduler.address, login="0.0.0.0")))
    row = home.list()["clusters"][0]
    assert row["verdict"]["state"] == "unknown" and any("does not know of which host" in line for line in row["verdict"]["evidence"])


def test_jobs_that_ended_between_list_and_cancel(home):
    answers = slurm(home, dead_address())
    answers["squeue"][0][1] = {"err": "slurm_load_jobs error: Invalid job id specified", "status": 1}
    clients = Clients(home, "slurm", answers)
    row = home.list()["clusters"][0]
    done = home.run("delete", row["id"], "--yes")
    assert done.returncode == 0, done.stderr
    assert not (clients.path / "done").exists(), "nothing is cancelled that was not seen just before"


def test_a_job_id_that_was_used_again(home):
    """Another job has the number by now: it is not touched."""
    answers = slurm(home, dead_address())
    answers["squeue"][0][1] = answers["squeue"][1][1].replace("2026-11-23T06:00:0", "2026-11-24T06:00:0")
    clients = Clients(home, "slurm", answers)
    row = home.list()["clusters"][0]
    done = home.run("delete", row["id"], "--yes")
    assert done.returncode == 0 and not (clients.path / "done").exists()


def test_one_of_several_is_refused(home):
    answers = slurm(home, dead_address())
    answers["scancel"] = [[[], {"err": "scancel: error: Kill job error on job id 2: Access/permission denied\n", "status": 210}]]
    Clients(home, "slurm", answers, "timeout: 3s")
    row = home.list()["clusters"][0]
    done = home.run("delete", row["id"], "--yes", "--timeout", "10s", timeout=60)
    assert done.returncode in (3, 6) and "2: Access/permission denied" in done.stderr


def test_logs_of_jobs(home):
    address = dead_address()
    answers = slurm(home, address)
    log = log_of(home.path / "dask-1.err", address, "tides-0")
    answers["squeue"][1][1] = answers["squeue"][1][1].replace("/data/dask-%J", f"{home.path}/dask-%J")
    Clients(home, "slurm", answers)
    row = home.list()["clusters"][0]
    done = home.run("logs", row["id"])
    assert log.read_text().splitlines()[1] in done.stdout
    assert f"its log will be {home.path}/dask-2.err" in done.stderr


def test_wrong_config(home):
    home.config("dasktop:\n  backends:\n    slurm: {rest: {urll: 'http://x'}}\n")
    done = home.run("list")
    assert done.returncode == 2 and "urll" in done.stderr and ":3:" in done.stderr
