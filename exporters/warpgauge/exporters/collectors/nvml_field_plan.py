"""Field values that were all answered, turned into readings at once: a board has a hundred of them, always the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.core.catalog import Kind
from warpgauge.exporters.collectors.nvml_fields import FieldValue, to_readings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.collectors.nvml_fields import Field, Unwrapped
    from warpgauge.exporters.collectors.nvml_getters import Reading

__all__ = ["FieldPlan"]

_Step = tuple["Metric", tuple[str, ...], float, "Field | None"]
"""Series and factor of a field; the field itself where its reading takes more than that."""


class FieldPlan:
    """What is to be done with the number of each field, in their order, when every one was answered."""

    def __init__(self, steps: Sequence[_Step]) -> None:
        self._steps = steps
        self.bits: Sequence[int] = ()  # width of the driver's counter, of each

    @classmethod
    def of(cls, fields: Sequence[Field]) -> FieldPlan | None:
        """None where it depends on the answers which of several fields counts."""
        series = {(field.metric.name, field.labels) for field in fields}
        if len(series) < len(fields) or any(field.stands_in for field in fields):
            return None
        return cls([(it.metric, it.labels, it.factor, None if _is_plain(it) else it) for it in fields])

    def readings(self, numbers: Sequence[float], counters: Unwrapped, now: float) -> list[Reading]:
        """As `to_readings`."""
        readings: list[Reading] = []
        for number, bits, (metric, labels, factor, field) in zip(numbers, self.bits, self._steps, strict=True):
            if field is None:
                readings.append((metric, labels, number * factor))
            else:
                readings += to_readings([FieldValue(field, 0, float(number), bits)], counters, now)
        return readings


def _is_plain(field: Field) -> bool:
    is_number = field.metric.kind is not Kind.STATE and not field.words and field.unpack is None
    return is_number and not (field.wraps or field.zero_is_absent)
