"""Calls of the library itself into memory that is kept, for what is read each second.

pynvml makes a new object of ctypes for each answer, looks the function up and checks its code in functions of their
own, and its structures look at each of their fields for text: for a number that costs as much again as the call.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.exporters.collectors.nvml_api import NvmlApi

__all__ = ["Answer", "Asking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a function of the library writes its answer into."""

    type: Any  # a number of ctypes, or a structure of pynvml
    before: tuple[Any, ...] = ()  # arguments between the handle and the answer, as objects of ctypes
    given: Mapping[str, int] = field(default_factory=dict)  # fields of the structure that are ours to fill in
    told: tuple[str, ...] = ()  # fields of the structure that are the answer; none: it is a number itself


class Asking:
    """One function, asked about one device again and again; for one thread at a time."""

    def __init__(self, api: NvmlApi, handle: Any, function: str, answer: Answer) -> None:  # noqa: ANN401 - an opaque pointer
        self._api = api
        self._function = function
        self._memory = answer.type()
        for name, value in answer.given.items():
            setattr(self._memory, name, value)
        self._arguments = (handle, *answer.before, ctypes.byref(self._memory))
        self._numbers = [_number(self._memory, name) for name in answer.told] or [self._memory]

    def ask(self) -> Any:  # noqa: ANN401 - the foreign boundary
        """The number, or those of a structure in their order.

        Raises:
            CallFailedError: no value; the verdict says what that means.

        """
        self._api.direct(self._function, *self._arguments)
        numbers = self._numbers
        return numbers[0].value if len(numbers) == 1 else [number.value for number in numbers]


def _number(structure: Any, name: str) -> Any:  # noqa: ANN401 - the foreign boundary
    """A field as a number that shares the structure's memory."""
    (kind,) = (about[1] for about in structure._fields_ if about[0] == name)
    place: int = getattr(type(structure), name).offset
    from_buffer: Callable[[Any, int], Any] = kind.from_buffer
    return from_buffer(structure, place)
