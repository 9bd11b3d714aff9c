"""Error counters that creep: no ten minutes are remarkable, the whole window is, beside what the fleet counts.

A device or link may err a little all its life. How much that differs over a fleet is a Gamma distribution, estimated
from the middle of the fleet's own counts (method of moments); given it, a count is negative binomial, and the finding
needs one that such a fleet makes next to impossible, ten times its rate, and errors in several parts of the window: a
burst is somebody else's. Looked at every five minutes, because nothing here is a matter of seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Detection, Judgement
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.wording import count, device_name, span, times
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.health.ecc import tail_probability
from warpgauge.analyzer.health.judging import on_device, start_of
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from warpgauge.analyzer.detection import Candidate
    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.catalog import Metric

    Doubles = NDArray[np.float64]

__all__ = ["CounterDrift", "Prior", "prior_of"]

WINDOW_SECONDS: Final = 3600.0
LOOK_SECONDS: Final = 300.0
PART_SECONDS: Final = 600.0
LEAST_PARTS: Final = 3  # of the window that saw an error
LEAST_COVERAGE: Final = 0.5
LEAST_MEMBERS: Final = 8  # fewer counters are no fleet
LEAST_ERRORS: Final = 10.0
RAISE_RATIO: Final = 10.0
LARGEST_CHANCE: Final = 1e-6
LEAST_RATE: Final = 1e-6  # errors per second: one in twelve days
LEAST_SHAPE: Final = 0.5  # the prior of Jeffreys: as much as a fleet that never erred tells
MOST_SHAPE: Final = 50.0
MOST_CANDIDATES: Final = 50
CONFIDENCE: Final = 0.6
_MIDDLE: Final = 0.75


@dataclass(frozen=True, slots=True)
class Prior:
    """Rates over a fleet: Gamma with this shape and mean, in errors per second."""

    shape: float
    mean: float

    def chance(self, errors: int, seconds: float) -> float:
        """Of at least so many errors in so much time, by any member of such a fleet."""
        time = self.shape / self.mean
        return tail_probability(errors, shape=self.shape, share=seconds / (time + seconds))


def prior_of(errors: Doubles, seconds: Doubles) -> Prior:
    """The prior that counts of a fleet tell; the quarter that errs most is left out of it."""
    rates = errors / seconds
    middle = np.argsort(rates, kind="stable")[: max(round(_MIDDLE * len(rates)), 1)]
    mean = max(float(errors[middle].sum() / seconds[middle].sum()), LEAST_RATE)
    expected = mean * float(seconds[middle].mean())
    surplus = float(errors[middle].var()) - expected  # beyond what a Poisson process has
    shape = expected * expected / surplus if surplus > 0 else MOST_SHAPE
    return Prior(float(np.clip(shape, LEAST_SHAPE, MOST_SHAPE)) if errors[middle].any() else LEAST_SHAPE, mean)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counter:
    """A sort of counter; channels with the same name of a link are one."""

    kind: FindingKind
    metric: Metric
    channels: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]  # what it is of, and its channels
    what: str
    look: str


class CounterDrift:
    """Names devices whose memory or links err slowly but far more than those of the fleet."""

    name = "counter_drift"

    def detect(self, frame: Frame) -> Detection:
        """Judge every counter that was watched for half of the window."""
        return frame.once("counter drift", lambda: self._look(frame), int(frame.now // LOOK_SECONDS))

    def _look(self, frame: Frame) -> Detection:
        candidates: list[Candidate] = []
        judged = 0
        for counter in _counters(frame):
            found, members = _of_counter(frame, counter)
            candidates += found
            judged += members
        what = "counters of memory and link errors, for rates that creep"
        judgement = Judgement(detector=self.name, what=what, entities=judged, window_seconds=WINDOW_SECONDS)
        return Detection(candidates=tuple(candidates), judged=judgement if judged else None)


def _counters(frame: Frame) -> Iterator[_Counter]:
    persistence = next((one for one in ("volatile", "aggregate") if frame.has(device.ECC_ERRORS, "corrected", one)), "")
    if persistence:
        yield _Counter(
            kind=FindingKind.ECC_DEGRADATION,
            metric=device.ECC_ERRORS,
            channels=(("", (("corrected", persistence),)),),
            what="corrected memory error",
            look="Nothing is lost. Look at accel_memory_rows_remapped; if the rate goes on rising over days, run a"
            " memory test when the device is free and have it watched.",
        )
    links: dict[str, list[tuple[str, ...]]] = {}
    for extra in frame.channels(device.LINK_ERRORS):
        links.setdefault(extra[0], []).append(extra)
    if links:
        yield _Counter(
            kind=FindingKind.LINK_ERRORS,
            metric=device.LINK_ERRORS,
            channels=tuple((link, tuple(extras)) for link, extras in links.items()),
            what="error",
            look="Look at both ends of the link (nvidia-smi nvlink -e; the switch's counters) and at the cable at the"
            " next service; nothing is urgent.",
        )


def _of_counter(frame: Frame, counter: _Counter) -> tuple[list[Candidate], int]:
    """Candidates, and how many counters were judged."""
    read = [_errors(frame, counter.metric, extras) for _, extras in counter.channels]
    errors, seconds = np.array([one[0] for one in read]), np.array([one[1] for one in read])
    is_known = seconds >= LEAST_COVERAGE * min(WINDOW_SECONDS, frame.columns * frame.step_seconds)
    members = int(np.count_nonzero(is_known))
    if members < LEAST_MEMBERS:
        return [], 0
    prior = prior_of(errors[is_known], seconds[is_known])
    is_odd = is_known & (errors >= LEAST_ERRORS) & (errors >= RAISE_RATIO * prior.mean * seconds)
    places = sorted(zip(*np.nonzero(is_odd), strict=True), key=lambda at: -errors[at])[:MOST_CANDIDATES]
    made = (
        _candidate(frame, counter, at, row, float(errors[at, row]), float(seconds[at, row]), prior)
        for at, row in places
    )
    return [one for one in made if one is not None], members


def _errors(frame: Frame, metric: Metric, extras: tuple[tuple[str, ...], ...]) -> tuple[Doubles, Doubles]:
    """Errors of each device in the window, and the seconds in which they were counted."""
    errors, columns = np.zeros(len(frame.devices)), np.zeros(len(frame.devices))
    for extra in extras:
        window = frame.window(channel(metric, *extra), WINDOW_SECONDS)
        errors += window.total * frame.step_seconds
        columns = np.maximum(columns, window.count)
    return errors, columns * frame.step_seconds


def _candidate(  # noqa: PLR0913, PLR0917 - what was counted and what with
    frame: Frame, counter: _Counter, at: int, row: int, errors: float, seconds: float, prior: Prior
) -> Candidate | None:
    name, extras = counter.channels[at]
    chance = prior.chance(round(errors), seconds)
    rates = np.nansum(
        [frame.values(counter.metric, *extra, seconds=WINDOW_SECONDS, rows=[row])[0] for extra in extras], 0
    )
    seen = np.flatnonzero(rates > 0)
    parts = np.unique(seen * frame.step_seconds // PART_SECONDS)
    if chance > LARGEST_CHANCE or len(parts) < LEAST_PARTS:
        return None
    usual, link = prior.mean * seconds, f" of NVLink {name}" if name else ""
    since = start_of(frame, frame.columns - len(rates) + int(seen[0]))
    found = on_device(
        frame,
        int(row),
        counter.kind,
        Severity.INFO,
        since=since,
        confidence=CONFIDENCE,
        evidence=[
            measured(
                counter.metric,
                errors,
                unit="errors",
                labels=f'{{link="{name}"}}' if name else '{severity="corrected"}',
                baseline=usual,
                threshold=max(LEAST_ERRORS, RAISE_RATIO * usual),
                window_seconds=seconds,
            )
        ],
        summary=f"{device_name(frame.devices.entities[row])}: {count(round(errors), counter.what)}{link} in the last"
        f" {span(seconds)}, never many at once but {times(errors / usual)} the fleet's rate.",
        remedy=counter.look,
    )
    return replace(found, chance=chance)
