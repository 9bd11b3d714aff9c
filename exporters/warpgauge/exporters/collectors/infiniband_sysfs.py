"""Files of /sys/class/infiniband: which there are, and what their texts mean.

Sources: the kernel's Documentation/ABI/stable/sysfs-class-infiniband, and NVIDIA's "Understanding mlx5 counters" for
hw_counters. Data counters are in words of four bytes, also on RoCE.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import infiniband as rows
from warpgauge.core.sample import ReadError

if TYPE_CHECKING:
    from pathlib import Path

    from warpgauge.core.catalog import Metric

__all__ = ["COUNTERS", "Counter", "Port", "count", "path_between", "ports", "rate", "state"]

_MOST_BYTES: Final = 4096
_WORD_BYTES: Final = 4
_GIGABIT_BYTES: Final = 1e9 / 8
_NUMBER: Final = re.compile(r"\d{1,20}", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_RATE: Final = re.compile(r"(\d{1,5}(?:\.\d{1,3})?) Gb/sec\b.*", re.ASCII)
_STATE: Final = re.compile(r"\d{1,2}: ([A-Za-z_ -]{1,40})", re.ASCII)
_CAPITAL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_HOST_BRIDGE: Final = re.compile(r"pci[0-9a-f]{4}:[0-9a-f]{2}")
# Not a failure: this device or this firmware does not count that.
_NOT_COUNTED: Final = frozenset({errno.ENOENT, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTDIR})


@dataclass(frozen=True, slots=True)
class Counter:
    """One file of a port and the series that its number is."""

    file: str
    row: Metric
    labels: tuple[str, ...] = ()
    factor: int = 1


_PORT_ERRORS: Final = {
    "symbol_error": "symbol",
    "link_error_recovery": "link_recovery",
    "link_downed": "link_downed",
    "port_rcv_errors": "receive",
    "port_rcv_remote_physical_errors": "receive_remote_physical",
    "port_rcv_switch_relay_errors": "receive_switch_relay",
    "port_rcv_constraint_errors": "receive_constraint",
    "port_xmit_constraint_errors": "transmit_constraint",
    "port_xmit_discards": "transmit_discard",
    "local_link_integrity_errors": "local_link_integrity",
    "excessive_buffer_overrun_errors": "buffer_overrun",
    "VL15_dropped": "management_dropped",
}
_TRANSPORT_ERRORS: Final = {
    "out_of_sequence": "out_of_sequence",
    "packet_seq_err": "sequence_nak",
    "implied_nak_seq_err": "implied_nak",
    "local_ack_timeout_err": "ack_timeout",
    "rnr_nak_retry_err": "receiver_not_ready",
    "out_of_buffer": "out_of_buffer",
    "duplicate_request": "duplicate_request",
    "rx_icrc_encapsulated": "encapsulated_crc",
}
_CONGESTION: Final = {
    "np_ecn_marked_roce_packets": "ecn_marked",
    "np_cnp_sent": "cnp_sent",
    "rp_cnp_handled": "cnp_handled",
    "rp_cnp_ignored": "cnp_ignored",
}

COUNTERS: Final = (
    Counter("counters/port_rcv_data", rows.RECEIVE, factor=_WORD_BYTES),
    Counter("counters/port_xmit_data", rows.TRANSMIT, factor=_WORD_BYTES),
    Counter("counters/port_rcv_packets", rows.RECEIVE_PACKETS),
    Counter("counters/port_xmit_packets", rows.TRANSMIT_PACKETS),
    Counter("counters/port_xmit_wait", rows.TRANSMIT_WAIT),
    *(Counter(f"counters/{file}", rows.ERRORS, (error,)) for file, error in _PORT_ERRORS.items()),
    *(Counter(f"hw_counters/{file}", rows.ERRORS, (error,)) for file, error in _TRANSPORT_ERRORS.items()),
    *(Counter(f"hw_counters/{file}", rows.CONGESTION, (kind,)) for file, kind in _CONGESTION.items()),
)
"""Every counter that has a series."""


@dataclass(frozen=True, slots=True)
class Port:
    """One port of one RDMA device."""

    device: str
    number: str
    folder: Path

    @property
    def labels(self) -> tuple[str, str]:
        """Identity on every series."""
        return (self.device, self.number)

    @property
    def pci(self) -> Path:
        """Its device among the others of the PCI bus."""
        return self.folder.parent.parent / "device"

    def text(self, name: str, errors: list[ReadError]) -> str | None:
        """One file of the port in one line, None where the device does not have it or the reading failed."""
        return _text(self.folder / name, errors)

    def description(self, errors: list[ReadError]) -> tuple[str, ...]:
        """Link layer, model, firmware, board, PCI address and NUMA node; what is unknown is empty."""
        device = self.folder.parent.parent
        address = os.path.basename(os.path.realpath(self.pci))  # noqa: PTH119 - of a text
        numa = _text(self.pci / "numa_node", errors) or ""
        about = (_text(device / name, errors) or "" for name in ("hca_type", "fw_ver", "board_id"))
        return (self.text("link_layer", errors) or "", *about, address, numa if _NUMBER.fullmatch(numa) else "")


def ports(sys_root: Path) -> list[Port]:
    """Every port that is there now, by device and number."""
    root = sys_root / "class/infiniband"
    found = [
        Port(device, number, root / device / "ports" / number)
        for device in _listed(root)
        for number in _listed(root / device / "ports")
        if _NAME.fullmatch(device) and _NUMBER.fullmatch(number)
    ]
    return sorted(found, key=lambda port: (port.device, int(port.number)))


def count(text: str | None) -> int | None:
    """A counter's number; None for `N/A (no PMA)`, which old devices say."""
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None


def rate(text: str | None) -> float | None:
    """Bytes per second out of `400 Gb/sec (4X NDR)`."""
    match = _RATE.fullmatch(text or "")
    return float(match[1]) * _GIGABIT_BYTES if match else None


def state(text: str | None) -> str | None:
    """`link_up` out of `5: LinkUp`, `active` out of `4: ACTIVE`."""
    match = _STATE.fullmatch(text or "")
    return _CAPITAL.sub("_", match[1]).replace(" ", "_").replace("-", "_").lower() if match else None


def path_between(one: Path, other: Path) -> str | None:
    """How two PCI devices reach each other, by their places in /sys/devices; None where that is unknown."""
    here, there = os.path.realpath(one), os.path.realpath(other)
    if not (os.path.isdir(here) and os.path.isdir(there)):  # noqa: PTH112 - texts
        return None
    shared = os.path.commonpath([here, there]).split("/")
    bridges = [at for at, part in enumerate(shared) if _HOST_BRIDGE.fullmatch(part)]
    if bridges:  # below it comes the root port, and two devices share that only behind a switch
        return "switch" if len(shared) > bridges[0] + 1 else "host_bridge"
    nodes = [_text(path / "numa_node", []) for path in (one, other)]
    if not all(node is not None and _NUMBER.fullmatch(node) for node in nodes):
        return None
    return "numa_node" if nodes[0] == nodes[1] else "system"


def _text(path: Path, errors: list[ReadError]) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES).decode("utf-8", "replace").strip()
    except OSError as error:
        if error.errno not in _NOT_COUNTED:
            reason = "permission" if isinstance(error, PermissionError) else "unreadable"
            errors.append(ReadError(reason, f"{path}: {error.strerror}"))
        return None


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []
