"""What a recording is to be, and what its two processes have agreed on."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Tier
from warpgauge.core.config import AgentConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ABSENT", "FAILED", "Plan"]

ABSENT: Final = 3  # exit status of the child: there is no library
FAILED: Final = 4  # the driver as a whole cannot be used; the recording tells with which code
_COMMAND: Final = (sys.executable, "-m", "warpgauge.exporters.recording.child")


def _defaults() -> dict[Tier, float]:
    """The agent's own intervals, in seconds."""
    agent = AgentConfig()
    return {
        Tier.FAST: agent.fast_interval_seconds,
        Tier.NORMAL: agent.normal_interval_seconds,
        Tier.SLOW: agent.slow_interval_seconds,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to record, and how long a call may take."""

    seconds: float
    intervals: Mapping[Tier, float] = field(default_factory=_defaults)
    all_ids: bool = False
    is_masked: bool = True
    deadline_seconds: float = 2.0  # for one call
    start_seconds: float = 10.0  # for one call before the first reading: without persistence mode a GPU takes seconds
    command: Sequence[str] = _COMMAND
    environment: Mapping[str, str] | None = None

    def document(self) -> str:
        """What the child is told."""
        intervals = {tier.value: seconds for tier, seconds in self.intervals.items()}
        about = {"seconds": self.seconds, "intervals": intervals, "all_ids": self.all_ids, "masked": self.is_masked}
        return json.dumps(about)
