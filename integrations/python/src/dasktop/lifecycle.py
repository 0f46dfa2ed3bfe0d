"""The life of clusters by name, as dask_ctl.lifecycle has it: nothing here opens a connection to a scheduler."""
import asyncio
import functools
from typing import List, Optional, Sequence

from .program import UsageError, run, run_json
from .record import ClusterRecord


def list_clusters(*, filter: Optional[str] = None, backends: Sequence[str] = (), orphaned: bool = False, timeout: Optional[float] = None,
                  folded: bool = False, program: Optional[str] = None) -> List[ClusterRecord]:
    """One discovery over every backend.

    A backend that did not answer is a DasktopWarning, and what the others found is returned. filter: as in `dasktop list --filter`
    ("verdict:orphaned age>1d"). timeout: seconds for each backend. folded: also what is the same scheduler as another row (same_as).
    """
    arguments = ["list", "-o", "json"]
    for backend in backends:
        arguments += [f"--backend={backend}"]
    if filter is not None:
        arguments += [f"--filter={filter}"]
    if orphaned:
        arguments += ["--orphaned"]
    if timeout is not None:
        arguments += [f"--timeout={max(1, round(timeout))}s"]
    rows = run_json(program, *arguments, partial=True)["clusters"]
    return [ClusterRecord.read(row) for row in rows if folded or not row.get("same_as")]


async def list_clusters_async(**options: object) -> List[ClusterRecord]:
    """list_clusters, beside a running loop; the same arguments."""
    return await asyncio.get_running_loop().run_in_executor(None, functools.partial(list_clusters, **options))  # type: ignore[arg-type]


def named(name: str) -> List[str]:
    """A name of the user's as an argument; one that looks like an option is none."""
    if not name or name.startswith("-"):
        raise UsageError(f"{name!r} looks like an option: take the cluster's id", 2)
    return [name]


def find(name: str, program: Optional[str] = None) -> ClusterRecord:
    """By id, exact name, uid, scheduler id or address, or a beginning of at least six characters."""
    return ClusterRecord.read(run_json(program, "show", "-o", "json", *named(name))["cluster"])


def scale_cluster(name: str, workers: int, *, wait: bool = True, timeout: Optional[float] = None, program: Optional[str] = None) -> None:
    """Sets the wanted number of workers, and waits until it holds. A limit that the system imposes is a DasktopWarning."""
    run(program, "scale", *named(name), str(int(workers)), *waiting(wait, timeout), partial=True)


def delete_cluster(name: str, *, force: bool = False, wait: bool = True, timeout: Optional[float] = None, program: Optional[str] = None) -> None:
    """Deletes a cluster and all that belongs to it, and waits until it is gone.

    This is `dasktop delete --yes`: refused where a cluster is active, stuck or unknown, holds results or is somebody else's; force
    (`--force`) deletes those too.
    """
    run(program, "delete", *named(name), "--yes", *(["--force"] if force else []), *waiting(wait, timeout))


def create_cluster(spec_path: Optional[str] = None, *, name: Optional[str] = None, workers: Optional[int] = None,
                   backend: Optional[str] = None, program: Optional[str] = None) -> str:
    """Makes a cluster that lives on without this process, by a spec file of dask-ctl's format (default: dask-cluster.yaml), or by
    what the backend makes without one. Gives its id, for get_cluster."""
    arguments = ["create"]
    for option, value in (("--file", spec_path), ("--name", name), ("--workers", workers), ("--backend", backend)):
        if value is not None:
            arguments += [f"{option}={value}"]
    lines = run(program, *arguments).split()
    if not lines:
        raise UsageError("dasktop create did not say what it made")
    return lines[-1]


def get_snippet(name: str, *, program: Optional[str] = None) -> str:
    """Python that connects to it."""
    return run(program, "snippet", *named(name))


def waiting(wait: bool, timeout: Optional[float]) -> List[str]:
    return ([] if wait else ["--no-wait"]) + ([] if timeout is None else [f"--timeout={max(1, round(timeout))}s"])
