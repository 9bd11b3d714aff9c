"""Rules about our own eyes: without an agent every other rule is silent."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import own
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, select

__all__ = ["AGENT_UP", "GROUP"]

AGENT_UP: Final = 'up{job=~"(.+/)?warpgauge-agent"}'
"""Prometheus' own verdict on the agents; a PodMonitor puts its namespace before the job's name."""

GROUP: Final = Group(
    name="pipeline",
    rules=(
        Rule(
            alert="AgentDown",
            expr=f"{aggregate('max', AGENT_UP, by=('cluster', 'node', 'instance'))} == 0",
            hold="2m",
            labels=("cluster", "node", "instance"),
            severity=Severity.CRITICAL,
            scope="node",
            dashboard="host",
            summary="Agent {{ $labels.instance }} on {{ $labels.node }} does not answer",
            description="""
                Prometheus could not scrape the agent {{ $labels.instance }} for 2 minutes. The node may be down; if
                not, nobody watches its devices. First look: `systemctl status warpgauge-agent` on {{ $labels.node }}.
            """,
        ),
        Rule(
            alert="AgentAbsent",
            expr=f"absent({AGENT_UP})",
            hold="15m",
            labels=(),
            severity=Severity.CRITICAL,
            scope="fleet",
            dashboard="telemetry",
            summary="Prometheus knows no warpgauge agent at all",
            description="""
                No scrape target has had a job named warpgauge-agent for 15 minutes: no rule about devices or hosts can
                fire. First look: the targets page of Prometheus, then its scrape configuration.
            """,
        ),
        Rule(
            alert="CollectorFailing",
            expr=f"{aggregate('max', select(own.COLLECTOR_UP), by=('cluster', 'node', 'collector'))} == 0",
            hold="5m",
            labels=("cluster", "node", "collector"),
            severity=Severity.WARNING,
            scope="node",
            dashboard="telemetry",
            summary="Collector {{ $labels.collector }} on {{ $labels.node }} fails",
            description="""
                The agent on {{ $labels.node }} runs, but its collector {{ $labels.collector }} has failed for 5
                minutes: the metrics it brings are missing. First look: the agent's log names the reason once per
                change.
            """,
        ),
    ),
)
