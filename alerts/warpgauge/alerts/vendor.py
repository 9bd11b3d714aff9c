"""Rules about what one vendor's driver alone tells: AMD's limits, the runtime of a TPU."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import AT_DEVICE, DEVICE, ON_DEVICE
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import device, runtime, vendor
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, over_time, select

__all__ = ["GROUP"]

LIMIT: Final = (*DEVICE, "limit")
_HEAT: Final = ("socket_thermal", "vr_thermal", "hbm_thermal", "prochot")  # power is how it should be under load

_HELD: Final = aggregate("max", over_time("avg", vendor.VIOLATION, "10m", limit=_HEAT), by=LIMIT)
_IS_HELD_OPEN: Final = aggregate("max", select(device.PROCESSES), by=DEVICE)
_IDLE, _QUEUED, _RUNTIME = (
    aggregate("max", select(row), by=DEVICE)
    for row in (runtime.IDLE_SECONDS, runtime.QUEUED_PROGRAMS, runtime.RUNTIME_UP)
)

GROUP: Final = Group(
    name="vendor",
    rules=(
        Rule(
            alert="DeviceHeldByLimit",
            expr=f"{_HELD} > $threshold",
            hold="10m",
            threshold=0.1,
            labels=LIMIT,
            severity=Severity.WARNING,
            scope="device",
            dashboard="device",
            summary=f"{AT_DEVICE} is held down by {{{{ $labels.limit }}}}, {{{{ $value | humanizePercentage }}}}",
            description="""
                The clocks of device {{ $labels.uuid }} on {{ $labels.node }} were held down by {{ $labels.limit }} for
                {{ $value | humanizePercentage }} of the last 10 minutes, and that for $hold: it computes slower than
                its peers. First look: `amd-smi metric --throttle --temperature`, then fans and inlet air; prochot is
                the board or its power supply.
            """,
        ),
        Rule(
            alert="DeviceRuntimeSilent",
            expr=f"{_RUNTIME} == 0 and {ON_DEVICE} {_IS_HELD_OPEN} > 0",
            hold="10m",
            labels=DEVICE,
            severity=Severity.INFO,
            scope="device",
            dashboard="device",
            summary=f"Nobody tells what {AT_DEVICE} does",
            description="""
                A process on {{ $labels.node }} has held device {{ $labels.uuid }} for $hold, and its runtime answers no
                question about it: load and memory of the device are not known. First look: whether the workload serves
                its runtime metrics (libtpu does on port 8431), and agent.tpu_metrics_addresses.
            """,
        ),
        Rule(
            alert="DeviceProgramsStuck",
            expr=f"{_IDLE} > $threshold and {ON_DEVICE} {_QUEUED} > 0",
            hold="5m",
            threshold=300.0,
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="device",
            summary=f"{AT_DEVICE} has had programs to run and done nothing for {{{{ $value | humanizeDuration }}}}",
            description="""
                Programs wait in the queue of device {{ $labels.uuid }} on {{ $labels.node }}, and its cores have had no
                work for {{ $value | humanizeDuration }}: it hangs, or waits for another one in a collective. First
                look: which other devices of the job stand still, the one that does not wait is the cause.
            """,
        ),
    ),
)
