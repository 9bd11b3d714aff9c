"""Clocks that the hardware holds down: a power brake, or a slowdown that is not heat.

Bits and seconds of `hw_power_brake` and `hw_slowdown`; the driver sets `hw_slowdown` for heat too, which is left to
`thermal_limited` where that finds it, and told here where only the hardware's own thermal limit shows. `sw_power_cap`
alone is normal operation (Azure/azurehpc#595, NVSentinel#1666). gpud calls 0.6 events a minute over ten minutes
unhealthy, which is a tenth of the time at one poll in ten seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.bottlenecks.thermal_limited import WINDOW_SECONDS as THERMAL_SECONDS
from warpgauge.analyzer.bottlenecks.thermal_limited import read_thermal, sm_clock
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.slowdown import job_slowdown
from warpgauge.analyzer.detection.windows import confidence, mean, onset_time
from warpgauge.analyzer.detection.wording import device_name, gigahertz, percent, span
from warpgauge.analyzer.frame.rolling import Picked, Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.analyzer.health.judging import columns_of, detection, on_device
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from warpgauge.analyzer.detection import Candidate, Detection
    from warpgauge.analyzer.detection.windows import Array, Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats

__all__ = ["HardwareThrottle", "braked_ratio"]

WINDOW_SECONDS: Final = 600.0
RAISE_SHARE: Final = 0.10
HOLD_SHARE: Final = 0.05
CRITICAL_SHARE: Final = 0.50
LOWEST_CLOCK_RATIO: Final = 0.05

_REASONS: Final = {
    "hw_power_brake": (
        "by an external power brake",
        (
            "The board is told to save power by the server: check power supplies, their redundancy and the rack's power"
            " budget on the BMC (ipmitool sel list), and the board's power cables."
        ),
    ),
    "hw_thermal": (
        "by its own thermal limit",
        "Check the cooling of the board at once: fans or pump, air flow, seat of the heat sink.",
    ),
    "hw_slowdown": (
        "by a hardware slowdown",
        (
            "Neither heat nor the power brake is given as the reason: check power cables and supplies, then have the"
            " board inspected. See nvidia-smi -q -d PERFORMANCE."
        ),
    ),
}


_HEAT: Final = ("sw_thermal", "hw_thermal")


class HardwareThrottle:
    """Names devices that the hardware slows down."""

    name = "hardware_throttle"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device that reports throttle reasons."""
        shares = {reason: frame.window(_HELD[reason], WINDOW_SECONDS).mean for reason in _REASONS}
        is_judged = (
            np.isfinite(np.fmax.reduce(list(shares.values()))) if len(frame.devices) else np.zeros(0, dtype=bool)
        )
        named = [np.nan_to_num(share) for share in shares.values()]
        suspects = np.flatnonzero(np.maximum.reduce(named) >= HOLD_SHARE)
        candidates: list[Candidate] = []
        if len(suspects):
            by_heat = read_thermal(frame).is_limited & _is_hot(frame)
            for row in suspects.tolist():
                own = {name: float(np.nan_to_num(share[row])) for name, share in shares.items()}
                reason = _reason(own, is_by_heat=bool(by_heat[row]))
                if reason is not None:
                    candidates.append(_candidate(frame, row, reason, own[reason]))
        what = "devices, for clocks that the hardware holds down"
        missing = (device.THROTTLE_ACTIVE, device.THROTTLE_SECONDS)
        return detection(frame, self.name, what, candidates, is_judged, seconds=WINDOW_SECONDS, needs=missing)


def _held(reason: str) -> Signal:
    """Share of each column in which a reason held, by the driver's own count of time or else by the bit."""

    def read(columns: Columns) -> Floats:
        counted = np.clip(columns.of(device.THROTTLE_SECONDS, reason), 0, 1)
        held: Floats = np.fmax(counted, columns.of(device.THROTTLE_ACTIVE, reason))
        return held

    return Signal(f"held by {reason}", TableName.DEVICES, read)


_HELD: Final = {reason: _held(reason) for reason in (*_REASONS, *_HEAT)}


def braked_ratio(frame: Frame) -> Array:
    """Share of the last five minutes in which a power brake held each device down, [device], NaN if not measured."""
    return frame.window(_HELD["hw_power_brake"], THERMAL_SECONDS).mean


def _over_time(frame: Frame, reason: str, row: int) -> Array:
    """`_held` of one device, [column of the whole frame]."""
    return _HELD[reason].read(Picked(frame.columns_of(TableName.DEVICES), [row]))[:, 0]


def _is_hot(frame: Frame) -> Mask:
    """Devices on which a thermal reason itself shows, and not only the slowdown that heat brings along."""
    shares = [frame.window(_HELD[reason], THERMAL_SECONDS).mean for reason in _HEAT]
    return np.asarray(np.nan_to_num(np.fmax(*shares)) >= HOLD_SHARE)


def _reason(shares: dict[str, float], *, is_by_heat: bool) -> str | None:
    """The reason to tell: the brake first, then the hardware's thermal limit, then a slowdown without either."""
    if shares["hw_power_brake"] >= HOLD_SHARE:
        return "hw_power_brake"
    if is_by_heat:
        return None  # thermal_limited says so, with the clocks of its peers
    if shares["hw_thermal"] >= HOLD_SHARE:
        return "hw_thermal"
    return "hw_slowdown" if shares["hw_slowdown"] >= HOLD_SHARE else None


def _candidate(frame: Frame, row: int, reason: str, share: float) -> Candidate:
    words, remedy = _REASONS[reason]
    held = _over_time(frame, reason, row)
    since = onset_time(frame, held - max(HOLD_SHARE, share / 2))
    clock = float(mean(sm_clock(frame, [row], WINDOW_SECONDS)[0]))
    best = float(frame.latest(device.CLOCK_MAX, "sm", seconds=WINDOW_SECONDS, rows=[row])[0])
    known = np.isfinite(clock) and np.isfinite(best) and best > 0
    at = f", at {gigahertz(clock)} of {gigahertz(best)}" if known else ""
    evidence = [
        measured(
            device.THROTTLE_SECONDS if frame.has(device.THROTTLE_SECONDS, reason) else device.THROTTLE_ACTIVE,
            share,
            unit="ratio",
            labels=f'{{reason="{reason}"}}',
            baseline=0.0,
            threshold=RAISE_SHARE,
            window_seconds=WINDOW_SECONDS,
            samples=int(np.isfinite(held[-columns_of(frame, WINDOW_SECONDS) :]).sum()),
        )
    ]
    if known:
        evidence.append(measured(device.CLOCK, clock, baseline=best, window_seconds=WINDOW_SECONDS))
    impact = None
    if known and clock < best:
        lost = 1.0 / max(clock / best, LOWEST_CLOCK_RATIO)
        impact = job_slowdown(frame, row, since, own_ratio=lost, own_method="clock against its highest")
    return on_device(
        frame,
        row,
        FindingKind.HARDWARE_THROTTLE,
        Severity.CRITICAL if share >= CRITICAL_SHARE else Severity.WARNING,
        since=since,
        confidence=confidence(share / RAISE_SHARE - 1, covered=1.0),
        evidence=evidence,
        summary=f"{device_name(frame.devices.entities[row])} is slowed down {words} {percent(share)} of the last"
        f" {span(WINDOW_SECONDS)}{at}.",
        remedy=remedy,
        raises=share >= RAISE_SHARE,
        impact=impact,
    )
