"""nvmlDeviceGetFieldValues with an array that is kept: one call for many fields, and no object of ctypes per value.

pynvml makes a new array each time and fills it field by field; with a hundred fields a board that took longer than all
that is done with the answers.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.nvml_api import PYNVML, constant
from warpgauge.exporters.collectors.nvml_field_plan import FieldPlan
from warpgauge.exporters.collectors.nvml_fields import FieldValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_fields import Field, Unwrapped
    from warpgauge.exporters.collectors.nvml_getters import Reading

__all__ = ["FieldBatch"]

_FUNCTION: Final = "nvmlDeviceGetFieldValues"
_SLOT: Final = PYNVML.c_nvmlFieldValue_t
_HEAD: Final = f"{_SLOT.valueType.offset}xIi8x"  # the value's type and return code, without the value
_BEFORE: Final = f"{_SLOT.value.offset}x"
_ANSWER: Final = struct.Struct(f"={_SLOT.valueType.offset}xIi8s")  # nvmlFieldValue_t from its value's type on
_UNSIGNED: Final = (struct.Struct("=Q"), 64)
_NUMBERS: Final = {
    constant(f"NVML_VALUE_TYPE_{name}"): (struct.Struct(f"={letter}{8 - struct.calcsize('=' + letter)}x"), bits)
    for name, letter, bits in (
        ("DOUBLE", "d", 0),
        ("UNSIGNED_INT", "I", 32),
        ("UNSIGNED_LONG", "Q", 64),
        ("UNSIGNED_LONG_LONG", "Q", 64),
        ("SIGNED_LONG_LONG", "q", 0),
        ("SIGNED_INT", "i", 0),
        ("UNSIGNED_SHORT", "H", 16),
    )
}
"""How the number of each nvmlValueType_t lies in the union's eight bytes, and the width of a counter of that type."""


class FieldBatch:
    """One question about some fields of one board; for one thread at a time."""

    def __init__(self, api: NvmlApi, handle: Any, fields: Sequence[Field]) -> None:  # noqa: ANN401 - an opaque pointer
        self.fields = fields
        self.plan = FieldPlan.of(fields)
        self._api = api
        self._handle = handle
        slots = (_SLOT * len(fields))()
        for slot, field in zip(slots, fields, strict=True):
            slot.fieldId, slot.scopeId = field.id, field.scope
        self._answers = memoryview(slots).cast("B")
        self._question = bytes(self._answers)
        self._arguments = handle, ctypes.c_int32(len(fields)), ctypes.byref(slots)
        self._heads = struct.Struct("=" + _HEAD * len(fields))  # types and return codes
        self._known: tuple[int, ...] = ()  # those of the last answer, if every field was answered
        self._numbers = struct.Struct("")  # how the numbers of such an answer lie
        self._codes: list[int] | None = None

    def ask(self) -> list[FieldValue]:
        """The answer to each field, in their order, each with a return code of its own.

        Raises:
            CallFailedError: the driver answered none of them.

        """
        self._call()
        return self.values()

    def readings(self, counters: Unwrapped, now: float) -> list[Reading] | None:
        """What the fields say, if every one was answered as the last time, which is usual; else see `values`.

        Raises:
            CallFailedError: the driver answered none of them.

        """
        self._call()
        if self.plan is None or self._heads.unpack(self._answers) != self._known:
            return None
        return self.plan.readings(self._numbers.unpack(self._answers), counters, now)

    def values(self) -> list[FieldValue]:
        """The last answer again, each with its return code."""
        self._learn()
        answers = _ANSWER.iter_unpack(self._answers)
        return [_value(field, *answer) for field, answer in zip(self.fields, answers, strict=True)]

    def is_new(self, values: Sequence[FieldValue]) -> bool:
        """Whether any field was answered with another return code than the last time."""
        codes = [value.code for value in values]
        before, self._codes = self._codes, codes
        return codes != before

    def _call(self) -> None:
        self._answers[:] = self._question  # no answer of before is left
        self._api.direct(_FUNCTION, *self._arguments)

    def _learn(self) -> None:
        """Keep how an answer looks in which there is a number for every field."""
        heads = self._heads.unpack(self._answers)
        types, codes = heads[::2], heads[1::2]
        self._known = () if any(codes) else heads
        layouts = [_NUMBERS.get(kind, _UNSIGNED) for kind in types]
        self._numbers = struct.Struct("=" + "".join(f"{_BEFORE}{layout.format[1:]}" for layout, _ in layouts))
        if self.plan is not None:
            self.plan.bits = [bits for _, bits in layouts]


def _value(field: Field, value_type: int, code: int, raw: bytes) -> FieldValue:
    layout, bits = _NUMBERS.get(value_type, _UNSIGNED)
    return FieldValue(field, code, float(layout.unpack(raw)[0]), bits)
