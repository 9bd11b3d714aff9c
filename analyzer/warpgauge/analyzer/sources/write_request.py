"""Remote write 1.0's message, read without an object per series: known label blocks are looked up as raw bytes.

`WriteRequest` (prometheus/prompb/remote.proto, types.proto) is a list of `TimeSeries`, each its labels and then its
samples. Prometheus sends one sample per series, whose encoding has one of two lengths (the value 0 is left out), so
that the label block ends at a known place: if the bytes before it are a label block seen before, the series is known,
and all its samples are decoded at once by numpy. Whatever looks otherwise takes the slow way, field by field.
https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints

__all__ = ["SeriesBook", "Written", "labels_in"]

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_SERIES_TAG: Final = 0x0A
_LABEL, _SAMPLE, _EXEMPLAR, _HISTOGRAM = 1, 2, 3, 4
_VALUE_SAMPLE: Final = b"\x12\x10\x09"  # field 2, 16 bytes: value (9 bytes), then the time (tag and 6 bytes)
_ZERO_SAMPLE: Final = b"\x12\x07\x10"  # field 2, 7 bytes: the time only
_VALUE_BYTES, _ZERO_BYTES, _TIME_BYTES = 18, 9, 6
_TIME_TAG: Final = 0x10
_NAME_TAG: Final = 0x0A
_VALUE_TAG: Final = 0x12
_LEAST_LABEL_BYTES: Final = 6
_MORE: Final = 0x80
_VARINT_BYTES: Final = 10
_SIGN: Final = 1 << 63

_MOST_LABELS: Final = 128
_MOST_NAME_BYTES: Final = 1024
_MOST_VALUE_BYTES: Final = 8192
_MOST_SERIES: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class Written:
    """Samples of one request: numbers of series in the book, with times and values; what was passed over is counted."""

    numbers: Ints
    times_ms: Ints
    values: Doubles
    histograms: int = 0
    refused: int = 0  # samples of new series that the full book has no place for


@dataclass(slots=True)
class _Found:
    """What the reader has of a request so far."""

    numbers: list[int] = field(default_factory=list)
    times_ms: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    value_numbers: list[int] = field(default_factory=list)
    value_ends: list[int] = field(default_factory=list)
    zero_numbers: list[int] = field(default_factory=list)
    zero_ends: list[int] = field(default_factory=list)
    histograms: int = 0
    refused: int = 0


class SeriesBook:
    """Every label block seen so far, numbered in order of first sight."""

    def __init__(self, most_series: int = _MOST_SERIES) -> None:
        self.blocks: list[bytes] = []
        self.fresh: list[Mapping[str, str]] = []  # labels of series since the owner last emptied it, in their order
        self._numbers: dict[bytes, int] = {}
        self._most_series = most_series

    def __len__(self) -> int:
        return len(self.blocks)

    def read(self, body: bytes) -> Written:
        """The samples of a `WriteRequest`.

        Raises:
            InputError: it is malformed; the message names the byte.

        """
        found = _Found()
        for start, end in self._unknown(body, found):
            self._read_series(body, start, end, found)
        parts = [
            (np.array(found.numbers, dtype=np.int64), np.array(found.times_ms, dtype=np.int64), np.array(found.values)),
            _decoded(body, found.value_numbers, found.value_ends, has_value=True),
            _decoded(body, found.zero_numbers, found.zero_ends, has_value=False),
        ]
        numbers, times_ms, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Written(numbers, times_ms, values, found.histograms, found.refused)

    def keep(self, numbers: Ints) -> None:
        """Forget all label blocks but these, which are numbered anew in this order."""
        self.blocks = [self.blocks[number] for number in numbers.tolist()]
        self._numbers = {block: number for number, block in enumerate(self.blocks)}

    def _unknown(self, body: bytes, found: _Found) -> Iterator[tuple[int, int]]:
        """Note the known series with one sample, and give start and end of each other one.

        The one hot loop: a call per series would double its time.
        """
        find, position, size = self._numbers.get, 0, len(body)
        note_value, note_value_end = found.value_numbers.append, found.value_ends.append
        note_zero, note_zero_end = found.zero_numbers.append, found.zero_ends.append
        while position < size:
            if body[position] != _SERIES_TAG:
                position = _skip(body, position, size)
                continue
            if position + 2 < size and body[position + 1] >= _MORE > body[position + 2]:  # 128 to 16,383 bytes
                start = position + 3
                end = start + (body[position + 1] & 0x7F | body[position + 2] << 7)
            else:
                length, start = _varint(body, position + 1, size)
                end = start + length
            if end > size:
                raise _malformed(position, "a series is cut short")
            position = end
            if body[end - _VALUE_BYTES : end - _VALUE_BYTES + 3] == _VALUE_SAMPLE and body[end - 7] == _TIME_TAG:
                number = find(body[start : end - _VALUE_BYTES])
                if number is not None:
                    note_value(number)
                    note_value_end(end)
                    continue
            elif body[end - _ZERO_BYTES : end - _ZERO_BYTES + 3] == _ZERO_SAMPLE:
                number = find(body[start : end - _ZERO_BYTES])
                if number is not None:
                    note_zero(number)
                    note_zero_end(end)
                    continue
            yield start, end

    def _read_series(self, body: bytes, start: int, end: int, found: _Found) -> None:
        """One series field by field."""
        labels: list[bytes] = []
        samples: list[tuple[int, float]] = []
        position = start
        while position < end:
            tag, content = _varint(body, position, end)
            if tag & 7 != _LENGTH:
                position = _skip(body, position, end)
                continue
            length, content = _varint(body, content, end)
            after = content + length
            if after > end:
                raise _malformed(position, "a field is longer than its series")
            if tag >> 3 == _LABEL:
                labels.append(body[position:after])
            elif tag >> 3 == _SAMPLE:
                samples.append(_sample(body, content, after))
            elif tag >> 3 == _HISTOGRAM:
                found.histograms += 1
            position = after
        if samples:
            self._keep(b"".join(labels), samples, found, start)

    def _keep(self, block: bytes, samples: list[tuple[int, float]], found: _Found, start: int) -> None:
        number = self._numbers.get(block)
        if number is None:
            if len(self.blocks) >= self._most_series:
                found.refused += len(samples)
                return
            labels = labels_in(block, start)
            number = self._numbers[block] = len(self.blocks)
            self.blocks.append(block)
            self.fresh.append(labels)
        for time_ms, value in samples:
            found.numbers.append(number)
            found.times_ms.append(time_ms)
            found.values.append(value)


def labels_in(block: bytes, place: int = 0) -> Mapping[str, str]:
    """The labels of a block of `Label` fields, `__name__` among them.

    Raises:
        InputError: it is malformed, has no metric name, a name twice, or passes a limit.

    """
    labels: dict[str, str] = {}
    position, size = 0, len(block)
    while position < size:
        found = _short_label(block, position, size)
        if found is None:
            length, content = _varint(block, position + 1, size)
            after = content + length
            name, value = _label(block, content, after, place)
        else:
            name, value, after = found
        if not name or name in labels or len(labels) >= _MOST_LABELS:
            raise _malformed(place, f"label {name[:60]!r} is empty, stands twice or is one of over {_MOST_LABELS}")
        labels[name] = value
        position = after
    if not labels.get("__name__"):
        raise _malformed(place, "a series has no __name__")
    return labels


def _short_label(block: bytes, position: int, size: int) -> tuple[str, str, int] | None:
    """Name, value and end of a label as everybody writes it: name first, all lengths in one byte; None if it is not."""
    after = position + 2 + block[position + 1]
    if block[position + 1] >= _MORE or not position + _LEAST_LABEL_BYTES <= after <= size:
        return None
    if block[position + 2] != _NAME_TAG:
        return None
    middle = position + 4 + block[position + 3]
    if middle + 2 > after or block[middle] != _VALUE_TAG or middle + 2 + block[middle + 1] != after:
        return None
    try:
        return block[position + 4 : middle].decode(), block[middle + 2 : after].decode(), after
    except UnicodeDecodeError:
        return None  # complained about by the exact way


def _label(block: bytes, position: int, end: int, place: int) -> tuple[str, str]:
    texts = {1: b"", 2: b""}
    while position < end:
        tag, content = _varint(block, position, end)
        if tag & 7 != _LENGTH:
            position = _skip(block, position, end)
            continue
        length, content = _varint(block, content, end)
        position = content + length
        if position > end:
            raise _malformed(place, "a label is cut short")
        if tag >> 3 in texts:
            texts[tag >> 3] = block[content:position]
    if len(texts[1]) > _MOST_NAME_BYTES or len(texts[2]) > _MOST_VALUE_BYTES:
        raise _malformed(place, f"a label has over {_MOST_NAME_BYTES} bytes or its value over {_MOST_VALUE_BYTES}")
    try:
        return texts[1].decode(), texts[2].decode()
    except UnicodeDecodeError:
        raise _malformed(place, "a label is not UTF-8") from None


def _sample(body: bytes, position: int, end: int) -> tuple[int, float]:
    value, time_ms = 0.0, 0
    while position < end:
        tag, content = _varint(body, position, end)
        if tag == 1 << 3 | _FIXED64:
            if content + 8 > end:
                raise _malformed(position, "a value is cut short")
            (value,) = struct.unpack_from("<d", body, content)
            position = content + 8
        elif tag == 2 << 3 | _VARINT:
            raw, position = _varint(body, content, end)
            time_ms = raw - (1 << 64) if raw >= _SIGN else raw
        else:
            position = _skip(body, position, end)
    return time_ms, value


def _decoded(body: bytes, numbers: list[int], ends: list[int], *, has_value: bool) -> tuple[Ints, Ints, Doubles]:
    """Times and values that end where a series ends."""
    found = np.array(numbers, dtype=np.int64)
    if not numbers:
        return found, found, np.empty(0)
    data, last = np.frombuffer(body, dtype=np.uint8), np.array(ends, dtype=np.int64)
    digits = data[last[:, None] + np.arange(-_TIME_BYTES, 0)]
    if (digits[:, :-1] < _MORE).any() or (digits[:, -1] >= _MORE).any():
        raise _malformed(int(last[0]), "a time is no number of its length")
    shifts = 7 * np.arange(_TIME_BYTES, dtype=np.int64)
    times_ms = ((digits & 0x7F).astype(np.int64) << shifts).sum(axis=1)
    if not has_value:
        return found, times_ms, np.zeros(len(found))
    raw = data[last[:, None] + np.arange(-_TIME_BYTES - 9, -_TIME_BYTES - 1)]
    return found, times_ms, np.ascontiguousarray(raw).view("<f8")[:, 0].astype(np.float64)


def _varint(body: bytes, position: int, end: int) -> tuple[int, int]:
    """A number and where it ends."""
    if position < end and body[position] < _MORE:
        return body[position], position + 1
    value = 0
    for place in range(min(_VARINT_BYTES, end - position)):
        byte = body[position + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < _MORE:
            return value & (1 << 64) - 1, position + place + 1
    raise _malformed(position, "a number is cut short")


def _skip(body: bytes, position: int, end: int) -> int:
    """Where the next field begins; metadata, exemplars and what later versions add are passed over."""
    tag, content = _varint(body, position, end)
    kind = tag & 7
    if kind == _VARINT:
        _, after = _varint(body, content, end)
    elif kind == _LENGTH:
        length, content = _varint(body, content, end)
        after = content + length
    elif kind in {_FIXED64, _FIXED32}:
        after = content + (8 if kind == _FIXED64 else 4)
    else:
        raise _malformed(position, f"wire type {kind} is none")
    if not tag >> 3 or after > end:
        raise _malformed(position, "a field is cut short or has no number")
    return after


def _malformed(position: int, what: str) -> InputError:
    return InputError(f"malformed write request at byte {position}: {what}")
