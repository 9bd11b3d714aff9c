"""A device whose PCIe link is slower or narrower than device and slot can, while the device works.

Idle boards lower their generation to save power, and a board that wakes takes a moment: only columns in which the
device was busy count, and the link must have been short in most of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.activity import read_activity
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.windows import confidence
from warpgauge.analyzer.detection.wording import device_name, percent
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.health.judging import detection, on_device, start_of
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from warpgauge.analyzer.detection import Candidate, Detection
    from warpgauge.analyzer.detection.windows import Array, Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Window
    from warpgauge.core.catalog import Metric

__all__ = ["PcieDowntrained"]

WINDOW_SECONDS: Final = 600.0
BUSY: Final = 0.2  # share of a column at work
LEAST_BUSY_SECONDS: Final = 120.0
RAISE_SHARE: Final = 0.9  # of the busy time
HOLD_SHARE: Final = 0.5
CRITICAL_RATIO: Final = 0.3  # of the bandwidth: x4 instead of x16

_BYTES_PER_LANE: Final = (0.0, 0.25e9, 0.5e9, 0.985e9, 1.97e9, 3.94e9, 7.56e9, 15.13e9)  # by generation, PCI-SIG


class PcieDowntrained:
    """Names devices with a short PCIe link."""

    name = "pcie_downtrained"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device whose link and its best are known and that was busy."""
        pairs = tuple(_pair(frame, *metrics) for metrics in _METRICS)
        suspects = np.flatnonzero(np.logical_or(*(now.least < best for now, best in pairs)))
        is_known = np.logical_or(*(now.count > 0 for now, _ in pairs))
        has_best = np.logical_or(*(np.isfinite(best) for _, best in pairs))
        candidates: list[Candidate] = []
        if len(suspects):
            best = np.array([best for _, best in pairs])
            busy = read_activity(frame, WINDOW_SECONDS).values(suspects.tolist(), WINDOW_SECONDS) >= BUSY
            candidates = [
                found
                for row, works in zip(suspects.tolist(), busy, strict=True)
                if (found := _candidate(frame, row, *_short_and_busy(frame, row, best[:, row], works))) is not None
            ]
        what = "devices, for a PCIe link below what slot and device can"
        missing = tuple(metric for pair in _METRICS for metric in pair)
        is_judged = is_known & has_best
        return detection(frame, self.name, what, candidates, is_judged, seconds=WINDOW_SECONDS, needs=missing)


_METRICS: Final = (
    (device.PCIE_LINK_GENERATION, device.PCIE_LINK_GENERATION_MAX),
    (device.PCIE_LINK_WIDTH, device.PCIE_LINK_WIDTH_MAX),
)


def _pair(frame: Frame, now: Metric, best: Metric) -> tuple[Window, Array]:
    return frame.window(channel(now), WINDOW_SECONDS), frame.latest(best, seconds=WINDOW_SECONDS)


def _short_and_busy(frame: Frame, row: int, best: Array, works: Mask) -> tuple[Mask, Mask]:
    """[column], where the link of a device is below its best, and where it is known and the device works."""
    generation, width = (frame.values(now, seconds=WINDOW_SECONDS, rows=row) for now, _ in _METRICS)
    is_short = (generation < best[0]) | (width < best[1])
    return is_short, works & (np.isfinite(generation) | np.isfinite(width))


def _candidate(frame: Frame, row: int, is_short: Mask, is_busy: Mask) -> Candidate | None:
    busy_seconds = float(is_busy.sum()) * frame.step_seconds
    if busy_seconds < LEAST_BUSY_SECONDS:
        return None
    share = float((is_short & is_busy).sum() / is_busy.sum())
    if share < HOLD_SHARE:
        return None
    now, best = ([_number(frame, pair[at], row) for pair in _METRICS] for at in (0, 1))
    left = _bandwidth(*now) / max(_bandwidth(*best), 1.0)
    since = _since(frame, row)
    entity = frame.devices.entities[row]
    return on_device(
        frame,
        row,
        FindingKind.PCIE_DOWNTRAINED,
        Severity.CRITICAL if left < CRITICAL_RATIO else Severity.WARNING,
        since=since,
        confidence=confidence(share / RAISE_SHARE - 1, 1 - left, covered=min(1.0, busy_seconds / (WINDOW_SECONDS / 2))),
        evidence=[
            measured(
                metric, value, unit="generation" if metric is device.PCIE_LINK_GENERATION else "lanes",
                baseline=most, threshold=most, window_seconds=WINDOW_SECONDS, samples=int(is_busy.sum()),
            )
            for (metric, _), value, most in zip(_METRICS, now, best, strict=True)
        ],
        summary=f"{device_name(entity)} runs on PCIe generation {now[0]:.0f} x{now[1]:.0f} where slot and device could"
        f" run generation {best[0]:.0f} x{best[1]:.0f}: {percent(left)} of the bandwidth.",
        remedy="Loading data and host copies are slower. When the node is free, reseat the board and its riser or"
        " cable and"
        " check the slot's setting in the BIOS; look for AER lines in the kernel log. A reset alone sometimes mends"
        " it.",
        raises=share >= RAISE_SHARE,
    )  # fmt: skip


def _number(frame: Frame, metric: Metric, row: int) -> float:
    values = frame.values(metric, seconds=WINDOW_SECONDS, rows=row)
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else 0.0


def _bandwidth(generation: float, width: float) -> float:
    """Bytes per second in one direction; an unknown half counts as one."""
    at = min(max(int(generation), 1), len(_BYTES_PER_LANE) - 1)
    return _BYTES_PER_LANE[at] * max(width, 1.0)


def _since(frame: Frame, row: int) -> float:
    """The end of the last busy column in which the link was whole."""
    whole_seconds = frame.columns * frame.step_seconds
    busy = read_activity(frame, WINDOW_SECONDS).values([row], whole_seconds)[0] >= BUSY
    whole = np.ones(frame.columns, dtype=bool)
    for now, best in _METRICS:
        values = frame.values(now, rows=row)
        whole &= ~(values < _number(frame, best, row))
    last = np.flatnonzero(busy & whole & np.isfinite(frame.values(_METRICS[0][0], rows=row)))
    short = np.flatnonzero(busy & ~whole)
    first = short[short > (last[-1] if len(last) else -1)]
    return start_of(frame, int(first[0])) if len(first) else frame.now
