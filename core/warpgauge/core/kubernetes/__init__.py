"""What a Kubernetes cluster says about itself, and the one way to ask its API server.

Shared by the planner, which reads, and by the executor, which also acts. Standard library only.
"""

from __future__ import annotations

from warpgauge.core.kubernetes.api import Call, Kubernetes, KubernetesError
from warpgauge.core.kubernetes.connection import Connection, connect
from warpgauge.core.kubernetes.requests import Requests
from warpgauge.core.kubernetes.selecting import may_run_on
from warpgauge.core.kubernetes.state import KubeNode, KubePod, parse_node, parse_pod
from warpgauge.core.kubernetes.words import KEEP, OWNER, PREFIX

__all__ = [
    "KEEP",
    "OWNER",
    "PREFIX",
    "Call",
    "Connection",
    "KubeNode",
    "KubePod",
    "Kubernetes",
    "KubernetesError",
    "Requests",
    "connect",
    "may_run_on",
    "parse_node",
    "parse_pod",
]
