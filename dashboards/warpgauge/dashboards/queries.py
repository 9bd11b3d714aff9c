"""Expressions that several dashboards are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device
from warpgauge.core.links import dashboard_path
from warpgauge.core.promql import Unlike, aggregate, select

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric
    from warpgauge.core.promql import LabelValue

__all__ = [
    "HARDWARE",
    "HOST",
    "IDENTITY",
    "NAMES",
    "THERMAL",
    "WINDOW",
    "busy",
    "drill_down",
    "each",
    "held_by",
    "per_job",
    "total",
    "whole",
]

IDENTITY: Final = ("cluster", "node", "index", "uuid")
NAMES: Final = {"cluster": "Cluster", "node": "Node", "index": "Index", "uuid": "UUID"}
HOST: Final = ("cluster", "node")
WINDOW: Final = "$__rate_interval"
THERMAL: Final = ("sw_thermal", "hw_thermal")
HARDWARE: Final = ("hw_slowdown", "hw_power_brake")


def each(expr: str, operation: str = "max") -> str:
    """One series per device, whatever else the series carry; parts of a partitioned device (MIG) become one."""
    return f"{operation} by ({', '.join(IDENTITY)}) ({expr})"


def total(metric: Metric, expr: str) -> str:
    """One series per device: what its parts, links or the like have, added up.

    Of a part that two Prometheis scrape, or that has just changed its other labels, the higher one counts.
    """
    parts = f"max by ({', '.join((*HOST, *metric.every_label))}) ({expr})"
    return each(parts, "sum")


def whole(metric: Metric, **labels: LabelValue) -> str:
    """What a device as a whole has of a gauge."""
    return total(metric, select(metric, **labels))


def busy(**labels: LabelValue) -> str:
    """Utilization of the compute engine, one series per device."""
    return each(select(device.UTILIZATION, engine="compute", **labels))


def held_by(**labels: LabelValue) -> str:
    """Which job holds which device, one series per pair; the many side of a join."""
    holders = select(device.WORKLOAD_INFO, **{"job_id": Unlike(""), **labels})
    return aggregate("max", holders, by=("cluster", "uuid", "job_id", "user"))


def per_job(operation: str, holders: str, expr: str) -> str:
    """Reduce a device metric over the devices of each job; the workload is the many side of the join."""
    joined = f"{holders} * on (cluster, uuid) group_left () {aggregate('max', expr, by=('cluster', 'uuid'))}"
    return f"{operation} by (cluster, job_id, user) ({joined})"


def drill_down(name: str, **variables: str) -> str:
    """Address behind a table's cells: another dashboard with what the row names, and the same time.

    Values are headings of the row's cells: `drill_down("host", cluster="Cluster", node="Node")`.
    """
    chosen = "".join(f"&var-{variable}=${{__data.fields.{heading}}}" for variable, heading in variables.items())
    return f"{dashboard_path(name)}?var-datasource=${{datasource}}{chosen}&${{__url_time_range}}"
