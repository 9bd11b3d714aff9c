"""All files that `warpgauge generate dashboards` writes, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.dashboards import (
    dcgm,
    device,
    energy,
    findings,
    fleet,
    host,
    interconnect,
    job,
    node,
    provisioning,
    reliability,
    telemetry,
)
from warpgauge.dashboards.grafana import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.dashboards.grafana import Dashboard

__all__ = ["DASHBOARDS", "DCGM_DASHBOARDS", "files"]

DASHBOARDS: Final[Mapping[str, Callable[[], Dashboard]]] = {
    fleet.NAME: fleet.dashboard,
    node.NAME: node.dashboard,
    device.NAME: device.dashboard,
    job.NAME: job.dashboard,
    findings.NAME: findings.dashboard,
    interconnect.NAME: interconnect.dashboard,
    reliability.NAME: reliability.dashboard,
    energy.NAME: energy.dashboard,
    host.NAME: host.dashboard,
    telemetry.NAME: telemetry.dashboard,
}
"""Every dashboard by its name: a new one gets its line here."""

DCGM_DASHBOARDS: Final[Mapping[str, Callable[[], Dashboard]]] = {
    dcgm.FLEET: dcgm.fleet_dashboard,
    dcgm.DEVICE: dcgm.device_dashboard,
}
"""Those over dcgm-exporter's metrics, for fleets that run it."""


def files() -> dict[str, str]:
    """Text of each file by its path below the output folder."""
    return {
        **{f"{name}.json": encode(build()) for name, build in (*DASHBOARDS.items(), *DCGM_DASHBOARDS.items())},
        "provisioning/dashboards/warpgauge.yaml": provisioning.DASHBOARDS,
        "provisioning/datasources/warpgauge.yaml": provisioning.DATASOURCE,
    }
