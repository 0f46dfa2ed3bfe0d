"""The entry point `dask_cluster_discovery`: who uses dask-ctl sees what dasktop finds."""
from collections import Counter
from typing import AsyncIterator, Tuple, Type

from .cluster import Cluster
from .lifecycle import list_clusters_async
from .program import ProgramMissing


async def discover() -> AsyncIterator[Tuple[str, Type[Cluster]]]:
    """Names that only one cluster has as they are, the others by their ids; only those that can be connected to."""
    try:
        records = await list_clusters_async()
    except ProgramMissing:
        return
    names = Counter(record.name for record in records)
    for record in records:
        if "connect" in record.can:
            yield record.name if names[record.name] == 1 and not record.name.startswith("-") else record.id, Cluster
