"""A row of `dasktop list -o json` as the sidebar's model of a cluster.

The sidebar puts the address into Python code that is run (and, with Auto-Start Dask, run unasked) and the dashboard's link into a page,
so neither is passed on unless it is nothing but an address. Unknown is a word: the sidebar prints `null` as nothing, and a Client of ""
would start a cluster of its own.
"""
import re
import uuid
from typing import Any, Dict

Row = Dict[str, Any]
Model = Dict[str, Any]

UNKNOWN = "unknown"
NAME_MOST = 40  # characters: what comes after a longer one would be out of the sidebar's sight
NAMESPACE = uuid.UUID("2f6ea4cb-3dd1-4d6c-93a6-6a7c3d9d7c55")
ADDRESS = re.compile(r"[a-z][a-z0-9+]*://[A-Za-z0-9._~:/@%\[\]-]+")
LINK = re.compile(r"https?://[A-Za-z0-9._~:/@%\[\]?&=+-]+")


def entry_id(row: Row) -> str:
    """Stable for one incarnation: a cluster that takes the place of another one is another entry."""
    return str(uuid.uuid5(NAMESPACE, f"{row['id']}\n{row.get('uid') or ''}"))


def label(row: Row) -> str:
    """`train-042 [unattended, discovered: slurm]`: never to be taken for one of the sidebar's own; what matters most is cut off last."""
    status, verdict = row.get("status") or UNKNOWN, (row.get("verdict") or {}).get("state") or UNKNOWN
    words = [verdict] if verdict != UNKNOWN else []
    if status != "running" and verdict not in ("starting", "orphaned"):  # these say it already
        words.append(status)
    if row.get("stale"):
        words.append("not confirmed of late")
    name = str(row.get("name") or row["id"])
    if len(name) > NAME_MOST:
        name = f"{name[:NAME_MOST // 2]}…{name[1 - NAME_MOST // 2:]}"
    return f"{name} [{', '.join([*words, 'discovered: ' + str(row.get('backend') or 'dasktop')])}]"


def binary(size: int) -> str:
    """Bytes as Dask prints them."""
    value, units = float(size), ["B", "kiB", "MiB", "GiB", "TiB", "PiB"]
    while value >= 0.9 * 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{size} B" if units[0] == "B" else f"{value:.2f} {units[0]}"


def known(value: Any) -> Any:
    return UNKNOWN if value is None else value


def only(pattern: "re.Pattern[str]", text: Any, otherwise: str) -> str:
    return text if isinstance(text, str) and pattern.fullmatch(text) else otherwise


def as_model(row: Row) -> Model:
    memory, adaptive = row.get("memory"), row.get("adaptive")
    model = {
        "id": entry_id(row),
        "name": label(row),
        "scheduler_address": only(ADDRESS, row.get("address"), UNKNOWN),
        "dashboard_link": only(LINK, row.get("dashboard"), ""),
        "workers": known((row.get("workers") or {}).get("ready")),
        "memory": UNKNOWN if memory is None else binary(memory),
        "cores": known(row.get("threads")),
        # whoever else asks this server for its clusters (dasktop's backend jupyter) can tell that this is none of them
        "discovered": {"by": "dasktop", "id": row["id"], "uid": row.get("uid")},
    }
    if adaptive:
        model["adapt"] = {"minimum": adaptive.get("minimum"), "maximum": adaptive.get("maximum")}
    return model
