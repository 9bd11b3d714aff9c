"""Who takes the CPUs beside a rank: one other job, processes of no job, or nobody in particular.

A job is named only where it takes more than half of all that others than the rank's own job take: with less, taking it
away might change nothing. What an agent does not tell the job of is nobody's, and says nothing of who it is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.detection.evidence import whose_process
from warpgauge.analyzer.detection.wording import listed, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.detection import ProcessReading
    from warpgauge.core.finding import Whose

__all__ = ["Beside", "beside"]

LEAST_SHARE: Final = 0.05  # of all CPUs: what takes less is no culprit
_MOST_OF_ALL: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What is said of the neighbors, and the job that is to blame with its share of all CPUs, if one is."""

    words: str = ""
    whose: Whose | None = None
    share: float = 0.0


def beside(processes: Sequence[ProcessReading], own_job: str) -> Beside:
    """Who it is among a node's busiest processes."""
    others = [one for one in processes if one.job is None or one.job != own_job]
    total = sum(one.cpu_ratio for one in others)
    if total < LEAST_SHARE or any(one.job is None and one.cpu_ratio >= LEAST_SHARE for one in others):
        return Beside()
    shares: dict[str, float] = {}
    for one in others:
        if one.job is not None:
            shares[one.job] = shares.get(one.job, 0.0) + one.cpu_ratio
    most = max(shares, key=lambda job: shares[job], default="")
    if shares.get(most, 0.0) <= _MOST_OF_ALL * total:
        return Beside(words=_nobody(shares))
    if not most:
        return Beside(words=_strangers([one for one in others if one.job == ""], shares[""]))
    first = max((one for one in others if one.job == most), key=lambda one: one.cpu_ratio)
    share = shares[most]
    words = f"Job {most} takes {percent(share)} of all CPUs there, {percent(share / total)} of what others take"
    return Beside(words=words, whose=whose_process(first), share=share)


def _strangers(processes: Sequence[ProcessReading], share: float) -> str:
    busiest = sorted(processes, key=lambda one: -one.cpu_ratio)
    names = list(dict.fromkeys(one.command for one in busiest if one.cpu_ratio >= busiest[0].cpu_ratio / 4))
    return f"These are processes of no job: {listed(names)}, {percent(share)} of all CPUs; no scheduler can move them"


def _nobody(shares: dict[str, float]) -> str:
    ranked = sorted(shares.items(), key=lambda one: (-one[1], one[0]))
    names = [f"{f'job {job}' if job else 'processes of no job'} {percent(share)}" for job, share in ranked]
    return f"No job takes more than half of what others take: {listed(names)}"
