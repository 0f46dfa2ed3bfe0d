#!/usr/bin/env python3
"""A Dask Gateway of which only the outside is there: its list, and behind its TLS port as many schedulers that answer a row probe, each by its
name (SNI) and only to who has its certificate.

    fake_gateway.py COUNT [STALLED [STATUS]]  the first STALLED take the connection and then say nothing; dashboards answer with STATUS
    fake_gateway.py FILE TLS HTTP             only the schedulers, for a real gateway in front of them: FILE has {name: {"tls_cert", "tls_key"}}

For more clusters than a machine can run; prints {"address", "proxy", "names"}. The list is what the real one gives: keys come with it."""
import asyncio
import contextlib
import functools
import json
import pathlib
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from fake_schedulers import Fake

KEYS = 4  # making a key takes longer than all the rest


def server_side(cert, key):
    """A scheduler's TLS, and its texts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cert)
    context.verify_mode = ssl.CERT_REQUIRED
    return context, cert.read_text(), key.read_text()


def make_keys(path, count):
    made = []
    for i in range(KEYS):
        cert, key = path / f"cert{i}", path / f"key{i}"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=dask-internal"], check=True,
                       capture_output=True)
        made.append(server_side(cert, key))
    return {f"{i:032x}": made[i % KEYS] for i in range(count)}


def read_keys(path, models):
    read = {}
    for name, model in models.items():
        cert, key = path / f"{name}.cert", path / f"{name}.key"
        cert.write_text(model["tls_cert"])
        key.write_text(model["tls_key"])
        read[name] = server_side(cert, key)
    return read


class Gateway:
    def __init__(self, keys, stalled=0, status=200, tls_port=0, http_port=0):
        self.names, self.keys, self.status, self.ports = list(keys), keys, status, (tls_port, http_port)
        self.stalled, self.held = set(self.names[:stalled]), []
        self.fakes = {name: Fake(i) for i, name in enumerate(self.names)}
        for fake in self.fakes.values():
            fake.address, fake.http = "tls://10.0.0.1:8786", 8787
        start = int(time.time() * 1000) - 3600_000
        self.list = json.dumps({name: {"name": name, "dashboard_route": f"/clusters/{name}/status", "status": "RUNNING", "start_time": start, "stop_time": None,
                                       "options": {"worker_cores": 1, "environment": {}}, "tls_cert": keys[name][1], "tls_key": keys[name][2]}
                                for name in self.names}).encode()

    async def http(self, reader, writer):
        try:
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
                status = 200
                if path.startswith("/api/v1/clusters/"):
                    body = self.list
                else:
                    status = self.status
                    fake = self.fakes.get(path.split("/")[2])  # a real proxy leaves the name out
                    number = fake.number if fake else 0
                    body = json.dumps(dict(bytes=0, clients=1 + number % 2, cores=8, erred=0, hosts=1, idle=1, memory=number % 7, processing=0, released=0, saturated=0,
                                           tasks=number % 7, unrunnable=0, waiting=0, waiting_data=0, workers=4, desired_workers=1)).encode()
                writer.write(b"HTTP/1.1 %d Status\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def tls(self, connection):
        """Whom it is for stands in its first bytes; they are left for TLS to read."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        connection.setblocking(False)
        loop.add_reader(connection, readable.set)
        await readable.wait()
        loop.remove_reader(connection)
        hello = connection.recv(4096, socket.MSG_PEEK)
        name = next((n for n in [hello[i + 12:i + 44].decode(errors="replace") for i in [hello.find(b"daskgateway-")] if i >= 0] if n in self.fakes), None)
        if name is None:
            connection.close()
        elif name in self.stalled:
            self.held.append(connection)
        else:
            reader = asyncio.StreamReader()
            with contextlib.suppress(OSError):  # who does not wait for the end of a handshake
                await loop.connect_accepted_socket(functools.partial(asyncio.StreamReaderProtocol, reader, self.fakes[name].comm), connection, ssl=self.keys[name][0])

    async def serve(self):
        loop, tasks = asyncio.get_running_loop(), set()
        http = await asyncio.start_server(self.http, "127.0.0.1", self.ports[1])
        listener = socket.create_server(("127.0.0.1", self.ports[0]), backlog=2048)
        listener.setblocking(False)
        print(json.dumps({"address": "http://127.0.0.1:%d" % http.sockets[0].getsockname()[1], "proxy": "127.0.0.1:%d" % listener.getsockname()[1],
                          "names": self.names}), flush=True)
        while True:
            connection, _ = await loop.sock_accept(listener)
            task = loop.create_task(self.tls(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


def main(what, *rest):
    with tempfile.TemporaryDirectory() as directory:
        place = pathlib.Path(directory)
        if what.isdigit():
            gateway = Gateway(make_keys(place, int(what)), *map(int, rest))
        else:
            gateway = Gateway(read_keys(place, json.loads(pathlib.Path(what).read_text())), 0, 200, *map(int, rest))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(gateway.serve())


if __name__ == "__main__":
    main(*sys.argv[1:])
