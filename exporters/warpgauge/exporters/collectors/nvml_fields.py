"""NVML's field values: one batched call per tier, each value with a return code of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Kind, Metric, Tier, detail, device
from warpgauge.exporters.collectors.nvml_api import constant, is_supported

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from warpgauge.exporters.collectors.nvml_getters import Reading
    from warpgauge.exporters.increments import Bookmark

__all__ = [
    "FIELDS",
    "Field",
    "FieldValue",
    "Unwrapped",
    "superseded",
    "to_readings",
]

NANO: Final = 1e-9
MILLI: Final = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Field:
    """One field: which metric it is, and what turns its unit into a base unit. Each is a row, equal to itself only."""

    id: int
    metric: Metric
    labels: tuple[str, ...] = ()
    factor: float = 1.0
    scope: int = 0
    wraps: bool = False  # nvml.h: "Value can be wrapped"
    zero_is_absent: bool = False
    stands_in: bool = False  # counts only on a board that supports no other field of its metric
    words: tuple[tuple[int, str], ...] = ()  # INFO: the last label's value for each of the driver's numbers
    unpack: Callable[[int], float] | None = None  # for numbers that the driver packs into bits

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


def _pcie(suffix: str, metric: Metric) -> Field:
    return Field(id=constant(f"NVML_FI_DEV_PCIE_COUNT_{suffix}_BYTES"), metric=metric, wraps=True)


def _plain(suffix: str, metric: Metric, *labels: str, factor: float = 1.0) -> Field:
    return Field(id=constant(f"NVML_FI_DEV_{suffix}"), metric=metric, labels=labels, factor=factor)


def _ecc_locations() -> list[Field]:
    """The detail behind the totals: NVML's names have SBE and DBE, volatile and aggregate, and where.

    What Hopper has is told by calls instead: see `nvml_getters`.
    """
    return [
        _plain(f"ECC_{kind}_{span}_{suffix}", device.ECC_LOCATION_ERRORS, severity, persistence, location)
        for kind, severity in (("SBE", "corrected"), ("DBE", "uncorrected"))
        for span, persistence in (("VOL", "volatile"), ("AGG", "aggregate"))
        for suffix, location in _ECC_LOCATIONS.items()
        if (kind, suffix) != ("SBE", "CBU")  # which only detects double-bit errors
    ]


_ECC_LOCATIONS: Final = {
    "L1": "l1",
    "L2": "l2",
    "REG": "registers",
    "TEX": "texture",
    "CBU": "cbu",
}
_MARGINS: Final = {
    "SHUTDOWN": "shutdown",
    "SLOWDOWN": "slowdown",
    "MEM_MAX": "memory_max",
    "GPU_MAX": "max_operating",
}
_PCIE_ERRORS: Final = {
    "CORRECTABLE_ERRORS": "correctable",
    "NAKS_RECEIVED": "nak_received",
    "NAKS_SENT": "nak_sent",
    "RECEIVER_ERROR": "receiver",
    "BAD_TLP": "bad_tlp",
    "BAD_DLLP": "bad_dllp",
    "NON_FATAL_ERROR": "non_fatal",
    "FATAL_ERROR": "fatal",
    "UNSUPPORTED_REQ": "unsupported_request",
    "LCRC_ERROR": "lcrc",
    "LANE_ERROR": "lane",
}
FIELDS: Final[tuple[Field, ...]] = (
    Field(id=constant("NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION"), metric=device.ENERGY, factor=MILLI),
    Field(id=constant("NVML_FI_DEV_MEMORY_TEMP"), metric=device.TEMPERATURE, labels=("memory",), zero_is_absent=True),
    _throttle("CLOCKS_EVENT_REASON_SW_POWER_CAP", "sw_power_cap"),
    _throttle("CLOCKS_EVENT_REASON_SYNC_BOOST", "sync_boost"),
    _throttle("CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN", "sw_thermal"),
    _throttle("PERF_POLICY_THERMAL", "sw_thermal"),  # what drivers before the line above have; the first one counts
    _throttle("CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN", "hw_thermal"),
    _throttle("CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN", "hw_power_brake"),
    _throttle("PERF_POLICY_BOARD_LIMIT", "board_limit"),
    _throttle("PERF_POLICY_LOW_UTILIZATION", "low_utilization"),
    _throttle("PERF_POLICY_RELIABILITY", "reliability"),
    _plain("PERF_POLICY_TOTAL_BASE_CLOCKS", detail.CLOCKS_BELOW_BASE, factor=NANO),
    _pcie("TX", device.PCIE_TRANSMIT),
    _pcie("RX", device.PCIE_RECEIVE),
    Field(id=constant("NVML_FI_DEV_PCIE_REPLAY_COUNTER"), metric=device.PCIE_REPLAY),
    _ecc("SBE_VOL", "corrected", "volatile"),
    _ecc("DBE_VOL", "uncorrected", "volatile"),
    _ecc("SBE_AGG", "corrected", "aggregate"),
    _ecc("DBE_AGG", "uncorrected", "aggregate"),
    *_ecc_locations(),
    _plain("POWER_INSTANT", device.POWER_INSTANT, factor=MILLI),
    Field(
        id=constant("NVML_FI_DEV_POWER_AVERAGE"),
        metric=detail.MEMORY_POWER,
        factor=MILLI,
        scope=constant("NVML_POWER_SCOPE_MEMORY"),  # 2, which nvml.h's text on the field calls another: see the note
        zero_is_absent=True,
    ),
    *[
        _plain(f"TEMPERATURE_{suffix}_TLIMIT", device.TEMPERATURE_MARGIN_LIMIT, limit)
        for suffix, limit in _MARGINS.items()
    ],
    _plain("PCIE_REPLAY_ROLLOVER_COUNTER", device.PCIE_REPLAY_ROLLOVER),
    *[_plain(f"PCIE_COUNT_{suffix}", device.PCIE_ERRORS, error) for suffix, error in _PCIE_ERRORS.items()],
    _plain("RETIRED_SBE", device.PAGES_RETIRED, "corrected"),
    _plain("RETIRED_DBE", device.PAGES_RETIRED, "uncorrected"),
    _plain("RETIRED_PENDING", device.PAGE_RETIREMENT_PENDING),
    _plain("GET_GPU_RECOVERY_ACTION", device.RECOVERY_ACTION),
)
"""Every field that a board has once; its tier is its metric's."""

_BOOKMARK: Final = "field/"


class Unwrapped:
    """Counters that wrap, made to run on. A fall is a wrap of the counter's own width, unless that is implausible."""

    PLAUSIBLE_BYTES_PER_SECOND: Final = 512e9  # twice PCIe 7.0 x16; more than that is a reset, not a wrap

    def __init__(self, bookmark: Bookmark | None = None) -> None:
        """A bookmark of another process lets its totals run on: the monotonic clock is the same for all."""
        kept = (bookmark or {}).items()
        self._last: dict[str, tuple[float, ...]] = {name: past for name, past in kept if name.startswith(_BOOKMARK)}

    @property
    def bookmark(self) -> Bookmark:
        """Raw value, running total and seconds of each counter: where another process can go on."""
        return self._last

    def advance(self, value: FieldValue, now: float) -> float:
        """The running total after this reading; after a reset it starts again from the raw value."""
        name = f"{_BOOKMARK}{value.field.id}/{value.field.scope}"
        raw, total, then = self._last.get(name, (value.number, value.number, now))
        step = value.number - raw
        if step < 0 and value.bits:
            step += 2.0**value.bits
        fits = 0 <= step <= self.PLAUSIBLE_BYTES_PER_SECOND * max(now - then, 1.0)
        total = total + step if fits else value.number
        self._last[name] = (value.number, total, now)
        return total


def superseded(values: Sequence[FieldValue]) -> list[Field]:
    """Fields that need not be asked again: an earlier one gave their series, or one that they stand in for answered."""
    given: set[tuple[Metric, tuple[str, ...]]] = set()
    metrics: set[Metric] = set()
    idle: list[Field] = []
    for field in [value.field for value in values if not value.code]:
        series = (field.metric, field.labels)
        if series in given or (field.stands_in and field.metric in metrics):
            idle.append(field)
        given.add(series)
        metrics.add(field.metric)
    return idle


def to_readings(values: Sequence[FieldValue], counters: Unwrapped, now: float) -> Iterable[Reading]:
    """Readings of the fields that were answered; of two fields for one series the first counts.

    A field that stands in gives nothing while another of its metric is still asked for, answered or not: the metric
    must not change its label values from one reading to the next.
    """
    given: set[tuple[str, tuple[str, ...]]] = set()
    in_question: set[Metric] = set()
    if any(value.field.stands_in for value in values):
        in_question = {value.field.metric for value in values if not value.field.stands_in and is_supported(value.code)}
    for value in values:
        field = value.field
        series = (field.metric.name, field.labels)
        if value.code or series in given or (field.zero_is_absent and not value.number):
            continue
        if field.stands_in and field.metric in in_question:
            continue
        given.add(series)
        if field.metric.kind is Kind.STATE:  # the driver's enumeration counts the states in the catalog's order
            states = enumerate(field.metric.states)
            yield from ((field.metric, (*field.labels, state), float(value.number == i)) for i, state in states)
            continue
        if field.words:
            yield from ((field.metric, (*field.labels, word), 1.0) for n, word in field.words if n == value.number)
            continue
        number = counters.advance(value, now) if field.wraps else value.number
        number = field.unpack(int(number)) if field.unpack else number
        yield (field.metric, field.labels, number * field.factor)
