"""All files that `warpgauge generate dashboards` writes, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.dashboards import (
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
    serving,
    telemetry,
)
from warpgauge.dashboards.adapt import adapted
from warpgauge.dashboards.dcgm import DCGM_DASHBOARDS
from warpgauge.dashboards.grafana import encode
from warpgauge.dashboards.kubernetes import manifest
from warpgauge.dashboards.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.dashboards.grafana import Dashboard

__all__ = ["DASHBOARDS", "DCGM_DASHBOARDS", "config_maps", "files"]

DASHBOARDS: Final[Mapping[str, Callable[[], Dashboard]]] = {
    fleet.NAME: fleet.dashboard,
    node.NAME: node.dashboard,
    device.NAME: device.dashboard,
    job.NAME: job.dashboard,
    findings.NAME: findings.dashboard,
    interconnect.NAME: interconnect.dashboard,
    reliability.NAME: reliability.dashboard,
    energy.NAME: energy.dashboard,
    serving.NAME: serving.dashboard,
    host.NAME: host.dashboard,
    telemetry.NAME: telemetry.dashboard,
}
"""Every dashboard by its name: a new one gets its line here, and a variant in `dcgm` or a reason there."""


def files(site: Site | None = None) -> dict[str, str]:
    """Text of each file by its path below the output folder; a site that names its data source gets none from us."""
    here = site or Site()
    provisioned = {} if here.datasource else {"provisioning/datasources/warpgauge.yaml": provisioning.datasource(here)}
    return {
        **{f"{name}.json": text for name, text in _texts(here).items()},
        "provisioning/dashboards/warpgauge.yaml": provisioning.DASHBOARDS,
        **provisioned,
    }


def config_maps(site: Site | None = None) -> dict[str, str]:
    """The same dashboards as ConfigMaps for Grafana's sidecar, by file name."""
    here = site or Site()
    return {
        f"{name}.yaml": f"{provisioning.FIRST_LINE}\n{manifest(name, text, here)}"
        for name, text in _texts(here).items()
    }


def _texts(site: Site) -> dict[str, str]:
    built = {**DASHBOARDS, **DCGM_DASHBOARDS}
    return {name: encode(adapted(build(), site)) for name, build in built.items() if name not in site.disabled}
