"""A /sys of a test's own with RDMA ports and PCI devices; contents as mlx5 devices of a DGX H100 show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COUNTERS = {
    "port_rcv_data": "2500", "port_xmit_data": "5000", "port_rcv_packets": "40", "port_xmit_packets": "50",
    "port_xmit_wait": "17", "symbol_error": "12", "link_downed": "1", "VL15_dropped": "0",
}  # fmt: skip
ROCE = {"np_cnp_sent": "3", "rp_cnp_handled": "4", "np_ecn_marked_roce_packets": "5", "out_of_sequence": "6"}


@dataclass
class FakeSys:
    """Writes what the kernel would show below `root`."""

    root: Path

    def pci(self, *places: str, numa: int = 0) -> Path:
        """A PCI device: its host bridge, the bridges above it, and its address."""
        folder = self.root / "devices" / "/".join(places)
        folder.mkdir(parents=True)
        (folder / "numa_node").write_text(f"{numa}\n")
        bus = self.root / "bus/pci/devices"
        bus.mkdir(parents=True, exist_ok=True)
        (bus / places[-1]).symlink_to(folder)
        return folder

    def port(self, device: str = "mlx5_0", *, pci: Path | None = None, layer: str = "InfiniBand") -> Path:
        """One RDMA device with one port."""
        folder = self.root / "class/infiniband" / device
        port = folder / "ports/1"
        texts = {"state": "4: ACTIVE", "phys_state": "5: LinkUp", "rate": "400 Gb/sec (4X NDR)", "link_layer": layer}
        files = texts | {f"counters/{name}": value for name, value in COUNTERS.items()}
        if layer == "Ethernet":
            files |= {f"hw_counters/{name}": value for name, value in ROCE.items()}
        for name, text in files.items():
            (port / name).parent.mkdir(parents=True, exist_ok=True)
            (port / name).write_text(f"{text}\n")
        for name, text in {"hca_type": "MT4129", "fw_ver": "28.39.1002", "board_id": "MT_0000000838"}.items():
            (folder / name).write_text(f"{text}\n")
        if pci is not None:
            (folder / "device").symlink_to(pci)
        return port
