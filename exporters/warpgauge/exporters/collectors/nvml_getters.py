"""NVML's direct getters: one row per call, with the pure mapping from its result to catalog metrics.

Units and traps: nvml.h (percent, mW, mJ, MHz) and, for what differs between boards, the comments at the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Metric, Tier, device
from warpgauge.exporters.collectors.nvml_api import constant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["GETTERS", "Getter", "Reading", "fan_getter"]

Reading = tuple[Metric, tuple[str, ...], float]
"""Metric, label values after the device's identity, value in base units."""

PERCENT: Final = 0.01
MILLI: Final = 1e-3
MEGA: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Getter:
    """One call per device and what its result means."""

    metric: Metric  # its tier says how often the call is made, unless `every` does
    function: str
    arguments: tuple[int, ...] = ()
    values: Callable[[Any], Iterable[Reading]]
    beside: tuple[Metric, ...] = ()  # what the same result tells too
    every: Tier | None = None
    instead: Getter | None = None  # for drivers that lack the first

    @property
    def tier(self) -> Tier:
        """How often the call is made."""
        return self.every or self.metric.tier


def scaled(metric: Metric, *labels: str, factor: float = 1.0) -> Callable[[Any], Iterable[Reading]]:
    """Map a plain number."""
    return lambda raw: [(metric, labels, float(raw) * factor)]


def ratio(metric: Metric, *labels: str) -> Callable[[Any], Iterable[Reading]]:
    """Map a percentage; drivers were seen to say 101."""
    return lambda raw: [(metric, labels, min(1.0, float(raw) * PERCENT))]


def _memory_v2(raw: Any) -> list[Reading]:  # noqa: ANN401 - nvmlMemory_v2_t
    """Total is what used, free and reserved make up; reserved takes the rounding, so the sum holds exactly."""
    total, used, free = int(raw.total), int(raw.used), int(raw.free)
    return [
        (device.MEMORY_TOTAL, (), float(total)),
        (device.MEMORY_USED, (), float(used)),
        (device.MEMORY_FREE, (), float(free)),
        (device.MEMORY_RESERVED, (), float(max(0, total - used - free))),
    ]


def _memory_v1(raw: Any) -> list[Reading]:  # noqa: ANN401 - nvmlMemory_t
    """Without `reserved`: from driver 510 on it hides in used, and nothing tells how much."""
    return [
        (device.MEMORY_TOTAL, (), float(raw.total)),
        (device.MEMORY_USED, (), float(raw.used)),
        (device.MEMORY_FREE, (), float(raw.free)),
    ]


_REASON_BITS: Final = {
    "idle": constant("nvmlClocksEventReasonGpuIdle"),
    "app_clocks": constant("nvmlClocksEventReasonApplicationsClocksSetting"),
    "sw_power_cap": constant("nvmlClocksEventReasonSwPowerCap"),
    "hw_slowdown": constant("nvmlClocksThrottleReasonHwSlowdown"),
    "sync_boost": constant("nvmlClocksEventReasonSyncBoost"),
    "sw_thermal": constant("nvmlClocksEventReasonSwThermalSlowdown"),
    "hw_thermal": constant("nvmlClocksThrottleReasonHwThermalSlowdown"),
    "hw_power_brake": constant("nvmlClocksThrottleReasonHwPowerBrakeSlowdown"),
    "display": constant("nvmlClocksEventReasonDisplayClockSetting"),
}


def _throttle_reasons(raw: Any) -> list[Reading]:  # noqa: ANN401 - an integer from ctypes
    mask = int(raw)
    return [(device.THROTTLE_ACTIVE, (reason,), float(bool(mask & bit))) for reason, bit in _REASON_BITS.items()]


def _remapped_rows(raw: Any) -> list[Reading]:  # noqa: ANN401 - a tuple of four integers
    corrected, uncorrected, pending, failed = raw
    return [
        (device.ROWS_REMAPPED, ("corrected",), float(corrected)),
        (device.ROWS_REMAPPED, ("uncorrected",), float(uncorrected)),
        (device.ROW_REMAP_PENDING, (), float(bool(pending))),
        (device.ROW_REMAP_FAILED, (), float(bool(failed))),
    ]


def _remap_banks(raw: Any) -> list[Reading]:  # noqa: ANN401 - nvmlRowRemapperHistogramValues_t
    return [(device.ROW_REMAP_BANKS, (name,), float(getattr(raw, name))) for name in _AVAILABILITIES]


_AVAILABILITIES: Final = ("max", "high", "partial", "low", "none")


def _modes(metric: Metric) -> Callable[[Any], Iterable[Reading]]:
    return lambda raw: [(metric, (when,), float(mode)) for when, mode in zip(("current", "pending"), raw, strict=True)]


def _compute_mode(raw: Any) -> list[Reading]:  # noqa: ANN401 - an integer from ctypes
    """NVML counts the modes in the catalog's order."""
    modes = enumerate(device.COMPUTE_MODE.states)
    return [(device.COMPUTE_MODE, (mode,), float(number == int(raw))) for number, mode in modes]


def _memory_errors() -> list[Getter]:
    """One call each: SRAM has no field values, and those of the device memory an H100 does not support."""

    def one(error: str, severity: str, counter: str, persistence: str, place: str) -> Getter:
        return Getter(
            metric=device.ECC_LOCATION_ERRORS,
            function="nvmlDeviceGetMemoryErrorCounter",
            arguments=(
                constant(f"NVML_MEMORY_ERROR_TYPE_{error}"),
                constant(f"NVML_{counter}_ECC"),
                constant(f"NVML_MEMORY_LOCATION_{place.upper()}"),
            ),
            values=scaled(device.ECC_LOCATION_ERRORS, severity, persistence, place),
        )

    return [
        one(error, severity, counter, persistence, place)
        for place in ("device_memory", "sram")
        for error, severity in (("CORRECTED", "corrected"), ("UNCORRECTED", "uncorrected"))
        for counter, persistence in (("VOLATILE", "volatile"), ("AGGREGATE", "aggregate"))
    ]


def _utilization(raw: Any) -> list[Reading]:  # noqa: ANN401 - nvmlUtilization_t
    """Fast in one call; `memory` is the share of time with any access, which other tools show as fullness."""
    return [*ratio(device.UTILIZATION, "compute")(raw.gpu), *ratio(device.MEMORY_ACCESS)(raw.memory)]


def _engine(word: str, engine: str) -> Getter:
    """Percentage and sampling period of one fixed-function engine."""
    values = ratio(device.UTILIZATION, engine)
    return Getter(
        metric=device.UTILIZATION,
        function=f"nvmlDeviceGet{word}Utilization",
        values=lambda raw: values(raw[0]),
        every=Tier.NORMAL,  # four calls; the sample buffers tell each moment of encoder and decoder anyway
    )


def _clocks(metric: Metric, function: str) -> list[Getter]:
    kinds = {"graphics": "GRAPHICS", "sm": "SM", "memory": "MEM", "video": "VIDEO"}
    return [
        Getter(
            metric=metric,
            function=function,
            arguments=(constant(f"NVML_CLOCK_{suffix}"),),
            values=scaled(metric, label, factor=MEGA),
        )
        for label, suffix in kinds.items()
    ]


def _temperature_limits() -> list[Getter]:
    kinds = {"shutdown": "SHUTDOWN", "slowdown": "SLOWDOWN", "max_operating": "GPU_MAX", "memory_max": "MEM_MAX"}
    return [
        Getter(
            metric=device.TEMPERATURE_LIMIT,
            function="nvmlDeviceGetTemperatureThreshold",
            arguments=(constant(f"NVML_TEMPERATURE_THRESHOLD_{suffix}"),),
            values=scaled(device.TEMPERATURE_LIMIT, label),
        )
        for label, suffix in kinds.items()
    ]


def _power_limits() -> list[Getter]:
    def bounds(raw: Any) -> list[Reading]:  # noqa: ANN401 - [min, max] in mW
        return [(device.POWER_LIMIT, (limit,), value * MILLI) for limit, value in zip(("min", "max"), raw, strict=True)]

    def one(function: str, limit: str) -> Getter:
        values = scaled(device.POWER_LIMIT, limit, factor=MILLI)
        return Getter(metric=device.POWER_LIMIT, function=function, values=values)

    return [
        one("nvmlDeviceGetEnforcedPowerLimit", "enforced"),
        one("nvmlDeviceGetPowerManagementDefaultLimit", "default"),
        Getter(metric=device.POWER_LIMIT, function="nvmlDeviceGetPowerManagementLimitConstraints", values=bounds),
    ]


def _plain(metric: Metric, function: str, factor: float = 1.0) -> Getter:
    return Getter(metric=metric, function=function, values=scaled(metric, factor=factor))


def fan_getter(fan: int) -> Getter:
    """The intended speed of one fan; can pass 100 %."""
    values = scaled(device.FAN_SPEED, str(fan), factor=PERCENT)
    return Getter(metric=device.FAN_SPEED, function="nvmlDeviceGetFanSpeed_v2", arguments=(fan,), values=values)


_CORE: Final = (constant("NVML_TEMPERATURE_GPU"),)
_CORE_VALUES: Final = scaled(device.TEMPERATURE, "core")

GETTERS: Final[tuple[Getter, ...]] = (
    Getter(
        metric=device.UTILIZATION,
        function="nvmlDeviceGetUtilizationRates",
        values=_utilization,
        beside=(device.MEMORY_ACCESS,),
    ),
    _engine("Jpg", "jpeg"),
    _engine("Ofa", "ofa"),
    _engine("Encoder", "encoder"),
    _engine("Decoder", "decoder"),
    _plain(device.POWER, "nvmlDeviceGetPowerUsage", MILLI),
    Getter(  # drivers before 12.8's lack the V call
        metric=device.TEMPERATURE,
        function="nvmlDeviceGetTemperatureV",
        arguments=_CORE,
        values=_CORE_VALUES,
        instead=Getter(
            metric=device.TEMPERATURE, function="nvmlDeviceGetTemperature", arguments=_CORE, values=_CORE_VALUES
        ),
    ),
    *_clocks(device.CLOCK, "nvmlDeviceGetClockInfo"),
    Getter(
        metric=device.THROTTLE_ACTIVE,
        function="nvmlDeviceGetCurrentClocksEventReasons",
        values=_throttle_reasons,
        instead=Getter(
            metric=device.THROTTLE_ACTIVE,
            function="nvmlDeviceGetCurrentClocksThrottleReasons",
            values=_throttle_reasons,
        ),
    ),
    Getter(
        metric=device.MEMORY_TOTAL,
        function="nvmlDeviceGetMemoryInfo",
        arguments=(constant("nvmlMemory_v2"),),
        values=_memory_v2,
        beside=(device.MEMORY_USED, device.MEMORY_FREE, device.MEMORY_RESERVED),
        instead=Getter(
            metric=device.MEMORY_TOTAL,
            function="nvmlDeviceGetMemoryInfo",
            values=_memory_v1,
            beside=(device.MEMORY_USED, device.MEMORY_FREE),
        ),
    ),
    _plain(device.PCIE_LINK_GENERATION, "nvmlDeviceGetCurrPcieLinkGeneration"),
    _plain(device.PCIE_LINK_WIDTH, "nvmlDeviceGetCurrPcieLinkWidth"),
    *_clocks(device.CLOCK_MAX, "nvmlDeviceGetMaxClockInfo"),
    *_temperature_limits(),
    *_power_limits(),
    _plain(device.PCIE_LINK_GENERATION_MAX, "nvmlDeviceGetMaxPcieLinkGeneration"),
    _plain(device.PCIE_LINK_WIDTH_MAX, "nvmlDeviceGetMaxPcieLinkWidth"),
    Getter(
        metric=device.ROWS_REMAPPED,
        function="nvmlDeviceGetRemappedRows",
        values=_remapped_rows,
        beside=(device.ROW_REMAP_PENDING, device.ROW_REMAP_FAILED),
    ),
    Getter(metric=device.ROW_REMAP_BANKS, function="nvmlDeviceGetRowRemapperHistogram", values=_remap_banks),
    *_memory_errors(),
    _plain(device.TEMPERATURE_MARGIN, "nvmlDeviceGetMarginTemperature"),
    _plain(device.PERSISTENCE_MODE, "nvmlDeviceGetPersistenceMode"),
    Getter(metric=device.COMPUTE_MODE, function="nvmlDeviceGetComputeMode", values=_compute_mode),
    Getter(metric=device.ECC_MODE, function="nvmlDeviceGetEccMode", values=_modes(device.ECC_MODE)),
    Getter(metric=device.MIG_MODE, function="nvmlDeviceGetMigMode", values=_modes(device.MIG_MODE)),
    Getter(  # 4.5 ms on some boards: slow tier only
        metric=device.PROCESSES,
        function="nvmlDeviceGetComputeRunningProcesses",
        values=lambda raw: [(device.PROCESSES, (), float(len(raw)))],
    ),
)
"""Every direct getter; fans are added per device, once their number is known."""
