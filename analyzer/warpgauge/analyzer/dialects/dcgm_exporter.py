"""dcgm-exporter (3.x to 4.8; https://github.com/NVIDIA/dcgm-exporter): NVIDIA devices.

Names, types and units are those of its etc/default-counters.csv, of DCGM's field identifiers, and of the base-unit
fields that DCGM 4.7 added (go-dcgm pkg/dcgm/base_unit_fields_test.go, alias_resolution_test.go): a fleet in the middle
of an upgrade has both, and both mean the same here. The `*_VIOLATION` counters are nanoseconds, whatever the CSV's
help says. Labels of pods on its series (DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS) name the pod's job.

Can tell: idle devices that a pod or job holds; heat that slows devices (only where the violation counters or the
bits of DCGM_FI_DEV_CLOCKS_EVENT_REASONS are enabled: both are off by default); memory, power, links and ECC as far as
the fields are enabled. With the DCGM_FI_PROF fields also how the time is spent.
Cannot tell: step phases, so no input-bound job, and a straggler only where its clock is low; device states, so a lost
device shows as silence.
DCGM_FI_DEV_XID_ERRORS is the last code and sticks: a change is one event, the same code twice in a row is one, and a
code that stood there at the first sight may be days old and is none (NVIDIA/dcgm-exporter#190, #500).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects.pod_jobs import job_in_labels
from warpgauge.analyzer.dialects.rows import (
    MEGA,
    MIB,
    MILLI,
    NANO,
    PERCENT,
    Device,
    DeviceDialect,
    Readings,
    Row,
    Workload,
    throttle_bits,
)
from warpgauge.core.catalog import Metric, detail, device

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DCGM_EXPORTER", "own_pod"]

_OWN_POD: Final = re.compile(r"(?:.*-)?dcgm-exporter(?:-.*)?")
"""The exporter's own pod, as the Helm chart and the GPU operator name it."""


def _names(row: Row, *names: str) -> Readings:
    return dict.fromkeys((f"DCGM_FI_{name}" for name in names), (row,))


def _scaled(metric: Metric, factor: float, labels: dict[str, str], old: str, base: str) -> Readings:
    """A field in its old unit, and the one that DCGM 4.7 has in base units."""
    return _names(Row(metric, factor, labels), old) | _names(Row(metric, labels=labels), base)


def _clock(metric: Metric, clock: str, old: str, base: str) -> Readings:
    return _scaled(metric, MEGA, {"clock": clock}, old, base)


def _engine(engine: str, old: str, base: str) -> Readings:
    return _scaled(device.UTILIZATION, PERCENT, {"engine": engine}, old, base)


def _pipe(pipe: str, *names: str) -> Readings:
    return _names(Row(device.PIPE_ACTIVE, labels={"pipe": pipe}), *names)


def _throttled(reason: str, old: str, base: str) -> Readings:
    return _scaled(device.THROTTLE_SECONDS, NANO, {"reason": reason}, old, base)


def _counted(reason: str, name: str) -> Readings:
    """A reason that DCGM knows under its old name only."""
    return _names(Row(device.THROTTLE_SECONDS, NANO, labels={"reason": reason}), name)


def _part(engine: str, word: str, most: int) -> Readings:
    """The engines of one kind, each by its number, under both names."""
    found: Readings = {}
    for number in range(most):
        row = Row(detail.ENGINE_ACTIVE, labels={"engine": engine, "number": str(number)})
        found |= _names(row, f"PROF_{word}{number}_ACTIVE", f"PROF_{word}_UTIL_{number}_RATIO")
    return found


def _limit(metric: Metric, limit: str, *names: str) -> Readings:
    return _names(Row(metric, labels={"limit": limit}), *names)


def _ecc(severity: str, persistence: str, name: str) -> Readings:
    return _names(Row(device.ECC_ERRORS, labels={"severity": severity, "persistence": persistence}), name)


def _retired(metric: Metric, cause: str, *names: str) -> Readings:
    return _names(Row(metric, labels={"cause": cause}), *names)


def _link_errors(error: str, *names: str) -> Readings:
    return _names(Row(device.LINK_ERRORS, labels={"link": "", "error": error}), *names)


_LAST_XID: Final = Row(device.XID_LAST, is_last_code=True)

_ROWS: Final[Readings] = {
    **_clock(device.CLOCK, "sm", "DEV_SM_CLOCK", "DEV_SM_CLOCK_HERTZ"),
    **_clock(device.CLOCK, "memory", "DEV_MEM_CLOCK", "DEV_MEMORY_CLOCK_HERTZ"),
    **_clock(device.CLOCK, "video", "DEV_VIDEO_CLOCK", "DEV_VIDEO_CLOCK_HERTZ"),
    **_clock(device.CLOCK_MAX, "sm", "DEV_MAX_SM_CLOCK", "DEV_SM_MAX_CLOCK_HERTZ"),
    **_clock(device.CLOCK_MAX, "memory", "DEV_MAX_MEM_CLOCK", "DEV_MEMORY_MAX_CLOCK_HERTZ"),
    **_names(Row(device.TEMPERATURE, labels={"sensor": "core"}), "DEV_GPU_TEMP", "DEV_GPU_TEMP_CELSIUS"),
    **_names(Row(device.TEMPERATURE, labels={"sensor": "memory"}), "DEV_MEMORY_TEMP", "DEV_MEMORY_TEMP_CELSIUS"),
    **_limit(device.TEMPERATURE_LIMIT, "slowdown", "DEV_SLOWDOWN_TEMP"),
    **_limit(device.TEMPERATURE_LIMIT, "shutdown", "DEV_SHUTDOWN_TEMP"),
    **_limit(device.TEMPERATURE_LIMIT, "max_operating", "DEV_GPU_MAX_OP_TEMP", "DEV_GPU_MAX_OP_TEMP_CELSIUS"),
    **_limit(device.TEMPERATURE_LIMIT, "memory_max", "DEV_MEM_MAX_OP_TEMP", "DEV_MEMORY_MAX_OP_TEMP_CELSIUS"),
    **_names(Row(device.POWER), "DEV_POWER_USAGE", "DEV_BOARD_POWER_WATTS"),
    **_names(Row(device.POWER_INSTANT), "DEV_POWER_USAGE_INSTANT"),
    **_limit(device.POWER_LIMIT, "enforced", "DEV_ENFORCED_POWER_LIMIT"),
    **_limit(device.POWER_LIMIT, "default", "DEV_POWER_MGMT_LIMIT_DEF"),
    **_limit(device.POWER_LIMIT, "min", "DEV_POWER_MGMT_LIMIT_MIN"),
    **_limit(device.POWER_LIMIT, "max", "DEV_POWER_MGMT_LIMIT_MAX"),
    **_scaled(device.ENERGY, MILLI, {}, "DEV_TOTAL_ENERGY_CONSUMPTION", "DEV_GPU_ENERGY_JOULES_TOTAL"),
    **_names(Row(device.PCIE_REPLAY), "DEV_PCIE_REPLAY_COUNTER", "DEV_PCIE_REPLAY_TOTAL"),
    **_names(Row(device.PCIE_LINK_GENERATION), "DEV_PCIE_LINK_GEN"),
    **_names(Row(device.PCIE_LINK_GENERATION_MAX), "DEV_PCIE_MAX_LINK_GEN"),
    **_names(Row(device.PCIE_LINK_WIDTH), "DEV_PCIE_LINK_WIDTH"),
    **_names(Row(device.PCIE_LINK_WIDTH_MAX), "DEV_PCIE_MAX_LINK_WIDTH"),
    **_engine("compute", "DEV_GPU_UTIL", "DEV_GPU_UTIL_RATIO"),
    **_engine("encoder", "DEV_ENC_UTIL", "DEV_ENC_UTIL_RATIO"),
    **_engine("decoder", "DEV_DEC_UTIL", "DEV_DEC_UTIL_RATIO"),
    **_scaled(device.MEMORY_ACCESS, PERCENT, {}, "DEV_MEM_COPY_UTIL", "DEV_MEMORY_UTIL_RATIO"),
    **_scaled(device.MEMORY_TOTAL, MIB, {}, "DEV_FB_TOTAL", "DEV_FB_CAPACITY_BYTES"),
    **_scaled(device.MEMORY_USED, MIB, {}, "DEV_FB_USED", "DEV_FB_USED_BYTES"),
    **_scaled(device.MEMORY_FREE, MIB, {}, "DEV_FB_FREE", "DEV_FB_FREE_BYTES"),
    **_scaled(device.MEMORY_RESERVED, MIB, {}, "DEV_FB_RESERVED", "DEV_FB_RESERVED_BYTES"),
    **_retired(device.ROWS_REMAPPED, "corrected", "DEV_CORRECTABLE_REMAPPED_ROWS", "DEV_ROW_REMAP_CORRECTABLE_TOTAL"),
    **_retired(
        device.ROWS_REMAPPED, "uncorrected", "DEV_UNCORRECTABLE_REMAPPED_ROWS", "DEV_ROW_REMAP_UNCORRECTABLE_TOTAL"
    ),
    **_names(Row(device.ROW_REMAP_FAILED), "DEV_ROW_REMAP_FAILURE", "DEV_ROW_REMAP_FAILED"),
    **_names(Row(device.ROW_REMAP_PENDING), "DEV_ROW_REMAP_PENDING"),
    **_retired(device.PAGES_RETIRED, "corrected", "DEV_RETIRED_SBE", "DEV_PAGE_RETIRED_SBE_TOTAL"),
    **_retired(device.PAGES_RETIRED, "uncorrected", "DEV_RETIRED_DBE", "DEV_PAGE_RETIRED_DBE_TOTAL"),
    **_names(Row(device.PAGE_RETIREMENT_PENDING), "DEV_RETIRED_PENDING", "DEV_PAGE_RETIRED_PENDING"),
    **_ecc("corrected", "volatile", "DEV_ECC_SBE_VOL_TOTAL"),
    **_ecc("uncorrected", "volatile", "DEV_ECC_DBE_VOL_TOTAL"),
    **_ecc("corrected", "aggregate", "DEV_ECC_SBE_AGG_TOTAL"),
    **_ecc("uncorrected", "aggregate", "DEV_ECC_DBE_AGG_TOTAL"),
    **_throttled("sw_power_cap", "DEV_POWER_VIOLATION", "DEV_GPU_POWER_THROTTLE_SECONDS_TOTAL"),
    **_throttled("sw_thermal", "DEV_THERMAL_VIOLATION", "DEV_GPU_THERMAL_THROTTLE_SECONDS_TOTAL"),
    **_throttled("sync_boost", "DEV_SYNC_BOOST_VIOLATION", "DEV_GPU_SYNC_BOOST_THROTTLE_SECONDS_TOTAL"),
    **_counted("board_limit", "DEV_BOARD_LIMIT_VIOLATION"),
    **_counted("low_utilization", "DEV_LOW_UTIL_VIOLATION"),
    **_counted("reliability", "DEV_RELIABILITY_VIOLATION"),
    **_names(Row(detail.CLOCKS_BELOW_BASE, NANO), "DEV_TOTAL_BASE_CLOCKS_VIOLATION"),
    **_link_errors("crc", "DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "DEV_NVLINK_CRC_ERROR_TOTAL"),
    **_link_errors("replay", "DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "DEV_NVLINK_REPLAY_TOTAL"),
    **_link_errors("recovery", "DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "DEV_NVLINK_RECOVERY_TOTAL"),
    **_names(Row(device.GRAPHICS_ENGINE_ACTIVE), "PROF_GR_ENGINE_ACTIVE", "PROF_GR_ENGINE_UTIL_RATIO"),
    **_names(Row(device.COMPUTE_ACTIVE), "PROF_SM_ACTIVE", "PROF_SM_UTIL_RATIO"),
    **_names(Row(device.COMPUTE_OCCUPANCY), "PROF_SM_OCCUPANCY", "PROF_SM_OCCUPANCY_RATIO"),
    **_names(Row(device.MEMORY_BANDWIDTH_ACTIVE), "PROF_DRAM_ACTIVE", "PROF_DRAM_UTIL_RATIO"),
    **_pipe("tensor", "PROF_PIPE_TENSOR_ACTIVE", "PROF_TENSOR_UTIL_RATIO"),
    **_pipe("fp64", "PROF_PIPE_FP64_ACTIVE", "PROF_FP64_UTIL_RATIO"),
    **_pipe("fp32", "PROF_PIPE_FP32_ACTIVE", "PROF_FP32_UTIL_RATIO"),
    **_pipe("fp16", "PROF_PIPE_FP16_ACTIVE", "PROF_FP16_UTIL_RATIO"),
    **_part("decoder", "NVDEC", 8),
    **_part("jpeg", "NVJPG", 8),
    **_part("ofa", "NVOFA", 2),
    **_names(Row(device.PCIE_TRANSMIT_RATE), "PROF_PCIE_TX_BYTES"),
    **_names(Row(device.PCIE_RECEIVE_RATE), "PROF_PCIE_RX_BYTES"),
    **_names(Row(device.PCIE_TRANSMIT), "PROF_PCIE_TX_BYTES_TOTAL"),
    **_names(Row(device.PCIE_RECEIVE), "PROF_PCIE_RX_BYTES_TOTAL"),
    **_names(Row(device.LINK_TRANSMIT_RATE), "PROF_NVLINK_TX_BYTES"),
    **_names(Row(device.LINK_RECEIVE_RATE), "PROF_NVLINK_RX_BYTES"),
    **_names(_LAST_XID, "DEV_XID_ERRORS", "DEV_XID_ERROR"),
    **dict.fromkeys(("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"), throttle_bits()),
    "DCGM_EXP_XID_ERRORS_TOTAL": (Row(device.XID_EVENTS, copied=("xid",)),),
}

_CARRIERS: Final = frozenset(
    f"DCGM_FI_{name}"
    for name in (
        "DEV_GPU_TEMP",
        "DEV_GPU_TEMP_CELSIUS",
        "DEV_FB_USED",
        "DEV_FB_USED_BYTES",
        "DEV_GPU_UTIL",
        "DEV_GPU_UTIL_RATIO",
        "PROF_GR_ENGINE_ACTIVE",
        "PROF_GR_ENGINE_UTIL_RATIO",
    )
)
"""Fields of which hardly a fleet leaves out all; on MIG instances only some of them have values."""


def _identity(labels: Mapping[str, str]) -> Device | None:
    """The device, or the MIG instance; None for switches, CPUs and single links."""
    uuid = labels.get("UUID") or labels.get("gpu_uuid", "")
    if not uuid or labels.get("nvlink") or labels.get("nvswitch"):
        return None
    return Device(
        uuid=uuid,
        index=labels.get("gpu", ""),
        instance_id=labels.get("GPU_I_ID", ""),
        vendor="nvidia",
        model=labels.get("modelName") or labels.get("model_name", ""),
    )


def _workload(labels: Mapping[str, str]) -> Workload:
    """Pod or batch job; the exporter's own pod, which Prometheus puts on the series of a free device, is none."""
    if job := labels.get("hpc_job"):
        return Workload(scheduler="slurm", job_id=job)
    pod = labels.get("exported_pod") or labels.get("pod_name") or labels.get("pod", "")
    if not pod or (not labels.get("exported_pod") and own_pod(labels)):
        return Workload()
    namespace = labels.get("exported_namespace") or labels.get("pod_namespace") or labels.get("namespace", "")
    job = job_in_labels(labels)
    return Workload(
        scheduler="kubernetes",
        job_id="" if job is None else f"{namespace}/{job or pod}",
        namespace=namespace,
        pod=pod,
        container=labels.get("exported_container") or labels.get("container_name") or labels.get("container", ""),
    )


def own_pod(labels: Mapping[str, str]) -> bool:
    """Whether `pod` names the exporter itself."""
    return _OWN_POD.fullmatch(labels.get("pod", "")) is not None


DCGM_EXPORTER: Final = DeviceDialect(
    "dcgm-exporter",
    prefixes=("DCGM_FI_", "DCGM_EXP_"),
    rows=_ROWS,
    carriers=_CARRIERS,
    identity=_identity,
    workload=_workload,
)
