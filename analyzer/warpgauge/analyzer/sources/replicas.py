"""Two Prometheus that scrape the same targets: one wins for each series, the other stands in where it has a gap.

An HA pair writes every series twice, told apart by one external label only: `prometheus_replica` by the Prometheus
operator, `replica` in Thanos' guides, `__replica__` for Mimir. Counters are of the same exporter, so that a switch from
one to the other never falls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.frame.samples import HOLD_INTERVALS
from warpgauge.analyzer.sources.batch import Points

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints

__all__ = ["REPLICA_LABELS", "merge_replicas", "without"]

REPLICA_LABELS: Final = ("prometheus_replica", "replica", "__replica__")


def without(labels: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The labels that both replicas have in common."""
    return {name: value for name, value in labels.items() if name not in names}


def merge_replicas(points: Sequence[Points], labels: Sequence[str]) -> Sequence[Points]:
    """One series for each that differs in the replica labels only; the labels are gone from all."""
    names = frozenset(labels)
    if not any(names & series.labels.keys() for series in points):
        return points
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[Points]] = {}
    for series in points:
        shared = without(series.labels, names)
        groups.setdefault((series.name, frozenset(shared.items())), []).append(series)
    return [_merged(members, names) for members in groups.values()]


def _merged(members: list[Points], names: frozenset[str]) -> Points:
    best, *others = sorted(members, key=lambda series: (-len(series.times_ms), sorted(series.labels.items())))
    times_ms, values = best.times_ms, best.values
    for other in others:
        times_ms, values = _filled(times_ms, values, other)
    return Points(name=best.name, labels=without(best.labels, names), times_ms=times_ms, values=values)


def _filled(times_ms: Ints, values: Doubles, other: Points) -> tuple[Ints, Doubles]:
    """The samples, and those of the other replica where there is a gap."""
    if not len(times_ms) or not len(other.times_ms):
        return (times_ms, values) if len(times_ms) else (other.times_ms, other.values)
    usual = np.diff(times_ms) if len(times_ms) > 1 else np.diff(other.times_ms)
    gap_ms = HOLD_INTERVALS * float(np.median(usual)) if len(usual) else np.inf
    first, last = min(times_ms[0], other.times_ms[0] - 1), max(times_ms[-1], other.times_ms[-1] + 1)
    edges = np.concatenate([[first], times_ms, [last]])
    after = np.searchsorted(edges, other.times_ms, side="left")
    is_between = edges[after] != other.times_ms
    missing = is_between & (edges[after] - edges[after - 1] > gap_ms)
    joined = np.concatenate([times_ms, other.times_ms[missing]])
    order = np.argsort(joined, kind="stable")
    return joined[order], np.concatenate([values, other.values[missing]])[order]
