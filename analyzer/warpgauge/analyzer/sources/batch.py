"""What sources deliver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints

__all__ = ["Batch", "Page", "Points", "Ranges", "SourceStatus", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A thing that is read; `name` (its URL or file) identifies it.

    `labels` win over those of its series, `defaults` stand where a series has no such label.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)

    def complete(self, labels: Mapping[str, str]) -> dict[str, str]:
        """A series' labels together with the target's."""
        return {**self.defaults, **labels, **self.labels}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One exposition page, not parsed yet: parsing belongs to the thread that owns the frame.

    Lines without a timestamp are of `time`; None means that every line must have its own.
    """

    target: Target
    text: str
    is_openmetrics: bool
    time: float | None
    interval_seconds: float  # between two samples of a series


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Samples of one series in the order of time."""

    name: str
    labels: Mapping[str, str]
    times_ms: Ints
    values: Doubles


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Many series over a range of time, all of one metric and time that belong together."""

    target: Target
    points: Sequence[Points]
    interval_seconds: float


Batch = Page | Ranges


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatus:
    """How a target is doing, for the status document."""

    name: str  # the kind of source: agent, discovery, prometheus
    target: str
    up: bool
    last_success: float | None = None  # seconds since the epoch
    error: str | None = None
