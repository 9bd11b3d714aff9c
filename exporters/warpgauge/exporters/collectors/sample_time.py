"""Samples with time stamps, turned into time spent at values.

A sample stands for the time from its predecessor's stamp to its own. Stamps are microseconds on a clock of the
driver's choice (since boot or since 1970), so they are compared with each other only, never with ours.

Time is counted in the whole milliseconds that lie between two stamps' own: what one sample's share lacks its
neighbor's has, so nothing is lost or counted twice however the samples are spread over readings and processes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from operator import itemgetter, lt, sub
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["SampleTime", "Span"]

Span = tuple[float, int]
"""A value and the milliseconds spent at it."""

MICROSECONDS: Final = 1_000_000
LONGEST_GAP_SECONDS: Final = 60.0  # twice the longest pause between a child's end and the next one's start
_LONGEST_GAP: Final = LONGEST_GAP_SECONDS * MICROSECONDS
DRY_SECONDS: Final = 5.0  # without a new sample; the slowest buffers get one every second
HELD_SHARE: Final = 0.6  # of what a buffer holds, may be new before it is asked
LONGEST_REST_SECONDS: Final = 10.0
_STEPS_KEPT: Final = 120
_SHARE_RENEWED: Final = 4  # a quarter
_STAMP: Final = itemgetter(0)


class SampleTime:
    """The account of one buffer of one device.

    Gaps, where the buffer no longer holds what lay between, go to the value of the next sample: up to a minute, which
    covers missed ticks and the pause between two children. Of a longer gap nobody knows whether the device was well
    (it may have been lost or hung), so that time is left out.

    How often a buffer has to be asked follows from how much it holds: see `is_due`.

    A buffer that goes dry while the device answers (drivers were seen to stop sampling utilization on an idle GPU:
    https://github.com/polarsignals/gpu-metrics-agent/pull/37) is stood in for by the present value, read at each tick.
    """

    def __init__(self, now: float, bookmark: Sequence[float] = ()) -> None:
        """`now` is monotonic seconds; a bookmark lets the account go on where another process left it."""
        self._newest, self._counted = (int(stamp) for stamp in bookmark) if bookmark else (0, 0)  # microseconds
        self._heard = now  # when the last new sample came, or the account was opened
        self._counted_then = self._counted
        self._stand_in: float | None = None  # the value that dry time went to
        self._steps = array("d")  # microseconds; numbers in a row, for 50 a second would be as many objects
        self._new_steps = 0
        self._usual: int | None = None  # microseconds
        self._depth = 0  # samples that the buffer was seen to hold at once
        self._looked = now
        self.period_seconds: float | None = None
        """Median time between samples; None before there were two, and while the buffer is dry."""
        self._rest = 0.0  # seconds that the buffer can be left alone; 0 before it was seen whole, and while it is dry

    @property
    def is_open(self) -> bool:
        """Whether a sample was ever seen; before that no time can be told."""
        return self._newest > 0

    @property
    def bookmark(self) -> tuple[float, ...]:
        """Where another process can go on."""
        return (self._newest, self._counted)

    def is_due(self, now: float) -> bool:
        """Whether to ask now, because at the next tick a good part of what the buffer holds might be gone.

        An answer takes 0.5 to 3 ms of CPU in the driver, however little is new (H100 and H200, driver 580.159: 119
        samples of power in 2.4 s, 71 of utilization in 14 s). Ticks are taken to come as the last one did.
        """
        tick, self._looked = now - self._looked, now
        return self._rest <= 0 or now - self._heard + tick > self._rest

    def ask_from(self, now: float) -> int:
        """The stamp to ask for news from; 0, which asks for all, after a long silence: the clock may have stepped."""
        return 0 if self.is_dry(now) else self._newest

    def is_dry(self, now: float) -> bool:
        """Whether samples stopped coming."""
        return self.is_open and now - self._heard > DRY_SECONDS + self._rest

    def take(self, samples: Sequence[tuple[int, float]], now: float) -> list[Span]:
        """Time at values up to the newest of these samples, which may overlap earlier ones and stand in any order.

        The very first ones only open the account: what came before is not ours.
        """
        ordered = _ordered(samples)
        self._depth = max(self._depth, len(ordered))
        if ordered and (not self.is_open or (self.is_dry(now) and ordered[-1][0] < self._newest)):
            self._measure([stamp for stamp, _ in ordered])
            self._counted = 0
            self._reach(ordered[-1][0], now)
            return []
        fresh = ordered[bisect_right(ordered, self._newest, key=_STAMP) :]
        if not fresh:
            return []
        steps = self._measure([self._newest, *map(_STAMP, fresh)])
        first, last = fresh[0][0], fresh[-1][0]
        spans: list[Span] = []
        if self._stand_in is not None:
            self._count([(first - self._usual_step(), self._stand_in)], spans)
        if self._counted == self._newest and max(steps) <= _LONGEST_GAP:  # nearly always
            spans += _spans(fresh, self._counted)
            self._counted = last
        else:
            self._count(fresh, spans)
        self._reach(last, now)
        return spans

    def stand_in(self, value: float, now: float) -> list[Span]:
        """Time at a value that was read beside a dry buffer; it lags behind, in case samples are only late."""
        self._stand_in = value
        self._pace()
        seconds = now - self._heard - DRY_SECONDS
        spans: list[Span] = []
        self._count([(self._counted_then + round(seconds * MICROSECONDS), value)], spans)
        return spans

    def _count(self, samples: Iterable[tuple[int, float]], spans: list[Span]) -> None:
        """Add what these samples stand for, in the order of their stamps, to the spans."""
        counted = self._counted
        whole = counted // 1000
        for until, value in samples:
            if until > counted:
                before, whole = whole, until // 1000
                if until - counted <= _LONGEST_GAP:
                    spans.append((value, whole - before))
                counted = until
        self._counted = counted

    def _measure(self, stamps: Sequence[int]) -> list[int]:
        """The steps between some stamps, which are kept too."""
        steps = list(map(sub, stamps[1:], stamps))
        self._steps = (self._steps + array("d", steps))[-_STEPS_KEPT:]
        self._new_steps += len(steps)
        return steps

    def _usual_step(self) -> int:
        """The median; looked for again once a fair part of the steps is new."""
        if self._usual is None or self._new_steps * _SHARE_RENEWED >= len(self._steps):
            self._usual, self._new_steps = int(sorted(self._steps)[len(self._steps) // 2]), 0
        return self._usual

    def _reach(self, stamp: int, now: float) -> None:
        self._newest, self._heard, self._stand_in = stamp, now, None
        self._counted = self._counted_then = max(stamp, self._counted)
        self._pace()

    def _pace(self) -> None:
        """How fast the buffer is filled, and how long it can be left alone for that."""
        is_known = bool(self._steps) and self._stand_in is None
        period = self.period_seconds = self._usual_step() / MICROSECONDS if is_known else None
        self._rest = 0.0 if period is None else min(HELD_SHARE * self._depth * period, LONGEST_REST_SECONDS)


def _spans(samples: Sequence[tuple[int, float]], since: int) -> Iterable[Span]:
    """What samples stand for that follow each other without a gap, the first upon a stamp."""
    whole = [since // 1000, *[stamp // 1000 for stamp, _ in samples]]
    return zip(map(itemgetter(1), samples), map(sub, whole[1:], whole), strict=True)


def _ordered(samples: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """By their stamps, each once; most drivers give them nearly so."""
    ordered = sorted(samples)
    stamps = list(map(_STAMP, ordered))
    return ordered if all(map(lt, stamps, stamps[1:])) else sorted(dict(samples).items())
