"""Rules about the machine around the accelerators."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.rule import Group, RecordingRule, Rule
from warpgauge.core.catalog import host
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, rate, select

__all__ = ["GROUP"]

NODE: Final = ("cluster", "node")

_IDLE: Final = aggregate("sum", rate(host.CPU_SECONDS, "5m", mode=("idle", "iowait")), by=(*NODE, "cpu"))
_AVAILABLE, _TOTAL, _LOAD, _CPUS = (
    aggregate("max", select(row), by=NODE)
    for row in (host.MEMORY_AVAILABLE, host.MEMORY_TOTAL, host.LOAD1, host.CPU_COUNT)
)

CPU_BUSY: Final = RecordingRule(
    record="node:host_cpu_busy:ratio_rate5m", expr=f"1 - {aggregate('avg', _IDLE, by=NODE)}"
)
MEMORY_AVAILABLE: Final = RecordingRule(record="node:host_memory_available:ratio", expr=f"{_AVAILABLE} / {_TOTAL}")

GROUP: Final = Group(
    name="host",
    rules=(
        CPU_BUSY,
        MEMORY_AVAILABLE,
        Rule(
            alert="HostCpuSaturated",
            expr=f"{CPU_BUSY.record} > 0.95 and on (cluster, node) {_LOAD} > {_CPUS}",
            hold="15m",
            labels=NODE,
            severity=Severity.WARNING,
            scope="node",
            dashboard="host",
            summary="{{ $labels.node }} has no CPU left: {{ $value | humanizePercentage }} busy",
            description="""
                All CPUs of {{ $labels.node }} were {{ $value | humanizePercentage }} busy for 15 minutes with more
                tasks waiting than CPUs. Data loaders and launch threads starve, and accelerators wait for them. First
                look: `ps -eo pcpu,pid,user,args --sort=-pcpu | head`.
            """,
        ),
        Rule(
            alert="HostMemoryPressure",
            expr=f"{MEMORY_AVAILABLE.record} < 0.05",
            hold="5m",
            labels=NODE,
            severity=Severity.WARNING,
            scope="node",
            dashboard="host",
            summary="{{ $labels.node }} has {{ $value | humanizePercentage }} of its memory left",
            description="""
                Only {{ $value | humanizePercentage }} of the memory of {{ $labels.node }} is available, for 5 minutes.
                The kernel is about to kill a process, most likely a training job. First look: `ps -eo rss,pid,user,args
                --sort=-rss | head`.
            """,
        ),
    ),
)
