"""The cluster's DNS, for the processes that run in its pods and for the operator: NAME.NAMESPACE of a Service is the address of a ready pod
behind it, as kubelet.py writes them down. Python imports this by itself where the folder is in PYTHONPATH and DASKTOP_NAMES names the file."""
import json
import os
import re
import socket

_real = socket.getaddrinfo


def _look(host, *rest, **more):
    found = re.fullmatch(r"([a-z0-9-]+)\.([a-z0-9-]+)(\.svc(\.cluster\.local)?)?", host) if isinstance(host, str) else None
    if found:
        try:
            with open(os.environ["DASKTOP_NAMES"]) as file:
                host = json.load(file).get(f"{found[1]}.{found[2]}", host)
        except (OSError, ValueError):
            pass
    return _real(host, *rest, **more)


if "DASKTOP_NAMES" in os.environ:
    socket.getaddrinfo = _look
