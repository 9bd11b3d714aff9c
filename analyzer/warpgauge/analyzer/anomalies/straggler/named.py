"""Which processes load the CPUs beside a rank."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.anomalies.straggler.beside import beside
from warpgauge.analyzer.anomalies.straggler.words import processes_words
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.core.catalog import host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.detection import Candidate, ProcessReading

__all__ = ["with_processes"]

_NAMED: Final = 3
_LEAST_SHARE: Final = 0.05  # of all CPUs: a process below is no culprit


def with_processes(candidate: Candidate, processes: Sequence[ProcessReading]) -> Candidate:
    """The candidate with the busiest processes of its node, those that use a quarter as much as the busiest or more.

    Those of the candidate's own job are no neighbors of it. If another job is to blame, an evidence row says whose.
    """
    job = candidate.scope.job_id or ""
    others = [one for one in processes if not job or one.job != job]
    busiest = sorted(others, key=lambda process: -process.cpu_ratio)[:_NAMED]
    named = [one for one in busiest if one.cpu_ratio >= max(_LEAST_SHARE, busiest[0].cpu_ratio / 4)]
    if not named:
        return candidate
    found = beside(processes, job)
    blamed = [measured(host.PROCESS_CPU, found.share, whose=found.whose)] if found.whose else []
    return replace(
        candidate,
        summary=f"{candidate.summary} {processes_words(named)}.{f' {found.words}.' if found.words else ''}",
        evidence=(*candidate.evidence, *blamed, *(measured(host.PROCESS_CPU, one.cpu_ratio) for one in named)),
    )
