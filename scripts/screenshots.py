"""The pictures of screenshots/, by scripts/screenshots: it gives this program a network and processes of its own."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TOP / "tests"))

from rig import plain_path  # noqa: E402

DASKTOP = TOP / "build/release/dasktop"
OUT = TOP / "screenshots"
DARK, LIGHT = ("#101418", "#d8dee9"), ("#fbfbf8", "#24292f")
LARGEST = 200_000

# name: columns, rows, colours, the filter to start with, keys, seconds until it is worth a picture
PICTURES = {
    "table": (120, 26, DARK, "", [], 1),
    "details": (120, 26, DARK, "busy", ["Return"], 40),
    "logs": (120, 26, DARK, "busy", ["l"], 3),
    "delete": (120, 26, DARK, "unattended", ["D"], 2),
    "tree": (120, 26, DARK, "", ["t"], 1),
    "backends": (120, 26, DARK, "", ["b"], 1),
    "light": (120, 26, LIGHT, "", [], 1),
    "small": (80, 24, DARK, "", [], 1),
}


# The animation: keys, then how long the frame stands, in hundredths of a second. It ends the orphaned one, so it comes last.
TOUR = [
    ([], 200), (["j"], 40), (["j"], 40), (["j"], 120),
    (["Return"], 250), ([], 150), (["q"], 60),
    (["l"], 200), ([], 100), ([], 100), (["q"], 60),
    (["g"], 120), (["t"], 200), (["q"], 60),
    (["D"], 350), (["y"], 200), ([], 250),
]


def run(*command, **more):
    return subprocess.run([str(c) for c in command], check=True, stdin=subprocess.DEVNULL, **more)


def shrink(path):
    """Few colours are in it: a palette keeps it small."""
    run("convert", path, "-strip", "+dither", "-colors", "250", "-define", "png:compression-level=9", path)
    print(f"screenshots/{path.name}  {path.stat().st_size} bytes")
    if path.stat().st_size >= LARGEST:
        raise SystemExit(f"{path} is {path.stat().st_size} bytes: too much for a picture")


class Terminal:
    """An xterm with the dashboard in it, on the display of the environment."""

    def __init__(self, columns, rows, colours):
        self.xterm = subprocess.Popen(
            ["xterm", "-u8", "-tn", "xterm-256color", "-fa", "JetBrains Mono", "-fs", "14", "-geometry", f"{columns}x{rows}",
             "-bg", colours[0], "-fg", colours[1], "-b", "12", "+sb", "-bc", "-e", str(DASKTOP)], stdin=subprocess.DEVNULL)
        self.window = subprocess.run(["xdotool", "search", "--sync", "--onlyvisible", "--class", "xterm"],
                                     check=True, capture_output=True, text=True, timeout=30).stdout.split()[0]
        run("xdotool", "windowfocus", "--sync", self.window)  # keys then come as from a keyboard: xterm distrusts sent events
        time.sleep(4)  # discovery, and a second sample for the trends

    def press(self, *keys):
        for key in keys:
            run("xdotool", "key", key)
            time.sleep(0.05)

    def type(self, text):
        run("xdotool", "type", text)

    def picture(self, path):
        run("import", "-window", self.window, path)
        shrink(path)

    def close(self):
        self.xterm.terminate()
        self.xterm.wait()


def wait_for_verdicts():
    for _ in range(60):
        listed = subprocess.run([DASKTOP, "list"], capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
        if all(word in listed for word in ("idle", "unattended", "orphaned")):
            return
        time.sleep(1)
    raise SystemExit(f"the demo's verdicts do not stand:\n{listed}")


def take(names):
    if names:
        wait_for_verdicts()
    for name in names:
        columns, rows, colours, words, keys, waits = PICTURES[name]
        terminal = Terminal(columns, rows, colours)
        if words:
            terminal.press("slash")
            terminal.type(words)
            terminal.press("Return")
            time.sleep(0.5)
        terminal.press(*keys)
        time.sleep(waits)
        terminal.picture(OUT / f"{name}.png")
        terminal.close()


def animate():
    """One GIF of a short walk: what is unused, why, its log, its end."""
    wait_for_verdicts()
    terminal = Terminal(100, 24, DARK)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="dasktop-frames-"))
    command = ["convert", "-loop", "0"]
    for number, (keys, stands) in enumerate(TOUR):
        terminal.press(*keys)
        time.sleep(1.2)
        frame = folder / f"{number:02}.png"
        run("import", "-window", terminal.window, frame)
        command += ["-delay", str(stands), frame]
    terminal.close()
    run(*command, "-resize", "66%", "+dither", "-colors", "64", "-layers", "Optimize", OUT / "tour.gif")
    shutil.rmtree(folder)
    size = (OUT / "tour.gif").stat().st_size
    if size >= 1_000_000:
        raise SystemExit(f"the animation is {size} bytes: too much")
    print(f"screenshots/tour.gif  {size} bytes")


def main(names):
    wrong = [name for name in names if name not in (*PICTURES, "sidebar", "tour")]
    if wrong:
        raise SystemExit(f"no such picture: {wrong[0]} (there are {', '.join(PICTURES)}, sidebar, tour)")
    OUT.mkdir(exist_ok=True)
    run("ip", "link", "set", "lo", "up")
    run("hostname", "laptop")
    home = pathlib.Path(tempfile.mkdtemp(prefix="dasktop-pictures-"))
    keep = {k: v for k, v in os.environ.items() if k in ("PATH", "LANG", "TMPDIR", "USER", "LOGNAME", "DASKTOP_VENVS")}
    os.environ.clear()
    keep["PATH"] = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"  # not where whoever takes the pictures keeps his Python
    os.environ.update(keep)
    os.environ.update(PATH=plain_path(), HOME=str(home), LC_ALL="C.UTF-8", DASK_DASKTOP__VERDICT__IDLE="15s", DASK_DASKTOP__VERDICT__UNATTENDED="15s")
    reader, writer = os.pipe()
    server = subprocess.Popen(["Xvfb", "-displayfd", str(writer), "-screen", "0", "2600x1600x24", "-nolisten", "tcp"],
                              pass_fds=[writer], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writer)
    os.environ["DISPLAY"] = ":" + os.read(reader, 20).decode().strip()
    demo = TOP / "scripts/demo.py"
    try:
        run(sys.executable, demo, "start")
        take([name for name in names if name in PICTURES] or ([] if names else list(PICTURES)))
        if not names or "sidebar" in names:
            wait_for_verdicts()
            import screenshot_sidebar  # here: it needs more environments than the others
            screenshot_sidebar.take(DASKTOP, home, OUT / "sidebar.png")
            shrink(OUT / "sidebar.png")
        if not names or "tour" in names:
            animate()
    finally:
        subprocess.run([sys.executable, str(demo), "stop"], stdin=subprocess.DEVNULL)
        server.terminate()
        server.wait()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
