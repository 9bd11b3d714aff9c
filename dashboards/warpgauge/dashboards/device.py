"""One device: what it does, what it holds, what slows it down, what went wrong on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import detail, device, vendor
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import aggregate, increase, over_time, rate, select, state_code
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Levels, Query, Section
from warpgauge.dashboards.processes import on_devices
from warpgauge.dashboards.queries import IDENTITY, WINDOW, each, total, whole
from warpgauge.dashboards.runtimes import runtime_section
from warpgauge.dashboards.shared import uncorrected_errors, xids

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NAME", "dashboard"]

NAME: Final = "device"

HERE: Final = grafana.chosen("cluster", "node", "uuid")
ONE: Final = "{{node}}/gpu{{index}}"
_ACTIVITIES: Final = {
    "compute": "Time at each SM activity",
    "tensor": "Time at each tensor activity",
    "memory_bandwidth": "Time at each memory activity",
}


def dashboard() -> grafana.Dashboard:
    """Build the device dashboard."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Device",
        description="Activity, memory, power, heat, links and errors of the chosen accelerators.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", device.DEVICE_UP, title="Cluster"),
            grafana.values_of("node", device.DEVICE_UP, title="Node", within=("cluster",)),
            grafana.values_of("uuid", device.DEVICE_UP, title="Device", within=("cluster", "node")),
        ],
        panels=grafana.flow(
            [
                _state(),
                _activity(),
                _memory(),
                _power(),
                _heat(),
                _links(),
                _errors(),
                runtime_section(HERE, ONE),
            ]
        ),
    )


def _lines(metric: Metric, *labels: str, **fixed: str) -> Query:
    """The metric as it is, a line per device and further label."""
    legend = " ".join((ONE, *(f"{{{{{label}}}}}" for label in labels)))
    return grafana.query(aggregate("max", select(metric, **fixed, **HERE), by=(*IDENTITY, *labels)), legend)


def _state() -> Section:
    age = f"time() - {select(device.LAST_SAMPLE, **HERE)}"
    throttle = select(device.THROTTLE_ACTIVE, reason=device.THROTTLE_REASONS[1:], **HERE)
    return Section(
        "State",
        (
            grafana.state_timeline(
                device.DEVICE_STATE, state_code(device.DEVICE_STATE, by=IDENTITY, **HERE), ONE, width=12, height=6
            ),
            grafana.state_timeline(
                device.RECOVERY_ACTION, state_code(device.RECOVERY_ACTION, by=IDENTITY, **HERE), ONE, width=12, height=6
            ),
            grafana.stat(
                device.LAST_SAMPLE,
                f"max({age})",
                title="Oldest reading",
                unit="s",
                levels=Levels(warning=30, critical=120),
            ),
            xids(**HERE),
            uncorrected_errors(**HERE),
            grafana.state_timeline(
                device.THROTTLE_ACTIVE,
                aggregate("max", throttle, by=(*IDENTITY, "reason")),
                f"{ONE} {{{{reason}}}}",
                states=("no", "held down"),
                title="What holds the clocks down",
                width=12,
            ),
        ),
    )


def _activity() -> Section:
    return Section(
        "Activity",
        (
            grafana.graph(
                device.UTILIZATION,
                _lines(device.UTILIZATION, "engine"),
                grafana.query(each(select(device.MEMORY_ACCESS, **HERE)), f"{ONE} memory access"),
            ),
            grafana.graph(
                device.COMPUTE_ACTIVE,
                grafana.query(each(select(device.COMPUTE_ACTIVE, **HERE)), f"{ONE} SMs active"),
                grafana.query(each(select(device.COMPUTE_OCCUPANCY, **HERE)), f"{ONE} occupancy"),
                grafana.query(each(select(device.MEMORY_BANDWIDTH_ACTIVE, **HERE)), f"{ONE} memory"),
                grafana.query(each(select(device.GRAPHICS_ENGINE_ACTIVE, **HERE)), f"{ONE} engine"),
                title="SMs, occupancy and memory bandwidth",
                note="Memory is the share of cycles in which device memory moved data, occupancy that of the warps "
                "an SM can hold, engine the share of time with any work. Parts of a partitioned device: the busiest.",
            ),
            grafana.graph(
                device.PIPE_ACTIVE,
                grafana.query(
                    aggregate("max", select(device.PIPE_ACTIVE, **HERE), by=(*IDENTITY, "pipe")), f"{ONE} {{{{pipe}}}}"
                ),
                title="Pipes",
            ),
            grafana.heatmap(
                device.UTILIZATION_DISTRIBUTION,
                _shares(device.UTILIZATION_DISTRIBUTION, engine="compute"),
                title="Time at each utilization",
                note="Color is the share of time; short spikes stay visible however seldom the page is scraped.",
            ),
            *(_activities(activity, title) for activity, title in _ACTIVITIES.items()),
        ),
    )


def _activities(activity: str, title: str) -> grafana.Panel:
    return grafana.heatmap(
        detail.ACTIVITY_DISTRIBUTION,
        _shares(detail.ACTIVITY_DISTRIBUTION, activity=activity),
        title=title,
        note="Color is the share of time. Two bands, far up and at the bottom, are work in bursts with waits between; "
        "one band in the middle is work that never fills the device.",
        width=8,
    )


def _shares(metric: Metric, **fixed: str) -> str:
    """Share of time in each bucket of a distribution of milliseconds."""
    return f"{aggregate('sum', rate(metric, WINDOW, 'bucket', **fixed, **HERE), by=('le',))} / 1000"


def _memory() -> Section:
    used, most = (whole(row, **HERE) for row in (device.MEMORY_USED, device.MEMORY_TOTAL))
    return Section(
        "Memory",
        (
            grafana.graph(
                device.MEMORY_USED,
                grafana.query(used, f"{ONE} used"),
                grafana.query(most, f"{ONE} total"),
                note="Parts of a partitioned device are added up.",
            ),
            grafana.graph(device.PROCESSES, grafana.query(whole(device.PROCESSES, **HERE), ONE)),
            on_devices(HERE),
        ),
    )


def _power() -> Section:
    return Section(
        "Power and clocks",
        (
            grafana.graph(
                device.POWER,
                _lines(device.POWER),
                grafana.query(each(select(device.POWER_LIMIT, limit="enforced", **HERE)), f"{ONE} limit"),
                grafana.query(each(select(detail.MEMORY_POWER, **HERE)), f"{ONE} memory"),
                title="Power and its limit",
                note="Memory is the part of it that the device memory draws, where the board tells.",
            ),
            grafana.heatmap(
                device.POWER_DISTRIBUTION,
                _shares(device.POWER_DISTRIBUTION),
                title="Time at each power draw",
                note="Color is the share of time.",
            ),
            grafana.graph(device.CLOCK, _lines(device.CLOCK, "clock")),
            grafana.graph(
                device.THROTTLE_SECONDS,
                grafana.query(
                    aggregate("max", rate(device.THROTTLE_SECONDS, WINDOW, **HERE), by=(*IDENTITY, "reason")),
                    f"{ONE} {{{{reason}}}}",
                ),
                grafana.query(each(rate(detail.CLOCKS_BELOW_BASE, WINDOW, **HERE)), f"{ONE} below base clocks"),
                grafana.query(
                    aggregate("max", select(vendor.VIOLATION, **HERE), by=(*IDENTITY, "limit")), f"{ONE} {{{{limit}}}}"
                ),
                title="Share of time held down, by reason",
                note="Below base clocks says how far it came down, whatever the reason; an idle device is below them "
                "too. AMD's drivers tell shares of limits instead.",
            ),
        ),
    )


def _heat() -> Section:
    return Section(
        "Heat",
        (
            grafana.graph(
                device.TEMPERATURE,
                _lines(device.TEMPERATURE, "sensor"),
                grafana.query(each(select(device.TEMPERATURE_LIMIT, limit="slowdown", **HERE)), f"{ONE} slows down at"),
                width=24,
            ),
            grafana.graph(
                device.TEMPERATURE_MARGIN,
                _lines(device.TEMPERATURE_MARGIN),
                title="Degrees left until it slows down",
            ),
            grafana.graph(
                device.FAN_SPEED,
                _lines(device.FAN_SPEED, "fan"),
                note="Boards for servers have none: there the machine's fans cool them.",
            ),
        ),
    )


def _links() -> Section:
    def traffic(sent: Metric, received: Metric, title: str, note: str = "") -> grafana.Panel:
        return grafana.graph(
            sent,
            grafana.query(total(sent, rate(sent, WINDOW, **HERE)), f"{ONE} sent"),
            grafana.query(total(received, rate(received, WINDOW, **HERE)), f"{ONE} received"),
            title=title,
            note=note,
        )

    return Section(
        "Links",
        (
            traffic(device.PCIE_TRANSMIT, device.PCIE_RECEIVE, "PCIe traffic", "Received is from the host."),
            traffic(device.LINK_TRANSMIT, device.LINK_RECEIVE, "NVLink traffic", "All links together."),
            grafana.graph(
                device.PCIE_LINK_WIDTH,
                grafana.query(each(select(device.PCIE_LINK_WIDTH, **HERE)), f"{ONE} lanes"),
                grafana.query(each(select(device.PCIE_LINK_GENERATION, **HERE)), f"{ONE} generation"),
                title="PCIe lanes and generation",
                note="A lower generation at idle is power saving.",
            ),
            grafana.state_timeline(
                device.LINK_STATE,
                state_code(device.LINK_STATE, by=(*IDENTITY, "link"), **HERE),
                f"{ONE} link {{{{link}}}}",
                title="NVLink state",
                width=12,
                height=12,
            ),
        ),
    )


def _errors() -> Section:
    return Section(
        "Errors",
        (
            grafana.graph(
                device.XID_EVENTS,
                grafana.query(
                    aggregate("sum", increase(device.XID_EVENTS, WINDOW, **HERE), by=(*IDENTITY, "xid")),
                    f"{ONE} XID {{{{xid}}}}",
                ),
                grafana.query(
                    aggregate("sum", increase(device.DEVICE_EVENTS, WINDOW, **HERE), by=(*IDENTITY, "event")),
                    f"{ONE} {{{{event}}}}",
                ),
                title="XIDs and other events",
                note="Events without a number: ECC storms, retired memory, poison, recovery.",
                unit="short",
            ),
            grafana.graph(
                device.ECC_ERRORS,
                grafana.query(
                    aggregate(
                        "sum",
                        increase(device.ECC_ERRORS, WINDOW, persistence="volatile", **HERE),
                        by=(*IDENTITY, "severity"),
                    ),
                    f"{ONE} {{{{severity}}}}",
                ),
                title="Memory errors",
                unit="short",
            ),
            grafana.graph(
                device.LINK_ERRORS,
                grafana.query(
                    aggregate("sum", rate(device.LINK_ERRORS, WINDOW, **HERE), by=(*IDENTITY, "error")),
                    f"{ONE} {{{{error}}}}",
                ),
                title="NVLink errors by kind",
            ),
            grafana.graph(
                device.ROWS_REMAPPED,
                grafana.query(
                    aggregate("max", over_time("max", device.ROWS_REMAPPED, WINDOW, **HERE), by=(*IDENTITY, "cause")),
                    f"{ONE} {{{{cause}}}}",
                ),
                title="Memory rows replaced by spares",
            ),
        ),
    )
