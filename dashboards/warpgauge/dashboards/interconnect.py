"""What connects the devices: NVLink, PCIe, the fabric, InfiniBand and RoCE; traffic, state, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device, link
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import aggregate, rate, select, state_code
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels, Section
from warpgauge.dashboards.ports import ports_section
from warpgauge.dashboards.queries import HOST, IDENTITY, NAMES, WINDOW, busy, drill_down, each, total

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NAME", "dashboard"]

NAME: Final = "interconnect"

HERE: Final = grafana.chosen("cluster", "node")
ONE: Final = "{{node}}/gpu{{index}}"


def dashboard() -> grafana.Dashboard:
    """Build the interconnect dashboard."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Interconnect",
        description="NVLink, PCIe, fabric and ports of the chosen machines: what is connected, how fast, how sound.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", device.DEVICE_UP, title="Cluster"),
            grafana.values_of("node", device.DEVICE_UP, title="Node", within=("cluster",)),
        ],
        panels=grafana.flow([_map(), _nvlink(), _pcie(), _fabric(), ports_section(HERE)]),
    )


def _map() -> Section:
    traffic = f"{_flow(device.LINK_TRANSMIT)} + {_flow(device.LINK_RECEIVE)}"
    machines = aggregate("count", each(select(device.DEVICE_UP, **HERE)), by=HOST)
    circles = f"{_named(machines, 'id', 'node')} or {_named(f'100 * {busy(**HERE)}', 'id', 'uuid')}"
    arrows = _named(_named(traffic, "source", "node"), "target", "uuid")
    return Section(
        "Map",
        (
            grafana.node_graph(
                "Machines and their devices",
                _titled(circles),
                _named(arrows, "id", "uuid"),
                description="Circles are machines (number of devices) and devices (utilization in %); the number at "
                "an arrow is the device's NVLink traffic in bytes per second. Choose a few machines: a thousand "
                "circles tell nothing.",
            ),
        ),
    )


def _flow(metric: Metric) -> str:
    """Bytes per second of each device, over all its links."""
    return total(metric, rate(metric, WINDOW, **HERE))


def _named(expr: str, name: str, label: str) -> str:
    return f'label_replace({expr}, "{name}", "$1", "{label}", "(.+)")'


def _titled(expr: str) -> str:
    """A machine is called by its name, a device by its index."""
    return _named(_named(expr, "title", "node"), "title", "index")


def _nvlink() -> Section:
    links = aggregate("max", select(device.LINK_STATE, **HERE), by=(*IDENTITY, "link", "state"))
    worst = aggregate("sum", rate(device.LINK_ERRORS, WINDOW, **HERE), by=(*IDENTITY, "link"))
    return Section(
        "NVLink",
        (
            grafana.graph(
                device.LINK_TRANSMIT,
                grafana.query(_flow(device.LINK_TRANSMIT), ONE),
                title="Sent by each device",
                note="All links together.",
            ),
            grafana.graph(
                device.LINK_RECEIVE,
                grafana.query(_flow(device.LINK_RECEIVE), ONE),
                title="Received by each device",
                note="All links together.",
            ),
            grafana.graph(
                device.LINK_STATE,
                grafana.query(aggregate("sum", links, by=(*HOST, "state")), "{{node}} {{state}}"),
                title="Links by state",
                note="Counts links; unused ones are inactive.",
            ),
            grafana.graph(
                device.LINK_ERRORS,
                grafana.query(
                    aggregate("sum", rate(device.LINK_ERRORS, WINDOW, **HERE), by=(*IDENTITY, "error")),
                    f"{ONE} {{{{error}}}}",
                ),
                title="Errors by kind",
            ),
            grafana.graph(
                device.LINK_ERRORS,
                grafana.query(aggregate("topk", worst, argument=12), f"{ONE} link {{{{link}}}}"),
                title="Errors by link, twelve worst",
                note="Both ends of a bad link count: look for the pair.",
            ),
            grafana.graph(
                device.LINK_SPEED,
                grafana.query(each(select(device.LINK_SPEED, **HERE), "min"), ONE),
                title="Speed of the slowest link of each device",
                note="A device whose line lies below the others' has a link that was trained slower.",
            ),
        ),
    )


def _pcie() -> Section:
    def share(now: Metric, most: Metric) -> str:
        return f"{each(select(now, **HERE))} / {each(select(most, **HERE))}"

    return Section(
        "PCIe",
        (
            grafana.graph(
                device.PCIE_RECEIVE,
                grafana.query(_flow(device.PCIE_RECEIVE), ONE),
                title="From the host",
            ),
            grafana.graph(
                device.PCIE_TRANSMIT,
                grafana.query(_flow(device.PCIE_TRANSMIT), ONE),
                title="To the host",
            ),
            grafana.table(
                "PCIe links",
                (
                    Column(
                        title="Lanes in use", expr=share(device.PCIE_LINK_WIDTH, device.PCIE_LINK_WIDTH_MAX),
                        metric=device.UTILIZATION,
                    ),
                    Column(
                        title="Generation in use",
                        expr=share(device.PCIE_LINK_GENERATION, device.PCIE_LINK_GENERATION_MAX),
                        metric=device.UTILIZATION,
                    ),
                    Column(title="Utilization", expr=busy(**HERE), metric=device.UTILIZATION),
                    Column(
                        title="Packets sent again",
                        expr=each(rate(device.PCIE_REPLAY, WINDOW, **HERE)),
                        metric=device.PCIE_REPLAY,
                        levels=Levels(warning=0.1),
                    ),
                ),
                keys=NAMES,
                description="Of the most that board and slot can do. Fewer lanes are a fault; a lower generation is "
                "one only while the device is busy, at idle it saves power.",
                links={"UUID": drill_down("device", cluster="Cluster", node="Node", uuid="UUID")},
            ),
        ),
    )  # fmt: skip


def _fabric() -> Section:
    return Section(
        "Fabric",
        (
            grafana.state_timeline(
                link.FABRIC_STATE,
                state_code(link.FABRIC_STATE, by=IDENTITY, **HERE),
                ONE,
                title="Registration with the NVLink fabric",
                width=12,
            ),
            grafana.graph(
                link.FABRIC_REGISTERED,
                grafana.query(aggregate("sum", each(select(link.FABRIC_REGISTERED, **HERE)), by=HOST), "{{node}}"),
                title="Devices registered",
                note="Counts devices.",
            ),
            grafana.state_timeline(
                link.FABRIC_HEALTH,
                state_code(link.FABRIC_HEALTH, by=IDENTITY, **HERE),
                ONE,
                title="Health of the fabric as each device sees it",
                width=12,
            ),
            grafana.state_timeline(
                link.FABRIC_FAULT,
                aggregate("max", select(link.FABRIC_FAULT, **HERE), by=(*IDENTITY, "fault")),
                f"{ONE} {{{{fault}}}}",
                states=("no", "yes"),
                title="Faults of the fabric",
                width=12,
            ),
        ),
    )
