"""10,000 rows of one watched plugin, 500 of them changing each second: first frame, keys, memory, bytes, idle."""
import json
import os
import statistics
import subprocess
import sys
import time

from measure import DASKTOP, HERE, first_frame, key_times, row
from timed_tui import Tui

ROWS = 10_000
PLUGIN = '''
import json, random, sys, threading, time
rows, changes = int(sys.argv[1]), float(sys.argv[2])
lock = threading.Lock()
def say(*messages):
    text = "".join(json.dumps({"jsonrpc": "2.0", **m}) + "\\n" for m in messages)
    with lock:
        sys.stdout.write(text); sys.stdout.flush()
def one(i, n, number):
    return {"method": "cluster", "params": {"request": number, "cluster": {
        "id": f"c{i}", "uid": f"u{i}", "name": f"cluster-{i:05}", "status": "running", "owner": "ada", "clients": i % 3,
        "tasks": {"processing": n % 7, "waiting": n % 100, "queued": 0, "stored": 3, "erred": 0, "unrunnable": 0},
        "workers": {"ready": 4, "wanted": 4}, "memory": 2 ** 34, "memory_used": (n % 90 + 1) * 10 ** 8, "threads": 8,
        "created": "2026-01-01T00:00:00Z", "last_active": "2026-01-01T00:00:00Z"}}}
def churn(number):
    n = 1
    while True:
        begin = time.monotonic()
        say(*(one(random.randrange(rows), n + k, number) for k in range(int(changes / 20))))
        n += 1
        time.sleep(max(0, 0.05 - (time.monotonic() - begin)))
for line in sys.stdin:
    asked = json.loads(line)
    number = asked.get("id")
    if asked["method"] == "hello":
        say({"id": number, "result": {"protocol": 1, "name": "big", "version": "1", "can": [], "watch": True}})
    elif asked["method"] == "watch":
        for i in range(rows):
            say(one(i, 0, number))
        say({"method": "synced", "params": {"request": number}})
        if changes:
            threading.Thread(target=churn, args=(number,), daemon=True).start()
    elif number is not None:
        say({"id": number, "error": {"code": -32601, "message": "no"}})
'''


def config(place, changes):
    script = place.path / "big.py"
    script.write_text(PLUGIN)
    command = json.dumps([sys.executable, str(script), str(ROWS), str(changes)])
    place.config(f"dasktop: {{auto: false, backends: {{big: {{type: exec, command: {command}}}}}}}\n")


def frames(chunks):
    """Runs of bytes with less than 8 ms between them: what was drawn at once."""
    out = []
    for at, data in chunks:
        if out and at - out[-1][0] < 0.008:
            out[-1] = (at, out[-1][1] + data)
        else:
            out.append((at, data))
    return [data for _, data in out]


def bytes_per_cell(screen, seconds):
    """What a stretch of frames sent, and what of the screen it changed."""
    screen.text()
    with screen.lock:
        begin = len(screen.chunks)
    time.sleep(seconds)
    with screen.lock:
        chunks = screen.chunks[begin:]
    sent = cells = rows = count = 0
    for data in frames(chunks):
        before = [[(c.data, c.fg, c.bg, c.bold, c.reverse) for c in (line[x] for x in range(screen.cols))]
                  for line in (screen.screen.buffer[y] for y in range(screen.rows))]
        screen.stream.feed(data)
        changed = [sum(1 for x in range(screen.cols) if before[y][x] != (lambda c: (c.data, c.fg, c.bg, c.bold, c.reverse))(screen.screen.buffer[y][x]))
                   for y in range(screen.rows)]
        sent += len(data)
        cells += sum(changed)
        rows += sum(1 for n in changed if n)
        count += 1
    with screen.lock:
        screen.fed = len(screen.chunks)
    return sent, cells, rows, count


def bench_big(place):
    print(f"big: {ROWS} rows")
    empty = place.path / "empty"
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "ncursesw"], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["cc", "-O2", "-o", empty, HERE / "empty_curses.c", *flags], check=True)
    config(place, 500)
    with Tui(["htop"], env=dict(os.environ), rows=50, cols=160) as screen:
        screen.wait("PID")
        time.sleep(1)
        theirs = key_times(screen, keys=["\x1b[B", "\x1b[A"])
    with Tui([DASKTOP], env=place.env, rows=50, cols=160) as screen:
        screen.wait("10,?000 clusters", 60)
        time.sleep(2)
        resting = screen.rss_kib()
        # while data comes in, the last byte after a key may be a data frame's: it counts
        ours = key_times(screen, 300)
        row("key to the last byte, 500 changes a second, median", statistics.median(ours), "htop at rest", statistics.median(theirs))
        row("key to the last byte, 500 changes a second, p99", ours[int(len(ours) * .99)], "limit", 16.0)
        sent, cells, rows, count = bytes_per_cell(screen, 10)
        row(f"bytes sent in {count} frames", sent, f"3 × {cells} cells + 32 × {rows} rows + 32 a frame", 3 * cells + 32 * rows + 32 * count, "B")
        row("memory (RSS)", resting / 1024, "limit", 96.0, "MiB")
        time.sleep(20)
        row("memory (RSS) 40 s later", screen.rss_kib() / 1024, "limit", 96.0, "MiB")
        screen.send("q")
        screen.wait_exit()
    config(place, 0)
    floor = first_frame([empty], "ready", place.env)
    row("first frame, last table of 10,000 rows", first_frame([DASKTOP], r"NAME", place.env), "2 × empty curses + 5 ms", 2 * floor + 5)
    for name, command, ready in (("dasktop", [DASKTOP], "10,?000 clusters"), ("htop", ["htop"], "PID")):
        with Tui(command, env=place.env, rows=50, cols=160) as screen:
            screen.wait(ready, 60)
            time.sleep(8)
            cpu, begin = screen.cpu_s(), time.monotonic()
            time.sleep(10)
            row(f"{name}: CPU a second, nothing changing", 1000 * (screen.cpu_s() - cpu) / (time.monotonic() - begin))
    place.config("")
