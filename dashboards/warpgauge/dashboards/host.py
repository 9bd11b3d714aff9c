"""One machine: what its CPUs, memory, disks and network do, and whether we still see it."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog import device, host, linux, own
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import Unlike, aggregate, rate, select, state_code
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Levels, Section
from warpgauge.dashboards.processes import on_hosts

__all__ = ["NAME", "dashboard"]

NAME: Final = "host"

HERE: Final = grafana.chosen("cluster", "node")
HOST: Final = ("cluster", "node")
WINDOW: Final = "$__rate_interval"


def dashboard() -> grafana.Dashboard:
    """Build the host dashboard."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Host",
        description="CPU, memory, pressure, disks, network and accelerators of the chosen machines.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", host.HOST_INFO, title="Cluster"),
            grafana.values_of("node", host.HOST_INFO, title="Node", within=("cluster",)),
        ],
        panels=grafana.flow([_now(), _processor(), _memory(), _disks(), _network(), _accelerators(), _telemetry()]),
    )


def _busy(*by: str) -> str:
    """Share of all CPUs that did work; iowait is waiting, not work."""
    idle = rate(host.CPU_SECONDS, WINDOW, mode=("idle", "iowait"), **HERE)
    per_cpu = aggregate("sum", idle, by=(*HOST, "cpu"))
    return f"1 - {aggregate('avg', per_cpu, by=by)}"


def _now() -> Section:
    available = f"{select(host.MEMORY_AVAILABLE, **HERE)} / {select(host.MEMORY_TOTAL, **HERE)}"
    free = f"{select(host.FILESYSTEM_AVAILABLE, **HERE)} / {select(host.FILESYSTEM_SIZE, **HERE)}"
    per_cpu = f"{select(host.LOAD1, **HERE)} / {select(host.CPU_COUNT, **HERE)}"
    return Section(
        "Now",
        (
            grafana.stat(host.HOST_INFO, f"count({select(host.HOST_INFO, **HERE)})", title="Machines"),
            grafana.stat(host.CPU_SECONDS, _busy(), title="CPU busy", levels=Levels(warning=0.9, critical=0.97)),
            grafana.stat(
                host.LOAD1,
                f"max({per_cpu})",
                title="Highest load per CPU",
                note="Divided by the number of CPUs.",
                levels=Levels(warning=1.5, critical=3),
            ),
            grafana.stat(
                host.MEMORY_AVAILABLE, f"min({available})", title="Least memory available", unit="percentunit"
            ),
            grafana.stat(
                host.FILESYSTEM_AVAILABLE, f"min({free})", title="Fullest file system, free", unit="percentunit"
            ),
            grafana.stat(
                host.BOOT_TIME, f"time() - max({select(host.BOOT_TIME, **HERE)})", title="Since the last boot", unit="s"
            ),
        ),
    )


def _processor() -> Section:
    modes = rate(host.CPU_SECONDS, WINDOW, mode=Unlike("idle"), **HERE)
    per_cpu = aggregate("sum", modes, by=("cluster", "node", "cpu", "mode"))
    return Section(
        "CPU",
        (
            grafana.graph(
                host.CPU_SECONDS,
                grafana.query(aggregate("avg", per_cpu, by=("mode",)), "{{mode}}"),
                title="CPU time by mode",
                note="Mean over the CPUs of the chosen machines.",
                stacked=True,
                unit="percentunit",
            ),
            grafana.graph(
                host.LOAD1,
                grafana.query(aggregate("max", select(host.LOAD1, **HERE), by=HOST), "{{node}} load"),
                grafana.query(aggregate("max", select(host.CPU_COUNT, **HERE), by=HOST), "{{node}} CPUs"),
                title="Load and number of CPUs",
            ),
            grafana.graph(
                host.CPU_FREQUENCY,
                grafana.query(aggregate("avg", select(host.CPU_FREQUENCY, **HERE), by=HOST), "{{node}} mean"),
                grafana.query(aggregate("max", select(host.CPU_FREQUENCY, **HERE), by=HOST), "{{node}} fastest"),
                title="CPU frequency",
                note="Low while the machine is busy: a governor that saves power, or heat; kernels are launched later.",
            ),
            grafana.graph(
                linux.NUMA_ALLOCATIONS,
                grafana.query(
                    aggregate(
                        "sum",
                        rate(linux.NUMA_ALLOCATIONS, WINDOW, result="miss", **HERE),
                        by=(*HOST, "numa_node"),
                    ),
                    "{{node}} NUMA node {{numa_node}}",
                ),
                title="Pages that another NUMA node had to give",
                note="Shown are the misses: the node of the process was full, and its copies cross the sockets.",
            ),
        ),
    )


def _memory() -> Section:
    used = f"{select(host.MEMORY_TOTAL, **HERE)} - {select(host.MEMORY_AVAILABLE, **HERE)}"
    swapped = f"{select(host.SWAP_TOTAL, **HERE)} - {select(host.SWAP_FREE, **HERE)}"
    return Section(
        "Memory",
        (
            grafana.graph(
                host.MEMORY_AVAILABLE,
                grafana.query(aggregate("max", used, by=HOST), "{{node}} taken"),
                grafana.query(aggregate("max", swapped, by=HOST), "{{node}} swapped out"),
                grafana.query(aggregate("max", select(host.MEMORY_TOTAL, **HERE), by=HOST), "{{node}} total"),
                title="Memory taken",
                note="Taken is total minus available.",
            ),
            grafana.graph(
                host.PRESSURE_SECONDS,
                grafana.query(
                    aggregate("max", rate(host.PRESSURE_SECONDS, WINDOW, **HERE), by=(*HOST, "resource", "scope")),
                    "{{node}} {{resource}} {{scope}}",
                ),
                title="Pressure: share of time that tasks waited",
            ),
            grafana.graph(
                host.SWAP_IN,
                grafana.query(aggregate("max", rate(host.SWAP_IN, WINDOW, **HERE), by=HOST), "{{node}} read back"),
                grafana.query(aggregate("max", rate(host.SWAP_OUT, WINDOW, **HERE), by=HOST), "{{node}} written"),
                title="Swapping",
                note="What was swapped out once and stays there costs nothing; what comes and goes does.",
                width=24,
                height=6,
            ),
        ),
    )


def _disks() -> Section:
    by_device = (*HOST, "device")
    free = f"1 - {select(host.FILESYSTEM_AVAILABLE, **HERE)} / {select(host.FILESYSTEM_SIZE, **HERE)}"
    return Section(
        "Disks",
        (
            grafana.graph(
                host.DISK_READ,
                grafana.query(
                    aggregate("sum", rate(host.DISK_READ, WINDOW, **HERE), by=by_device), "{{node}} {{device}} read"
                ),
                grafana.query(
                    aggregate("sum", rate(host.DISK_WRITTEN, WINDOW, **HERE), by=by_device),
                    "{{node}} {{device}} written",
                ),
                title="Disk throughput",
                width=8,
            ),
            grafana.graph(
                host.DISK_IO_TIME,
                grafana.query(
                    aggregate("max", rate(host.DISK_IO_TIME, WINDOW, **HERE), by=by_device), "{{node}} {{device}}"
                ),
                title="Share of time with work in flight",
                note="A fast disk can be at 100 % and still take more: look at the throughput too.",
                width=8,
            ),
            grafana.bar_gauge(
                host.FILESYSTEM_SIZE,
                aggregate("topk", aggregate("max", free, by=(*HOST, "mountpoint")), argument=10),
                "{{node}} {{mountpoint}}",
                title="Fullest file systems",
                note="Share that an ordinary user can no longer fill.",
                levels=Levels(warning=0.85, critical=0.95),
                unit="percentunit",
            ),
        ),
    )


def _network() -> Section:
    by_device = (*HOST, "device")
    outside = {**HERE, "device": Unlike("lo")}
    errors = (host.NETWORK_RECEIVE_ERRORS, "received"), (host.NETWORK_TRANSMIT_ERRORS, "sent")
    return Section(
        "Network",
        (
            grafana.graph(
                host.NETWORK_RECEIVE,
                grafana.query(
                    aggregate("sum", rate(host.NETWORK_RECEIVE, WINDOW, **outside), by=by_device),
                    "{{node}} {{device}} received",
                ),
                title="Network received",
                width=8,
            ),
            grafana.graph(
                host.NETWORK_TRANSMIT,
                grafana.query(
                    aggregate("sum", rate(host.NETWORK_TRANSMIT, WINDOW, **outside), by=by_device),
                    "{{node}} {{device}} sent",
                ),
                title="Network sent",
                width=8,
            ),
            grafana.graph(
                host.NETWORK_RECEIVE_ERRORS,
                *(
                    grafana.query(
                        aggregate("sum", rate(row, WINDOW, **outside), by=by_device),
                        f"{{{{node}}}} {{{{device}}}} {word}",
                    )
                    for row, word in errors
                ),
                title="Network errors",
                note="Frames that could not be sent are shown too.",
                width=8,
            ),
        ),
    )


def _accelerators() -> Section:
    one = (*HOST, "index", "uuid")
    utilization = aggregate("max", select(device.UTILIZATION, engine="compute", **HERE), by=one)
    return Section(
        "Accelerators",
        (
            grafana.state_timeline(
                device.DEVICE_STATE,
                state_code(device.DEVICE_STATE, by=one, **HERE),
                "{{node}}/gpu{{index}}",
                title="Device state",
                width=12,
            ),
            grafana.graph(
                device.UTILIZATION,
                grafana.query(aggregate("topk", utilization, argument=12), "{{node}}/gpu{{index}}"),
                title="Utilization, twelve busiest at each moment",
            ),
            on_hosts(HERE),
        ),
    )


def _telemetry() -> Section:
    duration = rate(own.COLLECT_SECONDS, WINDOW, "sum", **HERE), rate(own.COLLECT_SECONDS, WINDOW, "count", **HERE)
    mean = " / ".join(aggregate("sum", part, by=(*HOST, "collector")) for part in duration)
    return Section(
        "Our own telemetry",
        (
            grafana.state_timeline(
                own.COLLECTOR_UP,
                aggregate("min", select(own.COLLECTOR_UP, **HERE), by=(*HOST, "collector")),
                "{{node}} {{collector}}",
                states=("failed", "ok"),
                title="Collectors",
                width=12,
            ),
            grafana.graph(
                own.COLLECT_SECONDS,
                grafana.query(mean, "{{node}} {{collector}}"),
                title="Mean duration of a reading",
                unit="s",
            ),
        ),
    )
