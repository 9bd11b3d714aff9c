"""Metrics of InfiniBand and RoCE ports, from the kernel's RDMA subsystem; meanings follow node_exporter's."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.metric import Family, Kind, Metric, Tier, Unit

PORT: Final = ("device", "port")
PORT_STATES: Final = ("down", "init", "armed", "active", "active_defer")
PHYSICAL_STATES: Final = (
    "sleep",
    "polling",
    "disabled",
    "port_configuration_training",
    "link_up",
    "link_error_recovery",
    "phy_test",
)
PATHS: Final = ("switch", "host_bridge", "numa_node", "system")
"""How far a port is from an accelerator, nearest first; `nvidia-smi topo -m` calls them PIX or PXB, PHB, NODE, SYS."""


def _row(  # noqa: PLR0913 - a row has that many columns
    name: str,
    kind: Kind,
    unit: Unit,
    text: str,
    labels: tuple[str, ...] = PORT,
    *,
    tier: Tier = Tier.NORMAL,
    states: tuple[str, ...] = (),
) -> Metric:
    return Metric(name, kind, unit, text, labels=labels, tier=tier, family=Family.HOST, states=states)


INFO: Final = _row(
    "host_infiniband_info",
    Kind.INFO,
    Unit.NONE,
    "One port of an RDMA device: link_layer is InfiniBand, or Ethernet for RoCE.",
    (*PORT, "link_layer", "model", "firmware", "board", "pci_bus_id", "numa_node"),
    tier=Tier.SLOW,
)
PATH_INFO: Final = _row(
    "host_infiniband_accelerator_path_info",
    Kind.INFO,
    Unit.NONE,
    "How an RDMA device reaches an accelerator: by a common PCIe switch, the host bridge, within the numa_node, or "
    "across the system.",
    ("device", "uuid", "path"),
    tier=Tier.SLOW,
)
STATE: Final = _row(
    "host_infiniband_port_state", Kind.STATE, Unit.NONE, "Logical state of a port; active is well.", (*PORT, "state"),
    tier=Tier.FAST, states=PORT_STATES,
)  # fmt: skip
PHYSICAL_STATE: Final = _row(
    "host_infiniband_port_physical_state", Kind.STATE, Unit.NONE, "State of a port's cable and transceivers.",
    (*PORT, "state"), states=PHYSICAL_STATES,
)  # fmt: skip
RATE: Final = _row(
    "host_infiniband_rate_bytes_per_second",
    Kind.GAUGE,
    Unit.BYTES_PER_SECOND,
    "Speed at which a port runs now, each way.",
)
RECEIVE: Final = _row(
    "host_infiniband_receive_bytes_total", Kind.COUNTER, Unit.BYTES, "Bytes received on a port, RDMA included.",
    tier=Tier.FAST,
)  # fmt: skip
TRANSMIT: Final = _row(
    "host_infiniband_transmit_bytes_total", Kind.COUNTER, Unit.BYTES, "Bytes sent on a port, RDMA included.",
    tier=Tier.FAST,
)  # fmt: skip
RECEIVE_PACKETS: Final = _row(
    "host_infiniband_receive_packets_total", Kind.COUNTER, Unit.NONE, "Packets received on a port."
)
TRANSMIT_PACKETS: Final = _row(
    "host_infiniband_transmit_packets_total", Kind.COUNTER, Unit.NONE, "Packets sent on a port."
)
ERRORS: Final = _row(
    "host_infiniband_errors_total",
    Kind.COUNTER,
    Unit.NONE,
    "Errors of a port by kind: of the link, of packets, and of the RDMA transport (retries, timeouts, wrong order).",
    (*PORT, "error"),
)
TRANSMIT_WAIT: Final = _row(
    "host_infiniband_transmit_wait_total",
    Kind.COUNTER,
    Unit.NONE,
    "Ticks of the port's clock in which data waited for credits or for the link: congestion ahead.",
)
CONGESTION: Final = _row(
    "host_infiniband_congestion_packets_total",
    Kind.COUNTER,
    Unit.NONE,
    "Packets of RoCE's congestion control by kind: ecn_marked seen here, cnp_sent back, cnp_handled and cnp_ignored.",
    (*PORT, "kind"),
)
