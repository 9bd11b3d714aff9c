"""The accelerators of a machine beside each other, who holds them, and how the machine under them fares."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog import device, host
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import Unlike, aggregate, rate, select, state_code
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels, Section
from warpgauge.dashboards.inventory import parts
from warpgauge.dashboards.queries import HARDWARE, HOST, IDENTITY, NAMES, THERMAL, WINDOW, busy, drill_down, each, whole

__all__ = ["NAME", "dashboard"]

NAME: Final = "node"

HERE: Final = grafana.chosen("cluster", "node")
ONE: Final = "{{node}}/gpu{{index}}"
_SLOWED: Final = (*THERMAL, *HARDWARE)
_BY_REASON: Final = (*IDENTITY, "reason")
DEVICE_LINK: Final = drill_down("device", cluster="Cluster", node="Node", uuid="UUID")


def dashboard() -> grafana.Dashboard:
    """Build the node dashboard."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Node",
        description="Every accelerator of the chosen machines at a glance, the workloads on them, and the machine.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", device.DEVICE_UP, title="Cluster"),
            grafana.values_of("node", device.DEVICE_UP, title="Node", within=("cluster",)),
        ],
        panels=grafana.flow([_now(), _glance(), _holders(), _machine()]),
    )


def _now() -> Section:
    up = each(select(device.DEVICE_UP, **HERE))
    margin = select(device.TEMPERATURE_MARGIN, **HERE)
    idle = rate(host.CPU_SECONDS, WINDOW, mode=("idle", "iowait"), **HERE)
    cpu = f"1 - avg({aggregate('sum', idle, by=(*HOST, 'cpu'))})"
    available = f"{select(host.MEMORY_AVAILABLE, **HERE)} / {select(host.MEMORY_TOTAL, **HERE)}"
    return Section(
        "Now",
        (
            grafana.stat(device.DEVICE_UP, f"count({up})", title="Devices"),
            grafana.stat(device.DEVICE_UP, f"sum({up})", title="Devices answering"),
            grafana.stat(device.UTILIZATION, f"avg({busy(**HERE)})", title="Mean utilization"),
            grafana.stat(
                device.TEMPERATURE_MARGIN,
                f"min({margin})",
                title="Least degrees left",
                note="Absent on boards older than Ada.",
            ),
            grafana.stat(host.CPU_SECONDS, cpu, title="CPU busy", levels=Levels(warning=0.9, critical=0.97)),
            grafana.stat(
                host.MEMORY_AVAILABLE, f"min({available})", title="Least memory available", unit="percentunit"
            ),
        ),
    )


def _glance() -> Section:
    return Section(
        "Devices at a glance",
        (
            grafana.status_history(device.UTILIZATION, busy(**HERE), ONE, title="Utilization of each device"),
            grafana.state_timeline(
                device.DEVICE_STATE, state_code(device.DEVICE_STATE, by=IDENTITY, **HERE), ONE, width=12
            ),
            grafana.graph(
                device.TEMPERATURE, grafana.query(each(select(device.TEMPERATURE, sensor="core", **HERE)), ONE)
            ),
            grafana.graph(
                device.CLOCK,
                grafana.query(each(select(device.CLOCK, clock="sm", **HERE)), ONE),
                title="SM clock",
                note="A busy device below its neighbors is held down, or its clocks were locked.",
            ),
            grafana.graph(
                device.THROTTLE_SECONDS,
                grafana.query(
                    aggregate("max", rate(device.THROTTLE_SECONDS, WINDOW, reason=_SLOWED, **HERE), by=_BY_REASON),
                    f"{ONE} {{{{reason}}}}",
                ),
                title="Share of time held down by heat or hardware",
                note="One device is its own cooling or feed; all of them are the room's or the rack's.",
            ),
            grafana.graph(device.POWER, grafana.query(each(select(device.POWER, **HERE)), ONE), stacked=True),
            grafana.graph(
                device.MEMORY_USED,
                grafana.query(whole(device.MEMORY_USED, **HERE), ONE),
                stacked=True,
            ),
        ),
    )


def _holders() -> Section:
    return Section("Who holds what", (_workloads(), _boards(), parts(HERE)))


def _workloads() -> grafana.Panel:
    labels = ("cluster", "node", "uuid", "namespace", "pod", "job_id", "rank", "user")
    holders = aggregate("max", select(device.WORKLOAD_INFO, **HERE), by=labels)
    headings = ("Cluster", "Node", "UUID", "Namespace", "Pod", "Job", "Rank", "User")
    return grafana.table(
        "Workloads on the devices",
        (Column(title="Holds", expr=holders, metric=device.WORKLOAD_INFO, hidden=True),),
        keys=dict(zip(labels, headings, strict=True)),
        description="One row per workload and device, as the agent attributes it; a device may stand in "
        "several rows. Empty where nothing is attributed.",
        links={
            "UUID": DEVICE_LINK,
            "Job": drill_down("job", cluster="Cluster", job_id="Job"),
        },
        height=8,
    )


def _boards() -> grafana.Panel:
    return grafana.table(
        "Boards",
        (
            Column(
                title="State",
                expr=state_code(device.DEVICE_STATE, by=IDENTITY, **HERE),
                metric=device.DEVICE_STATE,
                states=device.DEVICE_STATE.states,
            ),
            Column(title="Utilization", expr=busy(**HERE), metric=device.UTILIZATION),
            Column(
                title="Graphics clock",
                expr=each(select(device.CLOCK, clock="graphics", **HERE)),
                metric=device.CLOCK,
            ),
            Column(
                title="Processes",
                expr=whole(device.PROCESSES, **HERE),
                metric=device.PROCESSES,
            ),
            *(
                Column(title=title, expr=each(mode), metric=row, states=("off", "on"))
                for title, row, mode in (
                    ("Persistence", device.PERSISTENCE_MODE, select(device.PERSISTENCE_MODE, **HERE)),
                    ("ECC", device.ECC_MODE, select(device.ECC_MODE, when="current", **HERE)),
                    ("MIG", device.MIG_MODE, select(device.MIG_MODE, when="current", **HERE)),
                )
            ),
        ),
        keys=NAMES,
        description="The boards of the chosen machines and how they are set: one that differs from its "
        "neighbors was forgotten. Without persistence the first user of an idle board waits for seconds.",
        links={"UUID": DEVICE_LINK},
        height=8,
    )


def _machine() -> Section:
    outside = {**HERE, "device": Unlike("lo")}
    return Section(
        "The machine",
        (
            grafana.graph(
                host.PRESSURE_SECONDS,
                grafana.query(
                    aggregate("max", rate(host.PRESSURE_SECONDS, WINDOW, **HERE), by=(*HOST, "resource", "scope")),
                    "{{node}} {{resource}} {{scope}}",
                ),
                title="Share of time that tasks waited for a resource",
            ),
            grafana.graph(
                host.NETWORK_RECEIVE,
                grafana.query(
                    aggregate("sum", rate(host.NETWORK_RECEIVE, WINDOW, **outside), by=HOST), "{{node}} received"
                ),
                grafana.query(
                    aggregate("sum", rate(host.NETWORK_TRANSMIT, WINDOW, **outside), by=HOST), "{{node}} sent"
                ),
                title="Network",
                note="Sent is beside it.",
            ),
        ),
    )
