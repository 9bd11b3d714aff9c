"""Rules about a device's memory that wears out or fills up, before work is lost."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import AT_DEVICE, DEVICE
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import device
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, increase, select

__all__ = ["GROUP"]

_SCARCE: Final = aggregate("sum", select(device.ROW_REMAP_BANKS, availability=("low", "none")), by=DEVICE)
_CORRECTED: Final = aggregate(
    "sum", increase(device.ECC_ERRORS, "1h", severity="corrected", persistence="volatile"), by=DEVICE
)
_PART: Final = (*DEVICE, "instance_id")
_USED, _TOTAL = (aggregate("max", select(row), by=_PART) for row in (device.MEMORY_USED, device.MEMORY_TOTAL))

GROUP: Final = Group(
    name="memory",
    rules=(
        Rule(
            alert="DeviceRowRemapPending",
            expr=f"{aggregate('max', select(device.ROW_REMAP_PENDING), by=DEVICE)} == 1",
            hold="5m",
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="reliability",
            summary=f"{AT_DEVICE} waits for a reset to replace bad memory",
            description="""
                Device {{ $labels.uuid }} on {{ $labels.node }} found bad memory and will use spare rows from its next
                reset on. Until then the bad rows stay in use. Drain the node when its job ends, then `nvidia-smi
                --gpu-reset -i {{ $labels.index }}`.
            """,
        ),
        Rule(
            alert="DeviceSpareRowsLow",
            expr=f"{_SCARCE} > $threshold",
            hold="5m",
            threshold=0.0,
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="reliability",
            summary=f'{AT_DEVICE} runs out of spare memory rows in {{{{ printf "%.0f" $value }}}} banks',
            description="""
                {{ printf "%.0f" $value }} memory banks of device {{ $labels.uuid }} on {{ $labels.node }} have few or
                no spare rows left: the next bad row there cannot be replaced. First look: how fast
                accel_memory_rows_remapped grew. Order a board before it fails.
            """,
        ),
        Rule(
            alert="DevicePageRetirementPending",
            expr=f"{aggregate('max', select(device.PAGE_RETIREMENT_PENDING), by=DEVICE)} == 1",
            hold="5m",
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="reliability",
            summary=f"{AT_DEVICE} waits for a driver reload to retire bad memory",
            description="""
                Device {{ $labels.uuid }} on {{ $labels.node }} has a memory page to retire, which happens with the next
                load of the driver. Drain the node when its job ends, then reset the device or reboot.
            """,
        ),
        Rule(
            alert="DeviceEccStorm",
            expr=f"{_CORRECTED} > $threshold",
            threshold=100.0,
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="reliability",
            summary=f'{AT_DEVICE} corrected {{{{ printf "%.0f" $value }}}} memory errors in an hour',
            description="""
                The memory of device {{ $labels.uuid }} on {{ $labels.node }} needed {{ printf "%.0f" $value }}
                corrections in an hour, more than $threshold. Nothing is lost yet; uncorrectable errors often follow.
                First look: `nvidia-smi -q -d ECC -i {{ $labels.index }}` says where. Have the board tested when its job
                ends.
            """,
        ),
        Rule(
            alert="DeviceMemoryFull",
            expr=f"{aggregate('max', f'{_USED} / {_TOTAL}', by=DEVICE)} > $threshold",
            hold="15m",
            threshold=0.98,
            labels=DEVICE,
            severity=Severity.INFO,
            scope="device",
            dashboard="device",
            summary=f"{AT_DEVICE} has its memory {{{{ $value | humanizePercentage }}}} full",
            description="""
                Work on device {{ $labels.uuid }} of {{ $labels.node }} held {{ $value | humanizePercentage }} of its
                memory for $hold: the next larger batch fails. Frameworks that reserve everything at the start are meant
                to look like this. First look: the job's own memory statistics.
            """,
        ),
    ),
)
