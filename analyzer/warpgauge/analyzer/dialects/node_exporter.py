"""node_exporter (names of 1.5.0; https://github.com/prometheus/node_exporter): host metrics.

It tells CPU, memory, swap, pressure, disks, file systems and network of a node; nothing about devices, jobs and
processes, so a saturated host is found and the process that does it is not named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects.dialect import Dialect, Mapped, is_counted
from warpgauge.analyzer.dialects.rows import Row
from warpgauge.core.catalog import host

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NODE_EXPORTER", "ROWS", "UNAME"]

UNAME: Final = "node_uname_info"
_PREFIXES: Final = ("node_", "go_", "process_", "promhttp_")
_PAGE_BYTES: Final = 4096.0  # vmstat counts pages; 4 KiB on x86-64 and on arm64 kernels of the usual distributions


def _pressure(resource: str, scope: str) -> Row:
    return Row(host.PRESSURE_SECONDS, labels={"resource": resource, "scope": scope})


ROWS: Final[dict[str, Row]] = {
    UNAME: Row(host.HOST_INFO),
    "node_boot_time_seconds": Row(host.BOOT_TIME),
    "node_cpu_seconds_total": Row(host.CPU_SECONDS),
    "node_cpu_scaling_frequency_hertz": Row(host.CPU_FREQUENCY),
    "node_load1": Row(host.LOAD1),
    "node_load5": Row(host.LOAD5),
    "node_load15": Row(host.LOAD15),
    "node_memory_MemTotal_bytes": Row(host.MEMORY_TOTAL),
    "node_memory_MemAvailable_bytes": Row(host.MEMORY_AVAILABLE),
    "node_memory_MemFree_bytes": Row(host.MEMORY_FREE),
    "node_memory_SwapTotal_bytes": Row(host.SWAP_TOTAL),
    "node_memory_SwapFree_bytes": Row(host.SWAP_FREE),
    "node_vmstat_pswpin": Row(host.SWAP_IN, _PAGE_BYTES),
    "node_vmstat_pswpout": Row(host.SWAP_OUT, _PAGE_BYTES),
    "node_pressure_cpu_waiting_seconds_total": _pressure("cpu", "some"),
    "node_pressure_memory_waiting_seconds_total": _pressure("memory", "some"),
    "node_pressure_memory_stalled_seconds_total": _pressure("memory", "full"),
    "node_pressure_io_waiting_seconds_total": _pressure("io", "some"),
    "node_pressure_io_stalled_seconds_total": _pressure("io", "full"),
    "node_disk_read_bytes_total": Row(host.DISK_READ),
    "node_disk_written_bytes_total": Row(host.DISK_WRITTEN),
    "node_disk_reads_completed_total": Row(host.DISK_READS),
    "node_disk_writes_completed_total": Row(host.DISK_WRITES),
    "node_disk_io_time_seconds_total": Row(host.DISK_IO_TIME),
    "node_filesystem_size_bytes": Row(host.FILESYSTEM_SIZE),
    "node_filesystem_avail_bytes": Row(host.FILESYSTEM_AVAILABLE),
    "node_network_receive_bytes_total": Row(host.NETWORK_RECEIVE),
    "node_network_transmit_bytes_total": Row(host.NETWORK_TRANSMIT),
    "node_network_receive_errs_total": Row(host.NETWORK_RECEIVE_ERRORS),
    "node_network_transmit_errs_total": Row(host.NETWORK_TRANSMIT_ERRORS),
}


class _NodeExporter:
    name = "node_exporter"
    names = frozenset(ROWS)
    metrics = frozenset(row.metric for row in ROWS.values())

    def knows(self, name: str) -> bool:
        return name.startswith(_PREFIXES)

    def map(self, name: str, labels: Mapping[str, str]) -> tuple[Mapped, ...]:
        row = ROWS[name]
        if not is_counted(row.metric, labels.get("device", "")):
            return ()
        return (Mapped(metric=row.metric, labels={**labels, **row.labels}, factor=row.factor),)


NODE_EXPORTER: Final[Dialect] = _NodeExporter()
