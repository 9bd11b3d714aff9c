"""NVML's field values: one batched call per tier, each value with a return code of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Metric, Tier, device
from warpgauge.exporters.collectors.nvml_api import constant

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from warpgauge.exporters.collectors.nvml_getters import Reading

__all__ = ["FIELDS", "Field", "FieldValue", "Unwrapped", "decode", "to_readings", "union_number"]

KIB: Final = 1024.0
NANO: Final = 1e-9
MILLI: Final = 1e-3
ALL_LINKS: Final = 0xFFFFFFFF  # nvml.h: scopeId UINT_MAX sums over the links; 0 would be link 0 alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field: which metric it is, and what turns its unit into a base unit."""

    id: int
    metric: Metric
    labels: tuple[str, ...] = ()
    factor: float = 1.0
    scope: int = 0
    wraps: bool = False  # nvml.h: "Value can be wrapped"
    zero_is_absent: bool = False

    @property
    def tier(self) -> Tier:
        """How often it is read."""
        return self.metric.tier


@dataclass(frozen=True, slots=True)
class FieldValue:
    """One answered field, freed from ctypes; `bits` is the width of the driver's counter."""

    field: Field
    code: int
    number: float
    bits: int


def _throttle(suffix: str, reason: str) -> Field:
    return Field(id=constant(f"NVML_FI_DEV_{suffix}"), metric=device.THROTTLE_SECONDS, labels=(reason,), factor=NANO)


def _ecc(suffix: str, severity: str, persistence: str) -> Field:
    labels = (severity, persistence)
    return Field(id=constant(f"NVML_FI_DEV_ECC_{suffix}_TOTAL"), metric=device.ECC_ERRORS, labels=labels)


def _link(suffix: str, metric: Metric) -> Field:
    name = f"NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_{suffix}"
    return Field(id=constant(name), metric=metric, factor=KIB, scope=ALL_LINKS)


def _pcie(suffix: str, metric: Metric) -> Field:
    return Field(id=constant(f"NVML_FI_DEV_PCIE_COUNT_{suffix}_BYTES"), metric=metric, wraps=True)


FIELDS: Final[tuple[Field, ...]] = (
    Field(id=constant("NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION"), metric=device.ENERGY, factor=MILLI),
    Field(id=constant("NVML_FI_DEV_MEMORY_TEMP"), metric=device.TEMPERATURE, labels=("memory",), zero_is_absent=True),
    _throttle("CLOCKS_EVENT_REASON_SW_POWER_CAP", "sw_power_cap"),
    _throttle("CLOCKS_EVENT_REASON_SYNC_BOOST", "sync_boost"),
    _throttle("CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN", "sw_thermal"),
    _throttle("PERF_POLICY_THERMAL", "sw_thermal"),  # what drivers before the line above have; the first one counts
    _throttle("CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN", "hw_thermal"),
    _throttle("CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN", "hw_power_brake"),
    _pcie("TX", device.PCIE_TRANSMIT),
    _pcie("RX", device.PCIE_RECEIVE),
    Field(id=constant("NVML_FI_DEV_PCIE_REPLAY_COUNTER"), metric=device.PCIE_REPLAY),
    _link("TX", device.LINK_TRANSMIT),
    _link("RX", device.LINK_RECEIVE),
    _ecc("SBE_VOL", "corrected", "volatile"),
    _ecc("DBE_VOL", "uncorrected", "volatile"),
    _ecc("SBE_AGG", "corrected", "aggregate"),
    _ecc("DBE_AGG", "uncorrected", "aggregate"),
)
"""Every field; its tier is its metric's."""

_MEMBERS: Final = {
    constant("NVML_VALUE_TYPE_DOUBLE"): ("dVal", 0),
    constant("NVML_VALUE_TYPE_UNSIGNED_INT"): ("uiVal", 32),
    constant("NVML_VALUE_TYPE_UNSIGNED_LONG"): ("ulVal", 64),
    constant("NVML_VALUE_TYPE_UNSIGNED_LONG_LONG"): ("ullVal", 64),
    constant("NVML_VALUE_TYPE_SIGNED_LONG_LONG"): ("sllVal", 0),
    constant("NVML_VALUE_TYPE_SIGNED_INT"): ("siVal", 0),
    constant("NVML_VALUE_TYPE_UNSIGNED_SHORT"): ("usVal", 16),
}


def union_number(value_type: int, union: Any) -> float:  # noqa: ANN401 - nvmlValue_t
    """The number in a union, taken from the member that its type names."""
    member, _ = _MEMBERS.get(value_type, ("ullVal", 64))
    return float(getattr(union, member))


def decode(field: Field, raw: Any) -> FieldValue:  # noqa: ANN401 - nvmlFieldValue_t
    """Take the union member that the value's type names."""
    member, bits = _MEMBERS.get(int(raw.valueType), ("ullVal", 64))
    return FieldValue(field, int(raw.nvmlReturn), float(getattr(raw.value, member)), bits)


class Unwrapped:
    """Counters that wrap, made to run on. A fall is a wrap of the counter's own width, unless that is implausible."""

    PLAUSIBLE_BYTES_PER_SECOND: Final = 512e9  # twice PCIe 7.0 x16; more than that is a reset, not a wrap

    def __init__(self) -> None:
        self._last: dict[Field, tuple[float, float, float]] = {}  # raw value, running total, seconds

    def advance(self, value: FieldValue, now: float) -> float:
        """The running total after this reading; after a reset it starts again from the raw value."""
        raw, total, then = self._last.get(value.field, (value.number, value.number, now))
        step = value.number - raw
        if step < 0 and value.bits:
            step += 2.0**value.bits
        fits = 0 <= step <= self.PLAUSIBLE_BYTES_PER_SECOND * max(now - then, 1.0)
        total = total + step if fits else value.number
        self._last[value.field] = (value.number, total, now)
        return total


def to_readings(values: Sequence[FieldValue], counters: Unwrapped, now: float) -> Iterable[Reading]:
    """Readings of the fields that were answered; of two fields for one series the first counts."""
    given: set[tuple[Metric, tuple[str, ...]]] = set()
    for value in values:
        field = value.field
        series = (field.metric, field.labels)
        if value.code or series in given or (field.zero_is_absent and not value.number):
            continue
        given.add(series)
        number = counters.advance(value, now) if field.wraps else value.number
        yield (field.metric, field.labels, number * field.factor)
