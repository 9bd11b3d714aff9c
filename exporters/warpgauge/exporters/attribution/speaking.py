"""Which process reports the steps of which job: from the step timers' socket to the attribution."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from warpgauge.exporters.attribution.workload import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.exporters.attribution.workload import Workload

__all__ = ["Speaking", "Spoken", "as_spoken"]


class Spoken(NamedTuple):
    """What a process reports about; that it may speak for that job has been checked."""

    job_id: str
    rank: int


class Speaking:
    """The latest of it. Told by one thread and asked by another: the mapping is replaced, never changed."""

    def __init__(self) -> None:
        self._now: Mapping[int, Spoken] = {}

    def tell(self, now: Mapping[int, Spoken]) -> None:
        """Every process that reports steps now, by pid."""
        self._now = now

    def ask(self) -> Mapping[int, Spoken]:
        """What was told last."""
        return self._now


def as_spoken(workload: Workload, spoken: Spoken | None) -> Workload:
    """The workload with the job and rank that its process reports; the job that a scheduler names stays."""
    if spoken is None:
        return workload
    return replace(workload, job_id=workload.job_id or plain(spoken.job_id), rank=str(spoken.rank))
