"""Right size: the smallest MIG profile that a workload fits.

Pure rules over what was measured; thresholds and their sources stand at the top. Memory is hard, as too little of it
ends the job; compute is soft, as too little only slows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Demand", "Profile", "Verdict", "right_size"]

LEAST_OBSERVED_SECONDS: Final = 7 * 86_400.0  # a week holds the weekly rhythm; whole runs may be shorter
MEMORY_HEADROOM: Final = 1.2  # over the 99th percentile: allocators keep some, and peaks are sampled
COMPUTE_HEADROOM: Final = 1.1  # over the 95th percentile of SM activity


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A way to cut a device: what one instance has, as the driver tells it for this model."""

    name: str
    memory_bytes: int
    compute_ratio: float  # of the whole device's SMs, 0-1


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a workload was seen to use on a whole device; None was not measured."""

    memory_bytes_p99: int | None
    sm_active_ratio_p95: float | None  # of the whole device, 0-1
    observed_seconds: float
    is_whole_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The profile to use instead, or None and why everything stays."""

    profile: Profile | None
    reason: str


def right_size(demand: Demand, current: Profile, profiles: Sequence[Profile]) -> Verdict:
    """The smallest profile that holds the demand with head-room, if it is smaller than the current one."""
    if demand.memory_bytes_p99 is None or demand.sm_active_ratio_p95 is None:
        return Verdict(profile=None, reason="memory or SM activity was not measured")
    if demand.observed_seconds < LEAST_OBSERVED_SECONDS and not demand.is_whole_run:
        days = demand.observed_seconds / 86_400
        return Verdict(profile=None, reason=f"seen for {days:.1f} days only, and not over a whole run")
    memory = demand.memory_bytes_p99 * MEMORY_HEADROOM
    compute = demand.sm_active_ratio_p95 * COMPUTE_HEADROOM
    fitting = [one for one in profiles if one.memory_bytes >= memory and one.compute_ratio >= min(1.0, compute)]
    smallest = min(fitting, key=lambda one: (one.compute_ratio, one.memory_bytes, one.name), default=None)
    if smallest is None:
        return Verdict(profile=None, reason=f"no profile has {memory / 2**30:.1f} GiB and {compute:.0%} of the SMs")
    if (smallest.compute_ratio, smallest.memory_bytes) >= (current.compute_ratio, current.memory_bytes):
        return Verdict(profile=None, reason=f"{current.name} is the smallest that fits already")
    return Verdict(
        profile=smallest,
        reason=f"needs {memory / 2**30:.1f} GiB and {compute:.0%} of the SMs with head-room, has {current.name}",
    )
