"""Dominant-resource fairness: whose turn it is, by the resource of which each tenant holds the largest part.

Ghodsi et al., "Dominant Resource Fairness: Fair Allocation of Multiple Resource Types", NSDI 2011; YARN's
DominantResourceCalculator and KAI speak the same language. Past use counts too, halved every half-life, as KAI's
time-based fair share has it: 0.5^(age / half-life).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.planning.pool import MILLI

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from warpgauge.analyzer.planning.pool import Node, Pod, Request

__all__ = ["HALF_LIFE_SECONDS", "Resources", "Use", "decayed", "dominant_share", "poorest"]

HALF_LIFE_SECONDS: Final = 7 * 86_400.0  # a week, our choice: long enough to remember a weekly job


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Amounts of what is shared; floats, as decayed use is no whole number."""

    cpu_milli: float = 0.0
    memory_mib: float = 0.0
    gpu_milli: float = 0.0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            cpu_milli=self.cpu_milli + other.cpu_milli,
            memory_mib=self.memory_mib + other.memory_mib,
            gpu_milli=self.gpu_milli + other.gpu_milli,
        )

    def scaled(self, factor: float) -> Resources:
        """Every amount times a factor."""
        return Resources(
            cpu_milli=self.cpu_milli * factor, memory_mib=self.memory_mib * factor, gpu_milli=self.gpu_milli * factor
        )

    @classmethod
    def asked(cls, request: Request) -> Resources:
        """What a request asks for."""
        return cls(cpu_milli=request.cpu_milli, memory_mib=request.memory_mib, gpu_milli=request.total_gpu_milli)

    @classmethod
    def of_pods(cls, pods: Iterable[Pod]) -> Resources:
        """What pods ask for together."""
        return sum((cls.asked(pod.request) for pod in pods), start=cls())

    @classmethod
    def of_nodes(cls, nodes: Iterable[Node]) -> Resources:
        """What nodes have together."""
        return sum(
            (
                cls(cpu_milli=node.cpu_milli, memory_mib=node.memory_mib, gpu_milli=MILLI * node.gpu_count)
                for node in nodes
            ),
            start=cls(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A stretch of time, in seconds since the epoch, in which a tenant held something."""

    start: float
    end: float
    held: Resources


def decayed(uses: Iterable[Use], *, now: float, half_life_seconds: float = HALF_LIFE_SECONDS) -> Resources:
    """What a tenant held on average, each second weighted by 0.5^(age / half-life).

    The average is over all time up to now, so a tenant that always held the same amount is seen to hold that amount.
    """
    total = Resources()
    for use in uses:
        end = min(use.end, now)
        if use.start < end:
            weight = 0.5 ** ((now - end) / half_life_seconds) - 0.5 ** ((now - use.start) / half_life_seconds)
            total += use.held.scaled(weight)
    return total


def dominant_share(held: Resources, capacity: Resources) -> float:
    """The largest part of any resource that is held, 0-1; a resource that the pool has none of is left out."""
    pairs = (
        (held.cpu_milli, capacity.cpu_milli),
        (held.memory_mib, capacity.memory_mib),
        (held.gpu_milli, capacity.gpu_milli),
    )
    return max((part / whole for part, whole in pairs if whole > 0), default=0.0)


def poorest(
    tenants: Sequence[str], held: Mapping[str, Resources], capacity: Resources, weights: Mapping[str, float]
) -> str:
    """Whose turn it is: the smallest dominant share for its weight (1 if none is given), ties by name."""
    return min(tenants, key=lambda name: (_weighted(name, held, capacity, weights), name))


def _weighted(name: str, held: Mapping[str, Resources], capacity: Resources, weights: Mapping[str, float]) -> float:
    return dominant_share(held.get(name, Resources()), capacity) / weights.get(name, 1.0)
