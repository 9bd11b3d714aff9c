"""Fleet overview: is anything wrong, where, and which jobs use what they hold."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog import device, own
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import aggregate, select, state_code
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels, Section
from warpgauge.dashboards.inventory import drivers, firmware
from warpgauge.dashboards.queries import HARDWARE, IDENTITY, NAMES, THERMAL, busy, each, held_by, per_job, whole
from warpgauge.dashboards.shared import DEVICE_LINK, JOB_LINK, NODE_LINK, open_findings

__all__ = ["NAME", "dashboard"]

NAME: Final = "fleet"

HERE: Final = grafana.chosen("cluster", "node")


def dashboard() -> grafana.Dashboard:
    """Build the fleet overview."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Fleet",
        description="All accelerators: health first, then load, heat, power and the jobs that hold them.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", device.DEVICE_UP, title="Cluster"),
            grafana.values_of("node", device.DEVICE_UP, title="Node", within=("cluster",)),
        ],
        panels=grafana.flow([_health(), _findings(), _devices(), _jobs(), _load(), _installed()]),
    )


def _health() -> Section:
    up = each(select(device.DEVICE_UP, **HERE))  # two Prometheus that scrape one agent make no second device
    released = select(device.DEVICE_STATE, state="released", **HERE)
    throttled = aggregate("max", select(device.THROTTLE_ACTIVE, reason=THERMAL, **HERE), by=("cluster", "uuid"))
    findings = select(own.FINDING_ACTIVE, severity=("warning", "critical"))
    return Section(
        "Is anything wrong?",
        (
            grafana.stat(
                device.DEVICE_UP, f"count({up})", title="Devices known", note="Counts every device ever seen."
            ),
            grafana.stat(
                device.DEVICE_UP,
                f"sum({up} == bool 0 unless on (cluster, node, uuid, index) {released} == 1) or 0 * count({up})",
                title="Devices not answering",
                note="Leaves out devices that were released on purpose.",
                levels=Levels(critical=1),
            ),
            grafana.stat(
                device.THROTTLE_ACTIVE,
                f"sum({throttled})",
                title="Devices slowed by heat",
                note="Counts devices with a thermal reason now.",
                levels=Levels(warning=1),
            ),
            grafana.stat(
                own.FINDING_ACTIVE,
                f"count({findings})",
                title="Findings of the analyzer",
                note="Warnings and worse, over all clusters. None are shown where no analyzer is scraped either.",
                levels=Levels(warning=1),
                absent="none known",
            ),
            grafana.stat(
                device.UTILIZATION,
                f"avg({busy(**HERE)})",
                title="Mean utilization",
            ),
            grafana.stat(device.POWER, f"sum({each(select(device.POWER, **HERE))})", title="Power now"),
            grafana.state_timeline(
                device.DEVICE_STATE,
                state_code(device.DEVICE_STATE, by=("cluster", "node"), **HERE),
                "{{cluster}} {{node}}",
                title="Worst device state per node",
            ),
        ),
    )


def _findings() -> Section:
    return Section("Findings", (open_findings(height=6),))


def _devices() -> Section:
    used, most = (whole(row, **HERE) for row in (device.MEMORY_USED, device.MEMORY_TOTAL))
    inventory = aggregate("max", select(device.DEVICE_INFO, **HERE), by=(*IDENTITY, "model"))
    return Section(
        "Devices",
        (
            grafana.table(
                "Devices",
                (
                    Column(title="Inventory", expr=inventory, metric=device.DEVICE_INFO, hidden=True),
                    Column(
                        title="State",
                        expr=state_code(device.DEVICE_STATE, by=IDENTITY, **HERE),
                        metric=device.DEVICE_STATE,
                        states=device.DEVICE_STATE.states,
                    ),
                    Column(
                        title="Utilization",
                        expr=busy(**HERE),
                        metric=device.UTILIZATION,
                    ),
                    Column(
                        title="Compute active",
                        expr=each(select(device.COMPUTE_ACTIVE, **HERE)),
                        metric=device.COMPUTE_ACTIVE,
                    ),
                    Column(title="Memory used", expr=f"{used} / {most}", metric=device.UTILIZATION),
                    Column(
                        title="Temperature",
                        expr=each(select(device.TEMPERATURE, sensor="core", **HERE)),
                        metric=device.TEMPERATURE,
                    ),
                    Column(title="Power", expr=each(select(device.POWER, **HERE)), metric=device.POWER),
                ),
                keys={**NAMES, "model": "Model"},
                description="One row per device that the agents know. Memory used is what workloads hold of all device "
                "memory. An empty cell means that the driver does not report the value, not that it is zero.",
                links={"Node": NODE_LINK, "UUID": DEVICE_LINK},
            ),
        ),
    )


def _jobs() -> Section:
    holders = held_by(**HERE)
    by_job = ("cluster", "job_id", "user")
    return Section(
        "Jobs",
        (
            grafana.table(
                "Jobs that hold devices",
                (
                    Column(title="Devices", expr=aggregate("count", holders, by=by_job), metric=device.WORKLOAD_INFO),
                    Column(
                        title="Mean utilization",
                        expr=per_job("avg", holders, select(device.UTILIZATION, engine="compute", **HERE)),
                        metric=device.UTILIZATION,
                    ),
                    Column(
                        title="Lowest utilization",
                        expr=per_job("min", holders, select(device.UTILIZATION, engine="compute", **HERE)),
                        metric=device.UTILIZATION,
                    ),
                    Column(
                        title="Power", expr=per_job("sum", holders, select(device.POWER, **HERE)), metric=device.POWER
                    ),
                ),
                keys={"cluster": "Cluster", "job_id": "Job", "user": "User"},
                description="One row per job that holds devices now; a shared device counts for each of its jobs.",
                links={"Job": JOB_LINK},
                height=8,
            ),
        ),
    )


def _installed() -> Section:
    return Section("What is installed", (drivers(HERE), firmware(HERE)))


def _load() -> Section:
    utilization = busy(**HERE)
    slowed = aggregate(
        "max",
        select(device.THROTTLE_ACTIVE, reason=(*THERMAL, *HARDWARE), **HERE),
        by=("cluster", "uuid", "reason"),
    )
    temperature = each(select(device.TEMPERATURE, sensor="core", **HERE))
    return Section(
        "Load, heat and power",
        (
            grafana.graph(
                device.UTILIZATION,
                *(
                    grafana.query(aggregate("quantile", utilization, argument=share), legend)
                    for share, legend in ((0.1, "a tenth is below"), (0.5, "half is below"), (0.9, "a tenth is above"))
                ),
                title="Utilization across devices",
            ),
            grafana.graph(
                device.POWER,
                grafana.query(aggregate("sum", each(select(device.POWER, **HERE)), by=("cluster",)), "{{cluster}}"),
                title="Power by cluster",
                stacked=True,
            ),
            grafana.graph(
                device.THROTTLE_ACTIVE,
                grafana.query(aggregate("sum", slowed, by=("reason",)), "{{reason}}"),
                title="Devices held down, by reason",
                note="Counts devices; thermal and hardware reasons only.",
            ),
            grafana.bar_gauge(
                device.TEMPERATURE,
                aggregate("topk", temperature, argument=10),
                "{{node}}/gpu{{index}}",
                title="Ten hottest devices",
                width=12,
                levels=Levels(warning=80, critical=90),
            ),
        ),
    )
