"""A cluster that dasktop found, as distributed's own kind of object: a full handle from nothing but the name."""
import asyncio
import functools
import re
import weakref
from typing import Any, Callable, Dict, List, Optional, TypeVar

from distributed.core import Status, rpc
from distributed.deploy.cluster import Cluster as BaseCluster
from distributed.security import Security
from distributed.utils import Log, Logs

from .lifecycle import find, waiting
from .program import Refused, Route, run
from .record import ClusterRecord

T = TypeVar("T")
PREFIX = re.compile(r"\[([^\]]+)\] ?(.*)")


class Cluster(BaseCluster):
    """An existing cluster, whoever made it.

    Opens a route to its scheduler (`dasktop connect`, a tunnel where one is needed) and holds it until `close()`. Closing lets go and
    deletes nothing; `delete()` deletes. In asynchronous code: `async with Cluster(name, asynchronous=True) as cluster`.

    What cannot be done with this cluster raises `Refused` with the reason.
    """

    __dasktop__ = {"delete": "delete", "adapt": True, "lives_elsewhere": True}

    def __init__(self, name: str, *, asynchronous: bool = False, loop: Any = None, program: Optional[str] = None, quiet: bool = True) -> None:
        self._wanted, self._program = name, program
        self._record: Optional[ClusterRecord] = None
        self._route: Optional[Route] = None
        self.security: Optional[Security] = None
        super().__init__(asynchronous=asynchronous, loop=loop, quiet=quiet, name=name)
        if not asynchronous:
            self._loop_runner.start()
            try:
                self.sync(self._start)
            except BaseException:
                self._loop_runner.stop()
                raise

    @classmethod
    def from_name(cls, name: str, **options: Any) -> "Cluster":
        """dask-ctl's word for it."""
        return cls(name, **options)

    # ------------------------------------------------------------------------------------------------------------- opening

    async def _start(self) -> None:
        if self.status != Status.created:
            return
        self.status = Status.starting
        try:
            self._record = await in_thread(find, self._wanted, self._program)
            # by its id: a beginning of it is enough to look, and what is looked at must not change
            self._route = await in_thread(Route, self._program, [self._record.id])
            weakref.finalize(self, Route.close, self._route)
            self.security = as_security(self._route)
            self.scheduler_comm = rpc(self._route.address, connection_args=self.security.get_connection_args("client") if self.security else None)
            await super()._start()
            self.name = self._wanted if self._wanted == self._record.id else self._record.name
        except BaseException:
            self.status = Status.failed
            await self._let_go()
            raise

    async def _sync_cluster_info(self) -> None:
        """The base class writes its name and class into the scheduler every second: that place belongs to who made the cluster."""

    def __await__(self) -> Any:
        async def wait() -> "Cluster":
            await self._start()
            return self
        return wait().__await__()

    async def _let_go(self) -> None:
        if self.scheduler_comm:
            await self.scheduler_comm.close_rpc()
        if self._route:
            await in_thread(self._route.close)
            self._route = None

    async def _close(self) -> None:
        if self.status == Status.closed:
            return
        if self.status != Status.failed:
            await super()._close()
        await self._let_go()
        self.status = Status.closed

    def close(self, timeout: Optional[float] = None) -> Any:
        """Lets go of the cluster: its connection and its route are closed. It runs on; `delete()` deletes it."""
        closing = super().close(timeout)
        if not self.asynchronous:
            self._loop_runner.stop()
        return closing

    # ------------------------------------------------------------------------------------------------------------- looking

    @property
    def record(self) -> ClusterRecord:
        """What dasktop said of it when it was opened; `refresh()` asks again."""
        if not self._record:
            raise RuntimeError("it is not open yet: await it")
        return self._record

    def refresh(self) -> Any:
        """Asks the system again; gives the new record. ClusterNotFound where it is gone, Refused where another one has its id."""
        return self.sync(self._refresh)

    async def _refresh(self) -> ClusterRecord:
        before = self.record
        now = await in_thread(find, before.id, self._program)
        if before.uid and now.uid and before.uid != now.uid:
            raise Refused(f"{before.id}: another cluster has this id by now", 6)
        self._record = now
        return now

    @property
    def scheduler_address(self) -> str:
        return self._route.address if self._route else super().scheduler_address

    @property
    def dashboard_link(self) -> str:
        return (self._route.dashboard if self._route else None) or super().dashboard_link

    def get_logs(self, cluster: bool = True, scheduler: bool = True, workers: Any = True, lines: int = 1000) -> Any:
        """Logs of the scheduler and the workers, the last `lines` of each, from the system itself: also where the scheduler is dead.
        workers: or a list of their names."""
        return self.sync(self._get_logs, cluster=cluster, scheduler=scheduler, workers=workers, lines=lines)

    async def _get_logs(self, cluster: bool = True, scheduler: bool = True, workers: Any = True, lines: int = 1000) -> Dict[str, str]:
        logs: Dict[str, str] = Logs()
        if cluster:
            logs["Cluster"] = Log("\n".join(line[1] for line in self._cluster_manager_logs))
        if scheduler:
            text = await self._read_log(["scheduler"], lines)
            logs["Scheduler"] = Log("\n".join(line for part in by_component(text, "scheduler").values() for line in part))
        if workers:
            names = ["worker"] if workers is True else [str(name) for name in workers]
            only = names[0] if workers is not True and len(names) == 1 else self._only_worker()
            for component, part in by_component(await self._read_log(names, lines), only).items():
                logs[component] = Log("\n".join(part))
        return logs

    async def _read_log(self, components: List[str], lines: int) -> str:
        chosen = [f"--component={name}" for name in components]
        return await in_thread(run, self._program, "logs", self.record.id, *chosen, f"--lines={int(lines)}")

    def _only_worker(self) -> str:
        names = [str(worker.get("name", "worker")) for worker in self.scheduler_info["workers"].values()]
        return names[0] if len(names) == 1 else "worker"

    # ------------------------------------------------------------------------------------------------------------ changing

    def scale(self, n: int, *, wait: bool = True, timeout: Optional[float] = None) -> Any:
        """Sets the wanted number of workers; waits until it holds unless told otherwise. In asynchronous code: await it."""
        return self.sync(self._change, "scale", str(int(n)), *waiting(wait, timeout))

    def adapt(self, Adaptive: Any = None, *, minimum: int = 0, maximum: Optional[int] = None, timeout: Optional[float] = None) -> Any:  # type: ignore[override]
        """Lets the cluster's own system adapt the number of workers; refused where the system cannot."""
        if Adaptive is not None:
            raise TypeError("adapting is done by the cluster's own system: there is no Adaptive class to choose")
        if maximum is None:
            raise TypeError("adapt() needs a maximum")
        return self.sync(self._change, "scale", f"--adapt={int(minimum)}:{int(maximum)}", *waiting(True, timeout))

    def stop_adapting(self) -> Any:
        """The number of workers stays as it is."""
        return self.sync(self._change, "scale", "--adapt=off")

    async def _change(self, command: str, *arguments: str, partial: bool = True) -> None:
        record = await self._refresh()  # another cluster may have its id by now, or get it before the program looks
        bound = [f"--uid={record.uid}"] if record.uid else []
        await in_thread(run, self._program, command, record.id, *bound, *arguments, partial=partial)

    def delete(self, *, force: bool = False, timeout: Optional[float] = None) -> Any:
        """Deletes the cluster with everything that belongs to it, waits until it is gone, and closes this object.

        Bound to this very cluster: another one under its name is not touched. As `dasktop delete --yes` it is refused where the
        cluster is active, stuck or unknown, holds results or is somebody else's, unless force is given. A `Client(cluster)` that is
        still connected makes it active: close it before.
        """
        deleting = self.sync(self._delete, force, timeout)
        if not self.asynchronous:
            self._loop_runner.stop()
        return deleting

    async def _delete(self, force: bool, timeout: Optional[float]) -> None:
        more = (["--force"] if force else []) + waiting(True, timeout)
        await self._change("delete", "--yes", *more, partial=False)
        await self._close()

    def get_snippet(self) -> str:
        """Python that connects to it."""
        return f"from dask.distributed import Client\nimport dasktop\n\ncluster = dasktop.get_cluster({self.record.id!r})\nclient = Client(cluster)\n"


def get_cluster(name: str, *, asynchronous: bool = False, loop: Any = None, program: Optional[str] = None) -> Cluster:
    """An existing cluster by its id, exact name, uid, scheduler id or address. asynchronous: await it, or `async with`."""
    return Cluster(name, asynchronous=asynchronous, loop=loop, program=program)


async def in_thread(function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, functools.partial(function, *arguments, **options))


def as_security(route: Route) -> Optional[Security]:
    if not any(route.tls.values()):
        return None
    return Security(tls_ca_file=route.tls.get("ca"), tls_client_cert=route.tls.get("cert"), tls_client_key=route.tls.get("key"),
                    require_encryption=True)


def by_component(text: str, only: str) -> Dict[str, List[str]]:
    """Lines by component: dasktop names it in front of each line where there is more than one."""
    lines = text.splitlines()
    found = [PREFIX.match(line) for line in lines]
    if not lines or not all(found):
        return {only: lines} if lines else {}
    parts: Dict[str, List[str]] = {}
    for match in found:
        if match:
            parts.setdefault(match.group(1), []).append(match.group(2))
    return parts
