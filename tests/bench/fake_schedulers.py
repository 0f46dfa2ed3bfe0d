#!/usr/bin/env python3
"""Many ports that answer a row probe as a real scheduler does: handshake, versions, identity, check_idle, counts.json.

For screens and memory with more rows than a machine can run real schedulers; prints a JSON list of addresses. The number of
threads and workers changes with each answer, so that rows are alive.
"""
import asyncio
import json
import struct
import sys
import time

HANDSHAKE = bytes.fromhex("83ab636f6d7072657373696f6ec0a6707974686f6e93030b07af7069636b6c652d70726f746f636f6c05")


def pack(value):
    """As much of msgpack as the answers need."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        raw = value.encode()
        return b"\xda" + struct.pack(">H", len(raw)) + raw
    if isinstance(value, dict):
        return b"\xde" + struct.pack(">H", len(value)) + b"".join(pack(k) + pack(v) for k, v in value.items())
    raise TypeError(value)


def wrap(frame):
    return struct.pack("<QQQ", len(frame) + 16, 1, len(frame)) + frame


class Fake:
    def __init__(self, number):
        self.number, self.asked, self.started = number, 0, time.time() - 60 * number

    def reply(self, frame):
        self.asked += 1
        if b"versions" in frame:
            return {"host": {"python": "3.11.7.final.0"}, "packages": {"dask": "2026.8.0", "distributed": "2026.8.0", "python": "3.11.7"}}
        if b"identity" in frame:
            workers = (self.number + self.asked) % 40
            return {"type": "Scheduler", "id": f"Scheduler-{self.number:08d}", "address": self.address, "services": {"dashboard": self.http},
                    "started": self.started, "n_workers": workers, "total_threads": workers * 2, "total_memory": workers << 32, "workers": {}}
        if b"check_idle" in frame:
            return self.started if self.number % 3 else None
        return "OK"

    async def comm(self, reader, writer):
        writer.write(wrap(HANDSHAKE))
        try:
            while True:
                total, = struct.unpack("<Q", await reader.readexactly(8))
                frame = await reader.readexactly(total)
                if b"pickle-protocol" not in frame:
                    writer.write(wrap(pack(self.reply(frame))))
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def dashboard(self, reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                body = json.dumps(dict(bytes=0, clients=1 + self.number % 2, cores=8, erred=0, hosts=1, idle=1, memory=self.number % 7,
                                       processing=0, released=0, saturated=0, tasks=self.number % 7, unrunnable=0, waiting=0, waiting_data=0,
                                       workers=4, desired_workers=1)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def start(self):
        http = await asyncio.start_server(self.dashboard, "127.0.0.1", 0)
        self.http = http.sockets[0].getsockname()[1]
        comm = await asyncio.start_server(self.comm, "127.0.0.1", 0)
        self.address = "tcp://127.0.0.1:%d" % comm.sockets[0].getsockname()[1]
        return self.address


async def main(count):
    print(json.dumps([await Fake(n).start() for n in range(count)]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
