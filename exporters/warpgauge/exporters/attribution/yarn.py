"""A process in a YARN container: its application, from its cgroup and its environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.attribution.workload import Workload

if TYPE_CHECKING:
    from warpgauge.exporters.attribution.procfs import ProcessFacts

__all__ = ["yarn_application", "yarn_workload"]

# container_e17_1410901177871_0001_01_000005: the epoch counts restarts of the ResourceManager and is absent before the
# first (org.apache.hadoop.yarn.api.records.ContainerId). A NodeManager with cgroups has /hadoop-yarn/CONTAINER.
_CONTAINER: Final = re.compile(r"container_(?:e\d{1,10}_)?(\d{10,19}_\d{4,10})_\d{2,10}_\d{6,20}", re.ASCII)
_CGROUP: Final = re.compile(rf"/({_CONTAINER.pattern})(?=/|$)", re.ASCII | re.MULTILINE)
_RANK: Final = re.compile(r"\d{1,20}", re.ASCII)


def yarn_workload(process: ProcessFacts) -> Workload | None:
    """Its application and container, None if it is in none; the user is that of the process, often YARN's own."""
    container = _container(process)
    if container is None:
        return None
    rank = process.environment.get("RANK", "")
    return Workload(
        scheduler="yarn",
        container=container[0],
        job_id=f"application_{container[1]}",
        rank=rank if _RANK.fullmatch(rank) else "",
        user=process.user,
    )


def yarn_application(process: ProcessFacts) -> str | None:
    """The id of the application that a process is in."""
    container = _container(process)
    return f"application_{container[1]}" if container else None


def _container(process: ProcessFacts) -> tuple[str, str] | None:
    """The container and its application's number; the cgroup counts more than what a process can choose."""
    if match := _CGROUP.search(process.cgroup):
        return match[1], match[2]
    match = _CONTAINER.fullmatch(process.environment.get("CONTAINER_ID", ""))
    return (match[0], match[1]) if match else None
