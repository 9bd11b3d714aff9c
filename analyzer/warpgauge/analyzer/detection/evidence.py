"""Evidence rows out of measured numbers, rounded to what the measurement is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.finding import Evidence, Whose

if TYPE_CHECKING:
    from warpgauge.analyzer.detection.detection import ProcessReading
    from warpgauge.core.catalog import Metric

__all__ = ["measured", "whose_process"]

_NO_SCHEDULER: Final = "none"


def measured(  # noqa: PLR0913 - an evidence row has that many columns
    metric: Metric,
    value: float,
    *,
    unit: str | None = None,
    labels: str = "",
    baseline: float | None = None,
    threshold: float | None = None,
    window_seconds: float | None = None,
    samples: int | None = None,
    whose: Whose | None = None,
) -> Evidence:
    """A row about a metric in its own unit, or in `unit` where a share or a rate of it is meant; six digits.

    `labels` narrow the metric down as in PromQL: `{phase="compute"}`.
    """
    return Evidence(
        metric=metric.name + labels,
        value=_rounded(value),
        unit=str(metric.unit) if unit is None else unit,
        baseline=None if baseline is None else _rounded(baseline),
        threshold=None if threshold is None else _rounded(threshold),
        window_seconds=window_seconds,
        samples=samples,
        whose=whose,
    )


def whose_process(process: ProcessReading) -> Whose | None:
    """The job that a process belongs to; None if it is of none, or its agent does not tell."""
    if not process.job:
        return None
    scheduler = process.scheduler if process.scheduler != _NO_SCHEDULER else ""
    return Whose(job_id=process.job, scheduler=scheduler or None, user=process.user or None)


def _rounded(value: float) -> float:
    """Six significant digits: the frame keeps float32."""
    return float(f"{value:.6g}")
