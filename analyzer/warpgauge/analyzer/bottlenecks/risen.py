"""Communication that rose in a job by a tenth of a step: less than what is much for any job, too much for this one.

What a sound job exposes differs from job to job, so the rule on shares asks for a fifth of a step. A job that used to
wait for next to nothing and waits for a seventh since a moment has lost as much to its network as any other, though.
In few long steps work that moves from rank to rank looks the same; there the fifth is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.imbalance.moving import LEAST_STEPS
from warpgauge.analyzer.bottlenecks.classes import MOST_PARTS, WINDOW_SECONDS
from warpgauge.analyzer.bottlenecks.step_shares import shares_over_time
from warpgauge.analyzer.detection.windows import Array, columns_in, median
from warpgauge.analyzer.detection.wording import percent
from warpgauge.analyzer.frame.schema import TableName

if TYPE_CHECKING:
    from warpgauge.analyzer.bottlenecks.classes import Verdict
    from warpgauge.analyzer.bottlenecks.reason import Reason
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job
    from warpgauge.analyzer.frame.rolling import Columns

__all__ = ["COMMUNICATION_RISE", "risen", "share_over_time"]

COMMUNICATION_RISE: Final = 0.10  # of a step: the smallest effect that is worth a page (Greyhound, ATC'25)
LEAST_BEFORE_SECONDS: Final = 600.0  # of the job before the window, to know what is usual


def risen(frame: Frame, verdict: Verdict, reason: Reason) -> Reason | None:
    """The reason with what is usual, if the share rose that much above it in most minutes; else None."""
    if verdict.job is None or not verdict.steps.step_seconds * LEAST_STEPS <= WINDOW_SECONDS:
        return None
    least = _usual(frame, verdict.job) + COMMUNICATION_RISE
    share, parts = verdict.share("communication"), np.asarray(verdict.steps.parts.communication)
    if not (share >= least and int((parts >= least).sum()) >= MOST_PARTS):
        return None
    first, *rest = reason.evidence
    usual = least - COMMUNICATION_RISE
    return replace(
        reason,
        what=f"{reason.what}, where {percent(usual)} was usual",
        evidence=(replace(first, baseline=usual, threshold=least), *rest),
        margins=((share - least) / COMMUNICATION_RISE,),
    )


def _usual(frame: Frame, job: Job) -> float:
    """Median share before the window, NaN where too little is known of that time."""
    before = share_over_time(frame, job, "communication")[: -columns_in(frame, WINDOW_SECONDS)]
    known = before[np.isfinite(before)]
    return float(median(known)) if len(known) * frame.step_seconds >= LEAST_BEFORE_SECONDS else float("nan")


def share_over_time(frame: Frame, job: Job, phase: str) -> Array:
    """[column of the whole frame], share of a step that a phase takes."""

    def read(columns: Columns) -> Array:
        return np.asarray(getattr(shares_over_time(frame, job, columns), phase))

    return frame.trace(TableName.RANKS, ("share", phase, job.ranks), read)
