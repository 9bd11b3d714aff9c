"""What a class rests on and what to do about it: the form that all classes fill in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warpgauge.core.finding import Evidence

__all__ = ["Reason"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a job has its class.

    `what` goes on where "Job X" or "Device X" began; `margins` are those of `windows.confidence`; `slowdown` is how
    much faster the job would be without the condition (1.4: steps take 1.4 times as long), where `method` can tell.
    """

    what: str
    remedy: str
    evidence: tuple[Evidence, ...]
    margins: tuple[float, ...] = ()
    slowdown: float | None = None
    method: str | None = None
    is_by_share: bool = False  # rests on the share of a step phase, not on device counters
