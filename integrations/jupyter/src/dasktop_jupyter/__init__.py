"""What dasktop discovers, in JupyterLab's Dask sidebar: a Jupyter server extension. `dasktop ... -o json` is all that it knows."""
__version__ = "0.1.0"


def _jupyter_server_extension_points():
    from .extension import DasktopJupyter  # here, so that the rest of the package needs no Jupyter

    return [{"module": "dasktop_jupyter", "app": DasktopJupyter}]
