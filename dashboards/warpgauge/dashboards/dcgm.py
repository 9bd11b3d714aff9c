"""Dashboards over the metrics of NVIDIA's dcgm-exporter: a successor of grafana.com 12239 for fleets without our agent.

Names, units and labels: etc/default-counters.csv of NVIDIA/dcgm-exporter 3.x to 4.8. A device is told by Hostname and
UUID, never by the exporter's pod; parts of a partitioned device (MIG) become one before anything is summed. A field
that is off in the exporter's list shows as "not reported".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device
from warpgauge.core.links import dashboard_path, dashboard_uid
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column, Levels, Section, Variable
from warpgauge.dashboards.queries import WINDOW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.catalog import Metric

__all__ = ["DEVICE", "FLEET", "device_dashboard", "fleet_dashboard"]

FLEET: Final = "dcgm-fleet"
DEVICE: Final = "dcgm-device"

INVENTORY: Final = "DCGM_FI_DEV_FB_USED"  # on by default, also on partitioned devices and vGPUs
IDENTITY: Final = ("Hostname", "gpu", "UUID")
NAMES: Final = {"Hostname": "Node", "gpu": "Index", "UUID": "UUID"}
ONE: Final = "{{Hostname}}/gpu{{gpu}}"
CHOSEN: Final = 'Hostname=~"$node",UUID=~"$uuid"'
DEVICE_LINK: Final = (
    f"{dashboard_path(DEVICE)}?var-datasource=${{datasource}}&var-node=${{__data.fields.Node}}"
    "&var-uuid=${__data.fields.UUID}&${__url_time_range}"
)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the exporter, and the row of our catalog that it tells in another unit: ours = theirs x factor."""

    name: str
    metric: Metric
    factor: float = 1.0

    def each(self, operation: str = "max") -> str:
        """One series per device, in our unit."""
        return self._scaled(f"{operation} by ({', '.join(IDENTITY)}) ({self.name}{{{CHOSEN}}})")

    def rate(self, operation: str = "max") -> str:
        """Increase per second of a counter, one series per device, in our unit."""
        return self._scaled(f"{operation} by ({', '.join(IDENTITY)}) (rate({self.name}{{{CHOSEN}}}[{WINDOW}]))")

    def increase(self) -> str:
        """Increase of a counter over the chosen time, one series per device, in our unit."""
        return self._scaled(f"max by ({', '.join(IDENTITY)}) (increase({self.name}{{{CHOSEN}}}[$__range]))")

    def _scaled(self, expr: str) -> str:
        return expr if self.factor == 1.0 else f"{expr} * {self.factor:.12g}"


def _of(metric: Metric) -> Field:
    """The field that the catalog names for a row."""
    theirs = metric.dcgm
    if theirs is None:
        msg = f"the catalog names no DCGM field for {metric.name}"
        raise ValueError(msg)
    return Field(theirs.name, metric, theirs.factor)


USED, FREE = _of(device.MEMORY_USED), _of(device.MEMORY_FREE)
BUSY, POWER, HEAT, CLOCK = _of(device.UTILIZATION), _of(device.POWER), _of(device.TEMPERATURE), _of(device.CLOCK)
MEMORY_HEAT: Final = Field("DCGM_FI_DEV_MEMORY_TEMP", device.TEMPERATURE)
MEMORY_CLOCK: Final = Field("DCGM_FI_DEV_MEM_CLOCK", device.CLOCK, 1e6)
ENERGY, REPLAY = _of(device.ENERGY), _of(device.PCIE_REPLAY)
TENSOR, DRAM, ENGINE = _of(device.PIPE_ACTIVE), _of(device.MEMORY_BANDWIDTH_ACTIVE), _of(device.GRAPHICS_ENGINE_ACTIVE)
SM, COPY = _of(device.COMPUTE_ACTIVE), _of(device.MEMORY_ACCESS)
SENT, RECEIVED = _of(device.PCIE_TRANSMIT_RATE), _of(device.PCIE_RECEIVE_RATE)
REMAP_FAILED: Final = _of(device.ROW_REMAP_FAILED)
REMAPPED: Final = Field("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", device.ROWS_REMAPPED)
XID: Final = Field("DCGM_FI_DEV_XID_ERRORS", device.PROCESSES)
HELD_DOWN: Final = tuple(
    (Field(f"DCGM_FI_DEV_{name}_VIOLATION", device.THROTTLE_SECONDS, 1e-9), word)
    for name, word in (("POWER", "power"), ("THERMAL", "heat"), ("RELIABILITY", "reliability"))
)
ECC: Final = tuple(
    (Field(f"DCGM_FI_DEV_ECC_{name}_VOL_TOTAL", device.ECC_ERRORS), word)
    for name, word in (("SBE", "corrected"), ("DBE", "uncorrected"))
)


def fleet_dashboard() -> grafana.Dashboard:
    """All devices that dcgm-exporters tell of."""
    return _dashboard(
        FLEET,
        "warpgauge / DCGM fleet",
        "All GPUs that dcgm-exporter tells of: health first, then load, heat and power.",
        (_health(), _table(), _load()),
    )


def device_dashboard() -> grafana.Dashboard:
    """The chosen devices, in every field that the exporter has on by default and some that it has not."""
    return _dashboard(
        DEVICE,
        "warpgauge / DCGM device",
        "Activity, memory, power, heat, links and errors of the chosen GPUs, from dcgm-exporter.",
        (_activity(), _memory_and_power(), _heat_and_clocks(), _errors()),
    )


def _dashboard(name: str, title: str, description: str, sections: Sequence[Section]) -> grafana.Dashboard:
    return grafana.Dashboard(
        uid=dashboard_uid(name),
        title=title,
        description=description,
        tags=[grafana.TAG],
        links=grafana.links(),
        annotations=grafana.marks()[:1],  # alerts over these metrics carry no cluster and node to select by
        templating=[
            grafana.datasource(),
            Variable(name="node", label="Node", query=f"label_values({INVENTORY}, Hostname)"),
            Variable(name="uuid", label="Device", query=f'label_values({INVENTORY}{{Hostname=~"$node"}}, UUID)'),
        ],
        panels=grafana.flow(sections),
    )


def _share_used() -> str:
    return f"{USED.each('sum')} / ({USED.each('sum')} + {FREE.each('sum')})"


def _health() -> Section:
    slowed = " or ".join(f"({field.rate()} > 0.1)" for field, word in HELD_DOWN if word == "heat")
    return Section(
        "Is anything wrong?",
        (
            grafana.stat(device.DEVICE_INFO, f"count({USED.each()})", title="GPUs", note="Counts devices, not parts."),
            grafana.stat(
                REMAP_FAILED.metric,
                f"sum({REMAP_FAILED.each()})",
                title="Boards out of spare rows",
                levels=Levels(critical=1),
            ),
            grafana.stat(
                XID.metric,
                f"count({XID.each()} > 0) or 0 * count({USED.each()})",
                title="GPUs with a last XID",
                note="The exporter keeps the last code until it restarts: old news look like fresh ones.",
                unit="short",
                levels=Levels(warning=1),
            ),
            grafana.stat(
                device.THROTTLE_SECONDS,
                f"count({slowed}) or 0 * count({USED.each()})",
                title="GPUs slowed by heat",
                note="More than a tenth of the time. Needs DCGM_FI_DEV_THERMAL_VIOLATION, which is off by default: "
                "without it this is 0 whatever happens.",
                unit="short",
                levels=Levels(warning=1),
            ),
            grafana.stat(BUSY.metric, f"avg({BUSY.each()})", title="Mean utilization"),
            grafana.stat(POWER.metric, f"sum({POWER.each()})", title="Power now"),
        ),
    )


def _table() -> Section:
    return Section(
        "GPUs",
        (
            grafana.table(
                "GPUs",
                (
                    Column(title="Utilization", expr=BUSY.each(), metric=BUSY.metric),
                    Column(title="Tensor active", expr=TENSOR.each(), metric=TENSOR.metric),
                    Column(title="Memory used", expr=_share_used(), metric=device.UTILIZATION),
                    Column(
                        title="Temperature",
                        expr=HEAT.each(),
                        metric=HEAT.metric,
                        levels=Levels(warning=80, critical=90),
                    ),
                    Column(title="Power", expr=POWER.each(), metric=POWER.metric),
                    Column(title="Last XID", expr=XID.each(), metric=XID.metric, levels=Levels(warning=1)),
                ),
                keys=NAMES,
                description="One row per GPU. An empty cell means that the exporter does not report the field, not "
                "that it is zero.",
                links={"UUID": DEVICE_LINK},
            ),
        ),
    )


def _load() -> Section:
    return Section(
        "Load, heat and power",
        (
            grafana.graph(
                BUSY.metric,
                *(
                    grafana.query(f"quantile({share}, {BUSY.each()})", legend)
                    for share, legend in ((0.1, "a tenth is below"), (0.5, "half is below"), (0.9, "a tenth is above"))
                ),
                title="Utilization across GPUs",
            ),
            grafana.graph(
                POWER.metric,
                grafana.query(f"sum by (Hostname) ({POWER.each()})", "{{Hostname}}"),
                title="Power by node",
                stacked=True,
            ),
            grafana.bar_gauge(
                HEAT.metric,
                f"topk(10, {HEAT.each()})",
                ONE,
                title="Ten hottest GPUs",
                width=12,
                levels=Levels(warning=80, critical=90),
            ),
            grafana.graph(
                ENERGY.metric,
                grafana.query(f"sum by (Hostname) ({ENERGY.rate()})", "{{Hostname}}"),
                title="Power from the energy counter",
                note="Where it differs from the power above, the readings miss spikes.",
            ),
        ),
    )


def _lines(*fields: tuple[Field, str]) -> list[grafana.Query]:
    return [grafana.query(field.each(), f"{ONE} {word}".strip()) for field, word in fields]


def _activity() -> Section:
    return Section(
        "Activity",
        (
            grafana.graph(BUSY.metric, *_lines((BUSY, ""), (COPY, "memory access")), title="Utilization"),
            grafana.graph(
                TENSOR.metric,
                *_lines((TENSOR, "tensor"), (DRAM, "memory"), (ENGINE, "engine"), (SM, "SMs")),
                title="Profiling counters",
                note="Tensor pipes, memory bandwidth and engine are on by default, SMs are not.",
            ),
            grafana.graph(
                SENT.metric, *_lines((SENT, "sent"), (RECEIVED, "received")), title="PCIe traffic",
                note="Received is from the host.",
            ),
            grafana.graph(
                REPLAY.metric, grafana.query(REPLAY.rate(), ONE), title="PCIe packets sent again"
            ),
        ),
    )  # fmt: skip


def _memory_and_power() -> Section:
    return Section(
        "Memory and power",
        (
            grafana.graph(
                USED.metric,
                grafana.query(USED.each("sum"), f"{ONE} used"),
                grafana.query(FREE.each("sum"), f"{ONE} free"),
                title="Memory",
                note="Parts of a partitioned GPU are added up.",
                stacked=True,
            ),
            grafana.graph(POWER.metric, *_lines((POWER, "")), title="Power"),
        ),
    )


def _heat_and_clocks() -> Section:
    return Section(
        "Heat and clocks",
        (
            grafana.graph(HEAT.metric, *_lines((HEAT, "core"), (MEMORY_HEAT, "memory")), title="Temperature"),
            grafana.graph(CLOCK.metric, *_lines((CLOCK, "SM"), (MEMORY_CLOCK, "memory")), title="Clocks"),
            grafana.graph(
                device.THROTTLE_SECONDS,
                *(grafana.query(field.rate(), f"{ONE} {word}") for field, word in HELD_DOWN),
                title="Share of time held down, by reason",
                note="The violation counters are off by default.",
                width=24,
            ),
        ),
    )


def _errors() -> Section:
    return Section(
        "Errors",
        (
            grafana.graph(
                XID.metric, *_lines((XID, "")), title="Last XID",
                note="The number is the code; it stays until the exporter restarts.", unit="none",
            ),
            grafana.graph(
                device.ECC_ERRORS,
                *(grafana.query(field.rate(), f"{ONE} {word}") for field, word in ECC),
                title="Memory errors",
                note="These counters are off by default.",
            ),
            grafana.graph(REMAPPED.metric, *_lines((REMAPPED, "uncorrected")), title="Memory rows replaced"),
            grafana.bar_gauge(
                ENERGY.metric, ENERGY.increase(), ONE, title="Energy in this time", unit="joule", width=12
            ),
        ),
    )  # fmt: skip
