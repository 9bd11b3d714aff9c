"""One series of a simulated page: a catalog row with labels and a way to read its present value from the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warpgauge.core.sample import Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.core.catalog import Metric

__all__ = ["Series", "Value", "still"]

Value = float | Histogram


@dataclass(frozen=True, slots=True)
class Series:
    """One series; `read` gives its value at the fleet's present time.

    `is_still`: it never or hardly moves, so the simulated past holds it once a minute instead of every 10 s.
    `is_constant`: it never moves, so it is read once. `is_rare`: one of many such; the past holds it every 5 minutes.
    """

    metric: Metric
    labels: tuple[str, ...]
    read: Callable[[], Value]
    is_still: bool = False
    is_constant: bool = False
    is_rare: bool = False


def still(metric: Metric, labels: tuple[str, ...], value: float = 1.0) -> Series:
    """A series that never moves."""
    return Series(metric, labels, lambda: value, is_still=True, is_constant=True)
