"""Every Dask cluster that the program `dasktop` finds, from Python.

    >>> import dasktop
    >>> [cluster.name for cluster in dasktop.list_clusters()]
    ['analysis', 'train-042']
    >>> with dasktop.get_cluster("train-042") as cluster, Client(cluster) as client:
    ...     cluster.scale(8)

Nothing here talks to Kubernetes, Slurm or a gateway: the program does, and this package runs it.
"""
from .cluster import Cluster, get_cluster
from .lifecycle import create_cluster, delete_cluster, get_snippet, list_clusters, list_clusters_async, scale_cluster
from .program import (Ambiguous, ClusterNotFound, DasktopError, DasktopWarning, OutOfTime, Partial, ProgramMissing, Refused, UsageError)
from .record import ClusterRecord

__all__ = ["Ambiguous", "Cluster", "ClusterNotFound", "ClusterRecord", "DasktopError", "DasktopWarning", "OutOfTime", "Partial",
           "ProgramMissing", "Refused", "UsageError", "create_cluster", "delete_cluster", "get_cluster", "get_snippet", "list_clusters",
           "list_clusters_async", "scale_cluster"]
__version__ = "0.1.0"
