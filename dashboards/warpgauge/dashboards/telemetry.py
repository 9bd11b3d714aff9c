"""How warpgauge itself does: agents, their collectors, the analyzer and its sources."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog import device, host, linux, own
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import aggregate, increase, rate, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels, Section
from warpgauge.dashboards.queries import HOST, WINDOW
from warpgauge.dashboards.stores import history_section, queues_section

__all__ = ["NAME", "dashboard"]

NAME: Final = "telemetry"

HERE: Final = grafana.chosen("cluster", "node")
COLLECTOR: Final = (*HOST, "collector")


def dashboard() -> grafana.Dashboard:
    """Build the dashboard about ourselves."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Telemetry",
        description="Whether the agents and the analyzer see what they should, how late and at what cost.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", host.HOST_INFO, title="Cluster"),
            grafana.values_of("node", host.HOST_INFO, title="Node", within=("cluster",)),
        ],
        panels=grafana.flow([_now(), _collectors(), _driver(), _analyzer(), queues_section(HERE), history_section()]),
    )


def _now() -> Section:
    up = select(own.COLLECTOR_UP, **HERE)
    return Section(
        "Now",
        (
            grafana.stat(own.AGENT_INFO, f"count({select(own.AGENT_INFO, **HERE)})", title="Agents"),
            grafana.stat(
                own.COLLECTOR_UP, f"sum({up} == bool 0)", title="Collectors failing", levels=Levels(warning=1)
            ),
            grafana.stat(
                own.MISSED_TICKS,
                f"round(sum({increase(own.MISSED_TICKS, '$__range', **HERE)}))",
                title="Readings missed",
                note="In the chosen time.",
                unit="short",
            ),
            grafana.stat(
                own.CHILD_RESTARTS,
                f"round(sum({increase(own.CHILD_RESTARTS, '$__range', **HERE)}))",
                title="Child restarts",
                note="In the chosen time.",
                unit="short",
            ),
            grafana.stat(
                own.TARGET_UP,
                f"sum({select(own.TARGET_UP)} == bool 0)",
                title="Sources down",
                note="Of the analyzer; not shown where no analyzer is scraped.",
                levels=Levels(warning=1),
            ),
            grafana.stat(own.SERIES, f"sum({select(own.SERIES)})", title="Series in the analyzer"),
            grafana.stat(
                device.LAST_SAMPLE,
                f"time() - min({select(device.LAST_SAMPLE, **HERE)})",
                title="Oldest reading",
                note="Of any device, one that is lost or released too.",
                unit="s",
                levels=Levels(warning=120),
            ),
            grafana.stat(
                own.RESTART_NEEDED,
                f"sum({select(own.RESTART_NEEDED, **HERE)})",
                title="Agents to restart",
                levels=Levels(warning=1),
                absent="none known",
            ),
            grafana.stat(
                own.KERNEL_LOG_READABLE,
                f"sum({select(own.KERNEL_LOG_READABLE, **HERE)} == bool 0)",
                title="Nodes without kernel log",
                note="There some XIDs and all SXIDs stay unseen; `warpgauge doctor` names the privilege.",
                levels=Levels(warning=1),
            ),
            grafana.stat(
                own.LAST_TICK,
                f"time() - max({select(own.LAST_TICK)})",
                title="Since the analyzer's last look",
                unit="s",
                width=6,
                levels=Levels(warning=60, critical=300),
            ),
            grafana.stat(
                own.ACTING_HELD,
                f"sum({select(own.ACTING_HELD)})",
                title="Analyzers that hold back advice",
                width=6,
                levels=Levels(warning=1),
            ),
        ),
    )


def _collectors() -> Section:
    return Section(
        "Collectors",
        (
            _collector_table(),
            grafana.graph(
                own.COLLECT_ERRORS,
                grafana.query(
                    aggregate("sum", rate(own.COLLECT_ERRORS, WINDOW, **HERE), by=(*COLLECTOR, "reason")),
                    "{{node}} {{collector}} {{reason}}",
                ),
                title="What could not be read, by reason",
            ),
            grafana.graph(
                own.CHILD_RESTARTS,
                grafana.query(
                    aggregate("sum", increase(own.CHILD_RESTARTS, WINDOW, **HERE), by=(*COLLECTOR, "reason")),
                    "{{node}} {{collector}} {{reason}}",
                ),
                title="Child restarts, by reason",
                unit="short",
            ),
            grafana.graph(
                own.MISSED_TICKS,
                grafana.query(
                    aggregate("sum", rate(own.MISSED_TICKS, WINDOW, **HERE), by=COLLECTOR), "{{node}} {{collector}}"
                ),
                title="Readings missed, by collector",
                note="Either calls take longer than their interval, or the agent gets no CPU: the panel beside tells.",
            ),
            grafana.graph(
                linux.CGROUP_THROTTLED,
                grafana.query(aggregate("max", rate(linux.CGROUP_THROTTLED, WINDOW, **HERE), by=HOST), "{{node}}"),
                title="Share of time that agents waited for their CPU limit",
                note="More than a few percent: raise the limit of the agent's container.",
            ),
            grafana.graph(
                device.LAST_SAMPLE,
                grafana.query(f"time() - {aggregate('min', select(device.LAST_SAMPLE, **HERE), by=HOST)}", "{{node}}"),
                title="Age of the oldest reading, by node",
                note="One that climbs without end is a device that is lost, hung or released.",
                unit="s",
            ),
            grafana.graph(
                own.STEP_MESSAGES,
                grafana.query(
                    aggregate("sum", rate(own.STEP_MESSAGES, WINDOW, **HERE), by=(*HOST, "outcome")),
                    "{{node}} {{outcome}}",
                ),
                title="Messages of step timers",
                note="What is not accepted is missing in the job's metrics.",
            ),
        ),
    )


def _collector_table() -> grafana.Panel:
    age = f"time() - {aggregate('max', select(own.COLLECTOR_LAST_SUCCESS, **HERE), by=COLLECTOR)}"
    parts = (rate(own.COLLECT_SECONDS, WINDOW, part, **HERE) for part in ("sum", "count"))
    mean = " / ".join(aggregate("sum", part, by=COLLECTOR) for part in parts)
    return grafana.table(
        "Collectors",
        (
            Column(
                title="Works",
                expr=aggregate("min", select(own.COLLECTOR_UP, **HERE), by=COLLECTOR),
                metric=own.COLLECTOR_UP,
                states=("failed", "ok"),
            ),
            Column(title="Age of the last reading", expr=age, metric=own.COLLECT_SECONDS),
            Column(title="Mean duration", expr=mean, metric=own.COLLECT_SECONDS),
        ),
        keys={"cluster": "Cluster", "node": "Node", "collector": "Collector"},
        description="One row per collector and node; a collector whose devices are not there has none.",
    )


def _driver() -> Section:
    buckets = aggregate("sum", rate(own.CALL_SECONDS, WINDOW, "bucket", **HERE), by=("function", "le"))
    return Section(
        "Driver calls",
        (
            grafana.graph(
                own.CALL_SECONDS,
                grafana.query(f"topk(12, histogram_quantile(0.99, {buckets}))", "{{function}}"),
                title="99 % of calls are faster, twelve slowest functions",
                width=12,
            ),
            grafana.heatmap(
                own.COLLECT_SECONDS,
                aggregate("sum", rate(own.COLLECT_SECONDS, WINDOW, "bucket", **HERE), by=("le",)),
                title="Readings by duration",
                note="Color is readings per second.",
            ),
        ),
    )


def _analyzer() -> Section:
    ticks = aggregate("sum", rate(own.TICK_SECONDS, WINDOW, "bucket"), by=("instance", "le"))
    return Section(
        "Analyzer",
        (
            grafana.graph(
                own.TICK_SECONDS,
                *(
                    grafana.query(f"histogram_quantile({share}, {ticks})", f"{{{{instance}}}} {word}")
                    for share, word in ((0.5, "half are faster"), (0.99, "99 % are faster"))
                ),
                title="Duration of a pass",
                width=8,
            ),
            grafana.graph(
                own.SAMPLES_INGESTED,
                grafana.query(
                    aggregate("sum", rate(own.SAMPLES_INGESTED, WINDOW), by=("instance", "outcome")),
                    "{{instance}} {{outcome}}",
                ),
                title="Samples by what became of them",
                width=8,
            ),
            grafana.graph(
                own.UNRESOLVED,
                grafana.query(aggregate("max", select(own.UNRESOLVED), by=("instance",)), "{{instance}}"),
                title="Devices whose node is unknown",
                width=8,
            ),
        ),
    )
