"""Rules about jobs: what they hold and do not use."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.rule import Group, RecordingRule, Rule
from warpgauge.core.catalog import device
from warpgauge.core.finding import Severity
from warpgauge.core.promql import Unlike, aggregate, over_time, select

__all__ = ["GROUP"]

HOLDERS: Final = ("cluster", "node", "uuid", "job_id", "user")

# The workload is the many side of each join: a device may carry several.
_HELD: Final = aggregate("max", select(device.WORKLOAD_INFO, job_id=Unlike("")), by=HOLDERS)
_UTILIZATION: Final = aggregate("max", select(device.UTILIZATION, engine="compute"), by=("cluster", "uuid"))
_BUSIEST: Final = aggregate(
    "max", over_time("max", device.UTILIZATION, "15m", engine="compute"), by=("cluster", "uuid", "index")
)

GROUP: Final = Group(
    name="job",
    rules=(
        RecordingRule(
            record="job:accel_utilization_ratio:avg",
            expr=aggregate(
                "avg", f"{_HELD} * on (cluster, uuid) group_left () {_UTILIZATION}", by=("cluster", "job_id")
            ),
        ),
        Rule(
            alert="DeviceIdleAllocated",
            expr=f"{_HELD} * on (cluster, uuid) group_left (index) {_BUSIEST} < 0.05",
            hold="45m",
            labels=(*HOLDERS, "index"),
            severity=Severity.INFO,
            scope="job",
            dashboard="job",
            summary="Job {{ $labels.job_id }} holds {{ $labels.node }}/gpu{{ $labels.index }} and does not use it",
            description="""
                Device {{ $labels.uuid }} on {{ $labels.node }} belongs to job {{ $labels.job_id }} of {{ $labels.user
                }} and was never busier than {{ $value | humanizePercentage }} in the last 45 minutes. First look: is
                the job waiting for data or a peer, or was it forgotten?
            """,
        ),
    ),
)
