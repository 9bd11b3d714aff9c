"""Rules about one accelerator: gone, silent, hot, losing memory."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.rule import Group, RecordingRule, Rule
from warpgauge.core.catalog import device
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, appeared, increase, over_time, rate, select, state_code

__all__ = ["GROUP"]

DEVICE: Final = ("cluster", "node", "uuid", "index")
NAMED: Final = "{{ $labels.node }}/gpu{{ $labels.index }}"

_LOST, _NEEDS_RESET = (device.DEVICE_STATE.states.index(state) for state in ("lost", "needs_reset"))
_STATE: Final = (
    f"{{{{ if eq $value {_LOST}.0 }}}}lost{{{{ else if eq $value {_NEEDS_RESET}.0 }}}}waiting for a reset"
    "{{ else }}hung{{ end }}"
)

_THERMAL: Final = ("sw_thermal", "hw_thermal")
_SLOWED: Final = " or ".join(
    (
        rate(device.THROTTLE_SECONDS, "5m", reason=_THERMAL),
        over_time("avg", device.THROTTLE_ACTIVE, "5m", reason=_THERMAL),
    )
)

_UNCORRECTED: Final = {"severity": "uncorrected", "persistence": "volatile"}
_NEW_ERRORS: Final = aggregate("sum", increase(device.ECC_ERRORS, "15m", **_UNCORRECTED), by=DEVICE)
_FIRST_ERRORS: Final = aggregate("sum", appeared(device.ECC_ERRORS, "15m", "6h", **_UNCORRECTED), by=DEVICE)

_ONE_EACH: Final = ("cluster", "node", "uuid")
_LOAD: Final = " or ".join(
    (
        aggregate("max", select(device.COMPUTE_ACTIVE), by=_ONE_EACH),
        aggregate("max", select(device.UTILIZATION, engine="compute"), by=_ONE_EACH),
    )
)

GROUP: Final = Group(
    name="device",
    rules=(
        # The label instance is the node: the descheduler looks nodes up by it. Trimaran reads /api/v1/load instead.
        RecordingRule(
            record="node:accel_load:ratio",
            expr=f'label_replace({aggregate("avg", _LOAD, by=("cluster", "node"))}, "instance", "$1", "node", "(.+)")',
        ),
        RecordingRule(
            record="node:accel_power_watts:sum",
            expr=aggregate("sum", aggregate("max", select(device.POWER), by=_ONE_EACH), by=("cluster", "node")),
        ),
        Rule(
            alert="DeviceLost",
            expr=f"{state_code(device.DEVICE_STATE, by=DEVICE)} >= {_LOST}",
            hold="1m",
            labels=DEVICE,
            severity=Severity.CRITICAL,
            scope="device",
            dashboard="device",
            summary=f"{NAMED} is {_STATE}",
            description=f"""
                Device {{{{ $labels.uuid }}}} of node {{{{ $labels.node }}}} has been {_STATE} for a minute. Its job
                cannot go on. First look: `dmesg -T | grep -i -e xid -e nvrm` on the node. Drain the node before any
                reset.
            """,
        ),
        Rule(
            alert="DeviceDataStale",
            expr=f"time() - {aggregate('max', select(device.LAST_SAMPLE), by=DEVICE)} > 120 unless on "
            f"({', '.join(DEVICE)}) {select(device.DEVICE_STATE, state='released')} == 1",
            hold="2m",
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="device",
            summary=f"{NAMED} has not been read for {{{{ $value | humanizeDuration }}}}",
            description="""
                The agent on {{ $labels.node }} answers, but its last reading of device {{ $labels.uuid }} is {{ $value
                | humanizeDuration }} old: other alerts about this device are blind. First look: the agent's log.
            """,
        ),
        Rule(
            alert="DeviceThermalThrottling",
            expr=f"{aggregate('max', _SLOWED, by=DEVICE)} > 0.1",
            hold="10m",
            keep_firing="15m",
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="node",
            summary=f"{NAMED} is slowed by heat {{{{ $value | humanizePercentage }}}} of the time",
            description="""
                Heat held the clocks of device {{ $labels.uuid }} on {{ $labels.node }} down for {{ $value |
                humanizePercentage }} of the last 5 minutes, and for over 10 minutes. Every rank of its job waits for
                it. First look: temperature beside its neighbors; one hot device is its own cooling, all are the inlet
                air.
            """,
        ),
        Rule(
            alert="DeviceUncorrectableEcc",
            expr=f"{_NEW_ERRORS} > 0 or {_FIRST_ERRORS} > 0",
            labels=DEVICE,
            severity=Severity.CRITICAL,
            scope="device",
            dashboard="reliability",
            summary=f'{NAMED} lost data in memory: {{{{ printf "%.0f" $value }}}} uncorrectable errors',
            description="""
                Device {{ $labels.uuid }} on {{ $labels.node }} counted {{ printf "%.0f" $value }} uncorrectable memory
                errors in 15 minutes. The process that hit them was killed or computed with wrong numbers: do not trust
                its last checkpoint. First look: rows waiting for a remap; drain, then reset the device.
            """,
        ),
        Rule(
            alert="DeviceRowRemapFailed",
            expr=f"{aggregate('max', select(device.ROW_REMAP_FAILED), by=DEVICE)} == 1",
            labels=DEVICE,
            severity=Severity.CRITICAL,
            scope="device",
            dashboard="reliability",
            summary=f"{NAMED} has no spare memory rows left",
            description="""
                A row remap failed on device {{ $labels.uuid }} of {{ $labels.node }}: its memory cannot mend itself any
                more. Drain the node and have the board replaced; a reset does not help.
            """,
        ),
    ),
)
