"""One job: its ranks, where their steps spend time, what its devices do, and what the analyzer says of it."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog import device, own, training
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import aggregate, increase, own_labels, rate, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Section
from warpgauge.dashboards.queries import NAMES, WINDOW, drill_down, each, held_by, per_job, whole

__all__ = ["NAME", "dashboard"]

NAME: Final = "job"

HERE: Final = grafana.chosen("cluster", "node")
JOB: Final = grafana.chosen("cluster", "node", "job_id")
RANK: Final = ("cluster", "job_id", "rank")
LEGEND: Final = "{{job_id}} rank {{rank}}"


def dashboard() -> grafana.Dashboard:
    """Build the job dashboard."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Job",
        description="Steps and their phases by rank, the devices that the chosen jobs hold, and findings about them.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", device.DEVICE_UP, title="Cluster"),
            grafana.values_of("node", device.DEVICE_UP, title="Node", within=("cluster",)),
            grafana.values_of("job_id", device.WORKLOAD_INFO, title="Job", within=("cluster", "node")),
        ],
        panels=grafana.flow([_verdicts(), _steps(), _devices(), _load()]),
    )


def _verdicts() -> Section:
    keys = {"severity": "Severity", "kind": "Kind", "cluster": "Cluster", "job_id": "Job", "uuid": "UUID"}
    found = own_labels(select(own.FINDING_ACTIVE, **grafana.chosen("job_id")), "cluster", "node")
    return Section(
        "What the analyzer says",
        (
            grafana.table(
                "Findings about these jobs",
                (
                    Column(
                        title="Open",
                        expr=aggregate("max", found, by=tuple(keys)),
                        metric=own.FINDING_ACTIVE,
                        hidden=True,
                    ),
                ),
                keys=keys,
                description="Bottlenecks, stragglers and faults that hold now; `warpgauge explain JOB` and the console "
                "have the evidence and the remedy. Empty where nothing was found or no analyzer is scraped.",
                height=6,
            ),
        ),
    )


def _steps() -> Section:
    count = aggregate("sum", rate(training.STEP_SECONDS, WINDOW, "count", **JOB), by=RANK)
    seconds = aggregate("sum", rate(training.STEP_SECONDS, WINDOW, "sum", **JOB), by=RANK)
    phases = aggregate("sum", rate(training.PHASE_SECONDS, WINDOW, **JOB), by=("cluster", "job_id", "phase"))
    ranks = f"count by (cluster, job_id) ({count})"
    said = aggregate("max", select(training.JOB_RANKS, **JOB), by=("cluster", "job_id"))
    waiting = aggregate("sum", rate(training.PHASE_SECONDS, WINDOW, phase="communication", **JOB), by=RANK)
    return Section(
        "Steps",
        (
            grafana.graph(
                training.STEP_SECONDS,
                grafana.query(f"{seconds} / {count}", LEGEND),
                title="Mean step time by rank",
                note="All ranks of a job that works in lockstep have the same; read the phases to see who waits.",
            ),
            grafana.graph(
                training.PHASE_SECONDS,
                grafana.query(f"{phases} / on (cluster, job_id) group_left () {ranks}", "{{job_id}} {{phase}}"),
                title="Where the time goes",
                note="Share of the time of all ranks; what is missing to 100 % was outside of steps.",
                stacked=True,
                unit="percentunit",
            ),
            grafana.graph(
                training.PHASE_SECONDS,
                grafana.query(f"{waiting} / {seconds}", LEGEND),
                title="Share of a step spent in communication, by rank",
                note="The rank that waits least is the one the others wait for.",
                unit="percentunit",
            ),
            grafana.heatmap(
                training.STEP_SECONDS,
                aggregate("sum", rate(training.STEP_SECONDS, WINDOW, "bucket", **JOB), by=("le",)),
                title="Steps by duration",
                note="Color is steps per second over all ranks.",
            ),
            grafana.graph(
                training.JOB_RANKS,
                grafana.query(ranks, "{{job_id}} report"),
                grafana.query(said, "{{job_id}} the job has"),
                title="Ranks that report, and ranks that the job has",
                note="On the chosen nodes, against the whole job. If fewer report on all: one died, or is not scraped.",
            ),
        ),
    )


def _devices() -> Section:
    holders = aggregate("max", select(device.WORKLOAD_INFO, **JOB), by=("cluster", "uuid", "job_id", "rank", "user"))
    keys = {**NAMES, "job_id": "Job", "rank": "Rank", "user": "User"}

    def held(expr: str) -> str:
        return f"{holders} * on (cluster, uuid) group_left (node, index) {expr}"

    used, most = (whole(row, **HERE) for row in (device.MEMORY_USED, device.MEMORY_TOTAL))
    return Section(
        "Devices",
        (
            grafana.table(
                "Devices that these jobs hold",
                (
                    Column(
                        title="Answering", expr=held(each(select(device.DEVICE_UP, **HERE))), metric=device.DEVICE_UP,
                        states=("silent", "answers"),
                    ),
                    Column(
                        title="Utilization",
                        expr=held(each(select(device.UTILIZATION, engine="compute", **HERE))),
                        metric=device.UTILIZATION,
                    ),
                    Column(title="Memory used", expr=held(f"({used} / {most})"), metric=device.UTILIZATION),
                    Column(title="Power", expr=held(each(select(device.POWER, **HERE))), metric=device.POWER),
                    Column(
                        title="Temperature",
                        expr=held(each(select(device.TEMPERATURE, sensor="core", **HERE))),
                        metric=device.TEMPERATURE,
                    ),
                ),
                keys=keys,
                description="One row per device and rank; an empty cell means that the driver does not report it.",
                links={
                    "Node": drill_down("host", cluster="Cluster", node="Node"),
                    "UUID": drill_down("device", cluster="Cluster", node="Node", uuid="UUID"),
                },
            ),
        ),
    )  # fmt: skip


def _load() -> Section:
    holders = held_by(**JOB)
    utilization = select(device.UTILIZATION, engine="compute", **HERE)
    joules = aggregate("max", increase(device.ENERGY, "$__range", **HERE), by=("cluster", "uuid"))
    energy = f"sum by (cluster, job_id) ({holders} * on (cluster, uuid) group_left () {joules})"
    steps = aggregate("max", increase(training.STEP_SECONDS, "$__range", "count", **JOB), by=("cluster", "job_id"))
    by = ("lowest", "min"), ("mean", "avg"), ("highest", "max")
    return Section(
        "Load and energy",
        (
            grafana.graph(
                device.UTILIZATION,
                *(grafana.query(per_job(how, holders, utilization), f"{{{{job_id}}}} {word}") for word, how in by),
                title="Utilization of the job's devices",
                note="Lowest far below the mean: one device waits, or holds the others up.",
            ),
            grafana.graph(
                device.POWER,
                grafana.query(per_job("sum", holders, select(device.POWER, **HERE)), "{{job_id}}"),
                title="Power of the job's devices",
            ),
            grafana.bar_gauge(
                device.ENERGY,
                energy,
                "{{job_id}}",
                title="Energy in this time",
                note="Of the devices that the job holds now.",
                unit="joule",
                width=12,
                height=6,
            ),
            grafana.bar_gauge(
                device.ENERGY,
                f"{energy} / on (cluster, job_id) {steps}",
                "{{job_id}}",
                title="Energy per step",
                note="Of all devices of the job, for each step of the fastest rank, over the chosen time.",
                unit="joule",
                width=12,
                height=6,
            ),
        ),
    )
