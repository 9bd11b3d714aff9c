"""The lines between child and supervisor, without what both sides know.

A reading has the series of the one before it nearly always, and its numbers are a tenth of its line. So names and
labels are said and checked once, and then again only when they change: the lines of `messages` stay what they are, and
beside them stand two short ones that refer to the last long one of the same position.

    {"say":"values","position":0,"tier":"fast","errors":[...],"values":"base64 of doubles"}
    {"say":"gains","position":0,"places":2,"fine":[[[bucket,count],...],...],"numbers":"base64 of doubles"}

The numbers of a gain are the places of the buckets that gained, counted through all histograms in turn, what each of
them gained, the sum of each histogram, and those of the bookmark. Narrower buckets stand there where they are kept.
"""

from __future__ import annotations

import json
import math
from array import array
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

from warpgauge.core.sample import ReadError, Samples
from warpgauge.exporters.increments import Gains, buckets_of
from warpgauge.exporters.messages import At, BadMessageError, Done, Gained, Message, Read, decode, encode, fine_counts

if TYPE_CHECKING:
    from collections.abc import Iterator

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
_Marks = tuple[_Series, tuple[str, ...], tuple[int, ...]]
"""Series of histograms, the names in the bookmark, and how many numbers each has."""


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
        gains = Gains.of(gained.increments)
        marks = _marks(gains, gained.bookmark)
        if self._marks.get(gained.position) != marks:
            self._marks[gained.position] = marks
            return encode(gained if self.says_fine else _without_fine(gained))
        fine = [list(map(list, narrow)) for narrow in gains.fine] if self.says_fine else []
        numbers = array(
            "d", [*gains.places, *gains.counts, *gains.sums, *chain.from_iterable(gained.bookmark.values())]
        )
        about = f'{_GAINS}"position":{gained.position},"places":{len(gains.places)},"fine":{fine},"numbers":"'
        return about.encode() + b2a_base64(numbers, newline=False) + b'"}\n'


class Listener:
    """What the supervisor hears of one child."""

    def __init__(self) -> None:
        self._series: dict[tuple[int, str], tuple[Tier, _Series]] = {}
        self._marks: dict[int, tuple[_Marks, int]] = {}  # and how many buckets these are
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
            gains, bookmark = Gains.of(message.increments), message.bookmark
            self._marks[message.position] = (_marks(gains, bookmark), sum(map(buckets_of, gains.metrics)))
        return message

    def _values(self, *, say: str, position: int, tier: str, values: str, errors: list[list[Any]]) -> Read:  # noqa: ARG002 - looked at before
        known, series = self._series[position, tier]
        samples = Samples(*series, _doubles(values, len(series[0])))
        return Read(position, known, samples, tuple(ReadError(*error) for error in errors))

    def _gains(self, *, say: str, position: int, places: int, numbers: str, fine: list[list[list[int]]]) -> Gained:  # noqa: ARG002 - as above
        if places < 0:
            msg = f"{places} buckets"
            raise ValueError(msg)
        ((metrics, labels), names, lengths), buckets = self._marks[position]
        told, gained = 2 * places, 2 * places + len(metrics)
        heard = _doubles(numbers, gained + sum(lengths)).tolist()
        if fine and len(fine) != len(metrics):
            msg = f"narrower buckets of {len(fine)} histograms"
            raise ValueError(msg)
        where, counts = _counts(heard[:places], heard[places:told], buckets)
        increments = Gains(metrics, labels, where, counts, heard[told:gained], list(map(fine_counts, fine)))
        return Gained(position, increments, _Place(names, lengths, array("d", heard[gained:])))


@lru_cache(maxsize=_MOST_USUAL)
def _common(message: At | Done) -> bytes:
    """What is said about each position at each tick."""
    return encode(message)


def _without_fine(gained: Gained) -> Gained:
    return replace(gained, increments=tuple(replace(gain, fine=()) for gain in gained.increments))


def _series(rows: Sequence[Sample]) -> _Series:
    if isinstance(rows, Samples):
        return rows.metrics, rows.labels
    return list(map(_METRIC, rows)), list(map(_LABELS, rows))


def _marks(gains: Gains, bookmark: Bookmark) -> _Marks:
    return (gains.metrics, gains.labels), tuple(bookmark), tuple(map(len, bookmark.values()))


def _counts(places: list[float], counts: list[float], buckets: int) -> tuple[list[int], list[int]]:
    """Buckets, each once, and the milliseconds that each of them gained."""
    where, told = list(map(int, places)), list(map(int, counts))
    is_bucket = not where or (len(set(where)) == len(where) and 0 <= min(where) <= max(where) < buckets)
    if where != places or told != counts or not is_bucket or (told and min(told) < 0):
        msg = "not buckets and counts of milliseconds"
        raise ValueError(msg)
    return where, told


class _Place(Mapping[str, tuple[float, ...]]):
    """A bookmark, as numbers in a row until somebody looks: nobody does but the next child."""

    __slots__ = ("_lengths", "_names", "_numbers")

    def __init__(self, names: tuple[str, ...], lengths: tuple[int, ...], numbers: array[float]) -> None:
        self._names = names
        self._lengths = lengths
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __getitem__(self, name: str) -> tuple[float, ...]:
        at = self._names.index(name) if name in self._names else None
        if at is None:
            raise KeyError(name)
        first = sum(self._lengths[:at])
        return tuple(self._numbers[first : first + self._lengths[at]])


def _doubles(text: str, count: int) -> array[float]:
    """So many finite numbers. Where their sum is one they all are, which is sooner told than of each."""
    numbers = array("d", a2b_base64(text, strict_mode=True))
    if len(numbers) != count or not (math.isfinite(sum(numbers)) or all(map(math.isfinite, numbers))):
        msg = f"not {count} finite numbers: {numbers!r}"
        raise ValueError(msg)
    return numbers
