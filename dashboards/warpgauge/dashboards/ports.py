"""InfiniBand and RoCE: which port of which machine is down, slow, damaged or held up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device, infiniband
from warpgauge.core.promql import aggregate, rate, select, state_code
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels, Section
from warpgauge.dashboards.queries import HOST, WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.core.promql import LabelValue

__all__ = ["ports_section"]

_PORT: Final = (*HOST, "device", "port")
_ONE: Final = "{{node}} {{device}}/{{port}}"
_NAMES: Final = {"cluster": "Cluster", "node": "Node", "device": "Adapter", "port": "Port"}


def ports_section(here: Mapping[str, LabelValue]) -> Section:
    """One table that says which port is unwell, and the courses behind it."""

    def flow(row: Metric) -> str:
        return aggregate("max", rate(row, WINDOW, **here), by=_PORT)

    def line(row: Metric, title: str, note: str = "", width: int = 12) -> grafana.Panel:
        return grafana.graph(row, grafana.query(flow(row), _ONE), title=title, note=note, width=width)

    def kinds(row: Metric, label: str, title: str, note: str) -> grafana.Panel:
        each_kind = aggregate("sum", rate(row, WINDOW, **here), by=(*_PORT, label))
        return grafana.graph(row, grafana.query(each_kind, f"{_ONE} {{{{{label}}}}}"), title=title, note=note, width=8)

    return Section(
        "InfiniBand and RoCE",
        (
            _ports(here, flow),
            line(infiniband.RECEIVE, "Received by each port"),
            line(infiniband.TRANSMIT, "Sent by each port"),
            kinds(
                infiniband.ERRORS,
                "error",
                "Port errors by kind",
                "Errors of the link are its cable, transceiver or connector; retries and timeouts of the transport "
                "often have their cause at the far end.",
            ),
            line(
                infiniband.TRANSMIT_WAIT,
                "Ticks waited for the link",
                "Compare ports of one model: the one far above the others sends into congestion.",
                width=8,
            ),
            kinds(
                infiniband.CONGESTION,
                "kind",
                "Congestion control",
                "RoCE only; many marked packets are a switch on the way whose queues are full.",
            ),
        ),
    )


def _ports(here: Mapping[str, LabelValue], flow: Callable[[Metric], str]) -> grafana.Panel:
    speed = aggregate("max", select(infiniband.RATE, **here), by=_PORT)
    return grafana.table(
        "Ports",
        (
            Column(
                title="State",
                expr=state_code(infiniband.STATE, by=_PORT, **here),
                metric=infiniband.STATE,
                states=infiniband.STATE.states,
            ),
            Column(title="Speed", expr=f"8 * {speed}", metric=infiniband.RATE, unit="bps"),
            Column(title="Received", expr=f"{flow(infiniband.RECEIVE)} / {speed}", metric=device.UTILIZATION),
            Column(title="Sent", expr=f"{flow(infiniband.TRANSMIT)} / {speed}", metric=device.UTILIZATION),
            Column(
                title="Errors",
                expr=aggregate("sum", rate(infiniband.ERRORS, WINDOW, **here), by=_PORT),
                metric=infiniband.ERRORS,
                unit="cps",
                levels=Levels(warning=0.1),
            ),
        ),
        keys=_NAMES,
        description="One row per port. Received and sent are shares of the speed that the port runs at; a speed below "
        "its neighbors' was trained with fewer lanes. A port that was never plugged in is down and no fault.",
        height=8,
    )
