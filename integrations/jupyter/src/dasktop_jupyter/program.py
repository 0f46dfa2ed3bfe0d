"""Running the program dasktop beside Jupyter's event loop: argument vectors, never a shell, and what it says as an exception."""
import asyncio
import contextlib
import os
import shutil
from typing import List

END_S = 3.0


class DasktopError(RuntimeError):
    """What dasktop said, in one line; `status` is its exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


def find_program(wanted: str) -> str:
    found = shutil.which(os.path.expanduser(wanted))
    if not found:
        raise DasktopError(f"there is no program {wanted}: put dasktop into PATH, or its path into c.DasktopJupyter.program", 127)
    return found


def said(stderr: bytes, status: int) -> str:
    """Its error line; plans, progress and hints may stand around it."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("dasktop: ")]
    return own[-1] if own else lines[-1] if lines else f"dasktop ended with status {status} and said nothing"


async def start(program: str, *arguments: str, limit: int = 2**16) -> asyncio.subprocess.Process:
    """In a session of its own: Ctrl-C in Jupyter's terminal asks about Jupyter, and must not end what is under way."""
    try:
        return await asyncio.create_subprocess_exec(find_program(program), *arguments, stdin=asyncio.subprocess.DEVNULL, limit=limit,
                                                    stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True)
    except OSError as error:
        raise DasktopError(f"{program} cannot be run: {error.strerror}", 126) from error


async def end(process: asyncio.subprocess.Process) -> None:
    """TERM, which dasktop obeys at once; KILL where it does not. Returns when it is gone."""
    for signal in (process.terminate, process.kill):
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            signal()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(process.wait(), END_S)


async def run(program: str, *arguments: str, timeout: float) -> None:
    """Runs a change to its end. DasktopError where it did not do all that was asked."""
    process = await start(program, *arguments)
    try:
        _, stderr = await asyncio.wait_for(process.communicate(), timeout)
    except asyncio.TimeoutError:
        raise DasktopError(f"dasktop {arguments[0]}: no end after {timeout:.0f} s: see `dasktop journal`", 7) from None
    finally:
        await end(process)
    if process.returncode:
        raise DasktopError(said(stderr, process.returncode), process.returncode)


def change(command: str, row: dict, options: List[str], *values: str) -> List[str]:
    """Arguments of a change of this very incarnation: where its id is another cluster's by now, dasktop refuses."""
    if not row.get("uid"):
        raise DasktopError(f"{row['id']}: which incarnation this is, is not known yet: nothing was changed", 6)
    return [command, f"--uid={row['uid']}", *options, "--", row["id"], *values]
