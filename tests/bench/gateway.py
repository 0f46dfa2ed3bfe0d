"""A gateway's list beside one curl of it, and beside the cheapest way to ask its schedulers. The server is a real dask-gateway-server, with its
proxy; as no machine here runs 200 schedulers, it finds the clusters in its database as after a restart, and stand-ins answer behind its proxy."""
import json
import shlex
import subprocess
import sys
import urllib.request

from measure import DASKTOP, HERE, RUNS, Place, first_rows, in_turn, row

sys.path.insert(0, str(HERE.parent / "system"))
import gateways  # noqa: E402
import rig as rigs  # noqa: E402

COUNT = 200

FILL = """
import asyncio, json, sys
from dask_gateway_server.backends.db_base import DataManager, JobStatus

async def fill(url, key, count, tls, http, out):
    data, made = DataManager(url=url, encrypt_keys=[key.encode()]), {}
    for _ in range(int(count)):
        cluster = data.create_cluster("alice", {"worker_cores": 1, "profile": "small"}, {})
        data.update_cluster(cluster, status=JobStatus.RUNNING, scheduler_address=f"tls://127.0.0.1:{tls}", dashboard_address=f"http://127.0.0.1:{http}",
                            api_address=f"http://127.0.0.1:{http}")
        made[cluster.name] = {"tls_cert": cluster.tls_cert.decode(), "tls_key": cluster.tls_key.decode()}
    with open(out, "w") as file:
        json.dump(made, file)

asyncio.run(fill(*sys.argv[1:]))
"""

KEY = "c2l4dGVlbiBieXRlcywgdHdpY2UsIGZvciBhIGtleS4="

PERSISTENT = gateways.BASIC + """\
c.DBBackendBase.db_url = "{url}"
c.DBBackendBase.db_encrypt_keys = [b"{key}"]
c.DBBackendBase.cluster_heartbeat_timeout = 36000
c.DBBackendBase.stop_clusters_on_shutdown = False
"""


class Full:
    """The gateway with its clusters, and what answers for their schedulers."""

    def __init__(self, path, count):
        url, (tls, http) = f"sqlite:///{path}/gateway.db", (rigs.free_port(), rigs.free_port())
        self.models = path / "models.json"
        subprocess.run([rigs.python("gateway"), "-c", FILL, url, KEY, str(count), str(tls), str(http), self.models], check=True)
        self.schedulers = subprocess.Popen([sys.executable, HERE / "fake_gateway.py", self.models, str(tls), str(http)], stdout=subprocess.PIPE, text=True)
        self.schedulers.stdout.readline()
        self.gateway = gateways.Gateway(path / "gateway", PERSISTENT.format(url=url, key=KEY))

    def __enter__(self):
        self.gateway.__enter__()
        last = list(json.loads(self.models.read_text()))[-1]
        rigs.until(lambda: self.gateway.ask(f"/clusters/{last}/json/counts.json", user=None)[0] == 200, 60)  # its routes are in the proxy
        return self.gateway

    def __exit__(self, *why):
        self.gateway.__exit__(*why)
        self.schedulers.kill()
        self.schedulers.wait()
        self.schedulers.stdout.close()


def compare(place, backend, models, proxy, curl):
    """backend: what its config says beside `probe`; curl: the command that asks for the list."""
    def configure(probe):
        place.config(f"dasktop:\n  auto: false\n  timeout: 30s\n  backends: {{gateway: {{{backend}, probe: '{probe}'}}}}\n")

    asks = ["curl", "-s", "-o", "/dev/null", *curl]
    configure("off")
    ours, theirs = in_turn([[DASKTOP, "list"], asks], place.env, 2 * RUNS)
    row(f"dasktop list, {COUNT} rows (probe: off)", ours, "one curl of the list", theirs)
    configure("full")
    row("the rows of one that asks its schedulers, before it does", first_rows(place.env, COUNT), "one curl of the list", theirs)
    ours, theirs = in_turn([[DASKTOP, "list"], ["sh", "-c", f"{shlex.join(asks)}; {handshakes(place, models, proxy)}"]], place.env)
    row(f"dasktop list, its {COUNT} schedulers asked", ours, "that curl, then handshakes", theirs)


def handshakes(place, models, proxy):
    """A curl command that shakes hands with every scheduler, all at once: the floor of a list whose schedulers are asked."""
    lines, port = [], proxy.rsplit(":", 1)[1]
    for name, model in models.items():
        for key in ("tls_cert", "tls_key"):
            (place.path / f"{name}.{key}").write_text(model[key])
        lines += [f'url = "https://daskgateway-{name}:{port}/"', f'connect-to = "::{proxy}"', f'cert = "{place.path}/{name}.tls_cert"',
                  f'key = "{place.path}/{name}.tls_key"', "insecure", "output = /dev/null", "next"]
    config = place.path / "curl.config"
    config.write_text("\n".join(lines[:-1]) + "\n")
    return f"exec curl -s -Z --parallel-immediate --parallel-max {COUNT} -K {config}"


def bench_gateway():
    print(f"gateway: a real server of {COUNT} clusters")
    try:
        rigs.python("gateway")
    except Exception:  # noqa: BLE001
        print("  not measured: needs what scripts/test all installs")
        return
    place = Place()
    with Full(place.path, COUNT) as gateway:
        who = f"alice:{gateways.PASSWORD}"
        code, text = gateway.ask("/api/v1/clusters/?status=pending,running,stopping")
        assert code == 200 and text.count('"RUNNING"') == COUNT
        compare(place, f"address: '{gateway.address}', proxy-address: '{gateway.proxy}', auth: {{username: alice, password: {gateways.PASSWORD}}}", json.loads(text),
                gateway.proxy.split("//")[1], ["-u", who, f"{gateway.address}/api/v1/clusters/"])


def bench_instant_gateway():
    """What no server does: the list lies ready. All that is measured is the asking."""
    print(f"gateway: {COUNT} clusters behind a stand-in for its server and its proxy, whose list lies ready")
    place = Place()
    with subprocess.Popen([sys.executable, HERE / "fake_gateway.py", str(COUNT)], stdout=subprocess.PIPE, text=True) as fake:
        there = json.loads(fake.stdout.readline())
        models = json.loads(urllib.request.urlopen(there["address"] + "/api/v1/clusters/").read())
        compare(place, f"address: '{there['address']}', proxy-address: '{there['proxy']}'", models, there["proxy"], [f"{there['address']}/api/v1/clusters/"])
        fake.kill()
