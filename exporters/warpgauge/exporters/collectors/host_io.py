"""Disks and network interfaces out of /proc/diskstats and /proc/net/dev: text in, samples out."""

from __future__ import annotations

import re
from typing import Final

from warpgauge.core.catalog import host
from warpgauge.core.errors import InputError
from warpgauge.core.sample import Sample
from warpgauge.exporters.collectors.host_procfs import integer

__all__ = ["disks", "is_whole_disk", "network"]

# /proc/diskstats counts these, whatever the disk's own sector is (kernel: Documentation/block/stat.rst).
_SECTOR_BYTES: Final = 512
_NOT_WHOLE_DISKS: Final = re.compile(r"(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+")
_DISK_COLUMNS: Final = 14  # partitions of very old kernels have fewer
_NETWORK_COLUMNS: Final = 16
_NETWORK_HEADER_LINES: Final = 2


def is_whole_disk(device: str) -> bool:
    """Whether node_exporter would show it by default: no RAM or loop disk, no partition."""
    return _NOT_WHOLE_DISKS.fullmatch(device) is None


def disks(text: str, *, place: str) -> list[Sample]:
    """Traffic of every whole disk."""
    samples: list[Sample] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split()
        if len(words) >= _DISK_COLUMNS and is_whole_disk(words[2]):
            samples += _disk((words[2],), words[3:], f"{place}:{number}")
    return samples


def _disk(labels: tuple[str], words: list[str], place: str) -> list[Sample]:
    reads, sectors_read, writes, sectors_written, milliseconds = (integer(words[at], place) for at in (0, 2, 4, 6, 9))
    return [
        Sample(host.DISK_READ, labels, float(sectors_read * _SECTOR_BYTES)),
        Sample(host.DISK_WRITTEN, labels, float(sectors_written * _SECTOR_BYTES)),
        Sample(host.DISK_READS, labels, float(reads)),
        Sample(host.DISK_WRITES, labels, float(writes)),
        Sample(host.DISK_IO_TIME, labels, milliseconds / 1000),
    ]


def network(text: str, *, place: str) -> list[Sample]:
    """Traffic of every interface, the loopback included, as node_exporter shows it."""
    samples: list[Sample] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if number > _NETWORK_HEADER_LINES and line.strip():
            name, _, rest = line.rpartition(":")
            samples += _interface(name.strip(), rest.split(), f"{place}:{number}")
    return samples


def _interface(name: str, words: list[str], place: str) -> list[Sample]:
    if not name or len(words) < _NETWORK_COLUMNS:
        msg = f"{place}: not an interface with its {_NETWORK_COLUMNS} counters"
        raise InputError(msg)
    columns = (
        (0, host.NETWORK_RECEIVE),
        (2, host.NETWORK_RECEIVE_ERRORS),
        (8, host.NETWORK_TRANSMIT),
        (10, host.NETWORK_TRANSMIT_ERRORS),
    )
    return [Sample(row, (name,), float(integer(words[at], place))) for at, row in columns]
