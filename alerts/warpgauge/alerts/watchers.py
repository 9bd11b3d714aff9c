"""Rules about the agent and the analyzer themselves: they must say so when they see less than they should."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import NODE
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import own
from warpgauge.core.finding import Severity
from warpgauge.core.promql import Unlike, aggregate, increase, rate, select

__all__ = ["GROUP"]

ANALYZER_UP: Final = 'up{job=~"(.+/)?warpgauge-analyzer"}'
ANALYZER: Final = ("cluster", "instance")
COLLECTOR: Final = (*NODE, "collector")
_DIED: Final = ("hung", "crashed", "failed", "lost")

GROUP: Final = Group(
    name="watchers",
    rules=(
        Rule(
            alert="AgentMissesTicks",
            expr=f"{aggregate('sum', rate(own.MISSED_TICKS, '10m'), by=COLLECTOR)} > $threshold",
            hold="10m",
            threshold=0.1,
            labels=COLLECTOR,
            severity=Severity.WARNING,
            scope="node",
            dashboard="telemetry",
            summary="The agent on {{ $labels.node }} misses readings of {{ $labels.collector }}",
            description="""
                The agent on {{ $labels.node }} has missed {{ printf "%.2f" $value }} readings a second of
                {{ $labels.collector }} for $hold: it gets no CPU, or calls take longer than their interval. First look:
                slow driver calls, and waits for the agent's CPU limit, on the telemetry dashboard.
            """,
        ),
        Rule(
            alert="AgentChildRestarts",
            expr=f"{aggregate('sum', increase(own.CHILD_RESTARTS, '30m', reason=_DIED), by=COLLECTOR)} > $threshold",
            threshold=5.0,
            labels=COLLECTOR,
            severity=Severity.WARNING,
            scope="node",
            dashboard="telemetry",
            summary="The child process of {{ $labels.collector }} on {{ $labels.node }} keeps dying",
            description="""
                The agent on {{ $labels.node }} had to replace the child process of {{ $labels.collector }} {{ printf
                "%.0f" $value }} times in 30 minutes. The driver hangs or crashes; each time costs seconds of data.
                First look: restarts by reason on the telemetry dashboard, then `dmesg -T | grep -i nvrm`.
            """,
        ),
        Rule(
            alert="AgentRestartNeeded",
            expr=f"{aggregate('max', select(own.RESTART_NEEDED), by=(*COLLECTOR, 'reason'))} == 1",
            hold="5m",
            labels=(*COLLECTOR, "reason"),
            severity=Severity.WARNING,
            scope="node",
            dashboard="telemetry",
            summary="The agent on {{ $labels.node }} needs a restart: {{ $labels.reason }}",
            description="""
                The driver on {{ $labels.node }} refuses the agent for {{ $labels.reason }}, which only a restart of its
                container ends (of the driver, where there is no container). No device there is watched. First look:
                was the driver upgraded? Delete the agent's pod.
            """,
        ),
        Rule(
            alert="KernelLogUnreadable",
            expr=f"{aggregate('max', select(own.KERNEL_LOG_READABLE), by=NODE)} == 0",
            hold="15m",
            labels=NODE,
            severity=Severity.INFO,
            scope="node",
            dashboard="telemetry",
            summary="The agent on {{ $labels.node }} may not read the kernel log",
            description="""
                The agent on {{ $labels.node }} sees only the XIDs that the driver announces: those of a device that is
                already gone, and every SXID, stand in the kernel log alone. First look: `warpgauge doctor` on the node
                names the missing privilege.
            """,
        ),
        Rule(
            alert="StepMessagesDropped",
            expr=aggregate(
                "sum",
                rate(own.STEP_MESSAGES, "10m", outcome=Unlike("accepted")),
                by=(*NODE, "outcome"),
            )
            + " > $threshold",
            hold="10m",
            threshold=0.05,
            labels=(*NODE, "outcome"),
            severity=Severity.INFO,
            scope="node",
            dashboard="telemetry",
            summary="Step timers on {{ $labels.node }} are not heard: {{ $labels.outcome }}",
            description="""
                The agent on {{ $labels.node }} has refused {{ printf "%.2f" $value }} messages a second from step
                timers for $hold ({{ $labels.outcome }}): their jobs have no step metrics. First look: foreign_job means
                a process that reports for a job that is not its own, malformed an older timer.
            """,
        ),
        Rule(
            alert="AnalyzerDown",
            expr=f"{aggregate('max', ANALYZER_UP, by=ANALYZER)} == 0",
            hold="5m",
            labels=ANALYZER,
            severity=Severity.WARNING,
            scope="fleet",
            dashboard="telemetry",
            summary="The analyzer {{ $labels.instance }} does not answer",
            description="""
                Prometheus has not reached the analyzer {{ $labels.instance }} for $hold: no findings, no
                recommendations and no runbooks; rules go on without it. First look: `systemctl status
                warpgauge-analyzer`.
            """,
        ),
        Rule(
            alert="AnalyzerStalled",
            expr=f"time() - {aggregate('max', select(own.LAST_TICK), by=ANALYZER)} > $threshold",
            hold="1m",
            threshold=120.0,
            labels=ANALYZER,
            severity=Severity.WARNING,
            scope="fleet",
            dashboard="telemetry",
            summary="The analyzer {{ $labels.instance }} has judged nothing for {{ $value | humanizeDuration }}",
            description="""
                The analyzer {{ $labels.instance }} answers, but its detectors last ran {{ $value | humanizeDuration }}
                ago: what it shows is old. First look: its log (tick failed), then warpgauge_analyzer_tick_seconds
                against the interval.
            """,
        ),
        Rule(
            alert="AnalyzerSourceDown",
            expr=f"{aggregate('min', select(own.TARGET_UP), by=(*ANALYZER, 'source', 'target'))} == 0",
            hold="5m",
            labels=(*ANALYZER, "source", "target"),
            severity=Severity.WARNING,
            scope="fleet",
            dashboard="telemetry",
            summary="The analyzer cannot read {{ $labels.target }}",
            description="""
                The analyzer {{ $labels.instance }} has not been able to read {{ $labels.target }} ({{
                $labels.source }}) for $hold: nothing there is judged. First look: the console's page
                about its sources gives the error.
            """,
        ),
        Rule(
            alert="AnalyzerRefusesSamples",
            expr=f"{aggregate('sum', rate(own.SAMPLES_INGESTED, '10m', outcome='refused'), by=ANALYZER)} > $threshold",
            hold="5m",
            threshold=0.0,
            labels=ANALYZER,
            severity=Severity.WARNING,
            scope="fleet",
            dashboard="telemetry",
            summary="The analyzer {{ $labels.instance }} is full and turns series away",
            description="""
                The analyzer {{ $labels.instance }} has refused {{ printf "%.1f" $value }} samples a second for $hold
                because it holds too many series: part of the fleet is not judged. First look: what Prometheus sends
                that no detector reads (write_relabel_configs), then split the fleet over two analyzers.
            """,
        ),
    ),
)
