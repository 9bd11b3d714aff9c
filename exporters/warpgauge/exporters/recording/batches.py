"""The two calls of NVML that ask for many values at once, taken apart so that each value is answered for itself.

A recording then serves a collector that asks for other fields, or in another order, than the one that was recorded.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from warpgauge.exporters.collectors.nvml_api import PYNVML
from warpgauge.exporters.recording.answers import Answers
from warpgauge.exporters.recording.lines import Buffer, Handle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.exporters.recording.lines import Argument, Call

__all__ = ["FIELDS", "GPM", "FieldBatch", "GpmBatch", "field_slots", "gpm_slots"]

FIELDS: Final = "nvmlDeviceGetFieldValues"
GPM: Final = "nvmlGpmMetricsGet"
_SAMPLE_GETS: Final = {"nvmlGpmSampleGet": 1, "nvmlGpmMigSampleGet": 2}
"""Calls that fill a sample, and the argument that is the sample; those before it say of what."""

_FIELD: Final[Any] = PYNVML.c_nvmlFieldValue_t
_METRIC: Final[Any] = PYNVML.c_nvmlGpmMetric_t
_QUESTION: Final[Any] = PYNVML.c_nvmlGpmMetricsGet_t
_METRIC_BYTES: Final = ctypes.sizeof(_METRIC)
_HEAD_BYTES: Final = int(_QUESTION.metrics.offset)
_FIELDS_PLACE: Final = 2  # device, count, values
_NOT_FOUND: Final = int(PYNVML.NVML_ERROR_FUNCTION_NOT_FOUND)


class _Slot(NamedTuple):
    """One recorded value: the code of its call, its bytes, and when the call was over."""

    code: int
    content: bytes
    seconds: float
    texts: tuple[tuple[int, str], ...] = ()  # offset of a pointer in it, and what it led to


class Batch(NamedTuple):
    """The answer to one call."""

    code: int
    place: int = 0  # of the argument that is written
    content: bytes = b""  # empty: nothing is written
    seconds: float = 0.0  # the time of the answer
    texts: dict[int, str] = {}  # noqa: RUF012 - what pointers in it lead to, by offset; nobody writes to it


def field_slots(content: bytes, size: int) -> list[Any]:
    """The nvmlFieldValue_t in a buffer."""
    width = ctypes.sizeof(_FIELD)
    whole = content.ljust(size, b"\0")
    return [_FIELD.from_buffer_copy(whole, place) for place in range(0, size - width + 1, width)]


def gpm_slots(content: bytes, size: int) -> list[Any]:
    """The nvmlGpmMetric_t that were asked for in a question."""
    width = ctypes.sizeof(_METRIC)
    whole = content.ljust(max(size, _HEAD_BYTES), b"\0")
    count = int.from_bytes(whole[4:8], "little")
    room = (len(whole) - _HEAD_BYTES) // width
    return [_METRIC.from_buffer_copy(whole, _HEAD_BYTES + place * width) for place in range(min(count, room))]


class FieldBatch:
    """nvmlDeviceGetFieldValues."""

    def __init__(self) -> None:
        self._answers: Answers[_Slot] = Answers()

    def learn(self, call: Call, *, is_dump: bool) -> None:
        """Take a recorded call apart."""
        asked = _question_of(call.arguments)
        if asked is None:
            return
        device, buffer = asked
        after = field_slots(call.outputs.get(_FIELDS_PLACE, buffer.content), buffer.size)
        for before, value in zip(field_slots(buffer.content, buffer.size), after, strict=True):
            slot = _Slot(int(call.code or 0), bytes(value), call.end_seconds)
            self._answers.add(_field_keys(device, before), slot, is_spare=is_dump)

    def answer(self, arguments: tuple[Argument, ...]) -> Batch:
        """Put the answers to a call together; a field that was never asked for has a code that says so."""
        asked = _question_of(arguments)
        if asked is None:
            return Batch(_NOT_FOUND)
        device, buffer = asked
        slots = field_slots(buffer.content, buffer.size)
        kept = [self._answers.next(_field_keys(device, slot)) for slot in slots]
        code, seconds = _fate(kept)
        filled = [_answered(slot, answer) for slot, answer in zip(slots, kept, strict=True)]
        return Batch(code, seconds=seconds) if code else Batch(0, _FIELDS_PLACE, b"".join(filled), seconds)


class GpmBatch:
    """nvmlGpmMetricsGet, which names no device: the device is that of its second sample."""

    def __init__(self) -> None:
        self._answers: Answers[_Slot] = Answers()
        self._recorded: dict[int, object] = {}  # handle of a sample -> of what it was taken
        self._asked: dict[int, object] = {}

    def learn(self, call: Call, *, is_dump: bool) -> bool:
        """Take a recorded call apart; False if it is another, which may still say of what a sample is."""
        _note(self._recorded, call.function, call.arguments)
        if call.function != GPM:
            return False
        buffer = call.arguments[0] if call.arguments else None
        if isinstance(buffer, Buffer):
            owner = self._recorded.get(_second_sample(buffer))
            after = gpm_slots(call.outputs.get(0, buffer.content), buffer.size)
            pairs = zip(gpm_slots(buffer.content, buffer.size), after, strict=False)
            for begin, (before, value) in enumerate(pairs):
                texts = _texts_within(call, _HEAD_BYTES + begin * _METRIC_BYTES)
                slot = _Slot(int(call.code or 0), bytes(value), call.end_seconds, texts)
                self._answers.add(((owner, int(before.metricId)),), slot, is_spare=is_dump)
        return True

    def note(self, function: str, arguments: tuple[Argument, ...]) -> None:
        """Remember of what a sample was taken."""
        _note(self._asked, function, arguments)

    def answer(self, arguments: tuple[Argument, ...]) -> Batch:
        """Put the answers to a call together; a metric that was never asked for has a code that says so."""
        buffer = arguments[0] if arguments else None
        if not isinstance(buffer, Buffer):
            return Batch(_NOT_FOUND)
        owner = self._asked.get(_second_sample(buffer))
        slots = gpm_slots(buffer.content, buffer.size)
        kept = [self._answers.next(((owner, int(slot.metricId)),)) for slot in slots]
        code, seconds = _fate(kept)
        filled = b"".join(_answered(slot, answer) for slot, answer in zip(slots, kept, strict=True))
        whole = bytearray(buffer.content.ljust(buffer.size, b"\0"))
        whole[_HEAD_BYTES : _HEAD_BYTES + len(filled)] = filled
        texts = {
            _HEAD_BYTES + number * _METRIC_BYTES + offset: text
            for number, answer in enumerate(kept)
            for offset, text in (answer.texts if answer else ())
        }
        return Batch(code, seconds=seconds) if code else Batch(0, 0, bytes(whole), seconds, texts)


def _texts_within(call: Call, begin: int) -> tuple[tuple[int, str], ...]:
    """The driver's words for the metric whose struct begins there in the question."""
    return tuple((at - begin, text) for _, at, text in call.texts if begin <= at < begin + _METRIC_BYTES)


def _fate(kept: Sequence[_Slot | None]) -> tuple[int, float]:
    """Return code of a call as a whole, and when it was over: it failed where nothing of it was answered."""
    codes = [answer.code for answer in kept if answer is not None]
    seconds = max((answer.seconds for answer in kept if answer is not None), default=0.0)
    return (codes[0] if codes and all(codes) else 0), seconds


def _answered(slot: Any, kept: _Slot | None) -> bytes:  # noqa: ANN401 - one of the two structs of a batch
    """The bytes of one value; one whose recorded call failed, among others that were answered, has that call's code."""
    if kept is not None and not kept.code:
        return kept.content
    slot.nvmlReturn = _NOT_FOUND if kept is None else kept.code
    return bytes(slot)


def _question_of(arguments: tuple[Argument, ...]) -> tuple[Argument, Buffer] | None:
    buffer = arguments[_FIELDS_PLACE] if len(arguments) > _FIELDS_PLACE else None
    return (arguments[0], buffer) if isinstance(buffer, Buffer) else None


def _field_keys(device: Argument, slot: Any) -> tuple[object, ...]:  # noqa: ANN401 - nvmlFieldValue_t
    return ((device, int(slot.fieldId), int(slot.scopeId)),)


def _second_sample(buffer: Buffer) -> int:
    offset = int(_QUESTION.sample2.offset)
    return int.from_bytes(buffer.content[offset : offset + ctypes.sizeof(ctypes.c_void_p)], "little")


def _note(owners: dict[int, object], function: str, arguments: tuple[Argument, ...]) -> None:
    place = _SAMPLE_GETS.get(function, len(arguments))
    sample = arguments[place] if place < len(arguments) else None
    if isinstance(sample, Handle):
        owners[sample.number] = arguments[:place]
