"""Nodes and devices whose samples stopped while others go on.

Silence is not health: a lost device often just vanishes from the page (NVIDIA/dcgm-exporter#348). When most of a fleet
falls silent at once, the fault lies with the telemetry and not with the nodes, and one finding says so
(planetlabs/draino#54 is what happens otherwise).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Detection, Judgement
from warpgauge.analyzer.evidence import measured
from warpgauge.analyzer.wording import count, device_name, listed, span
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from warpgauge.analyzer.entities import DeviceEntity, NodeEntity
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.sites import Site
    from warpgauge.analyzer.table import Table

__all__ = ["TelemetryGap"]

SILENCE_SECONDS: Final = 120.0  # at least: twelve missed scrapes of ten seconds
SILENT_PATIENCES: Final = 2.0  # of two and a half intervals each: five scrapes of sixty seconds
FLEET_SHARE: Final = 0.5
LEAST_FLEET: Final = 4
CONFIDENCE: Final = 0.9


class TelemetryGap:
    """Names what fell silent within the window."""

    name = "telemetry_gap"

    def detect(self, frame: Frame) -> Detection:
        """Judge every node and device that was heard of in the window."""
        nodes, devices = (_silence(frame, table) for table in (frame.nodes, frame.devices))
        entities = len(nodes) + len(devices)
        what = "nodes and devices, for samples that stopped"
        judged = Judgement(detector=self.name, what=what, entities=entities, window_seconds=SILENCE_SECONDS)
        is_quiet = not ((nodes >= SILENCE_SECONDS).any() or (devices >= SILENCE_SECONDS).any())
        found = () if is_quiet else tuple(_candidates(frame, nodes, devices))
        return Detection(candidates=found, judged=judged if entities else None)


def _silence(frame: Frame, table: Table[Any]) -> NDArray[np.float64]:
    """Seconds since each entity's last sample; 0 for what is not silent by its own rhythm, or silent for so long.

    What was not heard of in the whole window is forgotten.
    """
    last_seen_ms = table.last_seen_ms[: len(table)]
    seconds = frame.newest_sample - last_seen_ms / 1000.0
    seconds = np.where(last_seen_ms < frame.time_ms[0], 0.0, seconds)
    if (seconds >= SILENCE_SECONDS).any():
        is_usual = seconds < SILENT_PATIENCES * np.nan_to_num(frame.patience_seconds(table.name))
        seconds = np.where(is_usual, 0.0, seconds)
    return seconds


def _silent_sites(frame: Frame, nodes: NDArray[np.float64], devices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Silence of each site: of whatever on it spoke last."""
    seconds = np.full(len(frame.sites.keys), np.inf)
    np.minimum.at(seconds, frame.sites.of_node, nodes)
    np.minimum.at(seconds, frame.sites.of_device, devices)
    return seconds


def _candidates(frame: Frame, nodes: NDArray[np.float64], devices: NDArray[np.float64]) -> Iterator[Candidate]:
    sites, silence = frame.sites.keys, _silent_sites(frame, nodes, devices)
    gone = {sites[at]: float(silence[at]) for at in np.flatnonzero(silence >= SILENCE_SECONDS)}
    totals = frame.sites.totals
    for cluster in {site[0] for site in gone}:
        own = {site[1]: seconds for site, seconds in gone.items() if site[0] == cluster}
        if totals[cluster] >= LEAST_FLEET and len(own) > FLEET_SHARE * totals[cluster]:
            yield _of_fleet(frame, cluster, own, totals[cluster])
        else:
            yield from (_of_node(frame, (cluster, node), seconds) for node, seconds in own.items())
    silent = np.flatnonzero(devices >= SILENCE_SECONDS)
    parts = any(frame.devices.entities[row].instance_id for row in silent)
    answered_for = _answered_for(frame, devices) if parts else set()
    for row in silent:
        entity = frame.devices.entities[row]
        is_part = bool(entity.instance_id) and (entity.node, entity.uuid) in answered_for
        if (entity.cluster, entity.node) not in gone and not is_part:
            yield _of_device(frame, entity, float(devices[row]))


def _answered_for(frame: Frame, devices: NDArray[np.float64]) -> set[tuple[str, str]]:
    """Node and uuid of devices whose parts may go without a word, because somebody partitioned them anew (MIG).

    Those that are judged themselves, and those of which another part still speaks.
    """
    pairs = zip(frame.devices.entities, devices, strict=True)
    return {(it.node, it.uuid) for it, seconds in pairs if not it.instance_id or seconds < SILENCE_SECONDS}


def _of_fleet(frame: Frame, cluster: str, gone: Mapping[str, float], total: int) -> Candidate:
    seconds = min(gone.values())
    return _candidate(
        frame,
        Scope(cluster=cluster),
        seconds,
        f"{len(gone)} of {count(total, 'node')} of cluster {cluster} fell silent at once ({listed(sorted(gone))}), for"
        f" {span(seconds)}: more likely the telemetry than the nodes.",
        "Check what all of them share: the network path of the scrapes, the Prometheus server, DNS, an agent roll-out.",
    )


def _of_node(frame: Frame, place: Site, seconds: float) -> Candidate:
    devices = len(frame.sites.devices_at(place))
    also = f" with {count(devices, 'device')}" if devices else ""
    return _candidate(
        frame,
        Scope(cluster=place[0], node=place[1]),
        seconds,
        f"Nothing was heard of {place[1]}{also} for {span(seconds)}, while other nodes report.",
        "See whether the node is up and reachable, then whether its agent runs and its port answers.",
    )


def _of_device(frame: Frame, entity: DeviceEntity, seconds: float) -> Candidate:
    return _candidate(
        frame,
        Scope(cluster=entity.cluster, node=entity.node, uuid=entity.uuid, instance_id=entity.instance_id or None),
        seconds,
        f"{device_name(entity)} vanished {span(seconds)} ago, while its node goes on reporting.",
        "See whether the driver still lists the device (nvidia-smi -L) and what the kernel log says: it may have fallen"
        " off the bus, or was taken out of service on purpose.",
    )


def _candidate(frame: Frame, scope: Scope, seconds: float, summary: str, remedy: str) -> Candidate:
    return Candidate(
        kind=FindingKind.TELEMETRY_GAP,
        scope=scope,
        severity=Severity.WARNING,
        since=frame.newest_sample - seconds,
        confidence=CONFIDENCE,
        evidence=(measured(device.LAST_SAMPLE, seconds, unit="seconds", threshold=SILENCE_SECONDS),),
        summary=summary,
        remedy=remedy,
        simulated=any(entity.simulated for entity in _at(frame, scope)),
    )


def _at(frame: Frame, scope: Scope) -> Iterator[NodeEntity | DeviceEntity]:
    """The nodes and devices of a node, or of a whole cluster."""
    nodes, devices, sites = frame.nodes.entities, frame.devices.entities, frame.sites
    if scope.node is not None:
        site = (scope.cluster or "", scope.node)
        yield from (nodes[row] for row in sites.nodes_at(site))
        yield from (devices[row] for row in sites.devices_at(site))
    else:
        yield from (entity for entity in nodes if entity.cluster == scope.cluster)
        yield from (entity for entity in devices if entity.cluster == scope.cluster)
