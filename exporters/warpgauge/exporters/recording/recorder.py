"""A library that passes every call on to the real one and tells what was said. It stands below pynvml."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.nvml_api import PYNVML
from warpgauge.exporters.recording.arguments import (
    FIRST_OTHER,
    Handles,
    is_recordable,
    memory_of,
    picture,
    seen,
    texts_in,
)
from warpgauge.exporters.recording.lines import Argument, Buffer, Call, Handle, Mark, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.core.clock import Clock
    from warpgauge.exporters.recording.clock import RecordedClock
    from warpgauge.exporters.recording.lines import Entry
    from warpgauge.exporters.recording.masking import Masking

__all__ = ["RecordingLibrary"]

_ERROR_TEXT: Final = "nvmlErrorString"
_BY_INDEX: Final = "nvmlDeviceGetHandleByIndex"


class RecordingLibrary:
    """What pynvml takes for libnvidia-ml: attributes are functions."""

    def __init__(  # noqa: PLR0913 - each is a part of the world that a test hands in
        self,
        library: Any,  # noqa: ANN401 - a ctypes.CDLL, or a fake with its shape
        say: Callable[[Entry], None],
        *,
        source: Clock,
        clock: RecordedClock,
        masking: Masking | None,
        about_to: Callable[[str, int | None], None] = lambda _function, _device: None,
    ) -> None:
        """`source` is the real time; `clock` is what the collector reads; `about_to` is told before each call."""
        self._library = library
        self._say = say
        self._source = source
        self._clock = clock
        self._masking = masking
        self._about_to = about_to
        self._handles = Handles()
        self._begun = source.monotonic()
        self._functions: dict[str, _Function] = {}

    def __getattr__(self, name: str) -> _Function:
        if not name.startswith("nvml"):
            raise AttributeError(name)
        if name not in self._functions:
            try:
                target = getattr(self._library, name)
            except AttributeError:
                self.tell(Call(seconds=self.elapsed(), function=name, code=None))
                raise
            self._functions[name] = _Function(self, name, target)
        return self._functions[name]

    def elapsed(self) -> float:
        """Seconds since the start, as they are written."""
        return round(self._source.monotonic() - self._begun, 6)

    def tell(self, entry: Entry) -> None:
        """Let the clock reach an entry and pass it on."""
        self._clock.reach(entry.end_seconds if isinstance(entry, Call) else entry.seconds)
        self._say(entry)

    def mark(self, do: str, position: int | None = None, tiers: Sequence[Any] = ()) -> None:
        """Say what the next calls are for."""
        self.tell(Mark(self.elapsed(), do, position, tuple(tiers)))

    def call(self, name: str, target: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401
        """One call, told once it is over."""
        shown = _recordable(arguments)
        before = tuple(seen(argument, self._handles) for argument in shown)
        device = next((_device(argument) for argument in before if isinstance(argument, Handle)), None)
        if device is None and name.startswith(_BY_INDEX) and isinstance(before[0], int):
            device = before[0]
        self._about_to(name, device)
        seconds = self.elapsed()
        self._clock.reach(seconds)
        begun = self._source.monotonic()
        result = target(*arguments)
        microseconds = round((self._source.monotonic() - begun) * 1e6, 1)
        self._learn(name, before, arguments, result)
        about: dict[str, Any] = {"seconds": seconds, "function": name, "device": device, "microseconds": microseconds}
        if name == _ERROR_TEXT:
            self.tell(self._error_text(about, before, result))
        else:
            self.tell(self._told(about, before, shown, result))
        return result

    def _error_text(self, about: dict[str, Any], before: tuple[Argument, ...], result: object) -> Call:
        text = result.decode(errors="replace") if isinstance(result, bytes) else ""
        return Call(**about, arguments=(*before, Text(text)), code=0)

    def _told(
        self,
        about: dict[str, Any],
        before: tuple[Argument, ...],
        arguments: tuple[Any, ...],
        result: Any,  # noqa: ANN401 - a return code, from a ctypes function
    ) -> Call:
        name, outputs, texts = about["function"], {}, []
        first = next((place for place, one in enumerate(before) if isinstance(one, Buffer)), None)
        shown: list[Argument] = []
        for place, argument in enumerate(arguments):
            memory, old = memory_of(argument), before[place]
            shown.append(self._shown(name, place, memory, old, is_first=place == first))
            if memory is None or not isinstance(old, Buffer):
                continue
            after = picture(memory, self._handles)
            if after.rstrip(b"\0") != old.content:
                outputs[place] = self._hide(name, place, memory, after, is_first=place == first)
            if not result:
                texts += [(place, offset, self._hide_text(name, text)) for offset, text in texts_in(memory)]
        return Call(**about, arguments=tuple(shown), code=int(result), outputs=outputs, texts=tuple(texts))

    def _shown(self, name: str, place: int, memory: Any, old: Argument, *, is_first: bool) -> Argument:  # noqa: ANN401
        if isinstance(old, Buffer) and memory is not None:
            content = old.content.ljust(old.size, b"\0")
            return Buffer(old.size, self._hide(name, place, memory, content, is_first=is_first))
        if self._masking is None:
            return old
        if isinstance(old, Text):
            return Text(self._masking.text(name, old.text))
        return self._masking.number(name, place, old) if isinstance(old, int) else old

    def _hide(self, name: str, place: int, memory: Any, content: bytes, *, is_first: bool) -> bytes:  # noqa: ANN401
        if self._masking is not None and any(content):
            content = self._masking.memory(name, place, type(memory), content, is_first=is_first)
        return content.rstrip(b"\0")

    def _hide_text(self, name: str, text: str) -> str:
        return text if self._masking is None else self._masking.text(name, text)

    def _learn(self, name: str, before: tuple[Argument, ...], arguments: tuple[Any, ...], result: object) -> None:
        """The handle that was given for GPU n is handle n + 1."""
        index = before[0] if before else None
        if name.startswith(_BY_INDEX) and result == PYNVML.NVML_SUCCESS and isinstance(index, int):
            address = ctypes.c_void_p.from_address(ctypes.addressof(memory_of(arguments[1]))).value
            if address and 0 <= index < FIRST_OTHER - 1:
                self._handles.bind(address, index + 1)


class _Function:
    """One function of the library; pynvml sets its result type."""

    def __init__(self, owner: RecordingLibrary, name: str, target: Any) -> None:  # noqa: ANN401 - a ctypes function
        self._owner = owner
        self._name = name
        self._target = target

    @property
    def restype(self) -> Any:  # noqa: ANN401 - a ctypes type
        """What the function returns."""
        return self._target.restype

    @restype.setter
    def restype(self, kind: Any) -> None:  # noqa: ANN401 - a ctypes type
        self._target.restype = kind

    def __call__(self, *arguments: Any) -> Any:  # noqa: ANN401 - the foreign boundary
        return self._owner.call(self._name, self._target, arguments)


def _recordable(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments to write down: without any memory if a part of it cannot be, and then a replay knows no answer."""
    memories = [memory_of(argument) for argument in arguments]
    if all(memory is None or is_recordable(memory) for memory in memories):
        return arguments
    return tuple(argument for argument, memory in zip(arguments, memories, strict=True) if memory is None)


def _device(handle: Handle) -> int | None:
    return handle.number - 1 if 1 <= handle.number < FIRST_OTHER else None
