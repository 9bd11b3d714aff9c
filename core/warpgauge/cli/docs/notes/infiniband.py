"""Notes on the metrics of InfiniBand and RoCE ports. Values are from the fixture tree, not from a real fabric."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import infiniband as rows

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    rows.INFO: Note(
        '`NAME{device="mlx5_0", port="1", link_layer="InfiniBand", firmware="28.39.1002", numa_node="0"} 1`: `count by'
        " (firmware) (NAME)` shows a half-done firmware rollout.",
        "a network interface: `device` is the RDMA device, not the interface that the kernel's network stack names.",
    ),
    rows.PATH_INFO: Note(
        '`NAME{device="mlx5_0", uuid="GPU-...", path="switch"} 1`: this port and GPU share a PCIe switch, as GPUDirect'
        " wants it.",
        "a measured distance: it says how they are wired, not how fast that is.",
    ),
    rows.STATE: Note(
        '`NAME{device="mlx5_0", port="1", state="active"} 1`: exactly one state of a port is 1.',
        "whether the cable is in: a port can be physically up and logically in `init`, for want of a subnet manager.",
    ),
    rows.PHYSICAL_STATE: Note(
        '`NAME{state="link_up"} 1`: the cable works; `polling` looks for a peer.',
        "readiness for traffic: that is the logical state.",
    ),
    rows.RATE: Note(
        "`NAME 50000000000`: 400 Gb/s, 50 GB/s each way; half of it on one of eight ports is a degraded link.",
        "the use of the port: divide the rate of bytes by it.",
    ),
    rows.RECEIVE: Note(
        "`rate(NAME[1m])` was 4.1e9: 4.1 GB/s came in; the kernel's counter is in words of four bytes, this is not.",
        "part of the network interface's bytes: RDMA goes past the kernel and is not in those.",
    ),
    rows.TRANSMIT: Note(
        "`rate(NAME[1m])` beside the receiving side's: in an all-reduce both are alike.",
        "payload: headers count as well.",
    ),
    rows.RECEIVE_PACKETS: Note(
        "bytes by packets gives the mean packet, 4 KB at full tilt.",
        "messages: one message is many packets.",
    ),
    rows.TRANSMIT_PACKETS: Note(
        "bytes by packets gives the mean packet; far below 4 KB many small messages go out.",
        "retries: those are errors by kind.",
    ),
    rows.ERRORS: Note(
        '`increase(NAME{error="symbol"}[1h])` was 12: the cable or transceiver is going bad.',
        "one number: `out_of_sequence` has other causes than `symbol`, so look at kinds apart; most are 0 for months.",
    ),
    rows.TRANSMIT_WAIT: Note(
        "a rate that rises on all senders to one node says that this node, or its leaf, cannot take more.",
        "seconds: the tick is the device's own, so only its course and peers can be compared.",
    ),
    rows.CONGESTION: Note(
        '`rate(NAME{kind="cnp_handled"}[5m])` was 800: this port was told 800 times a second to slow down.',
        "loss: congestion control does its work, and errors tell of loss. InfiniBand proper has none of these.",
    ),
}
