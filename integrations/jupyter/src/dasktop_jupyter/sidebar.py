"""dask-labextension's cluster manager, which lists what dasktop discovers beside its own clusters.

The manager keeps its clusters in a dictionary and closes everything that is in it when Jupyter ends. So nothing is put in there: what
takes the place of its public methods, by which the sidebar's handlers reach it, answers for ids that are dasktop's and hands over all
others. What ends Jupyter's clusters cannot reach a discovered one; only a DELETE of its very id can, and only where that is allowed.
Release 7.0.0 has plain methods where later ones have coroutines; both are served.
"""
import inspect
import os
import socket
from typing import Any, Awaitable, Callable, Dict, List, Optional, Set, Tuple

from .model import Model, Row, as_model
from .program import DasktopError, change

METHODS = ("list_clusters", "get_cluster", "scale_cluster", "adapt_cluster", "close_cluster")


class Refused(RuntimeError):
    """What is not done from here; the sidebar shows the text in a dialog."""


class Sidebar:
    def __init__(self, manager: Any, rows: Callable[[], List[Row]], forget: Callable[[str], None], run: Callable[..., Awaitable[None]],
                 config: Any, connects_unasked: Callable[[], bool], log: Any) -> None:
        """rows: of `dasktop list`. forget: one is gone. run: a change, by dasktop's arguments. config: has allow_scale, allow_shutdown,
        limit. connects_unasked: the sidebar gives kernels a client of the first cluster that it lists."""
        self._manager, self._rows, self._forget, self._run, self._config = manager, rows, forget, run, config
        self._connects_unasked, self._log = connects_unasked, log
        self._own: Dict[str, Callable[..., Any]] = {}
        self._shown: Dict[str, Row] = {}  # by the sidebar's id: what somebody saw is what a change is of
        self._changing: Set[str] = set()
        self._were_own: Set[str] = set()  # ids of schedulers: dasktop may know one a little longer than the manager does
        self._told: Set[str] = set()
        self._later = False

    def take_place(self) -> None:
        """False promises are worse than none: a manager without these methods is left alone. Raises AttributeError then."""
        self._own = {name: getattr(self._manager, name) for name in METHODS}
        self._later = inspect.iscoroutinefunction(self._own["list_clusters"])
        for name in METHODS:
            setattr(self._manager, name, getattr(self, name))

    def give_back(self) -> None:
        for name in self._own:
            delattr(self._manager, name)
        self._own = {}

    def _answer(self, value: Any) -> Any:
        """As the manager's own method would: plain, or to be awaited."""
        async def later() -> Any:
            return value
        return later() if self._later else value

    # ------------------------------------------------------------------------------------------------------------- looking

    def list_clusters(self) -> Any:
        own = self._own["list_clusters"]()
        if not inspect.isawaitable(own):
            return own + self._discovered(own)

        async def both() -> List[Model]:
            mine = await own
            return mine + self._discovered(mine)
        return both()

    def get_cluster(self, cluster_id: str) -> Any:
        row = self._shown.get(cluster_id)
        return self._answer(as_model(row)) if row else self._own["get_cluster"](cluster_id)

    def _discovered(self, own: List[Model]) -> List[Model]:
        """Whatever is wrong here, the sidebar's own clusters stay."""
        try:
            rows = self._choose(own)
            models = [as_model(row) for row in rows]
            self._shown = {model["id"]: row for model, row in zip(models, rows)}
            return models
        except Exception:
            self._log.exception("what dasktop discovered cannot be listed")
            return []

    def _choose(self, own: List[Model]) -> List[Row]:
        """One row for each scheduler, none for what the manager made itself; in an order that does not jump."""
        if not own and self._connects_unasked():
            self._tell("Auto-Start Dask is on, or cannot be read: discovered clusters are listed only while the sidebar has one of its own")
            return []
        mine = self._own_schedulers(own)
        self._were_own.update(identity for identity, _ in mine if identity)
        rows = [row for row in self._rows() if not row.get("same_as") and not is_one_of(row, mine) and not made_here(row)
                and row.get("scheduler_id") not in self._were_own]
        rows.sort(key=lambda row: (str(row.get("name")), row["id"]))
        if len(rows) > self._config.limit:
            self._tell(f"only {self._config.limit} discovered clusters are listed, and there are more (c.DasktopJupyter.limit, filter)")
        return rows[:self._config.limit]

    def _tell(self, what: str) -> None:
        """Once in the log: the list is asked for every few seconds."""
        if what not in self._told:
            self._told.add(what)
            self._log.warning("%s", what)

    def _own_schedulers(self, own: List[Model]) -> List[Tuple[Optional[str], str]]:
        """Id (None where it is not known) and address of each. Addresses alone are not enough: 127.0.0.1 is another on each host."""
        clusters = getattr(self._manager, "_clusters", {})
        mine = []
        for model in own:
            info = getattr(clusters.get(model["id"]), "scheduler_info", None)
            mine.append((info.get("id") if isinstance(info, dict) else None, model["scheduler_address"]))
        return mine

    # ------------------------------------------------------------------------------------------------------------ changing

    def scale_cluster(self, cluster_id: str, n: Any) -> Any:
        row = self._shown.get(cluster_id)
        return self._scale(row, n) if row else self._own["scale_cluster"](cluster_id, n)

    def adapt_cluster(self, cluster_id: str, minimum: Any, maximum: Any) -> Any:
        row = self._shown.get(cluster_id)
        if not row:
            return self._own["adapt_cluster"](cluster_id, minimum, maximum)
        cannot(row, "adapt")
        if not self._later:
            # its handler does not wait, so how it ended could not be told
            raise Refused(f"this release of dask-labextension cannot wait for it: `dasktop scale {row['id']} --adapt MIN:MAX` in a terminal can")
        return self._adapt(row, minimum, maximum)

    def close_cluster(self, cluster_id: str) -> Any:
        row = self._shown.get(cluster_id)
        return self._delete(row) if row else self._own["close_cluster"](cluster_id)

    def _allow_scale(self, row: Row) -> None:
        cannot(row, "scale")
        if not self._config.allow_scale:
            raise Refused("scaling discovered clusters from here is off: c.DasktopJupyter.allow_scale = True in jupyter_server_config.py "
                          f"allows it; `dasktop scale {row['id']} N` in a terminal does it")

    async def _scale(self, row: Row, n: Any) -> Model:
        self._allow_scale(row)
        await self._change(row, "scale", ["--no-wait"], str(whole(n)))
        return as_model(row)

    async def _adapt(self, row: Row, minimum: Any, maximum: Any) -> Model:
        self._allow_scale(row)
        await self._change(row, "scale", ["--no-wait", f"--adapt={whole(minimum)}:{whole(maximum)}"])
        return as_model(row)

    async def _delete(self, row: Row) -> Model:
        """Whoever clicks SHUTDOWN is not asked again, so --yes is all that it is worth: never --force."""
        cannot(row, "delete")
        if not self._config.allow_shutdown:
            raise Refused("shutting down discovered clusters from here is off: c.DasktopJupyter.allow_shutdown = True in "
                          f"jupyter_server_config.py allows it; `dasktop delete {row['id']}` in a terminal asks and does it")
        try:
            await self._change(row, "delete", ["--yes"])
        except DasktopError as error:
            if error.status == 6 and "--force" in str(error):
                raise Refused(f"{error}: not from here, but by `dasktop delete {row['id']}` in a terminal") from error
            raise
        self._forget(row["id"])
        return as_model(row)

    async def _change(self, row: Row, command: str, options: List[str], *values: str) -> None:
        """One at a time for each cluster: a second click must not do it twice."""
        if row["id"] in self._changing:
            raise Refused(f"{row['id']} is being changed already: wait until that has ended")
        self._changing.add(row["id"])
        try:
            await self._run(*change(command, row, options, *values))
        finally:
            self._changing.discard(row["id"])


def is_one_of(row: Row, schedulers: List[Tuple[Optional[str], str]]) -> bool:
    for identity, address in schedulers:
        if identity and row.get("scheduler_id"):
            if identity == row["scheduler_id"]:
                return True
        elif address == row.get("address"):
            return True
    return False


def made_here(row: Row) -> bool:
    """In this very process: one that the manager is just making, or closing."""
    origin = row.get("origin") or {}
    return origin.get("pid") == os.getpid() and origin.get("host") in (None, socket.gethostname())


def cannot(row: Row, what: str) -> None:
    """What cannot be done at all is not said to be allowed by a setting, or done by a command."""
    reason = (row.get("cannot") or {}).get(what)
    if reason:
        raise Refused(f"{row['id']}: {reason}")


def whole(n: Any) -> int:
    if not isinstance(n, int) or isinstance(n, bool) or n < 0:
        raise Refused("give a whole number of workers")
    return n
