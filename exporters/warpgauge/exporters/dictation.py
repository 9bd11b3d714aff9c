"""The lines between child and supervisor, without what both sides know.

A reading has the series of the one before it nearly always, and its numbers are a tenth of its line. So names and
labels are said and checked once, and then again only when they change: the lines of `messages` stay what they are, and
beside them stand two short ones that refer to the last long one of the same position.

    {"say":"values","position":0,"tier":"fast","errors":[...],"values":"base64 of doubles"}
    {"say":"gains","position":0,"gains":[[[bucket,count,...],sum],...],"bookmark":[[place,...],...]}

Of a gain only the buckets that gained stand there, and a third member where narrower ones are kept:
[[bucket,count],...]. Of a bookmark only what moved since, by its place in the last long line.
"""

from __future__ import annotations

import json
import math
from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

from warpgauge.core.sample import ReadError, Samples
from warpgauge.exporters.increments import Increment
from warpgauge.exporters.messages import At, BadMessageError, Done, Gained, Message, Read, decode, encode, fine_counts

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric, Tier
    from warpgauge.core.sample import Sample
    from warpgauge.exporters.increments import Bookmark

__all__ = ["Listener", "Speaker"]

_METRIC: Final = attrgetter("metric")
_LABELS: Final = attrgetter("labels")
_VALUE: Final = attrgetter("value")
_DECODER: Final = json.JSONDecoder()
_MOST_USUAL: Final = 1024  # a bound on what a child makes us keep
_PLAIN: Final = frozenset({float, int})
_VALUES: Final = '{"say":"values",'
_GAINS: Final = '{"say":"gains",'  # Python writes finite numbers and lists of them as JSON does, and sooner

_Series = tuple[Sequence["Metric"], Sequence[tuple[str, ...]]]
_Marks = tuple[_Series, "Bookmark"]
"""Series of histograms, and the bookmark as it was said last."""


class Speaker:
    """What a child says. Messages about one position come from one thread at a time, and go out in their order."""

    def __init__(self) -> None:
        self._series: dict[tuple[int, Tier], _Series] = {}
        self._marks: dict[int, _Marks] = {}
        self.says_fine = True  # whether narrower buckets are said

    def encode(self, message: Message) -> bytes:
        """One line, newline included."""
        if isinstance(message, Read):
            return self._read(message)
        if isinstance(message, Gained):
            return self._gained(message)
        return _common(message) if isinstance(message, At | Done) else encode(message)

    def _read(self, read: Read) -> bytes:
        series, key = _series(read.samples), (read.position, read.tier)
        values = read.samples.values if isinstance(read.samples, Samples) else list(map(_VALUE, read.samples))
        if not _PLAIN.issuperset(map(type, values)):
            self._series.pop(key, None)  # a histogram, or a value that is missing: said in full
            return encode(read)
        if self._series.get(key) != series:
            self._series[key] = series
            return encode(read)
        errors = (
            json.dumps([(error.reason, error.detail, error.device) for error in read.errors]) if read.errors else "[]"
        )
        about = f'{_VALUES}"position":{read.position},"tier":"{read.tier}","errors":{errors},"values":"'
        return about.encode() + b2a_base64(array("d", cast("list[float]", values)), newline=False) + b'"}\n'

    def _gained(self, gained: Gained) -> bytes:
        series, bookmark = _series(gained.increments), dict(gained.bookmark)
        said = self._marks.get(gained.position)
        self._marks[gained.position] = (series, bookmark)
        if said is None or said[0] != series or list(said[1]) != list(bookmark):
            return encode(gained if self.says_fine else _without_fine(gained))
        gains = [
            [_sparse(gain.counts), gain.sum, *([list(map(list, gain.fine))] if gain.fine and self.says_fine else [])]
            for gain in gained.increments
        ]
        pairs = zip(bookmark.values(), said[1].values(), strict=True)
        moved = [[at, *now] for at, (now, before) in enumerate(pairs) if now != before]
        return f'{_GAINS}"position":{gained.position},"gains":{gains},"bookmark":{moved}}}\n'.encode()


class Listener:
    """What the supervisor hears of one child."""

    def __init__(self) -> None:
        self._series: dict[tuple[int, str], tuple[Tier, _Series]] = {}
        self._marks: dict[int, _Marks] = {}
        self._usual: dict[bytes, Message] = {}  # what is said about each position at each tick, by its line

    def decode(self, line: bytes) -> Message:
        """The message on a line.

        Raises:
            BadMessageError: the line is not a message, or short for one that never was.

        """
        usual = self._usual.get(line)
        if usual is not None:
            return usual
        try:
            text = line.decode()
            if text.startswith(_VALUES):
                return self._values(**_DECODER.decode(text))
            if text.startswith(_GAINS):
                return self._gains(**_DECODER.decode(text))
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            msg = f"not a message: {line[:80]!r}: {error}"
            raise BadMessageError(msg) from error
        return self._kept(line, decode(line))

    def _kept(self, line: bytes, message: Message) -> Message:
        if isinstance(message, At | Done) and len(self._usual) < _MOST_USUAL:
            self._usual[line] = message
        elif isinstance(message, Read):
            self._series[message.position, message.tier] = (message.tier, _series(message.samples))
        elif isinstance(message, Gained):
            self._marks[message.position] = (_series(message.increments), message.bookmark)
        return message

    def _values(self, *, say: str, position: int, tier: str, values: str, errors: list[list[Any]]) -> Read:  # noqa: ARG002 - looked at before
        known, series = self._series[position, tier]
        numbers = array("d", a2b_base64(values, strict_mode=True)).tolist()
        samples = Samples(*series, _finite(numbers, len(series[0])))
        return Read(position, known, samples, tuple(ReadError(*error) for error in errors))

    def _gains(self, *, say: str, position: int, gains: list[list[Any]], bookmark: list[list[float]]) -> Gained:  # noqa: ARG002 - as above
        (metrics, labels), said = self._marks[position]
        sums = _finite([gain[1] for gain in gains], len(metrics))
        counts = [_dense(gain[0], len(metric.buckets) + 1) for metric, gain in zip(metrics, gains, strict=True)]
        fine = [fine_counts(gain[2]) if len(gain) > 2 else () for gain in gains]  # noqa: PLR2004 - the third member
        increments = tuple(map(Increment, metrics, labels, counts, sums, fine))
        marks = _moved(said, bookmark)
        self._marks[position] = ((metrics, labels), marks)
        return Gained(position, increments, marks)


@lru_cache(maxsize=_MOST_USUAL)
def _common(message: At | Done) -> bytes:
    """What is said about each position at each tick."""
    return encode(message)


def _without_fine(gained: Gained) -> Gained:
    return replace(gained, increments=tuple(replace(gain, fine=()) for gain in gained.increments))


def _series(rows: Sequence[Sample] | Sequence[Increment]) -> _Series:
    if isinstance(rows, Samples):
        return rows.metrics, rows.labels
    return list(map(_METRIC, rows)), list(map(_LABELS, rows))


def _moved(said: Bookmark, changes: list[list[float]]) -> Bookmark:
    """The bookmark after what moved."""
    names, marks = list(said), dict(said)
    for at, *numbers in changes:
        if type(at) is not int or at < 0 or len(numbers) != len(said[names[at]]):
            msg = f"not a mark of {names!r}: {[at, *numbers]!r}"
            raise ValueError(msg)
        marks[names[at]] = tuple(_finite(numbers, len(numbers)))
    return marks


def _finite(numbers: list[float], count: int) -> list[float]:
    """So many numbers, as floats. Where the sum is a finite number they all are, which is sooner told than of each."""
    if len(numbers) != count or not (math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers))):
        msg = f"not {count} finite numbers: {numbers!r}"
        raise ValueError(msg)
    return list(map(float, numbers))


def _sparse(counts: Sequence[int]) -> list[int]:
    """Bucket and count, for each bucket that gained anything: two or three of a dozen do in a second."""
    return [number for at, count in enumerate(counts) if count for number in (at, count)]


def _dense(numbers: list[int], size: int) -> tuple[int, ...]:
    counts = [0] * size
    for at, count in zip(numbers[::2], numbers[1::2], strict=True):
        if type(at) is not int or type(count) is not int or not 0 <= at < size or count < 0:
            msg = f"not buckets of {size} and their counts: {numbers!r}"
            raise ValueError(msg)
        counts[at] = count
    return tuple(counts)
