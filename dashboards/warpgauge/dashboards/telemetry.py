"""How warpgauge itself does: agents, their collectors, the analyzer and its sources."""

from __future__ import annotations

from typing import Final, Literal

from warpgauge.core.catalog import findings_queue, host, own
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import aggregate, increase, rate, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels, Section
from warpgauge.dashboards.queries import HOST, WINDOW

__all__ = ["NAME", "dashboard"]

NAME: Final = "telemetry"

HERE: Final = grafana.chosen("cluster", "node")
COLLECTOR: Final = (*HOST, "collector")
AGENT_SINK: Final = (*HOST, "sink")
ANALYZER_SINK: Final = ("cluster", "instance", "sink")


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
        panels=grafana.flow([_now(), _collectors(), _driver(), _analyzer(), _queues()]),
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
        ),
    )


def _collectors() -> Section:
    age = f"time() - {aggregate('max', select(own.COLLECTOR_LAST_SUCCESS, **HERE), by=COLLECTOR)}"
    parts = (rate(own.COLLECT_SECONDS, WINDOW, part, **HERE) for part in ("sum", "count"))
    mean = " / ".join(aggregate("sum", part, by=COLLECTOR) for part in parts)
    return Section(
        "Collectors",
        (
            grafana.table(
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
            ),
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
        ),
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


def _queues() -> Section:
    """What waits on disk for a receiver: of agents what they push, of the analyzer documents and findings."""
    pushed = aggregate("max", select(own.QUEUE_BYTES, **HERE), by=AGENT_SINK)
    room = aggregate("max", select(own.QUEUE_MAX_BYTES, **HERE), by=AGENT_SINK)
    told = _analyzers("max", select(own.OUTBOX_BYTES), select(findings_queue.BYTES))
    told_room = _analyzers("max", select(own.OUTBOX_MAX_BYTES), select(findings_queue.MAX_BYTES))
    waits = aggregate("min", select(own.QUEUE_OLDEST, **HERE), by=AGENT_SINK)
    told_waits = _analyzers("min", select(own.OUTBOX_OLDEST), select(findings_queue.OLDEST))
    gone = [
        aggregate("sum", increase(row, WINDOW, **HERE), by=AGENT_SINK)
        for row in (own.QUEUE_DROPPED, own.QUEUE_DEAD_LETTERED)
    ]
    documents = increase(own.OUTBOX_DOCUMENTS, WINDOW, outcome=("dead_lettered", "dropped"))
    findings = [increase(row, WINDOW) for row in (findings_queue.DROPPED, findings_queue.DEAD_LETTERED)]
    return Section(
        "Queues",
        (
            grafana.graph(
                own.QUEUE_BYTES,
                *_both(f"{pushed} / {room}", f"{told} / {told_room}"),
                title="Room taken on disk",
                note="At 100 % the oldest is lost. The analyzer's lines are its outbox and its findings for logs.",
                width=8,
                unit="percentunit",
            ),
            grafana.graph(
                own.QUEUE_OLDEST,
                *_both(f"time() - {waits}", f"time() - {told_waits}"),
                title="Longest wait for a receiver",
                note="No line where nothing waits.",
                width=8,
                unit="s",
            ),
            grafana.graph(
                own.QUEUE_DROPPED,
                *_both(" + ".join(gone), _analyzers("sum", documents, " + ".join(findings))),
                title="Lost or refused for good",
                note="Batches of agents, documents and batches of findings of the analyzer.",
                width=8,
                unit="short",
            ),
        ),
    )


def _analyzers(operation: Literal["min", "max", "sum"], outbox: str, findings: str) -> str:
    """Over both kinds of the analyzer's queues, whose sinks have different names."""
    return aggregate(operation, f"{outbox} or {findings}", by=ANALYZER_SINK)


def _both(agents: str, analyzers: str) -> tuple[grafana.Query, grafana.Query]:
    return grafana.query(agents, "{{node}} {{sink}}"), grafana.query(analyzers, "analyzer {{instance}} {{sink}}")
