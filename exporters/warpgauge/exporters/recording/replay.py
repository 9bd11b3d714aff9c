"""A library that answers from a recording: `below_pynvml(ReplayLibrary(read_recording(path)))`.

A call is answered by its function, handles, numbers and what stood in its buffers, with the recorded answers in order;
asked more often, the last one is repeated. Input that was never seen, such as another time stamp to ask from, is left
out of the comparison; a call that was never made with these handles and numbers gets FUNCTION_NOT_FOUND, and so does
one that has the driver fill a list elsewhere: what a struct points to is not recorded.

Field values and GPM metrics are batches, so each value is answered for itself, however they are asked for.
Answers of `--all-ids` are given only where the collector itself asked for no such thing.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.nvml_api import PYNVML
from warpgauge.exporters.recording.answers import Answers
from warpgauge.exporters.recording.arguments import WIDTH, Handles, Target, is_recordable, memory_of, pointers_in, seen
from warpgauge.exporters.recording.batches import FIELDS, GPM, FieldBatch, GpmBatch
from warpgauge.exporters.recording.clock import RecordedClock
from warpgauge.exporters.recording.lines import MOST_BUFFER_BYTES, Buffer, Call, Mark, Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.exporters.recording.batches import Batch
    from warpgauge.exporters.recording.lines import Argument
    from warpgauge.exporters.recording.storage import Recording

__all__ = ["ReplayLibrary"]

_VARYING: Final = {
    "nvmlDeviceGetSamples": {2},
    "nvmlDeviceGetProcessUtilization": {3},
    "nvmlDeviceGetVgpuUtilization": {1},
    "nvmlDeviceGetVgpuProcessUtilization": {1},
}
"""Arguments that say from when on to tell: they follow from earlier answers and from the clock."""

_ERROR_TEXT: Final = "nvmlErrorString"
_COUNT_BYTES: Final = ctypes.sizeof(ctypes.c_uint)
_TABLE_BYTES: Final = 16  # what an opaque handle points to; nobody looks


class ReplayLibrary:
    """What pynvml takes for libnvidia-ml; `clock` is the time of the last answer."""

    def __init__(self, recording: Recording) -> None:
        """Sort the answers of a recording."""
        self.clock = RecordedClock(recording.header.start)
        self._answers: Answers[Call] = Answers()
        self._fields = FieldBatch()
        self._gpm = GpmBatch()
        self._handles = Handles()
        self._places: dict[int, Any] = {}  # number of a handle -> what it points to
        self._texts: dict[str, Any] = {}
        self._functions: set[str] = set()
        self._error_texts: dict[object, bytes] = {}
        is_dump = False
        for entry in recording.entries:
            if isinstance(entry, Mark):
                is_dump = entry.do == "dump"
            elif isinstance(entry, Call):
                self._learn(entry, is_dump=is_dump)

    def __getattr__(self, function: str) -> Callable[..., Any]:
        if function not in self._functions:
            raise AttributeError(function)
        if function == _ERROR_TEXT:
            return _ErrorTexts(self._error_texts)
        return lambda *arguments: self._answer(function, arguments)

    def _learn(self, call: Call, *, is_dump: bool) -> None:
        if call.code is None:
            return
        self._functions.add(call.function)
        if call.function == _ERROR_TEXT:
            code, text = (*call.arguments, None, None)[:2]
            self._error_texts[code] = text.text.encode() if isinstance(text, Text) else b""
        elif call.function == FIELDS:
            self._fields.learn(call, is_dump=is_dump)
        elif self._gpm.learn(call, is_dump=is_dump):
            return
        else:
            self._answers.add(_keys(call.function, call.arguments), call, is_spare=is_dump)

    def _answer(self, function: str, arguments: tuple[Any, ...]) -> int:
        memories = [memory for memory in map(memory_of, arguments) if memory is not None]
        if not all(is_recordable(memory) for memory in memories):
            return int(PYNVML.NVML_ERROR_FUNCTION_NOT_FOUND)  # better absent than a list of zeros
        asked = tuple(seen(argument, self._handles) for argument in arguments)
        if function == FIELDS:
            return self._batch(self._fields.answer(asked), arguments)
        if function == GPM:
            return self._batch(self._gpm.answer(asked), arguments)
        call = self._answers.next(_keys(function, asked))
        if call is None or _asks_for_too_much(call):
            return int(PYNVML.NVML_ERROR_FUNCTION_NOT_FOUND)
        self._gpm.note(function, asked)
        self.clock.reach(call.end_seconds)
        for place, content in call.outputs.items():
            texts = {offset: text for at, offset, text in call.texts if at == place}
            self._write(memory_of(arguments[place]), content, texts)
        return int(call.code or 0)

    def _batch(self, answer: Batch, arguments: tuple[Any, ...]) -> int:
        self.clock.reach(answer.seconds)
        if answer.content:
            self._write(memory_of(arguments[answer.place]), answer.content, answer.texts)
        return answer.code

    def _write(self, memory: Any, content: bytes, texts: dict[int, str]) -> None:  # noqa: ANN401 - any ctypes object
        raw = bytearray(content.ljust(ctypes.sizeof(memory), b"\0"))
        kind: Any = type(memory)
        for offset, target in pointers_in(kind):
            number = int.from_bytes(raw[offset : offset + WIDTH], "little")
            address = self._text(texts.get(offset, "")) if target is Target.TEXT else self._address(number)
            raw[offset : offset + WIDTH] = address.to_bytes(WIDTH, "little")
        ctypes.memmove(ctypes.addressof(memory), bytes(raw), len(raw))

    def _address(self, number: int) -> int:
        """Where a handle points to in this process: somewhere of its own."""
        if number == 0:
            return 0
        if number not in self._places:
            self._places[number] = ctypes.create_string_buffer(_TABLE_BYTES)
            self._handles.bind(ctypes.addressof(self._places[number]), number)
        return ctypes.addressof(self._places[number])

    def _text(self, text: str) -> int:
        if not text:
            return 0
        kept = self._texts.setdefault(text, ctypes.create_string_buffer(text.encode()))
        return ctypes.addressof(kept)


class _ErrorTexts:
    """nvmlErrorString; pynvml sets its result type."""

    restype: Any = None

    def __init__(self, texts: dict[object, bytes]) -> None:
        self._texts = texts

    def __call__(self, code: int) -> bytes:
        return self._texts.get(code, b"Unknown Error")


def _asks_for_too_much(call: Call) -> bool:
    """Whether a call that asks for the length of a list (its place is null) names one that pynvml must not make."""
    counts = [content for place, content in call.outputs.items() if _is_count(call.arguments[place])]
    return None in call.arguments and any(int.from_bytes(count, "little") > MOST_BUFFER_BYTES for count in counts)


def _is_count(argument: Argument) -> bool:
    return isinstance(argument, Buffer) and argument.size == _COUNT_BYTES


def _keys(function: str, arguments: tuple[Argument, ...]) -> tuple[object, object]:
    """The exact form of a call, and the form without what stood in its buffers."""
    varying = _VARYING.get(function, set())
    exact = tuple(None if place in varying else argument for place, argument in enumerate(arguments))
    loose = tuple(argument.size if isinstance(argument, Buffer) else argument for argument in exact)
    return (function, exact), (function, loose, "loose")
