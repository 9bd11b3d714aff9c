"""Devices that no longer answer, as the agent on their node says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.places import device_scope
from warpgauge.analyzer.detection.windows import onset_times
from warpgauge.analyzer.detection.wording import device_name
from warpgauge.analyzer.frame import channel
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Impact, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from warpgauge.analyzer.detection.windows import Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Signal

__all__ = ["DeviceState"]

WINDOW_SECONDS: Final = 60.0
_ALL: Final = slice(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fault:
    """What a state means: after how many columns in a row it is believed, and what is to be done."""

    state: str
    kind: FindingKind
    columns: int
    words: str
    remedy: str

    @property
    def signal(self) -> Signal:
        """1 while a device is in the state."""
        return channel(device.DEVICE_STATE, self.state)


FAULTS: Final = (
    _Fault(
        state="lost",
        kind=FindingKind.DEVICE_LOST,
        columns=1,
        words="fell off the bus",
        remedy="Drain the node and restart it. If the device is lost again, have power, riser and seat inspected.",
    ),
    _Fault(
        state="needs_reset",
        kind=FindingKind.DEVICE_LOST,
        columns=1,
        words="refuses work until it is reset",
        remedy="End what runs on it and reset it (nvidia-smi --gpu-reset -i INDEX), or restart the node.",
    ),
    _Fault(
        state="hung",
        kind=FindingKind.DEVICE_HUNG,
        columns=2,  # one missed deadline is a hiccup
        words="does not answer its driver",
        remedy="Look into the kernel log for XID lines; end what runs on it and reset it. If the reset hangs as well,"
        " restart the node.",
    ),
)


class DeviceState:
    """Names devices that are lost, hung or wait for a reset."""

    name = "device_state"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device whose state is reported."""
        is_known = _is_known(frame)
        found = tuple(one for fault in FAULTS for one in _candidates(frame, fault, _showing(frame, fault)))
        unknown = int((~is_known).sum())
        what = "devices, for whether they answer"
        return Detection(
            candidates=found,
            judged=Judgement(
                detector=self.name, what=what, entities=int(is_known.sum()), window_seconds=frame.step_seconds
            )
            if is_known.any()
            else None,
            not_judged=(
                NotJudged(
                    detector=self.name,
                    what="whether devices answer",
                    why="nothing reports their state",
                    missing=(device.DEVICE_STATE.name,),
                    entities=unknown,
                ),
            )
            if unknown
            else (),
        )


def _is_known(frame: Frame) -> Mask:
    """[device], whether any of the states was told of it; those of which none was that says "ok" are few."""
    is_known = _is_told(frame, "ok")
    silent = np.flatnonzero(~is_known)
    for fault in FAULTS if len(silent) else ():
        is_known[silent] |= _is_told(frame, fault.state, silent)
    return is_known


def _is_told(frame: Frame, state: str, rows: slice | NDArray[np.int64] = _ALL) -> Mask:
    values = frame.values(device.DEVICE_STATE, state, seconds=WINDOW_SECONDS, rows=rows)
    return np.asarray(np.isfinite(values).any(axis=1))


def _showing(frame: Frame, fault: _Fault) -> NDArray[np.int64]:
    """Rows of the devices that are in a state; most never were in the whole window."""
    suspects = np.flatnonzero(frame.window(fault.signal, WINDOW_SECONDS).peak == 1)
    recent = frame.values(device.DEVICE_STATE, fault.state, seconds=WINDOW_SECONDS, rows=suspects)
    is_there = np.isfinite(recent)
    # The newest readings, gaps left out: position 1 is the newest.
    position = np.cumsum(is_there[:, ::-1], axis=1)[:, ::-1]
    newest = is_there & (position <= fault.columns)
    shows = (newest.sum(axis=1) == fault.columns) & ~(newest & (recent != 1)).any(axis=1)
    return np.asarray(suspects[shows])


def _candidates(frame: Frame, fault: _Fault, rows: NDArray[np.int64]) -> Iterator[Candidate]:
    if not len(rows):
        return
    history = frame.values(device.DEVICE_STATE, fault.state, rows=rows)
    since, shown = onset_times(frame, history - np.float32(0.5)).tolist(), (history == 1).sum(axis=1).tolist()
    for at, row in enumerate(rows.tolist()):
        yield _candidate(frame, row, fault, since[at], shown[at])


def _candidate(frame: Frame, row: int, fault: _Fault, since: float, shown: int) -> Candidate:
    entity = frame.devices.entities[row]
    seconds = frame.now - since
    scope = device_scope(frame, row)
    holds = f"; job {scope.job_id} holds it" if scope.job_id else ""
    return Candidate(
        kind=fault.kind,
        scope=scope,
        severity=Severity.CRITICAL,
        since=since,
        confidence=0.99,
        evidence=(
            measured(
                device.DEVICE_STATE,
                1.0,
                unit=fault.state,
                window_seconds=seconds,
                samples=shown,
            ),
        ),
        summary=f"{device_name(entity)} {fault.words}{holds}.",
        remedy=fault.remedy.replace("INDEX", str(entity.index)),
        impact=Impact(lost_device_seconds=round(seconds, 1), method="time without the device since the onset")
        if scope.job_id
        else None,
        simulated=entity.simulated,
    )
