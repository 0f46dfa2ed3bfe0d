"""A batch system's queue and a gateway's list, beside the cheapest bare call that has the same fields. Slurm needs root and what
`scripts/test all` installs; where that is not here, its part says so."""
import http.server
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from measure import DASKTOP, HERE, RUNS, Place, row, wall

sys.path.insert(0, str(HERE.parent / "system"))
import queues  # noqa: E402
import rig as rigs  # noqa: E402

FIELDS = ("JobID JobArrayID UserName State Reason Account Partition SubmitTime StartTime EndTime NumCPUs tres-alloc tres-per-node NodeList AllocSID AllocNodes "
          "STDERR STDOUT WorkDir Name").split()


def first_rows(env, rows, runs=RUNS):
    """ms from the start of `list --watch -o json` to its rows-th row."""
    times = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        with subprocess.Popen([DASKTOP, "list", "--watch", "-o", "json"], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
            seen = set()
            for line in child.stdout:
                event = json.loads(line)
                if event["event"] == "cluster":
                    seen.add(event["cluster"]["id"])
                if len(seen) >= rows:
                    break
            times.append(1000 * (time.perf_counter() - begin))
            child.kill()
    return statistics.median(times[1:])


def fill(slurm, others, clusters, jobs):
    """Held jobs: an array script that is nobody's, and workers of schedulers that do not answer."""
    for _ in range(others // 920):
        slurm.submit("#!/bin/bash\n#SBATCH -J other -H --mem=10M --array=1-920\nsleep 1\n")
    ports = [rigs.free_port() for _ in range(clusters)]
    for i in range(jobs):
        slurm.submit(f"#!/bin/bash\n#SBATCH -J dask-worker -H --mem=100M\npython -m distributed.cli.dask_worker tcp://127.0.0.1:{ports[i % clusters]} "
                     f"--name c{i % clusters}-{i // clusters} --nthreads 1 --memory-limit 90MB\n")


def bench_slurm():
    print("slurm: 5,000 jobs, 400 of them Dask's in 40 clusters")
    if os.geteuid() != 0 or not shutil.which("slurmctld"):
        print("  not measured: needs root, and what scripts/test all installs")
        return
    place = Place()
    with tempfile.TemporaryDirectory(prefix="dasktop-queue-") as path:
        pathlib.Path(path).chmod(0o755)
        with queues.Slurm(path) as slurm:
            fill(slurm, 4600, 40, 400)
            place.env["SLURM_CONF"] = slurm.env["SLURM_CONF"]
            place.config("dasktop:\n  auto: false\n  backends: {slurm: {}}\n")
            squeue = ["squeue", "-h", "-a", "-r", "-u", "root", "-O", ",".join(f"{name}:\x1f" for name in FIELDS)]
            begin = time.perf_counter()
            for looks in range(1, 20):
                found = json.loads(subprocess.run([DASKTOP, "list", "-o", "json"], env=place.env, capture_output=True, text=True).stdout)
                if looks == 1:
                    print(f"  the first list ever: {len(found['clusters'])} clusters, {found['backends'][0]['error']}, {1000 * (time.perf_counter() - begin):.0f} ms")
                if found["backends"][0]["state"] == "ok":
                    break
            print(f"  all {len(found['clusters'])} clusters known after {looks} looks, {time.perf_counter() - begin:.1f} s")
            cheapest = wall(squeue, place.env)
            row("first row of dasktop list", first_rows(place.env, 1), "squeue, the same fields", cheapest)
            row("all 40 rows", first_rows(place.env, 40), "squeue, the same fields", cheapest)
            row("dasktop list, its schedulers asked", wall([DASKTOP, "list"], place.env), "squeue, the same fields", cheapest)


def bench_gateway():
    print("gateway: 200 clusters, whose schedulers refuse")
    place = Place()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", place.path / "key", "-out", place.path / "cert", "-days", "2", "-subj",
                    "/CN=dask-internal"], check=True, capture_output=True)
    cert, key = (place.path / "cert").read_text(), (place.path / "key").read_text()
    names = [f"{i:032x}" for i in range(200)]
    body = json.dumps({name: {"name": name, "dashboard_route": f"/clusters/{name}/status", "status": "RUNNING", "start_time": 1795415237604, "stop_time": None,
                              "options": {"worker_cores": 1, "environment": {}}, "tls_cert": cert, "tls_key": key} for name in names}).encode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            time.sleep(0.05)  # what a real one takes to read its database and to print this
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    place.config(f"dasktop:\n  auto: false\n  backends: {{gateway: {{address: '{address}', proxy-address: '127.0.0.1:9'}}}}\n")
    curl = wall(["curl", "-s", "-o", "/dev/null", f"{address}/api/v1/clusters/"], place.env)
    row("all 200 rows", first_rows(place.env, 200), "curl of the list", curl)
    row("dasktop list, its schedulers asked", wall([DASKTOP, "list"], place.env), "curl of the list", curl)
    server.shutdown()


def bench_queues():
    bench_slurm()
    bench_gateway()
