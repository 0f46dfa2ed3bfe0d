"""The picture of JupyterLab's Dask sidebar, for scripts/screenshots.py: a real JupyterLab with the extension, in a real browser."""
import os
import pathlib
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = TOP / "integrations/jupyter"
sys.path[:0] = [str(TOP / "tests"), str(PACKAGE / "tests")]

from browser import Browser  # noqa: E402
from lab import lab  # noqa: E402

# The plots are many and the clusters stand below them: here they get the room.
STYLE = ".dask-DashboardListing-list { max-height: 90px; overflow: hidden }"


def take(dasktop, home, picture):
    env = {"PYTHONPATH": str(PACKAGE / "src"), "JUPYTER_CONFIG_PATH": str(PACKAGE / "jupyter-config"),
           **{name: value for name, value in os.environ.items() if name.startswith("DASK_DASKTOP__")}}
    with lab(home / "jupyter", dasktop, env, home=home) as jupyter, Browser(home / "browser", 1240, 900) as browser:
        browser.open_sidebar(jupyter)
        browser.driver.execute_script("document.head.appendChild(Object.assign(document.createElement('style'), {textContent: arguments[0]}))", STYLE)
        browser.widen(150)
        browser.new()
        browser.cluster("LocalCluster 1", seconds=180)
        browser.cluster("busy")
        browser.choose("busy")
        browser.plot("Task Stream")
        browser.wait_for_drawing()
        time.sleep(8)  # it fills
        browser.driver.execute_script("for (const part of document.querySelectorAll('#dask-dashboard-launcher, #dask-dashboard-launcher *')) part.scrollLeft = 0")
        browser.driver.save_screenshot(str(picture))
        browser.leave()
