"""What a YARN cluster says about itself, and the one way to ask its ResourceManager for something.

Shared by the planner, which reads, and by the executor, which also acts. Standard library only.
"""

from __future__ import annotations

from warpgauge.core.yarn.rest import KEEP_MILLISECONDS, Yarn, YarnError
from warpgauge.core.yarn.state import (
    GPU,
    MEMORY,
    VCORES,
    Resources,
    YarnApp,
    YarnAsk,
    YarnContainer,
    YarnNode,
    YarnQueue,
    parse_app,
    parse_apps,
    parse_containers,
    parse_nodes,
    parse_queues,
)

__all__ = [
    "GPU",
    "KEEP_MILLISECONDS",
    "MEMORY",
    "VCORES",
    "Resources",
    "Yarn",
    "YarnApp",
    "YarnAsk",
    "YarnContainer",
    "YarnError",
    "YarnNode",
    "YarnQueue",
    "parse_app",
    "parse_apps",
    "parse_containers",
    "parse_nodes",
    "parse_queues",
]
