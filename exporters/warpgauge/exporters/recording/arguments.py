"""What pynvml hands to the library, seen from below: numbers, opaque handles and memory to be written to.

Memory is found by ctypes' own types, so no function is known by name. Pointers inside it mean nothing elsewhere: in
its picture each stands as the number of its handle, and one that leads to a text or to other memory as nothing.
"""

from __future__ import annotations

import ctypes
import os
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from warpgauge.exporters.recording.lines import MOST_BUFFER_BYTES, Argument, Buffer, Handle, Text

__all__ = [
    "FIRST_OTHER",
    "Handles",
    "Target",
    "is_recordable",
    "memory_of",
    "picture",
    "pointers_in",
    "seen",
    "texts_in",
]

FIRST_OTHER: Final = 1001  # below are the GPUs
WIDTH: Final = ctypes.sizeof(ctypes.c_void_p)
_POINTER: Final[Any] = ctypes._Pointer  # noqa: SLF001 - the base of every POINTER(...), which has no public name
_SIMPLE: Final[Any] = ctypes._SimpleCData  # noqa: SLF001 - the base of c_uint and its like, which has no public name
_TEXT_BYTES: Final = 128


class Target(Enum):
    """What a pointer leads to."""

    HANDLE = "handle"
    TEXT = "text"
    MEMORY = "memory"


class Handles:
    """Numbers for opaque pointers: the same pointer, the same number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {0: 0}
        self._next = FIRST_OTHER

    def number(self, address: int) -> int:
        """Number of a pointer; 0 for none."""
        if address not in self._numbers:
            self._numbers[address] = self._next
            self._next += 1
        return self._numbers[address]

    def bind(self, address: int, number: int) -> None:
        """Say which number a pointer has."""
        self._numbers[address] = number


def memory_of(argument: Any) -> Any:  # noqa: ANN401 - any ctypes object
    """The object that a C function can write to through an argument, None for one that only tells it something."""
    pointee = getattr(argument, "_obj", None)  # what byref() was made of
    if pointee is not None:
        return pointee
    if isinstance(argument, ctypes.Array):
        return argument
    if isinstance(argument, _POINTER) and not _is_opaque(type(argument)) and argument:
        return argument.contents
    return None


def seen(argument: Any, handles: Handles) -> Argument:  # noqa: ANN401 - any ctypes object
    """An argument as it stands in a recording; memory with its present content."""
    memory = memory_of(argument)
    if memory is None and isinstance(argument, ctypes.Structure | ctypes.Union):
        memory = argument
    if memory is not None:
        return Buffer(ctypes.sizeof(memory), picture(memory, handles).rstrip(b"\0"))
    if isinstance(argument, _POINTER | ctypes.c_void_p):
        return Handle(handles.number(_address(argument)))
    value = argument.value if isinstance(argument, _SIMPLE) else argument
    if isinstance(value, bytes):
        return Text(value.decode(errors="replace"))
    if value is None or isinstance(value, int | float):
        return value
    return Text(str(value))


def picture(memory: Any, handles: Handles) -> bytes:  # noqa: ANN401 - any ctypes object
    """The bytes of memory, its pointers as numbers of handles."""
    raw = bytearray(ctypes.string_at(ctypes.addressof(memory), ctypes.sizeof(memory)))
    used = len(raw.rstrip(b"\0"))
    for offset, target in pointers_in(_kind(memory)):
        if offset >= used:  # a GPM question has 1433 pointers, nearly all of them unused
            break
        address = int.from_bytes(raw[offset : offset + WIDTH], "little")
        number = handles.number(address) if target is Target.HANDLE else 0
        raw[offset : offset + WIDTH] = number.to_bytes(WIDTH, "little")
    return bytes(raw)


def texts_in(memory: Any) -> list[tuple[int, str]]:  # noqa: ANN401 - any ctypes object
    """Offsets of pointers to texts, and the texts; a pointer that leads nowhere has none."""
    found = []
    raw = ctypes.string_at(ctypes.addressof(memory), ctypes.sizeof(memory)).rstrip(b"\0")
    for offset, target in pointers_in(_kind(memory)):
        if offset >= len(raw):
            break
        address = int.from_bytes(raw[offset : offset + WIDTH], "little") if target is Target.TEXT else 0
        text = _text_at(address) if address else ""
        if text:
            found.append((offset, text))
    return found


def is_recordable(memory: Any) -> bool:  # noqa: ANN401 - any ctypes object
    """Whether memory is small enough for a line, and points to no more memory that a recording would lack."""
    return ctypes.sizeof(memory) <= MOST_BUFFER_BYTES and not _leads_on(memory)


def _leads_on(memory: Any) -> bool:  # noqa: ANN401 - any ctypes object
    """Whether memory points to more memory, such as a list of the caller's; that is in no recording."""
    raw = ctypes.string_at(ctypes.addressof(memory), ctypes.sizeof(memory))
    places = (offset for offset, target in pointers_in(_kind(memory)) if target is Target.MEMORY)
    return any(any(raw[offset : offset + WIDTH]) for offset in places)


@lru_cache(maxsize=1024)
def pointers_in(kind: Any) -> tuple[tuple[int, Target], ...]:  # noqa: ANN401 - any ctypes type
    """Offsets of the pointers in a type, in order, and what they lead to. Unions are taken to hold none."""
    if issubclass(kind, ctypes.c_char_p):
        return ((0, Target.TEXT),)
    if issubclass(kind, _POINTER | ctypes.c_void_p):
        is_handle = issubclass(kind, _POINTER) and _is_opaque(kind)
        return ((0, Target.HANDLE if is_handle else Target.MEMORY),)
    if issubclass(kind, ctypes.Array):
        size, inner = ctypes.sizeof(kind._type_), pointers_in(kind._type_)
        places = range(kind._length_ if inner else 0)
        return tuple((place * size + offset, target) for place in places for offset, target in inner)
    if issubclass(kind, ctypes.Structure):
        members = [(getattr(kind, name).offset, member) for name, member, *_ in getattr(kind, "_fields_", ())]
        return tuple((start + offset, target) for start, member in members for offset, target in pointers_in(member))
    return ()


def _kind(memory: Any) -> Any:  # noqa: ANN401 - any ctypes object
    return type(memory)


def _is_opaque(kind: Any) -> bool:  # noqa: ANN401 - a POINTER type
    return ctypes.sizeof(kind._type_) == 0


def _address(pointer: Any) -> int:  # noqa: ANN401 - any ctypes pointer
    return int(ctypes.cast(pointer, ctypes.c_void_p).value or 0)


def _text_at(address: int) -> str:
    """Text at an address, empty where nothing is mapped: a wild pointer of the driver must not end us."""
    try:
        descriptor = os.open("/proc/self/mem", os.O_RDONLY)
    except OSError:
        return ""
    try:
        raw = os.pread(descriptor, _TEXT_BYTES, address)
    except (OSError, OverflowError):
        return ""
    finally:
        os.close(descriptor)
    text = raw.partition(b"\0")[0].decode(errors="replace")
    return text if text.isprintable() else ""
