"""Device memory whose errors come faster than before, or can no longer be corrected.

An uncorrected error counts at once. Corrected ones are normal now and then, so their rate of the last ten minutes is
held against the device's own past, with the fleet's rate as a Gamma prior: the finding needs a count that such a past
makes next to impossible (negative binomial tail) and a tenfold rate, and a device without a past is judged by the
fleet's (the case of NVSentinel#1748, where decay over days was never reported, is the reason for looking at rates).
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, lgamma, log
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.wording import count, device_name, span, times
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.health.judging import columns_of, detection, increase, on_device, start_of
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from warpgauge.analyzer.detection import Candidate, Detection
    from warpgauge.analyzer.detection.windows import Array, Mask
    from warpgauge.analyzer.frame import Frame

__all__ = ["EccDegradation", "tail_probability"]

WINDOW_SECONDS: Final = 600.0
UNCORRECTED_SECONDS: Final = 1800.0  # an uncorrected error is told this long
LEAST_ERRORS: Final = 10
RAISE_RATIO: Final = 10.0
HOLD_RATIO: Final = 5.0
LARGEST_CHANCE: Final = 1e-6  # per device and tick: 10,000 devices raise by chance once in a century of hours
PRIOR_SECONDS: Final = 600.0  # of the fleet's rate: it weighs as much as so much past of one's own
LEAST_FLEET_RATE: Final = 1e-6  # errors per second and device: one in twelve days
CONFIDENCE_UNCORRECTED: Final = 0.99
_KINDS: Final = ("volatile", "aggregate")


class EccDegradation:
    """Names devices whose memory decays."""

    name = "ecc_degradation"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device whose ECC errors are counted."""
        corrected = _counted(frame, "corrected")
        is_judged = _is_known(frame)
        uncorrected = np.fmax.reduce(
            [increase(frame, device.ECC_ERRORS, "uncorrected", kind, seconds=UNCORRECTED_SECONDS) for kind in _KINDS]
        )
        broken = np.flatnonzero(uncorrected >= 1)
        candidates = [_uncorrected(frame, int(row), float(uncorrected[row])) for row in broken]
        candidates += _decaying(frame, corrected, set(broken.tolist()))
        what = "devices, for memory errors"
        return detection(
            frame, self.name, what, candidates, is_judged, seconds=WINDOW_SECONDS, needs=(device.ECC_ERRORS,)
        )


def _is_known(frame: Frame) -> Mask:
    is_known = np.zeros(len(frame.devices), dtype=bool)
    for kind in _KINDS:
        if frame.has(device.ECC_ERRORS, "uncorrected", kind):
            is_known |= frame.window(channel(device.ECC_ERRORS, "uncorrected", kind), WINDOW_SECONDS).count > 0
    return is_known


def _counted(frame: Frame, severity: str) -> str:
    """The persistence that is counted; both count the same events while the driver is loaded."""
    return next((kind for kind in _KINDS if frame.has(device.ECC_ERRORS, severity, kind)), _KINDS[0])


def _decaying(frame: Frame, persistence: str, named: set[int]) -> list[Candidate]:
    recent = increase(frame, device.ECC_ERRORS, "corrected", persistence, seconds=WINDOW_SECONDS)
    rows = [row for row in np.flatnonzero(recent >= LEAST_ERRORS).tolist() if row not in named]
    if not rows:
        return []
    rates = frame.values(device.ECC_ERRORS, "corrected", persistence)
    columns = columns_of(frame, WINDOW_SECONDS)
    fleet = _fleet_rate(rates[:, :-columns], frame.step_seconds)
    found = [_decay(frame, row, float(recent[row]), rates[row], fleet) for row in rows]
    return [candidate for candidate in found if candidate is not None]


def _fleet_rate(past: Array, step_seconds: float) -> float:
    """Errors per second and device before the window, in the middle three quarters of the fleet."""
    known = np.isfinite(past)
    seconds = known.sum(axis=1) * step_seconds
    own = np.sort(np.where(known, past, 0.0).sum(axis=1)[seconds > 0] * step_seconds / seconds[seconds > 0])
    sound = own[: max(round(0.75 * len(own)), 1)]
    return max(float(sound.mean()) if len(sound) else 0.0, LEAST_FLEET_RATE)


def _decay(frame: Frame, row: int, errors: float, rates: Array, fleet: float) -> Candidate | None:
    columns = columns_of(frame, WINDOW_SECONDS)
    before, seconds = _usual_past(rates[:-columns], columns, frame.step_seconds)
    shape, time = PRIOR_SECONDS * fleet + before, PRIOR_SECONDS + seconds
    usual = shape / time * WINDOW_SECONDS
    ratio = errors / usual
    chance = tail_probability(int(errors), shape=shape, share=WINDOW_SECONDS / (time + WINDOW_SECONDS))
    if ratio < HOLD_RATIO or chance > LARGEST_CHANCE:
        return None
    began = np.flatnonzero(rates[-columns:] > 0)
    since = start_of(frame, len(rates) - columns + int(began[0]))
    name = device_name(frame.devices.entities[row])
    found = on_device(
        frame,
        row,
        FindingKind.ECC_DEGRADATION,
        Severity.WARNING,
        since=since,
        confidence=round(min(0.99, 0.5 + 0.49 * min(ratio / (4 * RAISE_RATIO), 1.0)), 3),
        evidence=[
            measured(
                device.ECC_ERRORS,
                errors,
                unit="errors",
                labels='{severity="corrected"}',
                baseline=usual,
                threshold=RAISE_RATIO * usual,
                window_seconds=WINDOW_SECONDS,
                samples=int(np.isfinite(rates[-columns:]).sum()),
            )
        ],
        summary=f"{name}: {count(round(errors), 'corrected memory error')} in the last {span(WINDOW_SECONDS)},"
        f" {times(ratio)} as many as its own past and the fleet's let expect.",
        remedy="Nothing is lost yet. Look at accel_memory_rows_remapped and accel_ecc_location_errors_total; when"
        " its work"
        " is done, reset the device so that remaps take effect, and run a memory test before long jobs return.",
        raises=ratio >= RAISE_RATIO,
    )
    return replace(found, chance=chance)


def _usual_past(past: Array, columns: int, step_seconds: float) -> tuple[float, float]:
    """Errors and seconds of one's own past, had all of it been like its middle part: decay may have begun there."""
    parts = [past[end - columns : end] for end in range(len(past), columns - 1, -columns)]
    known = [part[np.isfinite(part)] for part in parts if np.isfinite(part).any()]
    if not known:
        return 0.0, 0.0
    seconds = float(sum(len(part) for part in known)) * step_seconds
    return float(np.median([part.mean() for part in known])) * seconds, seconds


def tail_probability(errors: int, *, shape: float, share: float) -> float:
    """Chance of at least so many errors, negative binomial: rate ~ Gamma(shape), `share` = window / (past + window)."""
    if errors <= 0:
        return 1.0
    terms, at = 0.0, errors
    while True:
        term = exp(lgamma(shape + at) - lgamma(shape) - lgamma(at + 1) + at * log(share) + shape * log(1 - share))
        terms += term
        at += 1
        if term <= 1e-12 * terms or at > errors + 100_000:
            return min(terms, 1.0)


def _uncorrected(frame: Frame, row: int, errors: float) -> Candidate:
    rates = np.fmax(*(frame.values(device.ECC_ERRORS, "uncorrected", kind)[row] for kind in _KINDS))
    since = start_of(frame, int(np.flatnonzero(rates > 0)[0]))
    name, index = device_name(frame.devices.entities[row]), frame.devices.entities[row].index
    return on_device(
        frame,
        row,
        FindingKind.ECC_DEGRADATION,
        Severity.CRITICAL,
        since=since,
        confidence=CONFIDENCE_UNCORRECTED,
        evidence=[
            measured(
                device.ECC_ERRORS,
                errors,
                unit="errors",
                labels='{severity="uncorrected"}',
                baseline=0.0,
                threshold=1.0,
                window_seconds=UNCORRECTED_SECONDS,
            )
        ],
        summary=f"{name}: {count(round(errors), 'memory error')} could not be corrected: what ran on it may be"
        " wrong or gone.",
        remedy=f"End what runs on it and reset it (nvidia-smi --gpu-reset -i {index}) so that the row is remapped;"
        " if it comes back, have the board replaced. Do not trust results computed on it since then.",
    )
