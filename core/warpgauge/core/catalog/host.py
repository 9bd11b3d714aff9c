"""Metrics of the machine; meanings follow node_exporter's under our prefix."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.metric import Equivalent, Family, Kind, Metric, Tier, Unit


def _row(  # noqa: PLR0913 - a row has that many columns
    name: str,
    kind: Kind,
    unit: Unit,
    text: str,
    labels: tuple[str, ...] = (),
    *,
    tier: Tier = Tier.NORMAL,
    otel: str | None = None,
    states: tuple[str, ...] = (),
) -> Metric:
    return Metric(
        name,
        kind,
        unit,
        text,
        labels=labels,
        tier=tier,
        family=Family.HOST,
        states=states,
        otel=Equivalent(otel) if otel else None,
    )


HOST_INFO: Final = _row(
    "host_info",
    Kind.INFO,
    Unit.NONE,
    "Identity of the machine: node name, kernel, architecture.",
    ("nodename", "sysname", "release", "machine"),
    tier=Tier.SLOW,
)
WORKLOAD_INFO: Final = _row(
    "host_workload_info",
    Kind.INFO,
    Unit.NONE,
    "A job, pod or container that runs on this machine, with or without a device; processes nobody scheduled are none.",
    ("scheduler", "namespace", "pod", "container", "job_id", "rank", "user"),
    tier=Tier.FAST,
)
BOOT_TIME: Final = _row(
    "host_boot_timestamp_seconds", Kind.GAUGE, Unit.TIMESTAMP, "When the machine started.", tier=Tier.SLOW
)
CPU_SECONDS: Final = _row(
    "host_cpu_seconds_total",
    Kind.COUNTER,
    Unit.SECONDS,
    "Time each CPU spent in each mode; guest time is part of user, as in /proc/stat.",
    ("cpu", "mode"),
    tier=Tier.FAST,
    otel="system.cpu.time",
)
CPU_COUNT: Final = _row(
    "host_cpus",
    Kind.GAUGE,
    Unit.NONE,
    "Logical CPUs that are online.",
    tier=Tier.SLOW,
    otel="system.cpu.logical.count",
)
CPU_FREQUENCY: Final = _row(
    "host_cpu_frequency_hertz",
    Kind.GAUGE,
    Unit.HERTZ,
    "Current frequency of each CPU; absent where the kernel does not tell.",
    ("cpu",),
    otel="system.cpu.frequency",
)
LOAD1: Final = _row("host_load1", Kind.GAUGE, Unit.NONE, "Load average over one minute.", tier=Tier.FAST)
LOAD5: Final = _row("host_load5", Kind.GAUGE, Unit.NONE, "Load average over five minutes.", tier=Tier.FAST)
LOAD15: Final = _row("host_load15", Kind.GAUGE, Unit.NONE, "Load average over fifteen minutes.", tier=Tier.FAST)
MEMORY_TOTAL: Final = _row(
    "host_memory_total_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Memory of the machine.",
    tier=Tier.FAST,
    otel="system.memory.limit",
)
MEMORY_AVAILABLE: Final = _row(
    "host_memory_available_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Memory that programs could take without swapping (MemAvailable); free memory alone says little.",
    tier=Tier.FAST,
    otel="system.linux.memory.available",
)
MEMORY_FREE: Final = _row(
    "host_memory_free_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Memory that holds nothing at all (MemFree).",
    tier=Tier.FAST,
)
SWAP_TOTAL: Final = _row("host_swap_total_bytes", Kind.GAUGE, Unit.BYTES, "Swap space of the machine.")
SWAP_FREE: Final = _row("host_swap_free_bytes", Kind.GAUGE, Unit.BYTES, "Swap space not in use.")
SWAP_IN: Final = _row(
    "host_swap_in_bytes_total", Kind.COUNTER, Unit.BYTES, "Bytes read back from swap; a rising rate is memory pressure."
)
SWAP_OUT: Final = _row("host_swap_out_bytes_total", Kind.COUNTER, Unit.BYTES, "Bytes written to swap.")
PRESSURE_SECONDS: Final = _row(
    "host_pressure_seconds_total",
    Kind.COUNTER,
    Unit.SECONDS,
    "Time in which tasks waited for a resource (PSI): scope some = at least one task, full = all of them.",
    ("resource", "scope"),
    tier=Tier.FAST,
)
DISK_READ: Final = _row(
    "host_disk_read_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Bytes read from a block device.",
    ("device",),
    tier=Tier.FAST,
    otel="system.disk.io",
)
DISK_WRITTEN: Final = _row(
    "host_disk_written_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Bytes written to a block device.",
    ("device",),
    tier=Tier.FAST,
    otel="system.disk.io",
)
DISK_READS: Final = _row(
    "host_disk_reads_completed_total", Kind.COUNTER, Unit.NONE, "Reads a block device finished.", ("device",)
)
DISK_WRITES: Final = _row(
    "host_disk_writes_completed_total", Kind.COUNTER, Unit.NONE, "Writes a block device finished.", ("device",)
)
DISK_IO_TIME: Final = _row(
    "host_disk_io_time_seconds_total",
    Kind.COUNTER,
    Unit.SECONDS,
    "Time in which a block device had work in flight.",
    ("device",),
    tier=Tier.FAST,
    otel="system.disk.io_time",
)
FILESYSTEM_SIZE: Final = _row(
    "host_filesystem_size_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Size of a mounted file system.",
    ("device", "mountpoint", "fstype"),
    tier=Tier.SLOW,
    otel="system.filesystem.limit",
)
FILESYSTEM_AVAILABLE: Final = _row(
    "host_filesystem_available_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Space on a file system that an ordinary user could still fill.",
    ("device", "mountpoint", "fstype"),
    tier=Tier.SLOW,
)
NETWORK_RECEIVE: Final = _row(
    "host_network_receive_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Bytes received on an interface.",
    ("device",),
    tier=Tier.FAST,
    otel="system.network.io",
)
NETWORK_TRANSMIT: Final = _row(
    "host_network_transmit_bytes_total",
    Kind.COUNTER,
    Unit.BYTES,
    "Bytes sent on an interface.",
    ("device",),
    tier=Tier.FAST,
    otel="system.network.io",
)
NETWORK_RECEIVE_ERRORS: Final = _row(
    "host_network_receive_errors_total",
    Kind.COUNTER,
    Unit.NONE,
    "Frames received with an error.",
    ("device",),
    otel="system.network.errors",
)
NETWORK_TRANSMIT_ERRORS: Final = _row(
    "host_network_transmit_errors_total",
    Kind.COUNTER,
    Unit.NONE,
    "Frames that could not be sent.",
    ("device",),
    otel="system.network.errors",
)
PROCESS_CPU: Final = _row(
    "host_process_cpu_ratio",
    Kind.GAUGE,
    Unit.RATIO,
    "Share of all CPUs of the machine that one process used; asked for as evidence, never on a page: pids churn.",
    ("pid", "command"),
    tier=Tier.ON_DEMAND,
)
PROCESS_MEMORY: Final = _row(
    "host_process_memory_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Resident memory of one process; asked for as evidence, never on a page: pids churn.",
    ("pid", "command"),
    tier=Tier.ON_DEMAND,
)
