"""Processes that hold devices: what each takes of a device, and of the machine under it.

Their rows are off until `agent.process_metrics` switches them on, which each table says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import process
from warpgauge.core.promql import aggregate, rate, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column
from warpgauge.dashboards.queries import HOST, IDENTITY, NAMES, WINDOW, drill_down

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.core.promql import LabelValue

__all__ = ["on_devices", "on_hosts"]

_WHO: Final = ("pid", "comm")
_CALLED: Final = {"pid": "PID", "comm": "Command"}
_OFF: Final = "Empty until agent.process_metrics switches it on."


def on_devices(here: Mapping[str, LabelValue]) -> grafana.Panel:
    """Who holds a device's memory and keeps it busy."""
    by = (*IDENTITY, *_WHO)
    busy = select(process.PROCESS_UTILIZATION, engine="compute", **here)
    return grafana.table(
        "Processes on the device",
        (
            Column(
                title="Memory held",
                expr=aggregate("max", select(process.PROCESS_MEMORY, **here), by=by),
                metric=process.PROCESS_MEMORY,
            ),
            Column(title="Kept it busy", expr=aggregate("max", busy, by=by), metric=process.PROCESS_UTILIZATION),
        ),
        keys={**NAMES, **_CALLED},
        description="One row per process that computes on the device. One that holds memory and never keeps it busy "
        f"was forgotten, or waits. {_OFF}",
        links={"Node": drill_down("host", cluster="Cluster", node="Node")},
        height=8,
    )


def on_hosts(here: Mapping[str, LabelValue]) -> grafana.Panel:
    """What the processes that hold devices take of their machine, with their workers."""
    by = (*HOST, *_WHO)

    def now(title: str, row: Metric) -> Column:
        return Column(title=title, expr=aggregate("max", select(row, **here), by=by), metric=row)

    def each_second(title: str, row: Metric, unit: str) -> Column:
        return Column(title=title, expr=aggregate("max", rate(row, WINDOW, **here), by=by), metric=row, unit=unit)

    return grafana.table(
        "Processes that hold devices",
        (
            each_second("CPUs used", process.HOST_CPU, "short"),
            now("Memory kept", process.HOST_MEMORY),
            each_second("Read from disks", process.HOST_READ, "binBps"),
            each_second("Written to disks", process.HOST_WRITE, "binBps"),
            now("Workers", process.HOST_CHILDREN),
        ),
        keys={"cluster": "Cluster", "node": "Node", **_CALLED},
        description="Each with its descendants that hold no device, such as the workers of a data loader: as many CPUs "
        f"used as it has workers means that loading holds the job back. {_OFF}",
        height=8,
    )
