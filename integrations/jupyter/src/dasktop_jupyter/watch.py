"""What dasktop sees: one `dasktop list --watch -o json`, which runs for as long as somebody looks.

dasktop writes a line for each change and asks every system at the pace of its own config, so nothing is polled here. Who looks says so by
look(); when nobody has for `linger` seconds the program is ended. Where it ends by itself it is started again, later each time; what it
said last is shown for a short while longer, then nothing is. All of it runs in Jupyter's event loop and nothing blocks it.
"""
import asyncio
import collections
import contextlib
import json
import time
from typing import Any, Callable, Deque, Dict, List, Optional

from .model import Row
from .program import DasktopError, end, said, start

LINE_MOST = 8 * 2**20
KEPT_S = 30.0     # what was said last is shown for so long after its program has ended
SYNC_S = 120.0    # the first round of all backends takes no longer than this, or something is wrong
PAUSE_S, PAUSE_MOST_S = 1.0, 60.0
NOBODY = "nobody looks"


def is_look(method: str, path: str, status: int, agent: str) -> bool:
    """A request by which somebody sees the list. dasktop's own backend for Jupyter is nobody: two servers with this extension would keep
    one another's dasktop running for ever."""
    return method == "GET" and status == 200 and path.rstrip("/").endswith("/dask/clusters") and not agent.startswith("dasktop/")


def no_json(constant: str) -> Any:
    """NaN and Infinity, which Python would pass on: with one of them in the list no browser can read any of it."""
    raise ValueError(constant)


class Watch:
    def __init__(self, program: Callable[[], str], arguments: Callable[[], List[str]], linger: Callable[[], float], log: Any) -> None:
        """program, arguments, linger: asked anew at each start. log: a logging.Logger."""
        self._program, self._arguments, self._linger, self._log = program, arguments, linger, log
        self._rows: Dict[str, Row] = {}
        self._looked = self._believed = float("-inf")
        self._task: Optional["asyncio.Task[None]"] = None
        self._process: Optional[asyncio.subprocess.Process] = None
        self._synced = self._stopped = False
        self._fresh: Dict[str, Row] = {}
        self._told: Dict[str, Optional[str]] = {}

    # ----------------------------------------------------------------------------------------------------------- who looks

    def look(self) -> None:
        """Somebody looks at what this server lists."""
        self._looked = time.monotonic()
        if not self._stopped and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run())

    def rows(self) -> List[Row]:
        """What dasktop says now; nothing where it has not been heard of late."""
        return list(self._rows.values()) if self._process or self._believable() else []

    def forget(self, identity: str) -> None:
        """This one is known to be gone."""
        self._rows.pop(identity, None)
        self._fresh.pop(identity, None)

    async def stop(self) -> None:
        """Ends the program, for good."""
        self._stopped = True
        task, self._task = self._task, None
        if task:
            task.cancel()
            await asyncio.wait([task])

    def _left(self) -> float:
        return self._looked + self._linger() - time.monotonic()

    def _believable(self) -> bool:
        return time.monotonic() - self._believed < KEPT_S

    # --------------------------------------------------------------------------------------------------------- the program

    async def _run(self) -> None:
        pause = PAUSE_S
        while self._left() > 0:
            self._synced = False
            try:
                reason = await self._once()
            except DasktopError as error:
                reason = str(error)
            except Exception:
                self._log.exception("reading from dasktop failed")
                reason = None
            if reason is not NOBODY:
                self._tell("", reason)
                await asyncio.sleep(min(pause, max(self._left(), 0)))
                pause = PAUSE_S if self._synced else min(2 * pause, PAUSE_MOST_S)

    async def _once(self) -> str:
        """Runs it until it ends or nobody looks; says why it ended."""
        if not self._believable():
            self._rows.clear()
        process = await start(self._program(), *self._arguments(), limit=LINE_MOST)
        self._process, self._fresh = process, {}
        errors: Deque[bytes] = collections.deque(maxlen=20)
        watching = [asyncio.ensure_future(work) for work in (self._read(process), self._until_nobody_looks(), self._until_late())]
        draining = asyncio.ensure_future(self._drain(process, errors))
        try:
            done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
            reason = next(iter(done)).result()
        finally:
            for work in (*watching, draining):
                work.cancel()
            if self._synced:
                self._believed = time.monotonic()
            self._process = None
            await end(process)
        return reason or said(b"".join(errors), process.returncode or 0)

    async def _until_nobody_looks(self) -> str:
        while self._left() > 0:
            await asyncio.sleep(self._left())
        return NOBODY

    async def _until_late(self) -> str:
        await asyncio.sleep(SYNC_S)
        if self._synced:
            await asyncio.get_running_loop().create_future()  # for ever: it is cancelled with the rest
        return f"dasktop list has said nothing whole for {SYNC_S:.0f} s"

    async def _drain(self, process: asyncio.subprocess.Process, errors: Deque[bytes]) -> None:
        """Its standard error must be read, lest it stops; the last lines say why it ended."""
        assert process.stderr
        while piece := await process.stderr.read(4096):
            errors.append(piece)

    async def _read(self, process: asyncio.subprocess.Process) -> Optional[str]:
        assert process.stdout
        try:
            async for line in process.stdout:
                self._event(json.loads(line, parse_constant=no_json))
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"{self._program()} does not speak as `dasktop list --watch -o json` does: is it an older one, or another program?"
        with contextlib.suppress(asyncio.TimeoutError):  # its last words and its status are still on their way
            await asyncio.wait_for(process.wait(), 2)
        return None

    # -------------------------------------------------------------------------------------------------------- what it says

    def _event(self, event: Dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "cluster":
            row = event["cluster"]
            if not isinstance(row["id"], str):
                raise TypeError("an id is a text")
            self._rows[row["id"]] = self._fresh[row["id"]] = row
        elif kind == "gone":
            self._rows.pop(event["id"], None)
            self._fresh.pop(event["id"], None)
        elif kind == "synced":
            self._rows, self._synced = self._fresh, True
            self._tell("", None)
        elif kind == "backend":
            backend = event["backend"]
            name = ":".join(part for part in (backend["name"], backend.get("instance")) if part)
            self._tell(name, backend.get("error") if backend["state"] in ("failed", "denied", "needs sign-in") else None)

    def _tell(self, about: str, what: Optional[str]) -> None:
        """One line in the log for each thing that is new."""
        if what and self._told.get(about) != what:
            self._log.warning("%s", what)
        self._told[about] = what
