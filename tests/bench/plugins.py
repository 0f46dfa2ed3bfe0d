"""Plugins beside bare programs that only run them and parse what they say."""
import json
import statistics
import subprocess
import sys
import threading
import time

from measure import DASKTOP, RUNS, key_times, row
from timed_tui import Tui

PLUGIN = '''
import json, sys, time
many, seconds = int(sys.argv[1]), float(sys.argv[2])
def say(**message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\\n")
for line in sys.stdin:
    asked = json.loads(line)
    number = asked.get("id")
    if asked["method"] == "hello":
        say(id=number, result={"protocol": 1, "name": "bench", "version": "1", "can": [], "watch": False})
    elif asked["method"] == "discover":
        time.sleep(seconds)
        for i in range(many):
            say(method="cluster", params={"request": number, "cluster": {
                "id": f"c{i}", "uid": f"u{i}", "name": f"cluster-{i}", "status": "running", "owner": "ada", "clients": 0,
                "workers": {"ready": 4, "wanted": 4}, "memory": 2 ** 34, "created": "2026-11-23T01:02:03Z"}})
        say(id=number, result={"complete": True})
    sys.stdout.flush()
'''
QUESTIONS = '{"id": 1, "method": "hello"}\n{"id": 2, "method": "discover"}\n'


def bare(command):
    """ms until the answer of discover is parsed."""
    begin = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        child.stdin.write(QUESTIONS)
        child.stdin.flush()
        for line in child.stdout:
            if json.loads(line).get("id") == 2:
                break
        took = 1000 * (time.perf_counter() - begin)
        child.kill()
    return took


def bare_parallel(command, count):
    threads = [threading.Thread(target=bare, args=(command,)) for _ in range(count)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1000 * (time.perf_counter() - begin)


def bare_beside(good, bad, python):
    """ms until the good one's answer is parsed while the bad ones run too: on two cores eight interpreters start side by side."""
    others = [subprocess.Popen([python, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for code in bad]
    for other in others:
        other.stdin.write(b"\n")
        other.stdin.flush()
    took = bare(good)
    for other in others:
        other.kill()
        other.wait()
    return took


def on_screen(place, pattern):
    """ms from the start of the program until this stands there, without a last table."""
    for left in (place.path / ".local/state/dasktop").glob("last*"):
        left.unlink()
    with Tui([DASKTOP], env=place.env, rows=50, cols=160) as screen:
        return 1000 * screen.wait(pattern)


def backends(place, **commands):
    place.config("dasktop:\n  auto: false\n  timeout: 30s\n  backends:\n" + "".join(
        f"    {key}: {json.dumps({'type': 'exec', 'command': command})}\n" for key, command in commands.items()))


def bench_plugins(place):
    print("plugins")
    script = place.path / "plugin.py"
    script.write_text(PLUGIN)
    python = sys.executable
    many = [python, str(script), "10000", "0"]
    slow = [python, str(script), "1", "1"]
    good = [python, str(script), "50", "0"]

    backends(place, many=many)
    runs = [(on_screen(place, r"10,?000 clusters"), bare(many)) for _ in range(RUNS)]
    row("10,000 clusters of one plugin on the screen", statistics.median(r[0] for r in runs), "a bare reader", statistics.median(r[1] for r in runs))

    backends(place, **{f"slow-{i}": slow for i in range(20)})
    runs = [(on_screen(place, "20 clusters"), bare_parallel(slow, 20)) for _ in range(3)]
    row("20 plugins that take 1 s each, all rows", statistics.median(r[0] for r in runs), "a bare parallel runner", statistics.median(r[1] for r in runs))

    # -u and small: the ways in which one may be bad, each a line of Python
    hello = "print('{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocol\":1}}', flush=True)"
    bad = {
        "silent": "import time; time.sleep(600)",
        "hangs": f"import time; input(); {hello}; time.sleep(600)",
        "garbage": f"input(); {hello}; print('what a day', flush=True); input()",
        "floods": f"input(); {hello}\nwhile True: print('{{\"jsonrpc\":\"2.0\",\"method\":\"cluster\",\"params\":{{}}}}')",
        "dies": f"import os; input(); {hello}; input(); os.abort()",
        "hostile": f"input(); {hello}; print('\\x1b[2J' * 1000, flush=True); input()",
        "late": f"import time; input(); {hello}; time.sleep(60)",
    }
    backends(place, good=good)
    alone = statistics.median(on_screen(place, "cluster-0") for _ in range(RUNS))
    backends(place, good=good, **{name: [python, "-c", code] for name, code in bad.items()})
    beside = statistics.median(on_screen(place, "cluster-0") for _ in range(RUNS))
    row("the good row beside seven bad plugins", beside, "without them", alone)
    row("the same", beside, "a bare runner of the eight", statistics.median(bare_beside(good, bad.values(), python) for _ in range(RUNS)))
    with Tui([DASKTOP], env=place.env, rows=50, cols=160) as screen:
        screen.wait("cluster-0")
        times = key_times(screen)
        row("key to the last byte among them, p99", times[int(len(times) * .99)])
        time.sleep(20)
        row("memory (RSS) after 25 s of the flood", screen.rss_kib() / 1024, unit="MiB")
    place.config("")
