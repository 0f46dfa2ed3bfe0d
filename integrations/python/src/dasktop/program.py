"""Running the program: argument vectors, never a shell; its exit status as an exception."""
import json
import os
import shutil
import subprocess
import tempfile
import warnings
from typing import IO, Any, Dict, List, Optional, Type


class DasktopError(RuntimeError):
    """What dasktop said, in one line; `status` is its exit status."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status


class ProgramMissing(DasktopError):
    """There is no program dasktop."""


class UsageError(DasktopError):
    """A wrong argument, or a config that is wrong."""


class Partial(DasktopError):
    """Done in part."""


class ClusterNotFound(DasktopError, LookupError):
    """No such cluster."""


class Ambiguous(DasktopError, LookupError):
    """The name fits several clusters: take an id."""


class Refused(DasktopError):
    """Not permitted, not possible for this cluster, changed since it was seen, read-only, or it needs force."""


class OutOfTime(DasktopError, TimeoutError):
    """What the system has begun is not undone."""


class DasktopWarning(UserWarning):
    """Some backends did not answer, or a limit was imposed."""


ERRORS: Dict[int, Type[DasktopError]] = {2: UsageError, 3: Partial, 4: ClusterNotFound, 5: Ambiguous, 6: Refused, 7: OutOfTime}


def find_program(given: Optional[str] = None) -> str:
    """The argument, else $DASKTOP_PROGRAM, else `dasktop` in PATH."""
    wanted = given or os.environ.get("DASKTOP_PROGRAM") or "dasktop"
    found = shutil.which(wanted)
    if not found:
        raise ProgramMissing(f"there is no program {wanted}: put dasktop into PATH, or its path into DASKTOP_PROGRAM", 127)
    return found


def said(stderr: str, status: int) -> str:
    """Its error line; progress and hints may stand around it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    own = [line for line in lines if line.startswith("dasktop: ")]
    return own[-1][len("dasktop: "):] if own else lines[-1] if lines else f"dasktop ended with status {status}"


def failure(stderr: str, status: int) -> DasktopError:
    return ERRORS.get(status, DasktopError)(said(stderr, status), status)


def run(program: Optional[str], *arguments: str, timeout: Optional[float] = None, partial: bool = False) -> str:
    """Its standard output. partial: status 3 is a warning, not an error."""
    command: List[str] = [find_program(program), *arguments]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, start_new_session=True)
    except subprocess.TimeoutExpired as error:
        raise OutOfTime(f"dasktop {arguments[0]}: no answer after {timeout} s", 7) from error
    stderr = done.stderr.decode("utf-8", "replace")
    if partial and done.returncode == 3:
        warnings.warn(said(stderr, 3), DasktopWarning, stacklevel=3)
    elif done.returncode != 0:
        raise failure(stderr, done.returncode)
    return done.stdout.decode("utf-8", "replace")


def run_json(program: Optional[str], *arguments: str, timeout: Optional[float] = None, partial: bool = False) -> Dict[str, Any]:
    text = run(program, *arguments, timeout=timeout, partial=partial)
    try:
        answer = json.loads(text)
    except ValueError as error:
        raise DasktopError(f"dasktop {arguments[0]} gave no JSON") from error
    if not isinstance(answer, dict):
        raise DasktopError(f"dasktop {arguments[0]} gave no JSON object")
    return answer


class Route:
    """`dasktop connect`, which holds the way to a scheduler open for as long as it runs; it ends when its reader does."""

    def __init__(self, program: Optional[str], target: List[str]) -> None:
        with tempfile.TemporaryFile() as errors:
            # a session of its own: Ctrl-C in a notebook or a shell must not cut the connection of what goes on
            self.process = subprocess.Popen([find_program(program), "connect", *target, "-o", "json"], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=errors, start_new_session=True)
            output: Optional[IO[bytes]] = self.process.stdout
            line = output.readline() if output else b""
            if not line:
                status = self.process.wait()
                self.close()
                errors.seek(0)
                raise failure(errors.read().decode("utf-8", "replace"), status)
        answer = json.loads(line)
        self.address: str = answer["address"]
        self.dashboard: Optional[str] = answer.get("dashboard")
        self.tls: Dict[str, Optional[str]] = answer.get("tls") or {}

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()
