"""Which hardware is failing: driver errors, memory errors, spare rows, links, and what the driver asks for."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog import device, own
from warpgauge.core.links import dashboard_uid
from warpgauge.core.promql import aggregate, increase, rate, select, state_code
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels, Section
from warpgauge.dashboards.queries import HARDWARE, HOST, IDENTITY, NAMES, THERMAL, WINDOW, drill_down, each
from warpgauge.dashboards.shared import uncorrected_errors, xids

__all__ = ["NAME", "dashboard"]

NAME: Final = "reliability"

HERE: Final = grafana.chosen("cluster", "node")
ONE: Final = "{{node}}/gpu{{index}}"
DEVICE_LINK: Final = {"UUID": drill_down("device", cluster="Cluster", node="Node", uuid="UUID")}


def dashboard() -> grafana.Dashboard:
    """Build the reliability dashboard."""
    return grafana.Dashboard(
        uid=dashboard_uid(NAME),
        title="warpgauge / Reliability",
        description="Driver errors (XID), memory errors, spare rows, link errors and what the driver asks for.",
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks(),
        templating=[
            grafana.datasource(),
            grafana.values_of("cluster", device.DEVICE_UP, title="Cluster"),
            grafana.values_of("node", device.DEVICE_UP, title="Node", within=("cluster",)),
        ],
        panels=grafana.flow([_now(), _xids(), _memory(), _held_down(), _links()]),
    )


def _now() -> Section:
    asked = f"sum({each(select(device.RECOVERY_ACTION, action=device.RECOVERY_ACTION.states[1:], **HERE))})"
    return Section(
        "Now",
        (
            grafana.stat(
                device.RECOVERY_ACTION,
                asked,
                title="Devices to recover",
                note="Counts devices for which the driver asks for anything.",
                levels=Levels(critical=1),
            ),
            grafana.stat(
                device.ROW_REMAP_FAILED,
                f"sum({each(select(device.ROW_REMAP_FAILED, **HERE))})",
                title="Boards out of spare rows",
                levels=Levels(critical=1),
            ),
            grafana.stat(
                device.ROW_REMAP_PENDING,
                f"sum({each(select(device.ROW_REMAP_PENDING, **HERE))})",
                title="Resets due for a remap",
                levels=Levels(warning=1),
            ),
            uncorrected_errors(**HERE),
            xids(**HERE),
            grafana.stat(
                own.KERNEL_LOG_READABLE,
                f"sum({select(own.KERNEL_LOG_READABLE, **HERE)} == bool 0)",
                title="Nodes without kernel log",
                note="There some XIDs and all SXIDs stay unseen.",
                levels=Levels(warning=1),
            ),
        ),
    )


def _xids() -> Section:
    seen = aggregate("sum", increase(device.XID_EVENTS, "$__range", **HERE), by=(*IDENTITY, "xid"))
    return Section(
        "Driver errors (XID)",
        (
            grafana.table(
                "XIDs in this time",
                (
                    Column(title="Times", expr=f"round({seen}) > 0", metric=device.PROCESSES),
                    Column(
                        title="Last seen",
                        expr=aggregate("max", select(device.XID_LAST, **HERE), by=(*IDENTITY, "xid")) + " * 1000",
                        metric=device.XID_LAST,
                    ),
                ),
                keys={**NAMES, "xid": "XID"},
                description="What each XID means and what to do stands in the console's findings and in the runbook "
                "`xid`. A code that was last seen before the chosen time has no number of times.",
                links=DEVICE_LINK,
                height=8,
            ),
            grafana.graph(
                device.XID_EVENTS,
                grafana.query(
                    aggregate("sum", increase(device.XID_EVENTS, WINDOW, **HERE), by=(*HOST, "xid")),
                    "{{node}} XID {{xid}}",
                ),
                title="XIDs over time",
                unit="short",
            ),
            grafana.graph(
                device.SXID_EVENTS,
                grafana.query(
                    aggregate("sum", increase(device.SXID_EVENTS, WINDOW, **HERE), by=(*HOST, "pci_bus_id", "sxid")),
                    "{{node}} {{pci_bus_id}} SXID {{sxid}}",
                ),
                title="Errors of NVSwitches (SXID) over time",
                note="Only machines with NVSwitches have them, and only the kernel log tells them.",
                unit="short",
            ),
        ),
    )


def _memory() -> Section:
    corrected, uncorrected = (
        aggregate("sum", increase(device.ECC_ERRORS, WINDOW, severity=one, persistence="volatile", **HERE), by=IDENTITY)
        for one in ("corrected", "uncorrected")
    )
    located = aggregate(
        "sum",
        increase(device.ECC_LOCATION_ERRORS, WINDOW, persistence="volatile", **HERE),
        by=(*IDENTITY, "location", "severity"),
    )
    return Section(
        "Memory",
        (
            grafana.graph(
                device.ECC_ERRORS, grafana.query(f"topk(12, {corrected})", ONE), title="Corrected, the twelve worst",
                unit="short",
            ),
            grafana.graph(
                device.ECC_ERRORS, grafana.query(f"topk(12, {uncorrected})", ONE), title="Uncorrected", unit="short"
            ),
            grafana.graph(
                device.ECC_LOCATION_ERRORS,
                grafana.query(f"topk(12, {located})", f"{ONE} {{{{location}}}} {{{{severity}}}}"),
                title="Memory errors by location, twelve worst",
                note="Device memory has spare rows; a cache or the registers that go on failing need another board.",
                unit="short",
                width=24,
            ),
            _retired_pages(),
            _spare_rows(),
        ),
    )  # fmt: skip


def _spare_rows() -> grafana.Panel:
    return grafana.table(
        "Spare rows",
        (
            Column(
                title="Rows, corrected",
                expr=each(select(device.ROWS_REMAPPED, cause="corrected", **HERE)),
                metric=device.ROWS_REMAPPED,
            ),
            Column(
                title="Rows, uncorrected",
                expr=each(select(device.ROWS_REMAPPED, cause="uncorrected", **HERE)),
                metric=device.ROWS_REMAPPED,
                levels=Levels(warning=1),
            ),
            Column(
                title="Banks without spares",
                expr=each(select(device.ROW_REMAP_BANKS, availability="none", **HERE)),
                metric=device.ROW_REMAP_BANKS,
                levels=Levels(critical=1),
            ),
            Column(
                title="Waits for a reset",
                expr=each(select(device.ROW_REMAP_PENDING, **HERE)),
                metric=device.ROW_REMAP_PENDING,
                states=("no", "yes"),
            ),
        ),
        keys=NAMES,
        description="Rows that spares replaced after corrected and uncorrected errors (Ampere and newer).",
        links=DEVICE_LINK,
    )


def _retired_pages() -> grafana.Panel:
    return grafana.table(
        "Retired pages",
        (
            Column(title="Pages", expr=each(select(device.PAGES_RETIRED, **HERE), "sum"), metric=device.PAGES_RETIRED),
            Column(
                title="Waits for a driver load",
                expr=each(select(device.PAGE_RETIREMENT_PENDING, **HERE)),
                metric=device.PAGE_RETIREMENT_PENDING,
                states=("no", "yes"),
            ),
        ),
        keys=NAMES,
        description="Boards before Ampere take bad pages out of use instead of replacing rows: empty where there are "
        "none. A board can retire 64 in all: replace it before.",
        links=DEVICE_LINK,
        height=6,
    )


def _held_down() -> Section:
    active = select(device.THROTTLE_ACTIVE, reason=(*THERMAL, *HARDWARE), **HERE)
    return Section(
        "Held down, and what the driver asks for",
        (
            grafana.state_timeline(
                device.THROTTLE_ACTIVE,
                aggregate("max", active, by=(*HOST, "reason")),
                "{{node}} {{reason}}",
                states=("no", "held down"),
                title="Nodes with a device held down by heat or hardware",
                width=12,
            ),
            grafana.state_timeline(
                device.RECOVERY_ACTION,
                state_code(device.RECOVERY_ACTION, by=HOST, **HERE),
                "{{node}}",
                title="What the driver asks for",
                note="The worst of each node.",
                width=12,
            ),
        ),
    )


def _links() -> Section:
    link_errors = aggregate("sum", rate(device.LINK_ERRORS, WINDOW, **HERE), by=IDENTITY)
    pcie_errors = aggregate("sum", rate(device.PCIE_ERRORS, WINDOW, **HERE), by=(*HOST, "error"))
    return Section(
        "Links",
        (
            grafana.graph(
                device.LINK_ERRORS, grafana.query(f"topk(12, {link_errors})", ONE), title="NVLink errors, twelve worst"
            ),
            grafana.graph(device.PCIE_ERRORS, grafana.query(pcie_errors, "{{node}} {{error}}"), title="PCIe errors"),
        ),
    )
