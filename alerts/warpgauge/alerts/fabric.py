"""Rules about what ties devices and nodes together: NVLink, its fabric, its switches, the network."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import AT_DEVICE, DEVICE, NODE, ON_DEVICE
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import device, host, link
from warpgauge.core.finding import Severity
from warpgauge.core.promql import Unlike, aggregate, appeared, increase, rate, select

__all__ = ["GROUP"]

LINK: Final = (*DEVICE, "link")
SWITCH: Final = (*NODE, "pci_bus_id", "sxid")

_DOWN, _ACTIVE = (
    aggregate("sum", select(device.LINK_STATE, state=state), by=DEVICE) for state in ("inactive", "active")
)
_SPEED: Final = aggregate("max", select(device.LINK_SPEED), by=LINK)
_FASTEST: Final = aggregate("max", select(device.LINK_SPEED), by=DEVICE)
_UNHEALTHY: Final = " or ".join(
    (
        f"{aggregate('max', select(link.FABRIC_HEALTH, health=('unhealthy', 'limited_capacity')), by=DEVICE)} == 1",
        f"{aggregate('max', select(link.FABRIC_FAULT), by=DEVICE)} == 1",
    )
)
_SWITCH_ERRORS: Final = " or ".join(
    f"{aggregate('sum', function, by=SWITCH)} > 0"
    for function in (increase(device.SXID_EVENTS, "10m"), appeared(device.SXID_EVENTS, "10m", "6h"))
)
_FRAMES: Final = " + ".join(
    aggregate("sum", rate(row, "5m", device=Unlike("lo")), by=(*NODE, "device"))
    for row in (host.NETWORK_RECEIVE_ERRORS, host.NETWORK_TRANSMIT_ERRORS)
)

GROUP: Final = Group(
    name="fabric",
    interval="1m",  # a device has dozens of series of links: in a fleet these rules cost most of all
    rules=(
        Rule(
            alert="LinkDown",
            expr=f"{_DOWN} > 0 and {ON_DEVICE} {_ACTIVE} > 0",
            hold="5m",
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="fabric",
            dashboard="interconnect",
            summary=f'{AT_DEVICE} lost {{{{ printf "%.0f" $value }}}} of its NVLinks',
            description="""
                {{ printf "%.0f" $value }} NVLinks of device {{ $labels.uuid }} on {{ $labels.node }} are inactive while
                others work, for $hold: collectives take the detour. A board without any NVLink is not meant. First
                look: `nvidia-smi nvlink -s -i {{ $labels.index }}` on both ends.
            """,
        ),
        Rule(
            alert="LinkSlow",
            expr=f"{_SPEED} / {ON_DEVICE} group_left () {_FASTEST} < $threshold",
            hold="10m",
            threshold=0.95,
            labels=LINK,
            severity=Severity.WARNING,
            scope="fabric",
            dashboard="interconnect",
            summary=f"NVLink {{{{ $labels.link }}}} of {AT_DEVICE} runs at {{{{ $value | humanizePercentage }}}}",
            description="""
                NVLink {{ $labels.link }} of device {{ $labels.uuid }} on {{ $labels.node }} was trained to {{ $value |
                humanizePercentage }} of the speed of its fastest link. First look: the link's errors, then reset the
                device; a link that stays slow is a cable or a connector.
            """,
        ),
        Rule(
            alert="LinkErrors",
            expr=f"{aggregate('sum', increase(device.LINK_ERRORS, '15m'), by=LINK)} > $threshold",
            threshold=10.0,
            labels=LINK,
            severity=Severity.WARNING,
            scope="fabric",
            dashboard="interconnect",
            summary=f'NVLink {{{{ $labels.link }}}} of {AT_DEVICE} had {{{{ printf "%.0f" $value }}}} errors',
            description="""
                NVLink {{ $labels.link }} of device {{ $labels.uuid }} on {{ $labels.node }} counted {{ printf "%.0f"
                $value }} errors in 15 minutes, more than $threshold. They cost bandwidth first and a job (XID 74)
                later. First look: whether the far end counts them too; then both ends' seats and cables.
            """,
        ),
        Rule(
            alert="FabricNotRegistered",
            expr=f"{aggregate('max', select(link.FABRIC_REGISTERED), by=DEVICE)} == 0",
            hold="10m",
            labels=DEVICE,
            severity=Severity.CRITICAL,
            scope="fabric",
            dashboard="interconnect",
            summary=f"{AT_DEVICE} has not joined the NVLink fabric",
            description="""
                Device {{ $labels.uuid }} on {{ $labels.node }} has not completed its registration with the NVLink
                fabric for $hold: jobs across devices fail at their start or fall back to PCIe. First look: `systemctl
                status nvidia-fabricmanager` on the node, or the NVLink domain's manager.
            """,
        ),
        Rule(
            alert="FabricUnhealthy",
            expr=_UNHEALTHY,
            hold="5m",
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="fabric",
            dashboard="interconnect",
            summary=f"The NVLink fabric is unwell as {AT_DEVICE} sees it",
            description="""
                The driver of device {{ $labels.uuid }} on {{ $labels.node }} has reported less than a healthy NVLink
                fabric for $hold: bandwidth is missing, or a route is. First look: the
                interconnect dashboard names the fault and says how healthy the fabric is.
            """,
        ),
        Rule(
            alert="SwitchErrors",
            expr=_SWITCH_ERRORS,
            labels=SWITCH,
            severity=Severity.WARNING,
            scope="fabric",
            dashboard="reliability",
            summary="NVSwitch {{ $labels.pci_bus_id }} of {{ $labels.node }} reported SXID {{ $labels.sxid }}",
            description="""
                The NVSwitch at {{ $labels.pci_bus_id }} of {{ $labels.node }} reported SXID {{ $labels.sxid }} {{
                printf "%.0f" $value }} times in 10 minutes. A fatal one stops every job on the node. First look:
                `dmesg -T | grep -i sxid` says fatal or not, and which port.
            """,
        ),
        Rule(
            alert="NetworkErrors",
            expr=f"{_FRAMES} > $threshold",
            hold="10m",
            threshold=0.1,
            labels=(*NODE, "device"),
            severity=Severity.WARNING,
            scope="fabric",
            dashboard="host",
            summary='{{ $labels.device }} of {{ $labels.node }} has {{ printf "%.1f" $value }} bad frames a second',
            description="""
                Interface {{ $labels.device }} of {{ $labels.node }} had {{ printf "%.1f" $value }} damaged frames a
                second for $hold. Lost frames stall collectives of every job that crosses it. First look: `ethtool -S
                {{ $labels.device }}`, then the cable, the transceiver and the switch's port.
            """,
        ),
    ),
)
