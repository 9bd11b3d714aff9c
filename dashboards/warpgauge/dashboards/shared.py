"""Panels that stand on several dashboards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device, own
from warpgauge.core.promql import aggregate, increase, own_labels, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels
from warpgauge.dashboards.queries import drill_down

if TYPE_CHECKING:
    from warpgauge.core.promql import LabelValue
    from warpgauge.dashboards.grafana import Panel

__all__ = ["DEVICE_LINK", "JOB_LINK", "NODE_LINK", "open_findings", "uncorrected_errors", "xids"]

NODE_LINK: Final = drill_down("node", cluster="Cluster", node="Node")
DEVICE_LINK: Final = drill_down("device", cluster="Cluster", node="Node", uuid="UUID")
JOB_LINK: Final = drill_down("job", cluster="Cluster", job_id="Job")

_FINDING: Final = {
    "severity": "Severity",
    "kind": "Kind",
    "cluster": "Cluster",
    "node": "Node",
    "uuid": "UUID",
    "job_id": "Job",
    "simulated": "Simulated",
}


def open_findings(*, height: int) -> Panel:
    """One row per finding that holds now."""
    open_now = aggregate("max", own_labels(select(own.FINDING_ACTIVE), "cluster", "node"), by=tuple(_FINDING))
    return grafana.table(
        "Open findings",
        (Column(title="Open", expr=open_now, metric=own.FINDING_ACTIVE, hidden=True),),
        keys=_FINDING,
        description="What the analyzer holds to be wrong now, over all clusters; its console has evidence, cost and "
        "remedy, the runbook the name of the kind. Empty where no analyzer is scraped.",
        links={"Node": NODE_LINK, "UUID": DEVICE_LINK, "Job": JOB_LINK},
        height=height,
    )


def uncorrected_errors(**here: LabelValue) -> Panel:
    """Memory errors that lost data, in the chosen time."""
    uncorrected = increase(device.ECC_ERRORS, "$__range", severity="uncorrected", persistence="volatile", **here)
    return grafana.stat(
        device.ECC_ERRORS,
        f"round(sum({uncorrected}))",
        title="Uncorrected errors",
        note="Memory errors in the chosen time.",
        unit="short",
        levels=Levels(critical=1),
    )


def xids(**here: LabelValue) -> Panel:
    """Driver errors in the chosen time."""
    return grafana.stat(
        device.XID_EVENTS,
        f"round(sum({increase(device.XID_EVENTS, '$__range', **here)}))",
        title="XIDs in this time",
        unit="short",
        levels=Levels(warning=1),
    )
