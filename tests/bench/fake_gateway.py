#!/usr/bin/env python3
"""A Dask Gateway of which only the outside is there: its list, and behind its TLS port as many schedulers that answer a row probe, each by its
name (SNI) and only to who has its certificate.

    fake_gateway.py COUNT [STALLED]     the first STALLED take the connection and then say nothing

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


def make_keys(path):
    made = []
    for i in range(KEYS):
        cert, key = path / f"cert{i}", path / f"key{i}"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=dask-internal"], check=True,
                       capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        context.load_verify_locations(cert)
        context.verify_mode = ssl.CERT_REQUIRED
        made.append((context, cert.read_text(), key.read_text()))
    return made


class Gateway:
    def __init__(self, count, stalled, keys):
        self.names = [f"{i:032x}" for i in range(count)]
        self.stalled, self.held, self.keys = set(self.names[:stalled]), [], keys
        self.fakes = {name: Fake(i) for i, name in enumerate(self.names)}
        for fake in self.fakes.values():
            fake.address, fake.http = "tls://10.0.0.1:8786", 8787
        start = int(time.time() * 1000) - 3600_000
        self.list = json.dumps({name: {"name": name, "dashboard_route": f"/clusters/{name}/status", "status": "RUNNING", "start_time": start, "stop_time": None,
                                       "options": {"worker_cores": 1, "environment": {}}, "tls_cert": self.key_of(name)[1], "tls_key": self.key_of(name)[2]}
                                for name in self.names}).encode()

    def key_of(self, name):
        return self.keys[int(name, 16) % KEYS]

    async def http(self, reader, writer):
        try:
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
                if path.startswith("/api/v1/clusters/"):
                    body = self.list
                else:
                    number = self.fakes[path.split("/")[2]].number
                    body = json.dumps(dict(bytes=0, clients=1 + number % 2, cores=8, erred=0, hosts=1, idle=1, memory=number % 7, processing=0, released=0, saturated=0,
                                           tasks=number % 7, unrunnable=0, waiting=0, waiting_data=0, workers=4, desired_workers=1)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
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
                await loop.connect_accepted_socket(functools.partial(asyncio.StreamReaderProtocol, reader, self.fakes[name].comm), connection, ssl=self.key_of(name)[0])

    async def serve(self):
        loop, tasks = asyncio.get_running_loop(), set()
        http = await asyncio.start_server(self.http, "127.0.0.1", 0)
        listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        listener.setblocking(False)
        print(json.dumps({"address": "http://127.0.0.1:%d" % http.sockets[0].getsockname()[1], "proxy": "127.0.0.1:%d" % listener.getsockname()[1],
                          "names": self.names}), flush=True)
        while True:
            connection, _ = await loop.sock_accept(listener)
            task = loop.create_task(self.tls(connection))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        keys = make_keys(pathlib.Path(directory))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Gateway(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0, keys).serve())
