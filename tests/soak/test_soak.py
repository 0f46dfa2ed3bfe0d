"""Soaks, run by `scripts/test long`: memory stays flat while clusters come, go and change."""
import json
import os
import subprocess
import sys
import time

from homes import TESTS

sys.path.insert(0, str(TESTS / "ui"))
from tui import Tui  # noqa: E402

import pytest  # noqa: E402

MINUTES = int(os.environ.get("DASKTOP_SOAK_MINUTES", "10"))


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.timeout(60 * (MINUTES + 5))
def test_memory_is_flat(home):
    """20 clusters that change in each answer, asked every second, on a dashboard that is open all the while."""
    fake = subprocess.Popen([sys.executable, TESTS / "bench/fake_schedulers.py", "20"], stdout=subprocess.PIPE, text=True)
    try:
        addresses = json.loads(fake.stdout.readline())
        home.config("dasktop: {auto: false, refresh: 1s, backends: {fake: {type: scheduler, addresses: %s}}}\n" % json.dumps(addresses))
        with Tui([str(home.program)], home.env, rows=50, cols=160) as screen:
            screen.wait("20 clusters")
            time.sleep(60)
            early = rss_kib(screen.process.pid)
            sizes = []
            for _ in range(MINUTES):
                time.sleep(60)
                screen.text()
                sizes.append(rss_kib(screen.process.pid))
        assert max(sizes) - early < 1024, f"KiB: {early} after a minute, then {sizes}"
    finally:
        fake.kill()
        fake.wait()
