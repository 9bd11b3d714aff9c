"""What is built in and installed: drivers and firmware over the fleet, the parts of partitioned devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device
from warpgauge.core.promql import Unlike, aggregate, select
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import Column
from warpgauge.dashboards.queries import IDENTITY, NAMES
from warpgauge.dashboards.shared import DEVICE_LINK, NODE_LINK

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.promql import LabelValue

__all__ = ["drivers", "firmware", "parts"]

_DRIVER: Final = ("cluster", "vendor", "driver_version", "runtime_version")
_FIRMWARE: Final = ("cluster", "model", "vbios_version", "inforom_version")


def drivers(here: Mapping[str, LabelValue]) -> grafana.Panel:
    """Which machine runs which driver; the versions that few run stand first."""
    of_each = aggregate("max", select(device.DRIVER_INFO, **here), by=(*_DRIVER, "node"))
    many = aggregate("count", of_each, by=_DRIVER)
    return grafana.table(
        "Drivers, the rarest first",
        (
            Column(
                title="Machines",
                expr=f"sort({of_each} * on ({', '.join(_DRIVER)}) group_left () {many})",
                metric=device.WORKLOAD_INFO,
            ),
        ),
        keys={
            "cluster": "Cluster",
            "node": "Node",
            "vendor": "Vendor",
            "driver_version": "Driver",
            "runtime_version": "Runtime",
        },
        description="One row per machine, with how many run the same. Where an upgrade stopped halfway, the machines "
        "that it missed or that went ahead stand at the top: finish it or undo it there.",
        links={"Node": NODE_LINK},
        width=12,
        height=8,
    )


def firmware(here: Mapping[str, LabelValue]) -> grafana.Panel:
    """How many devices of a model have which firmware."""
    model = aggregate("max", select(device.DEVICE_INFO, **here), by=("cluster", "uuid", "model"))
    of_each = aggregate(
        "max", select(device.FIRMWARE_INFO, **here), by=("cluster", "uuid", "vbios_version", "inforom_version")
    )
    return grafana.table(
        "Firmware by model",
        (
            Column(
                title="Devices",
                expr=aggregate("count", f"{of_each} * on (cluster, uuid) group_left (model) {model}", by=_FIRMWARE),
                metric=device.WORKLOAD_INFO,
            ),
        ),
        keys={
            "cluster": "Cluster",
            "model": "Model",
            "vbios_version": "VBIOS",
            "inforom_version": "InfoROM",
        },
        description="One row per model and firmware: two rows of one model are boards of two deliveries, or an update "
        "that missed some.",
        width=12,
        height=8,
    )


def parts(here: Mapping[str, LabelValue]) -> grafana.Panel:
    """The GPU instances of partitioned devices, what each does and holds."""
    by = (*IDENTITY, "instance_id")

    def of_part(expr: str) -> str:
        return aggregate("max", expr, by=by)

    partitioned = {**here, "instance_id": Unlike("")}
    used, most = (of_part(select(row, **partitioned)) for row in (device.MEMORY_USED, device.MEMORY_TOTAL))
    return grafana.table(
        "Parts of partitioned devices (MIG)",
        (
            Column(
                title="Inventory",
                expr=aggregate("max", select(device.INSTANCE_INFO, **here), by=(*by, "profile")),
                metric=device.INSTANCE_INFO,
                hidden=True,
            ),
            Column(
                title="Compute active",
                expr=of_part(select(device.COMPUTE_ACTIVE, **partitioned)),
                metric=device.COMPUTE_ACTIVE,
            ),
            Column(title="Memory used", expr=f"{used} / {most}", metric=device.UTILIZATION),
        ),
        keys={**NAMES, "instance_id": "Part", "profile": "Profile"},
        description="One row per GPU instance and profile of its compute instances. Empty where no device is "
        "partitioned.",
        links={"UUID": DEVICE_LINK},
        height=8,
    )
