"""A pool as a scheduling core shows it now: what the planner may use, and what it must leave alone and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warpgauge.analyzer.planning.openb import Workload
    from warpgauge.analyzer.planning.pool import Node

__all__ = ["LeftOut", "LivePool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A node or job that takes no part in the plan."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePool:
    """Nodes that take work, what runs on them and what waits for room; the rest is left out.

    `is_simulated`: of the fleet model, where nothing is real.
    """

    nodes: tuple[Node, ...]
    workload: Workload
    left_out: tuple[LeftOut, ...]
    is_simulated: bool = False
