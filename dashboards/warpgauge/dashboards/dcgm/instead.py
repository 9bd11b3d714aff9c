"""What stands in place of panels that DCGM's series fill in another way, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device
from warpgauge.dashboards import grafana
from warpgauge.dashboards.dcgm.rows import LABELS, Reading, in_dcgms_words
from warpgauge.dashboards.grafana import Column, Levels, Panel
from warpgauge.dashboards.queries import IDENTITY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["INSTEAD", "LEFT_OUT", "SECTIONS", "TEXTS"]

_XID: Final = "DCGM_FI_DEV_XID_ERRORS"
_STICKS: Final = (
    "The exporter keeps the last code until it restarts: old news look like fresh ones, and a code that comes again is "
    "not seen."
)
_WHO: Final = ("cluster", *(LABELS[name] for name in IDENTITY if name in LABELS))
_NAMES: Final = {"cluster": "Cluster", "Hostname": "Node", "gpu": "Index", "UUID": "UUID"}
_ONE: Final = "{{Hostname}}/gpu{{gpu}}"


def _each(series: str) -> str:
    return f"max by ({', '.join(_WHO)}) ({series})"


def _with_xid(where: str) -> Panel:
    return grafana.stat(
        device.XID_EVENTS,
        f"sum({_each(f'{_XID}{{{where}}} > bool 0')})",
        title="Devices with a last XID",
        note=_STICKS,
        unit="short",
        levels=Levels(warning=1),
    )


def _last_xids(where: str) -> Panel:
    return grafana.table(
        "Last XIDs",
        (Column(title="XID", expr=f"{_each(f'{_XID}{{{where}}}')} > 0", metric=device.XID_EVENTS, unit="none"),),
        keys=_NAMES,
        description=f"One row per device that has had one. {_STICKS} What each number means: runbook `xid`.",
        height=8,
    )


def _xid_over_time(where: str) -> Panel:
    return grafana.graph(
        device.XID_EVENTS,
        grafana.query(_each(f"{_XID}{{{where}}}"), _ONE),
        title="Last XID",
        note=f"The height is the code. {_STICKS}",
        unit="none",
        width=24,
    )


def _out_of_rows(where: str) -> Panel:
    return grafana.stat(
        device.ROW_REMAP_FAILED,
        f"sum({_each(f'DCGM_FI_DEV_ROW_REMAP_FAILURE{{{where}}}')})",
        title="Boards out of spare rows",
        levels=Levels(critical=1),
    )


def _pods(where: str) -> Panel:
    del where  # only the dashboard of a node has it
    here = grafana.chosen("node") | {"job_id": ""}
    held = in_dcgms_words(Reading(metric=device.WORKLOAD_INFO, labels=here))
    labels = {"cluster": "Cluster", "Hostname": "Node", "UUID": "UUID", "namespace": "Namespace", "pod": "Pod"}
    return grafana.table(
        "Pods on the devices",
        (
            Column(
                title="Holds", expr=f"max by ({', '.join(labels)}) ({held})", metric=device.WORKLOAD_INFO, hidden=True
            ),
        ),
        keys=labels,
        description="One row per pod and device, where the exporter maps pods (DCGM_EXPORTER_KUBERNETES=true).",
        height=8,
    )


INSTEAD: Final[Mapping[tuple[str, str], Callable[[str], Panel]]] = {
    ("Devices not answering", "stat"): _out_of_rows,
    ("Findings of the analyzer", "stat"): _with_xid,
    ("XIDs in this time", "stat"): _with_xid,
    ("XIDs in this time", "table"): _last_xids,
    ("XIDs over time", "timeseries"): _xid_over_time,
    ("XIDs", "timeseries"): _xid_over_time,
    ("Workloads on the devices", "table"): _pods,
}
"""By title and kind of our panel; each is handed the matchers of what the person chose."""

SECTIONS: Final[Mapping[str, str]] = {
    "Jobs": "Pods",
    "By job": "By pod",
    "Held down, and what the driver asks for": "Held down",
}
"""Headings that would promise more than stands below them."""

LEFT_OUT: Final = frozenset(
    {
        "Devices answering",
        "Boards",
        "Errors by link, twelve worst",
        "Parts of partitioned devices (MIG)",
        "Retired pages",
    }
)
"""Of a device that does not answer there is no series, and without its state a list of boards says nothing new.

Links are added up by the exporter, a query of ours for parts alone would be answered with whole devices, and retired
pages are off in its list and a matter of old boards.
"""

TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "Devices known": (
        "Devices",
        "Devices that the exporters tell of, not parts of them; one that is lost is in no series.",
    ),
    "Power and its limit": ("Power", device.POWER.help),
    "PCIe links": ("PCIe errors and load", "Packets that had to be sent again, which a loose board or riser causes."),
    "Jobs that hold devices": (
        "Pods that hold devices",
        "One row per pod; a shared device counts for each of its pods.",
    ),
    "Energy of jobs": (
        "Energy of pods",
        "Of the devices that each pod holds now: one that is younger than the chosen time is charged with more.",
    ),
    "Devices slowed by heat": ("Devices slowed by heat", "Held down by heat for more than a tenth of the time."),
    "Devices held down, by reason": (
        "Devices held down, by reason",
        "Counts devices, for more than a tenth of the time.",
    ),
    "Nodes with a device held down by heat or hardware": (
        "Nodes with a device held down by heat",
        "For more than a tenth of the time.",
    ),
    "Share of time held down, by reason": (
        "Share of time held down, by reason",
        "Below base clocks says how far it came down, whatever the reason; an idle device is below them too.",
    ),
    "Share of time held down by heat or hardware": (
        "Share of time held down by heat",
        "One device is its own cooling; all of them are the room's.",
    ),
    "What holds the clocks down": ("What holds the clocks down", "For more than a tenth of the time."),
}
"""Title and description where ours would say what the exporter does not tell."""
