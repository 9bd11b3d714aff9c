"""Causes that move one level and cost no work yet: a link that errs and repeats, a heat sink that fouls.

No bottleneck and no threshold of health speaks of them: only the own history of a device or machine tells them, as
information. That needs half an hour of it before the onset.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.finding import FindingKind
from warpgauge.exporters.synthetic.scenario.cause import Cause, Strikes, Target

if TYPE_CHECKING:
    from warpgauge.exporters.synthetic.gpu import Gpu

__all__ = ["WEAR"]

_REPLAYS: Final = 1.0
"""Per second. A bit error rate of 1e-12, the most that PCIe allows, is one in two seconds on 16 lanes of 32 GT/s."""
_FRAME_ERRORS: Final = 1.0
"""Per second: over twenty times what IEEE 802.3bs allows on a full link (one of 1.6e10 frames of the smallest size)."""
_WARMER_KELVIN: Final = 10.0
"""Electronics that run 10 K warmer live half as long: the rule of thumb that follows from Arrhenius' law."""


def _noisy_riser(target: Target, size: float | None, _seconds: float) -> None:
    for gpu in target.gpus:
        gpu.replays_per_second = size or 0.0


def _bad_cable(target: Target, size: float | None, _seconds: float) -> None:
    if target.host is not None:
        target.host.frame_errors_per_second = size or 0.0


def _fouling(target: Target, size: float | None, seconds: float) -> None:
    target.baseline["gain"] = 0.0 if size is None else size * seconds / 3600.0
    for gpu in target.gpus:
        gpu.cooling_ratio = 1.0 + target.baseline["gain"]


def _is_warmer(target: Target) -> float:
    """1 while the present power warms the core by 10 K more than a sound cooler would let it."""
    return float(max(map(_warmer_kelvin, target.gpus)) >= _WARMER_KELVIN)


def _warmer_kelvin(gpu: Gpu) -> float:
    return gpu.board.kelvin_per_watt * (gpu.cooling_ratio - 1.0) * gpu.power_watts


WEAR: Final[dict[str, Cause]] = {
    "noisy_riser": Cause(
        kind=FindingKind.LEVEL_SHIFT, strikes=Strikes.DEVICE, sizes=(0.01, 1000.0), usual=20.0, least=_REPLAYS,
        measure="PCIe packets per second that a riser or connector garbles, so that they are sent again",
        strike=_noisy_riser,
    ),
    "bad_cable": Cause(
        kind=FindingKind.LEVEL_SHIFT, strikes=Strikes.NODE, sizes=(0.01, 1000.0), usual=20.0, least=_FRAME_ERRORS,
        measure="frames per second that arrive damaged", strike=_bad_cable,
    ),
    "fouling_heat_sink": Cause(
        kind=FindingKind.DRIFT, strikes=Strikes.DEVICE, sizes=(0.02, 3.0), usual=1.0, least=0.1,
        measure="thermal resistance that the cooler gains in an hour, relative to a sound one",
        strike=_fouling, felt=_is_warmer, least_felt=0.5,
        asked=f"where it makes the core {_WARMER_KELVIN:g} K warmer for half of the time",
        consequences=(FindingKind.LEVEL_SHIFT, FindingKind.THERMAL_LIMITED, FindingKind.STRAGGLER),
    ),
}  # fmt: skip
