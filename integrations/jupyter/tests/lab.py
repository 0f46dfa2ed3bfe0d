"""A real JupyterLab with Dask's extension and this one."""
import json
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[3] / "tests/system"))

import jupyters  # noqa: E402

# The sidebar's own clusters have their workers in Jupyter's process: up at once, and reached by TCP as all others.
FACTORY = """
labextension:
  factory:
    kwargs: {n_workers: 1, threads_per_worker: 1, processes: false, protocol: "tcp://", host: 127.0.0.1, memory_limit: 200MB, dashboard_address: "127.0.0.1:0"}
"""
QUIET = {"fetchNews": "false", "checkForUpdates": False}  # no questions over the page


def lab(path, program, env, home=None, **config):
    """To be used in a `with`. env: how it finds the extension; config: the extension's."""
    settings = path / "jupyter/lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps(QUIET))
    return jupyters.Jupyter(path, home=home, dask=FACTORY, config={"DasktopJupyter": config},
                            env={"DASKTOP_PROGRAM": str(program), "PYTHONDONTWRITEBYTECODE": "1", **env})
