"""Rules about training jobs from their own step timers: a rank that holds others up or is gone, no steps, no data."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import NODE
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import device, training
from warpgauge.core.finding import Severity
from warpgauge.core.promql import Unlike, aggregate, rate, select

__all__ = ["GROUP"]

JOB: Final = (*NODE, "job_id")
RANK: Final = (*JOB, "rank", "stage")

# A rank's own work: the time it waits for its peers is what the others lose.
_OWN: Final = aggregate("sum", rate(training.PHASE_SECONDS, "5m", phase=("compute", "input")), by=RANK)
_MIDDLE: Final = aggregate("quantile", _OWN, by=("cluster", "job_id", "stage"), argument=0.5)
_INPUT: Final = aggregate("sum", rate(training.PHASE_SECONDS, "5m", phase="input"), by=JOB)
_WHOLE: Final = aggregate("sum", rate(training.STEP_SECONDS, "5m", "sum"), by=JOB)
_HELD: Final = aggregate("max", select(device.WORKLOAD_INFO, job_id=Unlike("")), by=JOB)
_SEEN: Final = aggregate("max", f"present_over_time({select(training.STEP_SECONDS, 'count')}[15m])", by=JOB)
_STEPPING: Final = aggregate("max", rate(training.STEP_SECONDS, "3m", "count"), by=JOB)
_HEARD: Final = f"present_over_time({select(training.STEP_SECONDS, 'count')}[3m])"
_REPORTING: Final = aggregate(
    "count", aggregate("max", _HEARD, by=("cluster", "job_id", "rank")), by=("cluster", "job_id")
)
_SAID: Final = aggregate("max", select(training.JOB_RANKS), by=JOB)

GROUP: Final = Group(
    name="training",
    rules=(
        Rule(
            alert="JobStraggler",
            expr=f"{_OWN} / on (cluster, job_id, stage) group_left () {_MIDDLE} > $threshold",
            hold="10m",
            threshold=1.2,
            labels=RANK,
            severity=Severity.WARNING,
            scope="job",
            dashboard="job",
            summary="Rank {{ $labels.rank }} of job {{ $labels.job_id }} holds the others up",
            description="""
                Rank {{ $labels.rank }} of job {{ $labels.job_id }} on {{ $labels.node }} has needed {{ printf "%.2f"
                $value }} times the own work of the job's median rank for $hold, and every other rank waits for it.
                First look: clocks, temperature and PCIe link of its device, CPU and storage of its node.
            """,
        ),
        Rule(
            alert="JobStalled",
            # Ranks that are silent for a minute lose their series; a job that ended holds no device any more.
            expr=f"{_HELD} and on (cluster, node, job_id) ({_SEEN} unless {_STEPPING} > 0)",
            hold="5m",
            labels=JOB,
            severity=Severity.WARNING,
            scope="job",
            dashboard="job",
            summary="Job {{ $labels.job_id }} makes no steps on {{ $labels.node }} any more",
            description="""
                Job {{ $labels.job_id }} still holds devices on {{ $labels.node }}, and none of its ranks there has
                finished a step for $hold: a collective hangs, a checkpoint takes very long or its data is gone. First
                look: `py-spy dump --pid PID` of each rank; one that is not in a collective is the culprit.
            """,
        ),
        Rule(
            alert="JobRanksMissing",
            # A rank loses its series with its process, or after a minute of silence; its peers may be on other nodes.
            expr=f"{_SAID} - on (cluster, job_id) group_left () {_REPORTING} > 0",
            hold="3m",
            labels=JOB,
            severity=Severity.WARNING,
            scope="job",
            dashboard="job",
            summary="Job {{ $labels.job_id }} lacks {{ $value }} of its ranks",
            description="""
                {{ $value }} of the ranks that job {{ $labels.job_id }} (on {{ $labels.node }} among others) says it has
                have not reported for $hold and more: one died and the others wait for it, or nobody scrapes the agent
                of its node. First look: the job's own log for a rank that ended, then `up` of its nodes.
            """,
        ),
        Rule(
            alert="JobInputBound",
            expr=f"{_INPUT} / {_WHOLE} > $threshold",
            hold="15m",
            threshold=0.3,
            labels=JOB,
            severity=Severity.INFO,
            scope="job",
            dashboard="job",
            summary="Job {{ $labels.job_id }} waits for data {{ $value | humanizePercentage }} of its time",
            description="""
                Job {{ $labels.job_id }} on {{ $labels.node }} has spent {{ $value | humanizePercentage }} of its steps
                waiting for input for $hold. First look: `warpgauge explain {{ $labels.job_id }}`; loader workers, CPU
                and storage of the node.
            """,
        ),
    ),
)
