"""What the devices use, what of it is wasted, and what it costs."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog import device
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import aggregate, increase, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Section
from warpgauge.dashboards.queries import HOST, busy, each, held_by

__all__ = ["NAME", "dashboard"]

NAME: Final = "energy"

HERE: Final = grafana.chosen("cluster", "node")
JOULES_PER_KWH: Final = 3_600_000
IDLE: Final = 0.05  # utilization below which a device does nothing that anybody waits for


def dashboard() -> grafana.Dashboard:
    """Build the energy dashboard."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Energy",
        description="Power and energy of the accelerators by cluster and job, idle power, and cost at your price.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", device.DEVICE_UP, title="Cluster"),
            grafana.values_of("node", device.DEVICE_UP, title="Node", within=("cluster",)),
            grafana.number_box("price", title="Price of a kWh", default="0.15"),
        ],
        panels=grafana.flow([_now(), _power(), _jobs()]),
    )


def _watts() -> str:
    return each(select(device.POWER, **HERE))


def _idle_watts() -> str:
    """Power of each device while it is idle, else 0; absent where power or utilization is."""
    return f"({_watts()} * on (cluster, node, index, uuid) ({busy(**HERE)} < bool {IDLE}))"


def _joules() -> str:
    """Energy of each device in the chosen time."""
    return each(increase(device.ENERGY, "$__range", **HERE))


def _now() -> Section:
    limit = each(select(device.POWER_LIMIT, limit="enforced", **HERE))
    return Section(
        "Now and in this time",
        (
            grafana.stat(device.POWER, f"sum({_watts()})", title="Power now"),
            grafana.stat(
                device.POWER,
                f"sum({_watts()}) / sum({limit})",
                title="Of the limits",
                note="Divided by the sum of the enforced limits.",
                unit="percentunit",
            ),
            grafana.stat(
                device.POWER,
                f"sum({_idle_watts()})",
                title="Power of idle devices",
                note=f"Of devices below {IDLE:.0%} utilization now.",
            ),
            grafana.stat(device.ENERGY, f"sum({_joules()})", title="Energy", unit="joule"),
            grafana.stat(
                device.ENERGY,
                f"sum({_joules()}) / {JOULES_PER_KWH} * $price",
                title="Cost",
                note="At the price above, in its currency; boards only, neither hosts nor cooling.",
                unit="short",
            ),
            grafana.stat(
                device.ENERGY,
                f"sum({_watts()}) * 24 * 365 / 1000 * $price",
                title="Cost per year",
                note="At the power of this moment.",
                unit="short",
            ),
        ),
    )


def _power() -> Section:
    return Section(
        "Power",
        (
            grafana.graph(
                device.POWER,
                grafana.query(aggregate("sum", _watts(), by=HOST), "{{node}}"),
                title="Power by node",
                stacked=True,
            ),
            grafana.graph(
                device.POWER,
                grafana.query(aggregate("sum", _idle_watts(), by=("cluster",)), "{{cluster}} idle"),
                grafana.query(aggregate("sum", _watts(), by=("cluster",)), "{{cluster}} all"),
                title="Power of idle devices beside all",
            ),
            grafana.graph(
                device.POWER,
                grafana.query(f"sum({_watts()}) / sum({busy(**HERE)})", "watts per busy device"),
                title="Power for each device's worth of work",
                note="All power divided by the sum of utilizations: it rises as devices idle.",
            ),
            grafana.bar_gauge(
                device.ENERGY,
                f"topk(10, {aggregate('sum', _joules(), by=HOST)})",
                "{{node}}",
                title="Energy in this time, ten thirstiest nodes",
                unit="joule",
                width=12,
            ),
        ),
    )


def _jobs() -> Section:
    holders = held_by(**HERE)
    energy = aggregate("max", _joules(), by=("cluster", "uuid"))
    used = f"sum by (cluster, job_id, user) ({holders} * on (cluster, uuid) group_left () {energy})"
    idle = aggregate("max", _idle_watts(), by=("cluster", "uuid"))
    wasted = f"sum by (cluster, job_id, user) ({holders} * on (cluster, uuid) group_left () {idle})"
    return Section(
        "By job",
        (
            grafana.table(
                "Energy of jobs",
                (
                    Column(title="Energy", expr=used, metric=device.POWER_DISTRIBUTION, unit="joule"),
                    Column(
                        title="Cost", expr=f"{used} / {JOULES_PER_KWH} * $price", metric=device.PROCESSES, unit="short"
                    ),
                    Column(title="Idle power now", expr=wasted, metric=device.POWER),
                ),
                keys={"cluster": "Cluster", "job_id": "Job", "user": "User"},
                description="Of the devices that each job holds now, over the chosen time: a job that is younger is "
                "charged with what its devices used before.",
            ),
        ),
    )
