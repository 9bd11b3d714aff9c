"""Rules about what the driver says: errors by number (XID), and the recovery it asks for.

An XID counts while it is recent: a gauge of the last number would stick for ever, and `increase` cannot see the first
event of a series. The lists come from the one table of XIDs and do not overlap.
"""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import AT_DEVICE, DEVICE
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import device
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, appeared, increase, select, state_code
from warpgauge.core.xid import CATALOG, Blame

__all__ = ["APPLICATION", "CRITICAL", "GROUP", "WARNING"]

_LOOKED_AT: Final = frozenset({63, 92, 121, 160})
"""NVIDIA calls these informational; another catalog calls them fatal, or they announce a failing board."""


def _numbers(*, is_critical: bool) -> tuple[str, ...]:
    found = {
        entry.number
        for entry in CATALOG.values()
        if entry.blame is Blame.HARDWARE and (entry.action.severity is Severity.CRITICAL) == is_critical
    }
    return tuple(str(number) for number in sorted(found if is_critical else found | _LOOKED_AT))


CRITICAL: Final = _numbers(is_critical=True)
WARNING: Final = _numbers(is_critical=False)
APPLICATION: Final = tuple(str(entry.number) for entry in CATALOG.values() if entry.blame is Blame.APPLICATION)

XID: Final = (*DEVICE, "xid")


def _recent(numbers: tuple[str, ...]) -> str:
    return f"time() - {aggregate('max', select(device.XID_LAST, xid=numbers), by=XID)} < 300"


def _count(function: str) -> str:
    return aggregate("sum", function, by=DEVICE)


_REPEATED: Final = " or ".join(
    f"{_count(function)} > $threshold"
    for function in (
        increase(device.XID_EVENTS, "1h", xid=APPLICATION),
        appeared(device.XID_EVENTS, "1h", "6h", xid=APPLICATION),
    )
)
_WANTED: Final = "".join(
    f"{'{{ if' if number == 1 else '{{ else if'} eq $value {number}.0 }}}}{action.replace('_', ' ')}"
    for number, action in enumerate(device.RECOVERY_ACTION.states)
    if number
)

GROUP: Final = Group(
    name="xid",
    rules=(
        Rule(
            alert="DeviceXidCritical",
            expr=_recent(CRITICAL),
            labels=XID,
            severity=Severity.CRITICAL,
            scope="device",
            dashboard="reliability",
            summary=f"{AT_DEVICE} reported XID {{{{ $labels.xid }}}}, a fault of the hardware",
            description="""
                The driver reported XID {{ $labels.xid }} for device {{ $labels.uuid }} on {{ $labels.node }} {{ $value
                | humanizeDuration }} ago. Its job is lost or wrong. First look: the runbook's table for this number,
                then `dmesg -T | grep -i xid` on the node. Drain the node before any reset.
            """,
        ),
        Rule(
            alert="DeviceXidWarning",
            expr=_recent(WARNING),
            labels=XID,
            severity=Severity.WARNING,
            scope="device",
            dashboard="reliability",
            summary=f"{AT_DEVICE} reported XID {{{{ $labels.xid }}}}, which a sound board does not",
            description="""
                The driver reported XID {{ $labels.xid }} for device {{ $labels.uuid }} on {{ $labels.node }} {{ $value
                | humanizeDuration }} ago. The device goes on; what comes next is in the runbook's table. First look:
                memory errors and remapped rows of this device.
            """,
        ),
        Rule(
            alert="DeviceXidRepeated",
            expr=_REPEATED,
            threshold=3.0,
            labels=DEVICE,
            severity=Severity.INFO,
            scope="device",
            dashboard="reliability",
            summary=f'{AT_DEVICE} had {{{{ printf "%.0f" $value }}}} application errors (XID) in an hour',
            description="""
                Programs on device {{ $labels.uuid }} of {{ $labels.node }} failed with XIDs that are the program's
                fault {{ printf "%.0f" $value }} times in an hour. One program is a bug of its own; several different
                ones on one device are the device. First look: which jobs these were.
            """,
        ),
        Rule(
            alert="DeviceRecoveryNeeded",
            expr=f"{state_code(device.RECOVERY_ACTION, by=DEVICE)} > 0",
            hold="2m",
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="reliability",
            summary=f"The driver asks to recover {AT_DEVICE}: {_WANTED}{{{{ end }}}}",
            description=f"""
                For $hold the driver has asked for this to bring device {{{{ $labels.uuid }}}} on
                {{{{ $labels.node }}}} back to health: {_WANTED}{{{{ end }}}}. Drain the node, then do what it asks.
            """,
        ),
    ),
)
