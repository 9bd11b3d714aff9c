"""After an executed recommendation: read before and after off the frame, and write the verification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.recommend.effect import Comparison, Estimate, compare
from warpgauge.core.catalog import device, training
from warpgauge.core.recommendation import TargetType
from warpgauge.core.verification import Control, Effect, Verdict, Verification, WindowSummary, verification_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import JobKey
    from warpgauge.analyzer.recommend.book import Pending
    from warpgauge.core.catalog import Metric
    from warpgauge.core.recommendation import Recommendation

    Values = NDArray[np.floating[Any]]

__all__ = ["SETTLE_SECONDS", "WINDOW_SECONDS", "due", "verify"]

SETTLE_SECONDS: Final = 300.0  # a job that was moved starts, loads and warms up
WINDOW_SECONDS: Final = 600.0  # before and after
GIVE_UP_SECONDS: Final = 3600.0  # after the ack: what cannot be judged by then never can, the frame has lost the past
_MOST_PEERS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measure:
    """What is compared: one row of values per job, the treated one first."""

    metric: Metric
    extra: tuple[str, ...]
    lower_is_better: bool
    is_scale: bool
    values: Values  # [job, column]


def due(pending: Pending, now: float) -> bool:
    """Whether enough time has gone by to judge it."""
    return now >= pending.executed + SETTLE_SECONDS + WINDOW_SECONDS


def verify(frame: Frame, pending: Pending, touched: frozenset[JobKey], now: float) -> Verification | None:
    """The verification, None if it may still become one; `touched` are jobs that cannot be peers."""
    measure = _measured(frame, pending.recommendation, touched)
    began = pending.executed if pending.began is None else min(pending.began, pending.executed)
    before = _columns(frame, began - WINDOW_SECONDS, began)  # while it is moved a job does nothing to compare with
    start = pending.executed + SETTLE_SECONDS
    after = _columns(frame, start, start + WINDOW_SECONDS)
    if measure is None:
        estimate = Estimate(verdict=Verdict.INCONCLUSIVE, reason="nothing was measured of its job before and after")
        return _written(pending, now, None, estimate, {}) if now > pending.executed + GIVE_UP_SECONDS else None
    estimate = compare(
        Comparison(
            before=measure.values[0, before],
            after=measure.values[0, after],
            peers_before=measure.values[1:, before],
            peers_after=measure.values[1:, after],
            lower_is_better=measure.lower_is_better,
            is_scale=measure.is_scale,
        )
    )
    if estimate.value is None and now <= pending.executed + GIVE_UP_SECONDS:
        return None
    return _written(pending, now, measure, estimate, _windows(frame, measure, before, after))


def _job_of(recommendation: Recommendation) -> JobKey | None:
    """The job that is to go better by it."""
    target = (recommendation.helps or recommendation.target)[0]
    if target.type is TargetType.WORKLOAD:
        return (target.cluster, target.name)
    jobs = recommendation.disruption.jobs_affected if recommendation.disruption else None
    return (target.cluster, jobs[0]) if jobs else None


def _measured(frame: Frame, recommendation: Recommendation, touched: frozenset[JobKey]) -> _Measure | None:
    """Step times where the job reports them, else how busy its devices are."""
    job = _job_of(recommendation)
    if job is None or job not in frame.jobs:
        return None
    peers = sorted(key for key in frame.jobs if key[0] == job[0] and key not in touched | {job})[:_MOST_PEERS]
    keys = [job, *peers]
    if frame.has(training.STEP_SECONDS, "mean"):
        steps = frame.values(training.STEP_SECONDS, "mean")
        values = np.array([_mean(steps, frame.jobs[key].ranks) for key in keys])
        if np.isfinite(values[0]).any():
            return _Measure(
                metric=training.STEP_SECONDS, extra=("mean",), lower_is_better=True, is_scale=True, values=values
            )
    if not frame.has(device.UTILIZATION, "compute"):
        return None
    busy = frame.values(device.UTILIZATION, "compute")
    values = np.array([_mean(busy, frame.jobs[key].devices) for key in keys])
    return _Measure(metric=device.UTILIZATION, extra=("compute",), lower_is_better=False, is_scale=False, values=values)


def _mean(values: Values, rows: tuple[int, ...]) -> Values:
    """Mean over rows that have a value, column by column; NaN where none has."""
    chosen = values[list(rows)]
    counts = np.isfinite(chosen).sum(axis=0)
    sums = np.nansum(chosen, axis=0, dtype=np.float64)
    means: Values = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def _columns(frame: Frame, start: float, end: float) -> NDArray[np.bool_]:
    """Columns that lie within the window as a whole."""
    ends = frame.time_ms / 1000.0
    return (ends - frame.step_seconds >= start) & (ends <= end)


def _windows(
    frame: Frame, measure: _Measure, before: NDArray[np.bool_], after: NDArray[np.bool_]
) -> dict[str, WindowSummary | None]:
    return {
        "before": _summary(frame, measure.values[:1], before),
        "after": _summary(frame, measure.values[:1], after),
        "peers before": _summary(frame, measure.values[1:], before),
        "peers after": _summary(frame, measure.values[1:], after),
    }


def _summary(frame: Frame, values: Values, columns: NDArray[np.bool_]) -> WindowSummary | None:
    chosen = values[:, columns]
    present = chosen[np.isfinite(chosen)]
    if not len(present):
        return None
    ends = frame.time_ms[columns] / 1000.0
    return WindowSummary(
        start=float(ends[0] - frame.step_seconds), end=float(ends[-1]), median=float(np.median(present)), n=len(present)
    )


def _written(
    pending: Pending, now: float, measure: _Measure | None, estimate: Estimate, windows: dict[str, WindowSummary | None]
) -> Verification:
    recommendation = pending.recommendation
    peers_before, peers_after = windows.get("peers before"), windows.get("peers after")
    control = None
    if peers_before is not None and peers_after is not None:
        control = Control(peers=estimate.peers, before=peers_before, after=peers_after)
    effect = None
    if estimate.value is not None:
        effect = Effect(estimate=estimate.value, low=estimate.low, high=estimate.high, method=estimate.method)
    return Verification(
        id=verification_id(recommendation.id),
        idempotency_key=recommendation.idempotency_key,
        producer=recommendation.producer,
        recommendation_id=recommendation.id,
        verdict=estimate.verdict,
        reason=estimate.reason,
        metric=measure.metric.name if measure else training.STEP_SECONDS.name,
        unit=str(measure.metric.unit if measure else training.STEP_SECONDS.unit),
        settled_seconds=SETTLE_SECONDS,
        before=windows.get("before"),
        after=windows.get("after"),
        control=control,
        effect=effect,
        at=now,
        simulated=recommendation.simulated,
    )
