"""Rules about devices that are slower than they should be, most of them without a word from the driver."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import AT_DEVICE, BUSY, DEVICE, ON_DEVICE, throttled
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import device
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, over_time, rate, select

__all__ = ["GROUP"]

_CLOCK: Final = aggregate("max", over_time("avg", device.CLOCK, "5m", clock="sm"), by=DEVICE)
_BUSY_CLOCK: Final = f"({_CLOCK} and {ON_DEVICE} {BUSY})"
_MIDDLE: Final = aggregate("quantile", _BUSY_CLOCK, by=("cluster", "node"), argument=0.5)


def _highest(expression: str) -> str:
    return aggregate("max", expression, by=DEVICE)


_CORE: Final = _highest(over_time("avg", device.TEMPERATURE, "5m", sensor="core"))
_SLOWDOWN: Final = _highest(select(device.TEMPERATURE_LIMIT, limit="slowdown"))
_MARGIN: Final = aggregate("min", over_time("avg", device.TEMPERATURE_MARGIN, "5m"), by=DEVICE)
_HEADROOM: Final = f"{_SLOWDOWN} - {ON_DEVICE} {_CORE} or {_MARGIN}"
_NARROW: Final = " or ".join(
    f"{_highest(select(current))} / {ON_DEVICE} {_highest(select(most))} < 1"
    for current, most in (
        (device.PCIE_LINK_WIDTH, device.PCIE_LINK_WIDTH_MAX),
        (device.PCIE_LINK_GENERATION, device.PCIE_LINK_GENERATION_MAX),
    )
)
_UPS: Final = f"changes({select(device.DEVICE_UP)}[30m])"

GROUP: Final = Group(
    name="slowdown",
    rules=(
        Rule(
            alert="DevicePowerBrake",
            expr=f"{throttled('hw_power_brake')} > $threshold",
            hold="5m",
            keep_firing="10m",
            threshold=0.05,
            labels=DEVICE,
            severity=Severity.CRITICAL,
            scope="device",
            dashboard="node",
            summary=f"{AT_DEVICE} is braked by its power supply {{{{ $value | humanizePercentage }}}} of the time",
            description="""
                The board of device {{ $labels.uuid }} on {{ $labels.node }} got the power brake signal {{ $value |
                humanizePercentage }} of the last 5 minutes: the machine's power supply or the rack's feed is at its
                end. First look: power supplies in the BMC's log, and whether the neighbors are braked too.
            """,
        ),
        Rule(
            alert="DeviceClockBehindPeers",
            expr=f"{_BUSY_CLOCK} / on (cluster, node) group_left () {_MIDDLE} < $threshold",
            hold="15m",
            keep_firing="15m",
            threshold=0.8,
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="node",
            summary=f"{AT_DEVICE} runs at {{{{ $value | humanizePercentage }}}} of its neighbors' clock",
            description="""
                Device {{ $labels.uuid }} on {{ $labels.node }} is busy and its SM clock was {{ $value |
                humanizePercentage }} of the median of the busy devices beside it for $hold. No XID comes with it. First
                look: throttle reasons, locked or application clocks (`nvidia-smi -q -d CLOCK -i {{ $labels.index }}`).
            """,
        ),
        Rule(
            alert="DeviceNearThermalLimit",
            expr=f"{aggregate('min', _HEADROOM, by=DEVICE)} < $threshold",
            hold="10m",
            threshold=3.0,
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="node",
            summary=f'{AT_DEVICE} is {{{{ printf "%.1f" $value }}}} °C away from slowing down',
            description="""
                Device {{ $labels.uuid }} on {{ $labels.node }} has run {{ printf "%.1f" $value }} °C below the
                temperature at which it slows down, for $hold. A little more load or a warmer inlet and it throttles.
                First look: its neighbors' temperatures; one hot device is its own cooling.
            """,
        ),
        Rule(
            alert="DevicePcieDowntrained",
            expr=f"({_NARROW}) and {ON_DEVICE} {BUSY}",
            hold="15m",
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="interconnect",
            summary=f"{AT_DEVICE} has {{{{ $value | humanizePercentage }}}} of its PCIe lanes or generation",
            description="""
                The PCIe link of device {{ $labels.uuid }} on {{ $labels.node }} was trained to {{ $value |
                humanizePercentage }} of what device and slot can do, while the device was busy, for $hold. Copies take
                longer by as much. First look: `lspci -vv` (LnkSta against LnkCap), then seat, riser and cable.
            """,
        ),
        Rule(
            alert="DevicePcieReplays",
            expr=f"{aggregate('sum', rate(device.PCIE_REPLAY, '10m'), by=DEVICE)} > $threshold",
            hold="5m",
            threshold=0.1,
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="interconnect",
            summary=f'{AT_DEVICE} sends {{{{ printf "%.1f" $value }}}} PCIe packets a second again',
            description="""
                PCIe packets of device {{ $labels.uuid }} on {{ $labels.node }} were damaged and sent again {{ printf
                "%.1f" $value }} times a second. First look: the same counter of devices below the same switch; then
                seat, riser and cable.
            """,
        ),
        Rule(
            alert="DeviceFlapping",
            expr=f"{_highest(_UPS)} > $threshold",
            threshold=5.0,
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="node",
            summary=f'{AT_DEVICE} went away and came back: {{{{ printf "%.0f" $value }}}} changes in 30 minutes',
            description="""
                Device {{ $labels.uuid }} on {{ $labels.node }} stopped answering and answered again, {{ printf "%.0f"
                $value }} changes in 30 minutes. Each one can kill a job without a lost device to be seen afterwards.
                First look: the agent's log and `dmesg -T | grep -i nvrm` on the node.
            """,
        ),
    ),
)
