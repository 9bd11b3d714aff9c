"""Driver errors (XIDs) of the last half hour, by what they mean and not by their number.

Events of one number with at most three minutes between them are one burst; the numbers that come back until the device
is reset stay one burst for three hours. A 45 after another XID is that one's consequence, a 162 cancels a 163 before
it, what an application did stays information and never leads to hardware advice (NVSentinel#1710: one rule for all
numbers gave 672 false fatal events on three nodes in three hours). Five bursts of one number as far back as the frame
reaches, at most a day, are a case for support.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.wording import clock, count, device_name
from warpgauge.analyzer.health.judging import columns_of, detection, happened, on_device
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Severity
from warpgauge.core.xid import CATALOG, STICKY, Action, Blame, Xid, entry_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from warpgauge.analyzer.detection import Candidate, Detection
    from warpgauge.analyzer.detection.windows import Mask
    from warpgauge.analyzer.frame import Frame

__all__ = ["XidEvents"]

WINDOW_SECONDS: Final = 1800.0  # an event is told this long
BURST_GAP_SECONDS: Final = 180.0  # NVSentinel, charts/health-events-analyzer/values.yaml
STICKY_GAP_SECONDS: Final = 3 * 3600.0  # there too
SUPPORT_BURSTS: Final = 5  # there too
SUPPORT_SECONDS: Final = 86_400.0
NEVER_SUPPORT: Final = frozenset({31, 45})  # there too
CONSEQUENCE_SECONDS: Final = 180.0  # a 45 this long after another XID follows from it
CONFIDENCE: Final = 0.95  # the driver said so
_CLEANUP, _SMOOTHING_BACK, _SMOOTHING_OFF = 45, 162, 163

_ADVICE: Final = {
    Action.IGNORE: "Nothing needs to be done.",
    Action.RESTART_APPLICATION: "Restart the application if it ended; look into its own log first.",
    Action.RESTART_FABRIC_MANAGER: "Alone it asks for a restart of the fabric manager (systemctl restart"
    " nvidia-fabricmanager) once the node is free.",
    Action.RESET_DEVICE: "End what runs on it and reset it (nvidia-smi --gpu-reset -i INDEX); keep new work off"
    " until then.",
    Action.RESTART_NODE: "Drain the node and restart it.",
    Action.CHECK_POWER_CABLES: "Drain the node and check the auxiliary power cables of the board.",
    Action.INSPECT: "Keep new work off it and read the whole line in the kernel log (dmesg -T | grep -i xid).",
    Action.READ_RECOVERY_ACTION: "Read what the driver asks for (accel_recovery_action, nvidia-smi -q) and the line"
    " in the kernel log.",
    Action.CONTACT_SUPPORT: "Keep new work off it and contact support.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """One number on one device."""

    entry: Xid
    times: tuple[float, ...]  # of its events, seconds since the epoch, rising

    @property
    def bursts(self) -> int:
        gap = STICKY_GAP_SECONDS if self.entry.number in STICKY else BURST_GAP_SECONDS
        return 1 + sum(later - earlier > gap for earlier, later in zip(self.times, self.times[1:], strict=False))

    @property
    def needs_support(self) -> bool:
        return self.bursts >= SUPPORT_BURSTS and self.entry.number not in NEVER_SUPPORT and self._is_hardware

    @property
    def _is_hardware(self) -> bool:
        return self.entry.blame is Blame.HARDWARE

    @property
    def severity(self) -> Severity:
        return Severity.CRITICAL if self.needs_support else self.entry.severity


class XidEvents:
    """Names devices on which the driver met an error, with what the error asks for."""

    name = "xid"

    def __init__(self, catalog: Mapping[int, Xid] = CATALOG) -> None:
        self._catalog = catalog

    def detect(self, frame: Frame) -> Detection:
        """Judge every device whose XIDs are counted."""
        numbers = sorted({int(extra[0]) for extra in _channels(frame) if extra[0].isdecimal()})
        is_counted = np.zeros(len(frame.devices), dtype=bool)
        recent: dict[int, list[int]] = {}
        for number in numbers:
            counts, has_recent = _recent(frame, str(number))
            is_counted |= counts
            for row in np.flatnonzero(has_recent).tolist():
                recent.setdefault(row, []).append(number)
        candidates = [
            found for row in recent if (found := self._candidate(frame, row, numbers, recent[row])) is not None
        ]
        what = "devices, for errors that the driver met"
        return detection(
            frame, self.name, what, candidates, is_counted, seconds=WINDOW_SECONDS, needs=(device.XID_EVENTS,)
        )

    def _candidate(self, frame: Frame, row: int, numbers: Sequence[int], recent: Sequence[int]) -> Candidate | None:
        everything = {number: _Seen(entry=entry_of(number, self._catalog), times=times)
                      for number in numbers if (times := _times(frame, row, number))}  # fmt: skip
        told = [
            everything[number] for number in recent if number in everything and not _is_explained(number, everything)
        ]
        if not told:
            return None
        told.sort(key=lambda seen: (-seen.severity.rank, -seen.times[-1]))
        worst = told[0]
        entity = frame.devices.entities[row]
        return on_device(
            frame,
            row,
            FindingKind.XID,
            worst.severity,
            since=worst.times[0] if worst.entry.number in STICKY else _last_burst(worst),
            confidence=CONFIDENCE if worst.entry.blame is not Blame.UNKNOWN else CONFIDENCE / 2,
            evidence=[
                measured(
                    device.XID_EVENTS,
                    float(len(seen.times)),
                    unit="events",
                    labels=f'{{xid="{seen.entry.number}"}}',
                    threshold=1.0,
                    window_seconds=round(frame.now - seen.times[0], 3),
                    samples=seen.bursts,
                )
                for seen in told
            ],
            summary=_summary(device_name(entity), worst, told[1:]),
            remedy=_remedy(worst, entity.index),
        )


def _channels(frame: Frame) -> list[tuple[str, ...]]:
    return [*frame.channels(device.XID_EVENTS), *frame.channels(device.XID_LAST)]


def _recent(frame: Frame, xid: str) -> tuple[Mask, Mask]:
    """Devices on which a number is counted, and on which it happened of late."""
    rates = frame.values(device.XID_EVENTS, xid, seconds=WINDOW_SECONDS)
    has_grown = happened(rates)
    is_counted = np.isfinite(rates[:, -columns_of(frame, 60.0) :]).any(axis=1)
    if frame.has(device.XID_LAST, xid):
        age = frame.latest(device.XID_LAST, xid)
        has_grown |= age < WINDOW_SECONDS
        is_counted |= np.isfinite(age)
    return is_counted | has_grown, has_grown


def _times(frame: Frame, row: int, number: int) -> tuple[float, ...]:
    """When a number happened, from the growth of its counter and from its last time, which tells the first one too."""
    middle = frame.time_ms / 1000.0 - frame.step_seconds / 2
    rates = frame.values(device.XID_EVENTS, str(number))[row]
    found = [float(time) for time in middle[rates > 0]]
    if frame.has(device.XID_LAST, str(number)):
        age = frame.values(device.XID_LAST, str(number))[row].astype(np.float64)
        dated = (middle - age)[np.isfinite(age)]
        found += [float(time) for time in dated if time > middle[0] - SUPPORT_SECONDS]
    distinct: list[float] = []
    for time in sorted(found):
        if not distinct or time - distinct[-1] > 1.5 * frame.step_seconds:
            distinct.append(time)
    return tuple(distinct)


def _is_explained(number: int, everything: Mapping[int, _Seen]) -> bool:
    """Whether another number says why, or takes it back."""
    last = everything[number].times[-1]
    if number == _CLEANUP:
        others = (seen for other, seen in everything.items() if other != _CLEANUP)
        return any(
            -BURST_GAP_SECONDS / 6 <= last - time <= CONSEQUENCE_SECONDS for seen in others for time in seen.times
        )
    if number == _SMOOTHING_OFF:
        return _SMOOTHING_BACK in everything and everything[_SMOOTHING_BACK].times[-1] >= last
    return False


def _last_burst(seen: _Seen) -> float:
    start = seen.times[-1]
    for time in reversed(seen.times):
        if start - time > BURST_GAP_SECONDS:
            break
        start = time
    return start


def _summary(name: str, worst: _Seen, others: Sequence[_Seen]) -> str:
    entry = worst.entry
    when = f"at {clock(worst.times[-1])}"
    times = when if worst.bursts == 1 else f"{count(worst.bursts, 'burst')}, the last {when}"
    who = {
        Blame.APPLICATION: ", most likely the application's doing",
        Blame.INFORMATIONAL: ", for information",
    }.get(entry.blame, "")
    also = f"; also XID {', '.join(str(seen.entry.number) for seen in others)}" if others else ""
    return f"{name}: XID {entry.number} ({entry.meaning}){who}, {times}{also}."


def _remedy(worst: _Seen, index: int) -> str:
    return " ".join(_remedy_parts(worst)).replace("INDEX", str(index))


def _remedy_parts(worst: _Seen) -> Iterator[str]:
    if worst.needs_support:
        yield f"{worst.bursts} bursts: a reset alone will not do. Take it out of service and contact support."
    yield _ADVICE[worst.entry.action]
    if worst.entry.then:
        yield worst.entry.then
    if worst.entry.disagreement:
        yield f"(Source: {worst.entry.source}; {worst.entry.disagreement}.)"
