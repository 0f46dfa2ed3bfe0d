"""The server extension: its config, and where it takes hold of Jupyter and of dask-labextension."""
import os
import sys
from typing import Any, List

from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Float, Int, Unicode, default
from traitlets import List as ListOf

from .program import run
from .sidebar import Sidebar
from .watch import Watch, is_look


class DasktopJupyter(ExtensionApp):
    """What dasktop discovers, in JupyterLab's Dask sidebar."""

    name = "dasktop_jupyter"

    program = Unicode(help="The program dasktop: a path, or a name in PATH. Default: $DASKTOP_PROGRAM, then dasktop.").tag(config=True)
    backends = ListOf(Unicode(), help="Only these of dasktop's backends are asked. Default: all.").tag(config=True)
    filter = Unicode(help="Only what this holds for is listed, as in `dasktop list --filter`: 'owner:me !name:scratch'.").tag(config=True)
    limit = Int(200, min=0, help="At most so many discovered clusters are listed.").tag(config=True)
    linger = Float(60.0, min=1.0, help="Seconds after the last look at the sidebar at which dasktop is ended.").tag(config=True)
    timeout = Float(120.0, min=1.0, help="Seconds that scaling or shutting down one of them may take.").tag(config=True)
    allow_scale = Bool(False, help="SCALE of a discovered cluster scales it.").tag(config=True)
    allow_shutdown = Bool(False, help="SHUTDOWN of a discovered cluster deletes it, without asking, where `dasktop delete --yes` would.").tag(config=True)

    @default("program")
    def _default_program(self) -> str:
        return os.environ.get("DASKTOP_PROGRAM") or "dasktop"

    def initialize_settings(self) -> None:
        # the sidebar's own extension may be loaded after this one: what it makes is there once the loop runs
        self._watch = self._sidebar = None
        self.serverapp.io_loop.add_callback(self._take_place)

    def _take_place(self) -> None:
        manager = find_manager(self.serverapp.web_app.settings)
        if manager is None:
            self.log.warning("dask-labextension is not enabled in this server: there is no sidebar to list anything in")
            return
        self._watch = Watch(lambda: self.program, self._list, lambda: self.linger, self.log)
        self._sidebar = Sidebar(manager, self._watch.rows, self._watch.forget, self._change, self, self._connects_unasked, self.log)
        try:
            self._sidebar.take_place()
        except AttributeError as error:
            self.log.warning("this dask-labextension is another than those it knows (%s): nothing is listed", error)
            return
        self._see_who_looks(self.serverapp.web_app)

    async def stop_extension(self) -> None:
        if self._watch:
            await self._watch.stop()

    # ------------------------------------------------------------------------------------------------------------- dasktop

    def _list(self) -> List[str]:
        return ["list", "--watch", "--output=json", *(f"--backend={name}" for name in self.backends),
                *([f"--filter={self.filter}"] if self.filter else [])]

    async def _change(self, command: str, *arguments: str) -> None:
        # its own limit comes first: it says what is still there, and ends in order
        await run(self.program, command, f"--timeout={max(1, round(self.timeout))}s", *arguments, timeout=self.timeout + 10)

    # ------------------------------------------------------------------------------------------------------------- Jupyter

    def _see_who_looks(self, web_app: Any) -> None:
        """Each request that is answered is logged: there it is seen who asks."""
        log_request = web_app.log_request

        def log_and_see(handler: Any) -> None:
            request = handler.request
            if is_look(request.method, request.path, handler.get_status(), request.headers.get("User-Agent", "")):
                self._watch.look()
            log_request(handler)

        web_app.log_request = log_and_see

    def _connects_unasked(self) -> bool:
        """JupyterLab's setting Auto-Start Dask: every kernel gets a client of the sidebar's active cluster, and the first one that is
        listed is active unasked. Nobody's notebook may be connected to a cluster that nobody chose."""
        for apps in self.serverapp.extension_manager.extension_apps.values():
            for app in apps:
                if hasattr(app, "user_settings_dir") and auto_start(app):
                    return True
        return False


def auto_start(app: Any) -> bool:
    from jupyterlab_server.settings_utils import get_settings

    try:
        found, _ = get_settings(app.app_settings_dir, app.schemas_dir, app.user_settings_dir, "dask-labextension:plugin",
                                labextensions_path=app.extra_labextensions_path + app.labextensions_path)
    except Exception:  # its schema is not where this one looks, or the file is being written: not known is as good as on
        return True
    standard = found["schema"]["properties"]["autoStartClient"].get("default", False)
    return bool(found["settings"].get("autoStartClient", standard))


def find_manager(settings: Any) -> Any:
    """Of the release 7.0.0 a global, which is not made where the extension is not loaded; later a setting of the server."""
    manager = settings.get("dask_cluster_manager")
    return manager if manager is not None else getattr(sys.modules.get("dask_labextension.manager"), "manager", None)
