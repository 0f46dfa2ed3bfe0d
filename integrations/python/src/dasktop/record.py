"""A row of `dasktop list`."""
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional


def read_time(text: Any) -> Optional[datetime]:
    if not isinstance(text, str):
        return None
    try:
        return datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    except ValueError:
        return None


@dataclass(frozen=True)
class ClusterRecord:
    """What dasktop says of one cluster; None is unknown. `raw` is all of it, as `dasktop list -o json` prints it."""

    id: str
    name: str
    backend: str
    instance: Optional[str] = None
    uid: Optional[str] = None
    type: Optional[str] = None
    owner: Optional[str] = None
    status: str = "unknown"
    address: Optional[str] = None
    dashboard: Optional[str] = None
    workers: Optional[int] = None
    wanted: Optional[int] = None
    threads: Optional[int] = None
    memory: Optional[int] = None
    clients: Optional[int] = None
    created: Optional[datetime] = None
    verdict: str = "unknown"
    evidence: List[str] = field(default_factory=list)
    can: List[str] = field(default_factory=list)
    cannot: Dict[str, str] = field(default_factory=dict)
    same_as: Optional[str] = None
    stale: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "ClusterRecord":
        workers, verdict = row.get("workers") or {}, row.get("verdict") or {}
        return cls(id=row["id"], name=row["name"], backend=row["backend"], instance=row.get("instance"), uid=row.get("uid"),
                   type=row.get("type"), owner=row.get("owner"), status=row.get("status") or "unknown", address=row.get("address"),
                   dashboard=row.get("dashboard"), workers=workers.get("ready"), wanted=workers.get("wanted"),
                   threads=row.get("threads"), memory=row.get("memory"), clients=row.get("clients"),
                   created=read_time(row.get("created")), verdict=verdict.get("state") or "unknown",
                   evidence=list(verdict.get("evidence") or []), can=list(row.get("can") or []), cannot=dict(row.get("cannot") or {}),
                   same_as=row.get("same_as"), stale=bool(row.get("stale")), raw=row)
