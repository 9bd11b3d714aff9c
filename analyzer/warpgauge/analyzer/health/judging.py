"""What the detectors of failing hardware share: candidates on a device, and what could be judged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, Strength
from warpgauge.analyzer.detection.places import device_scope
from warpgauge.analyzer.detection.wording import span
from warpgauge.analyzer.frame import channel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.detection.windows import Array, Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.catalog import Metric
    from warpgauge.core.finding import Evidence, FindingKind, Impact, Severity

__all__ = ["columns_of", "detection", "happened", "increase", "on_device", "start_of"]


def columns_of(frame: Frame, seconds: float) -> int:
    """Columns of a window of so many seconds, at least one and at most all."""
    return min(max(round(seconds / frame.step_seconds), 1), frame.columns)


def start_of(frame: Frame, column: int) -> float:
    """When a column of the frame began, in seconds since the epoch."""
    return float(frame.time_ms[column]) / 1000.0 - frame.step_seconds


def increase(frame: Frame, metric: Metric, *extra: str, seconds: float) -> Array:
    """How much a counter grew, [entity], rounded to whole events; 0 where nothing is known."""
    if not frame.has(metric, *extra):
        return np.zeros(len(frame.table_of(metric)))
    return np.asarray(np.round(frame.window(channel(metric, *extra), seconds).total * frame.step_seconds, 3))


def happened(rates: Array) -> Mask:
    """Entities whose counter grew at all within the columns given; NaN is no growth."""
    return np.asarray(np.fmax.reduce(rates, axis=1, initial=0.0) > 0)


def on_device(  # noqa: PLR0913 - a candidate has that many parts
    frame: Frame,
    row: int,
    kind: FindingKind,
    severity: Severity,
    *,
    since: float,
    confidence: float,
    evidence: Sequence[Evidence],
    summary: str,
    remedy: str,
    raises: bool = True,
    impact: Impact | None = None,
) -> Candidate:
    """A candidate whose culprit is a device."""
    return Candidate(
        kind=kind,
        scope=device_scope(frame, row),
        severity=severity,
        since=min(since, frame.now),
        confidence=confidence,
        evidence=tuple(evidence),
        summary=summary,
        remedy=remedy,
        impact=impact,
        simulated=frame.devices.entities[row].simulated,
        strength=Strength.RAISE if raises else Strength.HOLD,
    )


def detection(  # noqa: PLR0913 - all that a detector says
    frame: Frame,
    name: str,
    what: str,
    candidates: Sequence[Candidate],
    is_judged: Mask,
    *,
    seconds: float,
    needs: Sequence[Metric],
) -> Detection:
    """A detection that says what was judged in the last `seconds` and, where some was not, why."""
    judged, rest = int(is_judged.sum()), int((~is_judged).sum())
    missing = tuple(metric.name for metric in needs if not frame.channels(metric))
    why = "not measured" if missing else f"not measured for most of {span(seconds)}"
    lack = NotJudged(detector=name, what=what, why=why, missing=missing, entities=rest)
    return Detection(
        candidates=tuple(candidates),
        judged=Judgement(detector=name, what=what, entities=judged, window_seconds=seconds) if judged else None,
        not_judged=(lack,) if rest else (),
    )
