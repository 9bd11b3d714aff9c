"""What was recommended, and what came of a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.recommendation import Recommendation
    from warpgauge.core.withdrawal import Withdrawal

__all__ = ["Ledger", "Plan", "Withheld"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What was recommended: `open` by finding id, and when each conflict group last got something."""

    open: Mapping[str, Recommendation] = field(default_factory=dict)
    issued: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Advice that a rail stopped, and which."""

    finding_id: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Outcome of a step: `fresh` and `withdrawn` are to be sent, `ledger.open` are all that stand."""

    fresh: tuple[Recommendation, ...]
    withheld: tuple[Withheld, ...]
    ledger: Ledger
    withdrawn: tuple[Withdrawal, ...] = ()
