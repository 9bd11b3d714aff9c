"""Metrics of accelerators, vendor-neutral. Identity labels are `uuid` and `index`; all else is on info series.

What belongs to a part of a partitioned device (MIG) has `by_instance`: its series carry `instance_id` too, and while
there are parts the device as a whole has no such series, so that a sum counts nothing twice.
"""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.metric import Equivalent, Kind, Metric, Tier, Unit

DEVICE: Final = ("uuid", "index")
MIB: Final = 1024.0 * 1024.0
MEGA: Final = 1e6

DEVICE_INFO: Final = Metric(
    "accel_device_info",
    Kind.INFO,
    Unit.NONE,
    "Identity of a device, to join by uuid; simulated is 'true' on pages of the simulated fleet only.",
    labels=(*DEVICE, "vendor", "kind", "model", "pci_bus_id", "architecture", "numa_node", "simulated"),
    tier=Tier.SLOW,
)
DRIVER_INFO: Final = Metric(
    "accel_driver_info",
    Kind.INFO,
    Unit.NONE,
    "Driver and library in use; one series per vendor.",
    labels=("vendor", "driver_version", "library_version", "runtime_version"),
    tier=Tier.SLOW,
)
WORKLOAD_INFO: Final = Metric(
    "accel_workload_info",
    Kind.INFO,
    Unit.NONE,
    "Which workload holds a device; a device may carry several, so this is the many side of a join.",
    labels=("uuid", "instance_id", "scheduler", "namespace", "pod", "container", "job_id", "rank", "user"),
    tier=Tier.FAST,
)
INSTANCE_INFO: Final = Metric(
    "accel_instance_info",
    Kind.INFO,
    Unit.NONE,
    "One compute instance of a partitioned (MIG) device and the GPU instance it is part of; absent on whole devices.",
    labels=(*DEVICE, "instance_id", "compute_instance_id", "instance_uuid", "profile"),
    tier=Tier.SLOW,
)
DEVICE_UP: Final = Metric(
    "accel_device_up",
    Kind.GAUGE,
    Unit.NONE,
    "1 if the device answered its last reading, 0 if not; exists for every device ever seen.",
    labels=DEVICE,
    tier=Tier.FAST,
)
DEVICE_STATE: Final = Metric(
    "accel_device_state",
    Kind.STATE,
    Unit.NONE,
    "State of the device; exactly one is 1; exists for every device ever seen; released and denied are not its faults.",
    labels=(*DEVICE, "state"),
    states=("ok", "degraded", "released", "denied", "lost", "needs_reset", "hung"),
    tier=Tier.FAST,
    otel=Equivalent("hw.status"),
)
LAST_SAMPLE: Final = Metric(
    "accel_last_sample_timestamp_seconds",
    Kind.GAUGE,
    Unit.TIMESTAMP,
    "When the device last answered; its age is time() minus this; exists for every device ever seen.",
    labels=DEVICE,
    tier=Tier.FAST,
)
UTILIZATION: Final = Metric(
    "accel_utilization_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of the driver's last sample period in which the engine had any work; busy does not mean well used.",
    labels=(*DEVICE, "engine"),
    tier=Tier.FAST,
    otel=Equivalent("hw.gpu.utilization"),
    dcgm=Equivalent("DCGM_FI_DEV_GPU_UTIL", 0.01),
)
MEMORY_ACCESS: Final = Metric(
    "accel_memory_access_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of the last sample period in which device memory was read or written; not how full it is.",
    labels=DEVICE,
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_DEV_MEM_COPY_UTIL", 0.01),
)
COMPUTE_ACTIVE: Final = Metric(
    "accel_compute_active_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of SMs (or cores) with a resident warp, averaged since the previous reading (GPM on Hopper and newer).",
    labels=DEVICE,
    by_instance=True,
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_PROF_SM_ACTIVE"),
)
GRAPHICS_ENGINE_ACTIVE: Final = Metric(
    "accel_graphics_engine_active_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of time in which the graphics or compute engine was active (GPM on Hopper and newer).",
    labels=DEVICE,
    by_instance=True,
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_PROF_GR_ENGINE_ACTIVE"),
)
COMPUTE_OCCUPANCY: Final = Metric(
    "accel_compute_occupancy_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Resident warps as a share of the most an SM can hold; higher is not always better.",
    labels=DEVICE,
    by_instance=True,
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_PROF_SM_OCCUPANCY"),
)
PIPE_ACTIVE: Final = Metric(
    "accel_pipe_active_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of cycles in which a pipe was active; tensor means any tensor pipe.",
    labels=(*DEVICE, "pipe"),
    by_instance=True,
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"),
)
MEMORY_BANDWIDTH_ACTIVE: Final = Metric(
    "accel_memory_bandwidth_active_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of cycles in which device memory moved data; about 0.8 is the practical peak.",
    labels=DEVICE,
    by_instance=True,
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_PROF_DRAM_ACTIVE"),
)
PCIE_TRANSMIT_RATE: Final = Metric(
    "accel_pcie_transmit_bytes_per_second",
    Kind.GAUGE,
    Unit.BYTES_PER_SECOND,
    "PCIe traffic from the device to the host, averaged since the previous reading (GPM, Hopper and newer).",
    labels=DEVICE,
    by_instance=True,
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_PROF_PCIE_TX_BYTES"),
)
PCIE_RECEIVE_RATE: Final = Metric(
    "accel_pcie_receive_bytes_per_second",
    Kind.GAUGE,
    Unit.BYTES_PER_SECOND,
    "PCIe traffic from the host to the device, averaged since the previous reading (GPM, Hopper and newer).",
    labels=DEVICE,
    by_instance=True,
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_PROF_PCIE_RX_BYTES"),
)
LINK_TRANSMIT_RATE: Final = Metric(
    "accel_link_transmit_bytes_per_second",
    Kind.GAUGE,
    Unit.BYTES_PER_SECOND,
    "Sent over all NVLinks together, averaged since the previous reading (GPM, Hopper and newer).",
    labels=DEVICE,
    by_instance=True,
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_PROF_NVLINK_TX_BYTES"),
)
LINK_RECEIVE_RATE: Final = Metric(
    "accel_link_receive_bytes_per_second",
    Kind.GAUGE,
    Unit.BYTES_PER_SECOND,
    "Received over all NVLinks together, averaged since the previous reading (GPM, Hopper and newer).",
    labels=DEVICE,
    by_instance=True,
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_PROF_NVLINK_RX_BYTES"),
)
MEMORY_TOTAL: Final = Metric(
    "accel_memory_total_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Device memory; used + free + reserved within one snapshot.",
    labels=DEVICE,
    by_instance=True,
    otel=Equivalent("hw.gpu.memory.limit"),
)
MEMORY_USED: Final = Metric(
    "accel_memory_used_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Device memory held by workloads, without what the driver reserves.",
    labels=DEVICE,
    by_instance=True,
    otel=Equivalent("hw.gpu.memory.usage"),
    dcgm=Equivalent("DCGM_FI_DEV_FB_USED", MIB),
)
MEMORY_FREE: Final = Metric(
    "accel_memory_free_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Device memory that a workload could still take.",
    labels=DEVICE,
    by_instance=True,
    dcgm=Equivalent("DCGM_FI_DEV_FB_FREE", MIB),
)
MEMORY_RESERVED: Final = Metric(
    "accel_memory_reserved_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Device memory that driver and firmware keep for themselves.",
    labels=DEVICE,
    by_instance=True,
    dcgm=Equivalent("DCGM_FI_DEV_FB_RESERVED", MIB),
)
TEMPERATURE: Final = Metric(
    "accel_temperature_celsius",
    Kind.GAUGE,
    Unit.CELSIUS,
    "Temperature at a sensor: core or memory.",
    labels=(*DEVICE, "sensor"),
    tier=Tier.FAST,
    otel=Equivalent("hw.temperature"),
    dcgm=Equivalent("DCGM_FI_DEV_GPU_TEMP"),
)
TEMPERATURE_LIMIT: Final = Metric(
    "accel_temperature_limit_celsius",
    Kind.GAUGE,
    Unit.CELSIUS,
    "Temperature at which the device acts: slowdown, shutdown, max_operating (last with full clocks) or memory_max.",
    labels=(*DEVICE, "limit"),
    tier=Tier.SLOW,
    otel=Equivalent("hw.temperature.limit"),
)
TEMPERATURE_MARGIN: Final = Metric(
    "accel_temperature_margin_celsius",
    Kind.GAUGE,
    Unit.CELSIUS,
    "Degrees left until the device slows down (T.Limit on Ada and newer); negative means it already does.",
    labels=DEVICE,
)
TEMPERATURE_MARGIN_LIMIT: Final = Metric(
    "accel_temperature_margin_limit_celsius",
    Kind.GAUGE,
    Unit.CELSIUS,
    "Margin at which the device acts: slowdown, shutdown, max_operating or memory_max.",
    labels=(*DEVICE, "limit"),
    tier=Tier.SLOW,
)
POWER: Final = Metric(
    "accel_power_watts",
    Kind.GAUGE,
    Unit.WATTS,
    "Board power draw; a one-second average on Ampere and newer, except GA100.",
    labels=DEVICE,
    tier=Tier.FAST,
    otel=Equivalent("hw.power"),
    dcgm=Equivalent("DCGM_FI_DEV_POWER_USAGE"),
)
POWER_INSTANT: Final = Metric(
    "accel_power_instant_watts",
    Kind.GAUGE,
    Unit.WATTS,
    "Board power at the moment of the reading; swings more than the average beside it.",
    labels=DEVICE,
    tier=Tier.FAST,
)
POWER_LIMIT: Final = Metric(
    "accel_power_limit_watts",
    Kind.GAUGE,
    Unit.WATTS,
    "Power limit: enforced, default, min or max.",
    labels=(*DEVICE, "limit"),
    tier=Tier.SLOW,
)
ENERGY: Final = Metric(
    "accel_energy_joules_total",
    Kind.COUNTER,
    Unit.JOULES,
    "Energy used since the driver was loaded.",
    labels=DEVICE,
    tier=Tier.NORMAL,  # on an H100 the driver takes 3 to 8 ms of CPU for it
    otel=Equivalent("hw.energy"),
    dcgm=Equivalent("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 1e-3),
)
CLOCK: Final = Metric(
    "accel_clock_hertz",
    Kind.GAUGE,
    Unit.HERTZ,
    "Current clock: graphics, sm, memory or video.",
    labels=(*DEVICE, "clock"),
    tier=Tier.FAST,
    dcgm=Equivalent("DCGM_FI_DEV_SM_CLOCK", MEGA),
)
CLOCK_MAX: Final = Metric(
    "accel_clock_max_hertz",
    Kind.GAUGE,
    Unit.HERTZ,
    "Highest clock the device can be set to.",
    labels=(*DEVICE, "clock"),
    tier=Tier.SLOW,
)
THROTTLE_REASONS: Final = (
    "idle",
    "app_clocks",
    "sw_power_cap",
    "hw_slowdown",
    "sync_boost",
    "sw_thermal",
    "hw_thermal",
    "hw_power_brake",
    "display",
)
THROTTLE_ACTIVE: Final = Metric(
    "accel_throttle_active",
    Kind.STATE,
    Unit.NONE,
    "1 while a reason holds the clocks down; several can hold at once, idle and sw_power_cap alone are normal.",
    labels=(*DEVICE, "reason"),
    states=THROTTLE_REASONS,
    tier=Tier.FAST,
)
THROTTLE_SECONDS: Final = Metric(
    "accel_throttle_seconds_total",
    Kind.COUNTER,
    Unit.SECONDS,
    "Time in which a reason held the clocks down, as the driver counted it.",
    labels=(*DEVICE, "reason"),
    tier=Tier.NORMAL,
    dcgm=Equivalent("DCGM_FI_DEV_THERMAL_VIOLATION", 1e-9),
)
FAN_SPEED: Final = Metric(
    "accel_fan_speed_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Fan speed as a share of the highest the driver intends; can pass 1; absent on boards without fans.",
    labels=(*DEVICE, "fan"),
    otel=Equivalent("hw.fan.speed_ratio"),
)
PCIE_TRANSMIT: Final = Metric(
    "accel_pcie_transmit_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Bytes from the device to the host over PCIe.",
    labels=DEVICE,
)
PCIE_RECEIVE: Final = Metric(
    "accel_pcie_receive_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Bytes from the host to the device over PCIe.",
    labels=DEVICE,
)
PCIE_REPLAY: Final = Metric(
    "accel_pcie_replay_total",
    Kind.COUNTER,
    Unit.NONE,
    "PCIe packets sent again; a rising rate means a bad slot, riser or cable.",
    labels=DEVICE,
    dcgm=Equivalent("DCGM_FI_DEV_PCIE_REPLAY_COUNTER"),
)
PCIE_REPLAY_ROLLOVER: Final = Metric(
    "accel_pcie_replay_rollover_total",
    Kind.COUNTER,
    Unit.NONE,
    "Times four replays of one PCIe packet failed and the link was trained anew.",
    labels=DEVICE,
)
PCIE_ERRORS: Final = Metric(
    "accel_pcie_errors_total",
    Kind.COUNTER,
    Unit.NONE,
    "PCIe errors by kind; correctable and nak kinds cost bandwidth, fatal ones the device.",
    labels=(*DEVICE, "error"),
    tier=Tier.SLOW,
)
PCIE_LINK_GENERATION: Final = Metric(
    "accel_pcie_link_generation",
    Kind.GAUGE,
    Unit.NONE,
    "Current PCIe generation; lower than the maximum at idle is power saving, under load it is a fault.",
    labels=DEVICE,
)
PCIE_LINK_GENERATION_MAX: Final = Metric(
    "accel_pcie_link_generation_max",
    Kind.GAUGE,
    Unit.NONE,
    "Highest PCIe generation that device and slot support together.",
    labels=DEVICE,
    tier=Tier.SLOW,
)
PCIE_LINK_WIDTH: Final = Metric(
    "accel_pcie_link_width",
    Kind.GAUGE,
    Unit.NONE,
    "Current number of PCIe lanes.",
    labels=DEVICE,
)
PCIE_LINK_WIDTH_MAX: Final = Metric(
    "accel_pcie_link_width_max",
    Kind.GAUGE,
    Unit.NONE,
    "Highest number of PCIe lanes that device and slot support together.",
    labels=DEVICE,
    tier=Tier.SLOW,
)
LINK_TRANSMIT: Final = Metric(
    "accel_link_transmit_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Payload bytes sent over one NVLink; link is 'all' only where the driver tells nothing but the sum of all links.",
    labels=(*DEVICE, "link"),
)
LINK_RECEIVE: Final = Metric(
    "accel_link_receive_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Payload bytes received over one NVLink; link is 'all' only where the driver tells nothing but the sum.",
    labels=(*DEVICE, "link"),
)
LINK_STATE: Final = Metric(
    "accel_link_state",
    Kind.STATE,
    Unit.NONE,
    "State of one NVLink; exactly one is 1; sleep is power saving.",
    labels=(*DEVICE, "link", "state"),
    tier=Tier.SLOW,
    states=("inactive", "active", "sleep", "active_traffic_disabled"),
)
LINK_SPEED: Final = Metric(
    "accel_link_speed_bytes_per_second",
    Kind.GAUGE,
    Unit.BYTES_PER_SECOND,
    "Speed one NVLink was trained to, one direction.",
    labels=(*DEVICE, "link"),
    tier=Tier.SLOW,
)
LINK_ERRORS: Final = Metric(
    "accel_link_errors_total",
    Kind.COUNTER,
    Unit.NONE,
    "NVLink errors of one link by kind; crc, replay and recovery up to Hopper, other kinds from Blackwell on.",
    labels=(*DEVICE, "link", "error"),
)
ECC_ERRORS: Final = Metric(
    "accel_ecc_errors_total",
    Kind.COUNTER,
    Unit.NONE,
    "Memory errors: severity corrected, uncorrected or deferred (AMD); volatile since driver load, aggregate over the"
    " device's life.",
    labels=(*DEVICE, "severity", "persistence"),
    otel=Equivalent("hw.errors"),
)
ECC_LOCATION_ERRORS: Final = Metric(
    "accel_ecc_location_errors_total",
    Kind.COUNTER,
    Unit.NONE,
    "Memory errors by location: l1, l2, device_memory, registers, texture, cbu or sram.",
    labels=(*DEVICE, "severity", "persistence", "location"),
    tier=Tier.SLOW,
)
ROWS_REMAPPED: Final = Metric(
    "accel_memory_rows_remapped",
    Kind.GAUGE,
    Unit.NONE,
    "Memory rows replaced by spares, by cause.",
    labels=(*DEVICE, "cause"),
    tier=Tier.SLOW,
)
ROW_REMAP_PENDING: Final = Metric(
    "accel_memory_row_remap_pending",
    Kind.GAUGE,
    Unit.NONE,
    "1 if a remap waits for the next reset of the device.",
    labels=DEVICE,
    tier=Tier.SLOW,
)
ROW_REMAP_FAILED: Final = Metric(
    "accel_memory_row_remap_failed",
    Kind.GAUGE,
    Unit.NONE,
    "1 if a remap failed: no spare rows are left in a bank; replace the board.",
    labels=DEVICE,
    tier=Tier.SLOW,
    dcgm=Equivalent("DCGM_FI_DEV_ROW_REMAP_FAILURE"),
)
ROW_REMAP_BANKS: Final = Metric(
    "accel_memory_row_remap_banks",
    Kind.GAUGE,
    Unit.NONE,
    "Memory banks by how many spare rows they have left: max, high, partial, low or none.",
    labels=(*DEVICE, "availability"),
    tier=Tier.SLOW,
)
PAGES_RETIRED: Final = Metric(
    "accel_memory_pages_retired",
    Kind.GAUGE,
    Unit.NONE,
    "Memory pages taken out of use, by cause (before Ampere, which remaps rows).",
    labels=(*DEVICE, "cause"),
    tier=Tier.SLOW,
)
PAGE_RETIREMENT_PENDING: Final = Metric(
    "accel_memory_page_retirement_pending",
    Kind.GAUGE,
    Unit.NONE,
    "1 if a page waits to be retired at the next driver load.",
    labels=DEVICE,
    tier=Tier.SLOW,
)
RECOVERY_ACTION: Final = Metric(
    "accel_recovery_action",
    Kind.STATE,
    Unit.NONE,
    "What the driver asks for to bring the device back to health; exactly one is 1, on a healthy one: none.",
    labels=(*DEVICE, "action"),
    tier=Tier.NORMAL,
    states=(
        "none",
        "gpu_reset",
        "node_reboot",
        "drain_p2p",
        "drain_and_reset",
        "recover_imex_domain",
        "bus_reset",
        "system_reboot",
    ),
)
FIRMWARE_INFO: Final = Metric(
    "accel_firmware_info",
    Kind.INFO,
    Unit.NONE,
    "Firmware of a device, to join by uuid; one model in one fleet should show one.",
    labels=(*DEVICE, "vbios_version", "inforom_version"),
    tier=Tier.SLOW,
)
PERSISTENCE_MODE: Final = Metric(
    "accel_persistence_mode_enabled",
    Kind.GAUGE,
    Unit.NONE,
    "1 if the driver keeps the idle device initialized; 0 makes its first user wait for seconds.",
    labels=DEVICE,
    tier=Tier.SLOW,
)
ECC_MODE: Final = Metric(
    "accel_ecc_mode_enabled",
    Kind.GAUGE,
    Unit.NONE,
    "1 if ECC is on: current, or pending for the next reset.",
    labels=(*DEVICE, "when"),
    tier=Tier.SLOW,
)
MIG_MODE: Final = Metric(
    "accel_mig_mode_enabled",
    Kind.GAUGE,
    Unit.NONE,
    "1 if the device is partitioned (MIG): current, or pending for the next reset.",
    labels=(*DEVICE, "when"),
    tier=Tier.SLOW,
)
COMPUTE_MODE: Final = Metric(
    "accel_compute_mode",
    Kind.STATE,
    Unit.NONE,
    "Who may compute on the device; exactly one is 1.",
    labels=(*DEVICE, "mode"),
    tier=Tier.SLOW,
    states=("default", "exclusive_thread", "prohibited", "exclusive_process"),
)
PROCESSES: Final = Metric(
    "accel_processes",
    Kind.GAUGE,
    Unit.NONE,
    "Compute processes on the device.",
    labels=DEVICE,
    by_instance=True,
    tier=Tier.SLOW,
)
XID_EVENTS: Final = Metric(
    "accel_xid_events_total",
    Kind.COUNTER,
    Unit.NONE,
    "Driver errors (XID) since the agent started, from NVML and the kernel log, each once; stays for a lost device.",
    labels=(*DEVICE, "xid"),
    tier=Tier.FAST,
)
XID_LAST: Final = Metric(
    "accel_xid_last_timestamp_seconds",
    Kind.GAUGE,
    Unit.TIMESTAMP,
    "When the XID was last seen; absent until then.",
    labels=(*DEVICE, "xid"),
    tier=Tier.FAST,
)
DEVICE_EVENTS: Final = Metric(
    "accel_device_events_total",
    Kind.COUNTER,
    Unit.NONE,
    "Other events that the driver announced since the agent started: ECC storms, retired memory, poison, recovery.",
    labels=(*DEVICE, "event"),
    tier=Tier.FAST,
)
SXID_EVENTS: Final = Metric(
    "accel_switch_sxid_events_total",
    Kind.COUNTER,
    Unit.NONE,
    "Errors (SXID) that an NVSwitch of this node wrote into the kernel log since the agent started.",
    labels=("pci_bus_id", "sxid"),
    tier=Tier.FAST,
)
POWER_DISTRIBUTION: Final = Metric(
    "accel_power_watts_distribution",
    Kind.HISTOGRAM,
    Unit.WATTS,
    "Time spent at each board power draw, from the driver's own sample buffer: counts are milliseconds (not readings),"
    " _sum is watts x milliseconds, so _sum / _count is the mean.",
    labels=DEVICE,
    tier=Tier.FAST,
    buckets=(40.0, 70.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 1000.0, 1200.0),
)
UTILIZATION_DISTRIBUTION: Final = Metric(
    "accel_utilization_ratio_distribution",
    Kind.HISTOGRAM,
    Unit.RATIO,
    "Time spent at each utilization of an engine (compute, memory, encoder, decoder), from the driver's own sample"
    " buffer: counts are milliseconds (not readings), _sum is ratio x milliseconds, so _sum / _count is the mean.",
    labels=(*DEVICE, "engine"),
    tier=Tier.FAST,
    buckets=(0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 0.95, 1.0),
)
SAMPLE_PERIOD: Final = Metric(
    "accel_sample_period_seconds",
    Kind.GAUGE,
    Unit.SECONDS,
    "Measured time between the samples of a driver buffer that feeds a distribution: shorter spikes are averaged away.",
    labels=(*DEVICE, "source"),
    tier=Tier.FAST,
)
