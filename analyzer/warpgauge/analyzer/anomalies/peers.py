"""Who may be compared with whom: ranks and devices that do the same work on the same model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.analyzer.entities import Job, JobKey
    from warpgauge.analyzer.frame import Frame

__all__ = ["Group", "peer_groups"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Peers, one entry per member: its device and, where it reports steps, its rank."""

    key: JobKey
    devices: tuple[int, ...]  # rows of frame.devices, -1 for a rank without a device
    ranks: tuple[int, ...]  # rows of frame.ranks, -1 for a device without a reporting rank


def peer_groups(frame: Frame) -> Iterator[Group]:
    """All groups of peers: same job, pipeline stage and device model."""
    devices = frame.devices.entities
    for key, job in frame.jobs.items():
        by_place = {(devices[row].uuid, devices[row].node): row for row in job.devices}
        groups: dict[tuple[int | None, str], list[tuple[int, int]]] = {}
        for stage, pair in _members(frame, job, by_place):
            model = devices[pair[0]].model if pair[0] >= 0 else ""
            groups.setdefault((stage, model), []).append(pair)
        for pairs in groups.values():
            yield Group(key=key, devices=tuple(pair[0] for pair in pairs), ranks=tuple(pair[1] for pair in pairs))


def _members(
    frame: Frame, job: Job, by_place: Mapping[tuple[str, str], int]
) -> Iterator[tuple[int | None, tuple[int, int]]]:
    seen = set()
    for row in job.ranks:
        rank = frame.ranks.entities[row]
        at = by_place.get((rank.uuid or "", rank.node), -1)
        seen.add(at)
        yield rank.stage, (at, row)
    if not job.ranks:
        yield from ((None, (at, -1)) for at in job.devices if at not in seen)
