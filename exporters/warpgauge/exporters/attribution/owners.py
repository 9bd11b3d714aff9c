"""Whose a process is, for whoever asks in a moment of need: as the census would say, but from any thread.

What a step timer's process started (workers of its loader) is of its job, too, unless a scheduler says otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.attribution.census import workload_of
from warpgauge.exporters.attribution.speaking import as_spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.exporters.attribution.procfs import ProcFs
    from warpgauge.exporters.attribution.speaking import Spoken
    from warpgauge.exporters.attribution.workload import Workload

__all__ = ["Owners", "Pods"]

_MOST_ANCESTORS: Final = 16
_NAMES: Final = ("scheduler", "namespace", "pod", "container", "job_id", "user")


class Pods:
    """Namespaces of the pods on this node. Told by one thread and asked by another: replaced, never changed."""

    def __init__(self) -> None:
        self._now: Mapping[str, str] = {}

    def tell(self, now: Mapping[str, str]) -> None:
        """The namespace of every pod, by its name."""
        self._now = now

    def ask(self) -> Mapping[str, str]:
        """What was told last."""
        return self._now


class Owners:
    """Workloads of single processes."""

    def __init__(
        self, proc: ProcFs, *, pods: Callable[[], Mapping[str, str]] = dict, spoken: Callable[[], Mapping[int, Spoken]]
    ) -> None:
        """`pods` are the pods of this node with their namespaces, `spoken` the processes that report steps."""
        self._proc = proc
        self._pods = pods
        self._spoken = spoken

    def of(self, pid: int) -> dict[str, str] | None:
        """What is known of its workload by the labels' names; None if it is gone, or what would tell is hidden."""
        facts = self._proc.facts(pid)
        if facts is None:
            return None
        workload = self._as_spoken(workload_of(facts, self._pods()), pid)
        if workload.scheduler == "none" and not workload.job_id and not self._proc.shows_environment(pid):
            return None
        return {name: value for name in _NAMES if (value := getattr(workload, name))}

    def _as_spoken(self, workload: Workload, pid: int) -> Workload:
        """With the job that it, or what started it, reports steps of; one of a scheduler stays."""
        spoken = self._spoken()
        for _ in range(_MOST_ANCESTORS):
            if pid in spoken:
                return replace(as_spoken(workload, spoken[pid]), rank="")
            parent = self._proc.parent(pid)
            if workload.job_id or parent is None or parent <= 1:
                break
            pid = parent
        return workload
