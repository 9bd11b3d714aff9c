"""Spare rows of device memory: a remap that waits for a reset, one that failed, and banks that run out of spares.

NVIDIA's guide on row remapping: a failed remap means replacing the board, a pending one a reset when the work is done
(https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/). Banks without spares are told before the next error meets
one of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.wording import count, device_name, span
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.health.judging import detection, on_device, start_of
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from warpgauge.analyzer.detection import Candidate, Detection
    from warpgauge.analyzer.detection.windows import Array
    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.catalog import Metric

__all__ = ["RowRemap"]

FRESH_SECONDS: Final = 300.0  # the slow tier is read once a minute
CONFIDENCE: Final = 0.99  # the driver said so
TREND_BANKS: Final = 2  # banks that lost spares within the frame: errors gather
LEAST_LOW_BANKS: Final = 1
_FULL_BANKS: Final = channel(device.ROW_REMAP_BANKS, "max")


class RowRemap:
    """Names devices whose memory needs a reset, a replacement or watching."""

    name = "row_remap"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device that reports its remaps."""
        failed, pending = (
            frame.latest(row, seconds=FRESH_SECONDS) for row in (device.ROW_REMAP_FAILED, device.ROW_REMAP_PENDING)
        )
        empty, low = (_banks(frame, availability) for availability in ("none", "low"))
        lost = _lost_spares(frame)
        is_judged = np.isfinite(failed) | np.isfinite(pending)
        shows = (failed == 1) | (pending == 1) | (empty >= 1) | (low >= LEAST_LOW_BANKS) | (lost >= TREND_BANKS)
        candidates: list[Candidate] = []
        for row in np.flatnonzero(shows).tolist():
            if failed[row] == 1:
                candidates.append(_failed(frame, row))
            elif pending[row] == 1:
                candidates.append(_pending(frame, row))
            else:
                candidates.append(_running_out(frame, row, float(empty[row]), float(low[row]), float(lost[row])))
        what = "devices, for spare memory rows"
        missing = (device.ROW_REMAP_FAILED, device.ROW_REMAP_PENDING)
        return detection(frame, self.name, what, candidates, is_judged, seconds=FRESH_SECONDS, needs=missing)


def _banks(frame: Frame, availability: str) -> Array:
    return np.nan_to_num(frame.latest(device.ROW_REMAP_BANKS, availability, seconds=FRESH_SECONDS))


def _lost_spares(frame: Frame) -> Array:
    """Banks that had all their spares when the frame began and have fewer now."""
    if not frame.has(device.ROW_REMAP_BANKS, "max"):
        return np.zeros(len(frame.devices))
    first = frame.window(_FULL_BANKS, frame.columns * frame.step_seconds).peak
    return np.asarray(np.nan_to_num(first - frame.latest(device.ROW_REMAP_BANKS, "max", seconds=FRESH_SECONDS)))


def _since(frame: Frame, metric: Metric, row: int) -> float:
    shown = np.flatnonzero(frame.values(metric, rows=row) == 1)
    return start_of(frame, int(shown[0])) if len(shown) else frame.now


def _failed(frame: Frame, row: int) -> Candidate:
    name = device_name(frame.devices.entities[row])
    return on_device(
        frame,
        row,
        FindingKind.ROW_REMAP,
        Severity.CRITICAL,
        since=_since(frame, device.ROW_REMAP_FAILED, row),
        confidence=CONFIDENCE,
        evidence=[measured(device.ROW_REMAP_FAILED, 1.0, baseline=0.0, threshold=1.0)],
        summary=f"{name}: a memory row could not be replaced, its bank has no spare left; errors there will come"
        " again.",
        remedy="Drain the node and have the board replaced (field diagnostic, then RMA). Until then no work on it.",
    )


def _pending(frame: Frame, row: int) -> Candidate:
    entity = frame.devices.entities[row]
    since = _since(frame, device.ROW_REMAP_PENDING, row)
    return on_device(
        frame,
        row,
        FindingKind.ROW_REMAP,
        Severity.WARNING,
        since=since,
        confidence=CONFIDENCE,
        evidence=[measured(device.ROW_REMAP_PENDING, 1.0, baseline=0.0, threshold=1.0)],
        summary=f"{device_name(entity)}: a memory row waits for its replacement;"
        " until the next reset the bad row stays in use.",
        remedy=f"Let its work end, then reset it (nvidia-smi --gpu-reset -i {entity.index}). No hurry unless"
        " uncorrected errors go on.",
    )


def _running_out(frame: Frame, row: int, empty: float, low: float, lost: float) -> Candidate:
    name = device_name(frame.devices.entities[row])
    banks = "none" if empty else "low"
    few = f"{count(round(empty or low), 'memory bank')} with {'no spare rows' if empty else 'few spare rows'}"
    fewer = (
        f"{count(round(lost), 'memory bank')} lost spare rows in the last {span(frame.columns * frame.step_seconds)}"
    )
    words = "; ".join([*([few] if empty or low else []), *([fewer] if lost else [])])
    return on_device(
        frame,
        row,
        FindingKind.ROW_REMAP,
        Severity.WARNING if empty or lost >= TREND_BANKS else Severity.INFO,
        since=float(frame.time_ms[0]) / 1000.0 if not lost else _lost_since(frame, row),
        confidence=CONFIDENCE,
        evidence=[
            measured(
                device.ROW_REMAP_BANKS,
                empty or low,
                unit="banks",
                labels=f'{{availability="{banks}"}}',
                baseline=0.0,
                threshold=1.0,
            ),
            measured(
                device.ROW_REMAP_BANKS, lost, unit="banks lost", labels='{availability="max"}', threshold=TREND_BANKS
            ),
        ],
        summary=f"{name}: {words}.{' The next error there cannot be repaired.' if empty else ''}",
        remedy="Plan its replacement; keep it to work that can be restarted, and watch accel_ecc_errors_total.",
    )


def _lost_since(frame: Frame, row: int) -> float:
    full = frame.values(device.ROW_REMAP_BANKS, "max", rows=row)
    fewer = np.flatnonzero(full < np.nanmax(full))
    return start_of(frame, int(fewer[0])) if len(fewer) else frame.now
