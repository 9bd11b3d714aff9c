"""GPM: what the SMs really do, without DCGM, on Hopper and newer.

A value is the average between two samples. An earlier one is kept from an earlier tick, so nothing ever sleeps: the
first tick gives nothing. nvml.h asks for more than 100 ms between samples.

What costs the driver next to nothing is asked for at each reading, the rest once an interval, with two samples that lie
so far apart: in between the last answer stands.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field
from time import thread_time
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.nvml_api import CallFailedError, Verdict
from warpgauge.exporters.collectors.nvml_gpm_metrics import ASKED
from warpgauge.exporters.collectors.nvml_gpm_question import GpmAnswer, GpmQuestion

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.core.clock import Clock
    from warpgauge.exporters.collectors.activity_time import ActivityTime
    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Reading
    from warpgauge.exporters.collectors.nvml_gpm_metrics import Asked
    from warpgauge.exporters.collectors.nvml_gpm_question import GpmColumns

__all__ = ["Gpm", "GpmPace"]

_SHORTEST_SECONDS: Final = 0.1
_EARLY_SECONDS: Final = 0.05  # that a tick may come before its time and still count
_LONGEST_SECONDS: Final = 600.0  # an average over more than this says nothing about now
_DEAR_SECONDS: Final = 0.5e-3  # of CPU for one answer: seven times what the quick one took on an H100


@dataclass(eq=False, slots=True)
class _Sample:
    """The counts of one moment, in memory that the driver lent."""

    handle: Any
    seconds: float = 0.0  # monotonic, when it was filled


@dataclass(eq=False, slots=True)
class _Round:
    """Metrics that are asked for together, and since when they are not answered."""

    question: GpmQuestion
    asked: tuple[Asked, ...]  # without what this device was found not to support
    every: float  # seconds between two answers
    since: _Sample | None = None  # the older sample of the next answer
    is_dear: bool = False  # the last answer was
    readings: list[Reading] | None = None  # the last answer
    worked: set[int] = field(default_factory=set)  # ids of shy metrics that were ever more than 0: of this board then

    @property
    def ids(self) -> list[int]:
        """Of what is asked for."""
        return [asked.id for asked in self.asked]

    def is_due(self, now: float) -> bool:
        """The first answer does not keep anybody waiting; a device that supports none of it is not asked."""
        if self.since is None or not self.asked:
            return bool(self.asked)
        wait = _SHORTEST_SECONDS if self.readings is None else self.every - _EARLY_SECONDS
        return now - self.since.seconds >= max(wait, _SHORTEST_SECONDS)


@dataclass(frozen=True, slots=True)
class GpmPace:
    """When GPM is asked: `every` so many seconds for what is asked for seldom, by default at each reading."""

    clock: Clock
    every: float = 0.0
    spent: Callable[[], float] = thread_time  # this thread's CPU time in seconds


class Gpm:
    """The GPM samples of one device, or of one of its GPU instances: `fill` writes the present counts into a sample."""

    def __init__(
        self, api: NvmlApi, fill: Callable[[Any], object], pace: GpmPace, times: ActivityTime | None = None
    ) -> None:
        """`times` is told what was answered at each reading."""
        self._api = api
        self._fill = fill
        self._pace = pace
        self._times = times
        quick, seldom = (tuple(it for it in ASKED if it.is_seldom is seldom) for seldom in (False, True))
        self._quick = _Round(GpmQuestion(api), quick, 0.0)
        self._rounds = (self._quick, _Round(GpmQuestion(api), seldom, pace.every))
        self._newest: _Sample | None = None
        self._before: _Sample | None = None  # the one before the newest
        self._spare: list[_Sample] = []

    @classmethod
    def of(cls, api: NvmlApi, handle: Any, pace: GpmPace, times: ActivityTime | None = None) -> Gpm | None:  # noqa: ANN401 - an opaque pointer
        """The reader of a device that supports GPM, None for any other."""
        try:
            supported = bool(api.call("nvmlGpmQueryDeviceSupport", handle).isSupportedDevice)
        except CallFailedError as failure:
            if failure.verdict in {Verdict.LOST, Verdict.NEEDS_RESET, Verdict.DRIVER}:
                raise
            return None
        if not supported:
            return None
        return cls(api, lambda sample: api.direct("nvmlGpmSampleGet", handle, sample), pace, times)

    def read(self) -> list[Reading]:
        """Averages of the last interval; empty at first, and when the interval was too long.

        Raises:
            CallFailedError: the driver gave no sample, or no answer.

        """
        now = self._pace.clock.monotonic()
        due = [one for one in self._rounds if one.is_due(now)]
        if due:
            sample = self._take(now)
            for one in due:
                self._answer(one, sample)
        return [reading for one in self._rounds for reading in one.readings or ()]

    @property
    def pair(self) -> tuple[Any, Any] | None:
        """The last two samples, the older one first; None until there are two."""
        if self._before is None or self._newest is None:
            return None
        return self._before.handle, self._newest.handle

    def _take(self, now: float) -> _Sample:
        """A sample of now, in the place of one that nobody needs any more."""
        gone, self._before = self._before, None
        if gone is not None and gone not in self._kept():
            self._spare.append(gone)
        if not self._spare:
            self._spare.append(_Sample(self._api.call("nvmlGpmSampleAlloc")))
        sample = self._spare[-1]
        self._fill(sample.handle)
        self._spare.pop()
        sample.seconds = now
        self._before, self._newest = self._newest, sample
        return sample

    def _answer(self, one: _Round, sample: _Sample) -> None:
        since, one.since = one.since, sample
        if since is None:
            return
        begun, one.readings = self._pace.spent(), None
        is_too_long = sample.seconds - since.seconds > _LONGEST_SECONDS
        try:
            one.readings = [] if is_too_long else self._between(one, since, sample)
        finally:
            if since not in self._kept():
                self._spare.append(since)
        if one is self._quick:
            self._weigh(one, self._pace.spent() - begun)
            if self._times is not None:
                self._times.add(one.readings, since.seconds, sample.seconds)

    def _weigh(self, one: _Round, seconds: float) -> None:
        """On a driver that takes long for the quick ones too they rest as the others do, until it does not.

        One dear answer says nothing: the first about the memory's bandwidth took 2 to 3 ms on an H100 and an H200.
        """
        was_dear, one.is_dear = one.is_dear, seconds > _DEAR_SECONDS
        one.every = self._pace.every if was_dear and one.is_dear else 0.0

    def _between(self, one: _Round, first: _Sample, second: _Sample) -> list[Reading]:
        answers = one.question.columns(first.handle, second.handle, one.ids)
        codes, values, names, _ = answers
        is_usual = not any(codes) and (all(names) or not any(names)) and math.isfinite(sum(values))
        told = zip(one.asked, values, strict=True) if is_usual else self._told(one, answers)
        readings: list[Reading] = []
        for (number, metric, labels, factor, most, _, is_shy), value in told:
            if is_shy and value > 0.0:
                one.worked.add(number)
            if not is_shy or number in one.worked:
                in_base_units = value * factor
                within = in_base_units if 0.0 <= in_base_units <= most else _within(in_base_units, most)
                readings.append((metric, labels, within))
        return readings

    def _told(self, one: _Round, columns: GpmColumns) -> list[tuple[Asked, float]]:
        """What was answered among much that was not; what the device lacks is not asked for again."""
        answers = [GpmAnswer(*answer) for answer in zip(*columns, strict=True)]
        is_named = any(answer.name_at for answer in answers)
        both = list(zip(one.asked, answers, strict=True))
        lacking = {asked.id for asked, answer in both if self._is_lacking(answer, is_named=is_named)}
        if lacking:
            one.asked = tuple(asked for asked in one.asked if asked.id not in lacking)
        return [
            (asked, answer.value)
            for asked, answer in both
            if asked.id not in lacking and answer.code == 0 and math.isfinite(answer.value)
        ]

    def _is_lacking(self, answer: GpmAnswer, *, is_named: bool) -> bool:
        """Whether the device does not support a metric, so that it is not asked for again.

        Each has a return code of its own. Of one that it does not know the driver says 0 and success (580.159: DMMA,
        and ids that nvml.h does not name), but gives it no name; nvml.h: "can be NULL if not defined".
        """
        if answer.code:
            return self._api.failure(answer.code, "nvmlGpmMetricsGet").verdict is Verdict.UNSUPPORTED
        return is_named and not answer.name_at

    def close(self) -> None:
        """Free every sample; nvml.h wants that before the shutdown."""
        held = {id(one): one for one in (*self._spare, *self._kept()) if one is not None}
        self._newest = self._before = None
        self._spare = []
        for one in self._rounds:
            one.since = one.readings = None
        if self._times is not None:
            self._times.pause()
        for sample in held.values():
            self._api.call("nvmlGpmSampleFree", sample.handle)

    def _kept(self) -> list[_Sample | None]:
        return [self._newest, self._before, *(one.since for one in self._rounds)]

    def forget(self) -> None:
        """Begin anew: the next reading gives nothing, whatever the driver says about the samples of before."""
        with suppress(CallFailedError):
            self.close()


def _within(value: float, most: float) -> float:
    return value if 0.0 <= value <= most else min(most, max(0.0, value))
