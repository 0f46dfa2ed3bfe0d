"""The picture of JupyterLab's Dask sidebar, for scripts/screenshots.py: a real JupyterLab with the extension, in a real browser."""
import json
import os
import pathlib
import sys
import time

TOP = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = TOP / "integrations/jupyter"
sys.path[:0] = [str(TOP / "tests"), str(TOP / "tests/system"), str(PACKAGE / "tests")]

import jupyters  # noqa: E402
from browser import Browser  # noqa: E402

# The plots are many and the clusters stand below them: here they get the room.
STYLE = ".dask-DashboardListing-list { max-height: 150px; overflow: hidden }"


def take(dasktop, home, picture):
    path = home / "jupyter"
    settings = path / "jupyter/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    env = {"PYTHONPATH": str(PACKAGE / "src"), "JUPYTER_CONFIG_PATH": str(PACKAGE / "jupyter-config"), "DASKTOP_PROGRAM": str(dasktop), "PYTHONDONTWRITEBYTECODE": "1",
           **{name: value for name, value in os.environ.items() if name.startswith("DASK_DASKTOP__")}}
    with jupyters.Jupyter(path, home=home, env=env) as jupyter, Browser(path, 1240, 860) as browser:
        browser.open_sidebar(jupyter)
        browser.driver.execute_script("document.head.appendChild(Object.assign(document.createElement('style'), {textContent: arguments[0]}))", STYLE)
        browser.widen(150)
        browser.new()
        browser.cluster("LocalCluster 1")
        busy = next(title.split(" [")[0] for title in browser.titles() if "active]" in title)
        browser.choose(busy)
        browser.plot("PROGRESS")
        time.sleep(8)  # the plot fills
        browser.driver.save_screenshot(str(picture))
        browser.leave()
