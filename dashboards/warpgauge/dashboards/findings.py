"""What the analyzer found, and what it recommends."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog import device, own
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import aggregate, own_labels, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels, Section
from warpgauge.dashboards.shared import open_findings

__all__ = ["NAME", "dashboard"]

NAME: Final = "findings"


def dashboard() -> grafana.Dashboard:
    """Build the dashboard of findings and recommendations."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Findings",
        description="Bottlenecks, anomalies and faults that the analyzer holds open, its incidents and its advice.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", device.DEVICE_UP, title="Cluster"),
            grafana.values_of("node", device.DEVICE_UP, title="Node", within=("cluster",)),
        ],
        panels=grafana.flow([_now(), _open(), _past(), _advice()]),
    )


def _found(**labels: str) -> str:
    return own_labels(select(own.FINDING_ACTIVE, **labels), "cluster", "node")


def _now() -> Section:
    def figure(severity: str, levels: Levels) -> grafana.Panel:
        return grafana.stat(
            own.FINDING_ACTIVE,
            f"count({select(own.FINDING_ACTIVE, severity=severity)})",
            title=f"Findings: {severity}",
            note="Over all clusters.",
            width=3,
            levels=levels,
            absent="none known",
        )

    return Section(
        "Now",
        (
            figure("critical", Levels(critical=1)),
            figure("warning", Levels(warning=1)),
            figure("info", Levels()),
            grafana.stat(
                own.INCIDENTS_OPEN,
                f"sum({select(own.INCIDENTS_OPEN)})",
                title="Incidents",
                note="Findings that share a cause count once.",
                width=3,
                levels=Levels(warning=1),
            ),
            grafana.stat(
                own.RECOMMENDATIONS,
                f"sum({select(own.RECOMMENDATIONS)})",
                title="Recommendations",
                note="Over all kinds and states.",
                width=3,
                absent="none known",
            ),
            grafana.stat(
                own.FINDINGS_MUTED,
                f"sum({select(own.FINDINGS_MUTED)})",
                title="Muted",
                note="They still hold; `warpgauge silence` lists what silences them.",
                width=3,
                absent="none known",
            ),
            grafana.stat(
                own.ACTING_HELD,
                f"sum({select(own.ACTING_HELD)})",
                title="Advice held back",
                note="Counts analyzers; `warpgauge resume` ends a pause.",
                width=3,
                levels=Levels(warning=1),
            ),
            grafana.stat(
                own.LAST_TICK,
                f"time() - max({select(own.LAST_TICK)})",
                title="Since the last look",
                unit="s",
                width=3,
                levels=Levels(warning=60, critical=300),
            ),
        ),
    )


def _open() -> Section:
    return Section("Open", (open_findings(height=10),))


def _past() -> Section:
    return Section(
        "Over time",
        (
            grafana.graph(
                own.FINDING_ACTIVE,
                grafana.query(aggregate("count", _found(), by=("kind",)), "{{kind}}"),
                title="Findings by kind",
                note="Counts findings.",
                stacked=True,
            ),
            grafana.graph(
                own.INCIDENTS_OPEN,
                grafana.query(aggregate("sum", select(own.INCIDENTS_OPEN), by=("severity",)), "{{severity}}"),
                title="Incidents by severity",
                stacked=True,
            ),
        ),
    )


def _advice() -> Section:
    by = ("kind", "state")
    return Section(
        "Recommendations",
        (
            grafana.table(
                "Recommendations by kind and state",
                (
                    Column(
                        title="Number",
                        expr=aggregate("sum", select(own.RECOMMENDATIONS), by=by),
                        metric=own.RECOMMENDATIONS,
                    ),
                ),
                keys={"kind": "Kind", "state": "State"},
                description="What the analyzer advises and how far it got; the documents are under "
                "/api/v1/recommendations.",
                width=12,
                height=8,
            ),
            grafana.graph(
                own.RECOMMENDATIONS,
                grafana.query(aggregate("sum", select(own.RECOMMENDATIONS), by=by), "{{kind}} {{state}}"),
                title="Recommendations over time",
                stacked=True,
            ),
            grafana.table(
                "Verdicts of 30 days on what was followed",
                (
                    Column(
                        title="Verdicts",
                        expr=aggregate("sum", select(own.VERDICTS), by=("kind", "verdict")),
                        metric=own.VERDICTS,
                    ),
                ),
                keys={"kind": "Kind", "verdict": "Verdict"},
                description="Whether the gain that a recommendation promised came, measured after it was executed. "
                "Empty where nothing was.",
                height=6,
            ),
        ),
    )
