"""A preload of `dask scheduler`: measures how long each call holds the scheduler's loop, and fills it with fake workers.

Every second it writes {"calls": {name: [count, total seconds, longest]}, "up": seconds} to $METER_FILE. With $METER_WORKERS=N it
registers N workers that exist only in the scheduler's memory, as 1,000 real ones would not fit.
"""
import asyncio
import functools
import inspect
import json
import os
import time

from distributed.core import connect

CALLS = {}


def measured(name, function):
    def add(begin, label):
        count, total, longest = CALLS.get(label, (0, 0.0, 0.0))
        took = time.perf_counter() - begin
        CALLS[label] = (count + 1, total + took, max(longest, took))

    if inspect.iscoroutinefunction(function):
        return function

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        begin = time.perf_counter()
        try:
            return function(*args, **kwargs)
        finally:
            add(begin, f"{name} n_workers={kwargs['n_workers']}" if "n_workers" in kwargs else name)
    return wrapper


async def register(scheduler, number):
    from distributed.worker_state_machine import WorkerState  # noqa: F401  the versions below are checked against it
    from distributed.versions import get_versions
    comm = await connect(scheduler.address)
    address = f"tcp://10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:4000"
    await comm.write(dict(op="register-worker", reply=False, address=address, status="running", server_id=f"Worker-{number}", nthreads=2,
                          name=f"fake-{number}", now=time.time(), resources={}, host_info={}, memory_limit=4 << 30,
                          metrics={"cpu": 3.0, "memory": 200 << 20, "time": time.time(), "task_counts": {}, "in_memory": 0, "ready": 0,
                                   "in_flight": 0, "executing": {}, "bandwidth": {"total": 100000000, "workers": {}, "types": {}},
                                   "event_loop_interval": 0.02, "host_net_io": {}, "host_disk_io": {}, "num_fds": 20,
                                   "spilled_bytes": {"memory": 0, "disk": 0}, "transfer": {}, "managed_bytes": 0,
                                   "digests_total_since_heartbeat": {}},
                          pid=number, services={}, local_directory="/tmp", versions=get_versions(), nanny=None, extra={},
                          stimulus_id=f"fake-{number}", resolve_address=False))
    await comm.read()
    return comm


async def run(scheduler):
    keep = []
    for number in range(1, int(os.environ.get("METER_WORKERS", "0")) + 1):
        keep.append(await register(scheduler, number))
    CALLS.clear()
    begin = time.time()
    while True:
        target = os.environ["METER_FILE"]
        with open(target + ".tmp", "w") as f:
            json.dump({"calls": CALLS, "up": time.time() - begin, "workers": len(scheduler.workers)}, f)
        os.rename(target + ".tmp", target)
        await asyncio.sleep(1)


async def dask_setup(scheduler):
    for name, handler in list(scheduler.handlers.items()):
        scheduler.handlers[name] = measured(name, handler)
    from distributed.http.scheduler import json as pages
    pages.CountsJSON.get = measured("counts.json", pages.CountsJSON.get)
    asyncio.get_running_loop().create_task(run(scheduler))
