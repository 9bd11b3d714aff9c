"""Nodes and devices whose samples stopped while others go on.

Silence is not health: a lost device often just vanishes from the page (NVIDIA/dcgm-exporter#348). When most of a fleet
falls silent at once, the fault lies with the telemetry and not with the nodes, and one finding says so
(planetlabs/draino#54 is what happens otherwise).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Detection, Judgement
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.hearing import heard_at
from warpgauge.analyzer.detection.wording import count, device_name, listed
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.analyzer.detection.windows import Mask
    from warpgauge.analyzer.frame import Doubles, Frame, Ints
    from warpgauge.analyzer.frame.entities import DeviceEntity, NodeEntity
    from warpgauge.analyzer.frame.sites import Site
    from warpgauge.analyzer.frame.table import Table

__all__ = ["TelemetryGap"]

SILENCE_SECONDS: Final = 120.0  # at least: twelve missed scrapes of ten seconds
SILENT_SCRAPES: Final = 8.0  # missed in a row: where one in seven fails anyway, that happens once in ten million times
VANISHED_SCRAPES: Final = 5.0  # answered in a row without the device: of those that fail none counts
FLEET_SHARE: Final = 0.5
LEAST_FLEET: Final = 4
WITNESSES: Final = 8  # nodes that speak, asked whether they did all the time
ASKED_BARS: Final = 4.0  # they are asked about so many times what counts as silence
CONFIDENCE: Final = 0.9


class TelemetryGap:
    """Names what fell silent within the window."""

    name = "telemetry_gap"

    def detect(self, frame: Frame) -> Detection:
        """Judge every node and device that was heard of in the window."""
        silence = _Silence.of(frame)
        entities = len(silence.nodes) + len(silence.devices)
        what = "nodes and devices, for samples that stopped"
        judged = Judgement(detector=self.name, what=what, entities=entities, window_seconds=SILENCE_SECONDS)
        found = tuple(_candidates(frame, silence)) if silence.is_any else ()
        return Detection(candidates=found, judged=judged if entities else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Silence:
    """Seconds since the last sample; infinite for what was not heard of in the whole window: that is forgotten."""

    nodes: Doubles  # [row of frame.nodes]
    devices: Doubles  # [row of frame.devices]

    @classmethod
    def of(cls, frame: Frame) -> _Silence:
        return cls(nodes=_seconds_silent(frame, frame.nodes), devices=_seconds_silent(frame, frame.devices))

    @property
    def is_any(self) -> bool:
        """Whether anything at all was silent for long enough to be looked at."""
        return any(bool(((of >= SILENCE_SECONDS) & np.isfinite(of)).any()) for of in (self.nodes, self.devices))

    def of_sites(self, frame: Frame) -> Doubles:
        """[site]: of whatever on it spoke last."""
        return _least_per_site(frame, self.nodes, self.devices)


def _seconds_silent(frame: Frame, table: Table[Any]) -> Doubles:
    last_seen_ms = table.last_seen_ms[: len(table)]
    return np.where(last_seen_ms < frame.time_ms[0], np.inf, frame.newest_sample - last_seen_ms / 1000.0)


def _least_per_site(frame: Frame, nodes: Doubles, devices: Doubles) -> Doubles:
    sites = frame.sites
    least = np.full(len(sites.keys), np.inf)
    np.fmin.at(least, sites.of_node, nodes)
    np.fmin.at(least, sites.of_device, devices)
    return least


def _silent_sites(frame: Frame, silence: Doubles) -> Ints:
    """Sites of which nobody spoke for long, by their own rhythm, while others of their cluster did."""
    intervals = _least_per_site(
        frame, frame.interval_seconds(TableName.NODES), frame.interval_seconds(TableName.DEVICES)
    )
    bar = np.fmax(SILENCE_SECONDS, SILENT_SCRAPES * np.where(np.isfinite(intervals), intervals, np.nan))
    found = np.flatnonzero(np.isfinite(silence) & (silence >= bar)).tolist()
    speaking = np.flatnonzero(silence < bar).tolist()
    sites, columns = frame.sites.keys, _columns_asked(frame, bar[found])
    heard = {cluster: _heard_of_others(frame, cluster, speaking, columns) for cluster in {sites[at][0] for at in found}}
    alone = [at for at in found if _spoken(frame, heard[sites[at][0]], float(silence[at])) >= bar[at]]
    return np.array(alone, dtype=np.int64)


def _columns_asked(frame: Frame, bars: Doubles) -> int:
    """How many of the newest columns tell whether others spoke for long enough; more are not read."""
    return min(frame.columns, round(ASKED_BARS * float(bars.max(initial=0.0)) / frame.step_seconds) + 1)


def _heard_of_others(frame: Frame, cluster: str, speaking: list[int], columns: int) -> Mask:
    """[column], whether anything was heard of those that speak now: those first back after an outage prove nothing."""
    sites = frame.sites.keys
    near = [at for at in speaking if sites[at][0] == cluster] or speaking
    each = [heard_at(frame, sites[at], columns) for at in near[:WITNESSES]]
    return np.asarray(np.logical_or.reduce([np.zeros(columns, dtype=bool), *each]))


def _spoken(frame: Frame, heard: Mask, seconds: float) -> float:
    """Seconds, of the last so many, in which something was heard."""
    columns = min(len(heard), round(seconds / frame.step_seconds) + 1)
    return float(np.count_nonzero(heard[-columns:])) * frame.step_seconds


def _vanished(frame: Frame, silence: _Silence, of_sites: Doubles) -> Ints:
    """Rows of devices that were missing on many pages of a node which itself was heard of."""
    sites, at = frame.sites.keys, frame.sites.of_device
    without = np.where(np.isfinite(silence.devices), silence.devices - of_sites[at], 0.0)
    bar = np.fmax(SILENCE_SECONDS, VANISHED_SCRAPES * frame.interval_seconds(TableName.DEVICES))
    found = np.flatnonzero(without >= bar).tolist()
    columns = _columns_asked(frame, bar[found])
    heard = {site: heard_at(frame, sites[site], columns) for site in {int(at[row]) for row in found}}
    missed = [row for row in found if _spoken(frame, heard[int(at[row])], float(silence.devices[row])) >= bar[row]]
    return np.array(missed, dtype=np.int64)


def _candidates(frame: Frame, silence: _Silence) -> Iterator[Candidate]:
    sites, of_sites = frame.sites.keys, silence.of_sites(frame)
    gone = {sites[at]: float(of_sites[at]) for at in _silent_sites(frame, of_sites)}
    totals = frame.sites.totals
    for cluster in {site[0] for site in gone}:
        own = {site[1]: seconds for site, seconds in gone.items() if site[0] == cluster}
        if totals[cluster] >= LEAST_FLEET and len(own) > FLEET_SHARE * totals[cluster]:
            yield _of_fleet(frame, cluster, own, totals[cluster])
        else:
            yield from (_of_node(frame, (cluster, node), seconds) for node, seconds in own.items())
    yield from _of_devices(frame, silence, of_sites, gone)


def _of_devices(frame: Frame, silence: _Silence, of_sites: Doubles, gone: Mapping[Site, float]) -> Iterator[Candidate]:
    vanished = _vanished(frame, silence, of_sites)
    parts = any(frame.devices.entities[row].instance_id for row in vanished)
    answered_for = _answered_for(frame, silence.devices) if parts else set()
    missed: dict[Site, list[int]] = {}
    for row in vanished:
        entity = frame.devices.entities[row]
        site, is_part = (entity.cluster, entity.node), (entity.node, entity.uuid) in answered_for
        if site not in gone and not (entity.instance_id and is_part):
            missed.setdefault(site, []).append(row)
    for site, rows in missed.items():
        devices = len({frame.devices.entities[row].uuid for row in rows})
        if devices > 1 and len(rows) == np.isfinite(silence.devices[frame.sites.devices_at(site)]).sum():
            yield _of_all_devices(frame, site, devices, float(silence.devices[rows].min()))
        else:
            yield from (_of_device(frame, frame.devices.entities[row], float(silence.devices[row])) for row in rows)


def _answered_for(frame: Frame, devices: Doubles) -> set[tuple[str, str]]:
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
        f"{len(gone)} of {count(total, 'node')} of cluster {cluster} fell silent at once ({listed(sorted(gone))}):"
        " more likely the telemetry than the nodes.",
        "Check what all of them share: the network path of the scrapes, the Prometheus server, DNS, an agent roll-out.",
    )


def _of_node(frame: Frame, place: Site, seconds: float) -> Candidate:
    devices = len(frame.sites.devices_at(place))
    also = f" with {count(devices, 'device')}" if devices else ""
    return _candidate(
        frame,
        Scope(cluster=place[0], node=place[1]),
        seconds,
        f"Nothing is heard of {place[1]}{also} any more, while other nodes report.",
        "See whether the node is up and reachable, then whether its agent runs and its port answers.",
    )


def _of_all_devices(frame: Frame, place: Site, devices: int, seconds: float) -> Candidate:
    return _candidate(
        frame,
        Scope(cluster=place[0], node=place[1]),
        seconds,
        f"Nothing is heard of any of the {devices} devices of {place[1]} any more, while the node itself"
        " reports: more likely their exporter or driver than the devices.",
        "See whether what exports the devices runs (the agent's nvml collector, dcgm-exporter) and what it logs; then"
        " whether the driver answers (nvidia-smi -L).",
    )


def _of_device(frame: Frame, entity: DeviceEntity, seconds: float) -> Candidate:
    return _candidate(
        frame,
        Scope(cluster=entity.cluster, node=entity.node, uuid=entity.uuid, instance_id=entity.instance_id or None),
        seconds,
        f"{device_name(entity)} vanished, while its node goes on reporting.",
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
