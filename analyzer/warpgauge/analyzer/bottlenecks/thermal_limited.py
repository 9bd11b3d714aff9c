"""A device whose clocks are held down by its temperature.

A thermal reason alone is a bit that flickers; it becomes a finding when it holds for a share of the window *and* the
clock is really lower than that of comparable devices. `sw_power_cap` alone is normal operation (Azure/azurehpc#595).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, Strength
from warpgauge.analyzer.detection.activity import read_activity
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.places import device_scope, model_numbers
from warpgauge.analyzer.detection.slowdown import job_slowdown
from warpgauge.analyzer.detection.windows import Array, Mask, columns_in, confidence, median, onset_time, ratio
from warpgauge.analyzer.detection.wording import device_name, gigahertz, percent, span
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.frame.rolling import Picked, Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device
from warpgauge.core.finding import Evidence, FindingKind, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats, Ints

__all__ = ["ThermalLimited", "ThermalReading", "clock_signal", "read_thermal", "sm_clock"]

THERMAL_REASONS: Final = ("sw_thermal", "hw_thermal", "hw_slowdown")
WINDOW_SECONDS: Final = 300.0
RAISE_SHARE: Final = 0.10  # of the window: three polls of ten seconds in five minutes
HOLD_SHARE: Final = 0.05
RAISE_CLOCK_RATIO: Final = 0.90  # minimum effect: a tenth of the clock
HOLD_CLOCK_RATIO: Final = 0.95
CRITICAL_CLOCK_RATIO: Final = 0.60
LOWEST_CLOCK_RATIO: Final = 0.05  # below, the estimate of the cost means nothing any more
LEAST_PEERS: Final = 3
LEAST_COVERAGE: Final = 0.5
BUSY: Final = 0.05  # clocks of idle devices say nothing about heat
WORKING: Final = 0.8  # whoever rests in between runs slower than those elsewhere, or than before, without any heat

_TEMPERATURE: Final = channel(device.TEMPERATURE, "core")
_SM_CLOCK: Final = channel(device.CLOCK, "sm")
_GRAPHICS_CLOCK: Final = channel(device.CLOCK, "graphics")


@dataclass(frozen=True, kw_only=True)
class ThermalReading:
    """Per device: how long heat held its clocks down in the window, its clock, and the clock it should have."""

    share: Array  # [device], of the window
    covered: Array  # [device], share of the window in which a reason was measured
    clock_hertz: Array  # [device], mean of the window
    reference_hertz: Array  # [device], what peers run at, or the device's own maximum; NaN where no heat is to be told
    has_peers: Mask  # [device], whether the reference comes from peers

    @cached_property
    def clock_ratio(self) -> Array:
        """Clock as a share of the reference."""
        return ratio(self.clock_hertz, self.reference_hertz)

    @cached_property
    def is_limited(self) -> Mask:
        """Devices past the clear threshold: a slow rank on one of these has a named cause."""
        return np.asarray((self.share >= HOLD_SHARE) & (self.clock_ratio < HOLD_CLOCK_RATIO))


def read_thermal(frame: Frame) -> ThermalReading:
    """Read bits, seconds and clocks of all devices; what a clock should be only for those that are throttled."""
    return frame.once("thermal reading", lambda: _read_thermal(frame))


def _read_thermal(frame: Frame) -> ThermalReading:
    throttled = frame.window(THROTTLED, WINDOW_SECONDS)
    share = np.nan_to_num(throttled.mean)
    clock = frame.window(clock_signal(frame), WINDOW_SECONDS).mean
    reference, has_peers = np.full(len(share), np.nan), np.zeros(len(share), dtype=bool)
    is_hot = share >= HOLD_SHARE
    hot = np.flatnonzero(is_hot)
    if len(hot):
        reference[hot] = frame.latest(device.CLOCK_MAX, "sm", rows=hot)
        activity = read_activity(frame, WINDOW_SECONDS).mean
        may_be_peer = ~is_hot & ~(activity < BUSY) & np.isfinite(clock)  # not measured is not idle
        alone = np.flatnonzero(is_hot & np.isnan(reference) & (activity >= WORKING))
        reference[alone], has_peers[alone] = _from_afar(frame, alone, may_be_peer, clock)
        for row in hot.tolist():
            sound = (peers[may_be_peer[peers]] for peers in _peers(frame, row))
            nearest = next((one for one in sound if len(one) >= LEAST_PEERS), None)
            if nearest is not None:
                reference[row], has_peers[row] = float(median(clock[nearest])), True
    return ThermalReading(
        share=share,
        covered=throttled.coverage,
        clock_hertz=clock,
        reference_hertz=reference,
        has_peers=has_peers,
    )


def _from_afar(frame: Frame, rows: NDArray[np.intp], may_be_peer: Mask, clock: Array) -> tuple[Array, Mask]:
    """What to hold hot devices against whose highest clock nobody tells: the fleet, or else what they once ran at.

    Where a rack's cooling fails, all devices of a job and a node are hot, and dcgm-exporter's default fields lack the
    highest clock. Devices of the model elsewhere that are sound and busy tell it; where all are hot, each one's past.
    """
    models, elsewhere = model_numbers(frame), np.full(len(rows), np.nan)
    for model in np.unique(models[rows]):
        sound = clock[may_be_peer & (models == model)]
        if len(sound) >= LEAST_PEERS:
            elsewhere[models[rows] == model] = np.median(sound)
    before = np.fmax.reduce(sm_clock(frame, rows.tolist()), axis=1, initial=np.nan).astype(np.float64)
    has_peers = np.isfinite(elsewhere)
    return np.where(has_peers, elsewhere, before), has_peers


def _throttled(columns: Columns) -> Floats:
    """Share of each column in which heat held a device's clocks down, 0-1."""
    parts = [np.clip(held, 0, 1) for held in columns.told(device.THROTTLE_SECONDS, THERMAL_REASONS)]
    for reason in THERMAL_REASONS:
        if not columns.has(device.THROTTLE_ACTIVE, reason):
            continue
        bit = columns.of(device.THROTTLE_ACTIVE, reason)
        if reason == "hw_slowdown":  # the driver sets it for a power brake too
            bit = np.where(columns.of(device.THROTTLE_ACTIVE, "hw_power_brake") == 1, np.float32(0), bit)
        parts.append(bit)
    throttled: Floats = np.fmax.reduce(parts)
    return throttled


THROTTLED: Final = Signal("throttled by heat", TableName.DEVICES, _throttled)


def _throttled_of(frame: Frame, row: int) -> Array:
    """[column of the whole frame] of one device."""

    def read(columns: Columns) -> Array:
        return _throttled(Picked(columns, [row]))[:, 0]

    return frame.trace(TableName.DEVICES, ("throttled by heat", row), read)


def clock_signal(frame: Frame) -> Signal:
    """SM clock in hertz; the graphics clock where no SM clock is measured."""
    return _SM_CLOCK if frame.has(device.CLOCK, "sm") else _GRAPHICS_CLOCK


def sm_clock(frame: Frame, rows: Sequence[int] | Ints, seconds: float | None = None) -> Array:
    """SM clock of some devices in hertz, [device, column]; the graphics clock where no SM clock is measured."""
    name = "sm" if frame.has(device.CLOCK, "sm") else "graphics"
    return frame.values(device.CLOCK, name, seconds=seconds, rows=rows)


def _peers(frame: Frame, row: int) -> Iterator[Ints]:
    """Devices of the same model, first those of its job, then those of its node."""
    models, own, key = model_numbers(frame), frame.devices.entities[row], frame.device_job[row]
    if key is not None:
        held = np.array(frame.jobs[key].devices, dtype=np.int64)
        yield held[models[held] == models[row]]
    beside = frame.sites.devices_at((own.cluster, own.node))
    yield beside[models[beside] == models[row]]


class ThermalLimited:
    """Names devices that heat slows down."""

    name = "thermal_limited"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device whose throttle reasons and clock are measured."""
        reading = read_thermal(frame)
        has_reason = reading.covered >= LEAST_COVERAGE
        needs_no_clock = (reading.share < HOLD_SHARE) & np.isfinite(reading.clock_hertz)
        has_clock = np.isfinite(reading.clock_ratio) | needs_no_clock
        judged = has_reason & has_clock
        holds = judged & reading.is_limited
        ratios = reading.clock_ratio
        rows = np.flatnonzero(holds)
        limits = frame.latest(device.TEMPERATURE_LIMIT, "slowdown", rows=rows).tolist()
        found = tuple(
            self._candidate(frame, reading, row, float(ratios[row]), limit)
            for row, limit in zip(rows.tolist(), limits, strict=True)
        )
        return Detection(
            candidates=found,
            judged=Judgement(
                detector=self.name,
                what="devices, for clocks held down by heat",
                entities=int(judged.sum()),
                window_seconds=WINDOW_SECONDS,
            )
            if judged.any()
            else None,
            not_judged=self._not_judged(frame, has_reason, has_clock),
        )

    def _not_judged(self, frame: Frame, has_reason: Mask, has_clock: Mask) -> tuple[NotJudged, ...]:
        lacks = (
            (~has_reason, "no throttle reason was measured for most of the window", device.THROTTLE_ACTIVE.name),
            (has_reason & ~has_clock, "no clock to compare with was measured", device.CLOCK.name),
        )
        return tuple(
            NotJudged(
                detector=self.name,
                what="whether heat slows devices down",
                why=why,
                missing=(metric,),
                entities=int(rows.sum()),
            )
            for rows, why, metric in lacks
            if rows.any() and len(frame.devices)
        )

    def _candidate(
        self, frame: Frame, reading: ThermalReading, row: int, clock_ratio: float, limit: float
    ) -> Candidate:
        share = float(reading.share[row])
        entity = frame.devices.entities[row]
        since = onset_time(frame, _throttled_of(frame, row) - max(HOLD_SHARE, share / 2))
        raises = share >= RAISE_SHARE and clock_ratio < RAISE_CLOCK_RATIO
        lost_speed = 1.0 / max(clock_ratio, LOWEST_CLOCK_RATIO)
        method = "clock against that of its peers" if reading.has_peers[row] else "clock against its highest"
        impact = job_slowdown(frame, row, since, own_ratio=lost_speed, own_method=method)
        return Candidate(
            kind=FindingKind.THERMAL_LIMITED,
            scope=device_scope(frame, row),
            severity=Severity.CRITICAL if clock_ratio < CRITICAL_CLOCK_RATIO else Severity.WARNING,
            since=since,
            confidence=confidence(
                share / RAISE_SHARE - 1,
                (1 - clock_ratio) / (1 - RAISE_CLOCK_RATIO) - 1,
                covered=float(reading.covered[row]),
            ),
            evidence=_evidence(frame, reading, row, limit),
            summary=_summary(frame, reading, row),
            remedy=f"Check the cooling of {device_name(entity)}: fans or pump, dust, air flow, inlet temperature, seat"
            " of the heat sink. Until then keep long jobs off it, or cap its power to stop the throttling.",
            impact=impact,
            simulated=entity.simulated,
            strength=Strength.RAISE if raises else Strength.HOLD,
        )


def _summary(frame: Frame, reading: ThermalReading, row: int) -> str:
    entity = frame.devices.entities[row]
    temperature = _temperature(frame, row)
    heat = "" if np.isnan(temperature) else f" at {temperature:.0f} °C"
    reference = "its peers run at" if reading.has_peers[row] else "its highest clock is"
    return (
        f"{device_name(entity)} is slowed down by heat{heat}: throttled {percent(float(reading.share[row]))} of the"
        f" last {span(WINDOW_SECONDS)}, at {gigahertz(float(reading.clock_hertz[row]))} where {reference}"
        f" {gigahertz(float(reading.reference_hertz[row]))}."
    )


def _temperature(frame: Frame, row: int) -> float:
    return float(frame.window(_TEMPERATURE, WINDOW_SECONDS).mean[row])


def _evidence(frame: Frame, reading: ThermalReading, row: int, limit: float) -> tuple[Evidence, ...]:
    """What shows it; `limit` is the temperature at which the device slows down, NaN if nobody tells."""
    columns = columns_in(frame, WINDOW_SECONDS)
    counted = frame.has(device.THROTTLE_SECONDS, "sw_thermal") or frame.has(device.THROTTLE_SECONDS, "hw_thermal")
    metric = device.THROTTLE_SECONDS if counted else device.THROTTLE_ACTIVE
    rows = [
        measured(
            metric,
            float(reading.share[row]),
            unit="ratio",
            threshold=RAISE_SHARE,
            window_seconds=WINDOW_SECONDS,
            samples=round(float(reading.covered[row]) * columns),
        ),
        measured(
            device.CLOCK,
            float(reading.clock_hertz[row]),
            baseline=float(reading.reference_hertz[row]),
            threshold=float(reading.reference_hertz[row]) * RAISE_CLOCK_RATIO,
            window_seconds=WINDOW_SECONDS,
        ),
    ]
    temperature = _temperature(frame, row)
    if not np.isnan(temperature):
        rows.append(
            measured(
                device.TEMPERATURE,
                temperature,
                threshold=None if np.isnan(limit) else limit,
                window_seconds=WINDOW_SECONDS,
            )
        )
    return tuple(rows)
