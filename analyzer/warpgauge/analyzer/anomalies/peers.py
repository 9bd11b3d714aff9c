"""Who may be compared with whom: ranks and devices that do the same work on the same model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from zlib import crc32

import numpy as np

from warpgauge.analyzer.detection.windows import Array, Mask, median

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job, JobKey

    Ints = NDArray[np.int64]

__all__ = ["Group", "Groups", "peer_groups"]

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Peers, one entry per member: its device and, where it reports steps, its rank.

    A job that did not change has the same objects: what is remembered of a group goes by which it is.
    """

    key: JobKey
    devices: tuple[int, ...]  # rows of frame.devices, -1 for a rank without a device
    ranks: tuple[int, ...]  # rows of frame.ranks, -1 for a device without a reporting rank

    @cached_property
    def turn(self) -> int:
        """When it has its turn, where groups take turns: rows alone are even multiples of what jobs are large."""
        first = self.devices[0] if self.ranks[0] < 0 else self.ranks[0]
        return crc32("/".join(self.key).encode("utf-8", "surrogateescape")) + first

    @cached_property
    def all_have_devices(self) -> bool:
        """Whether each member has one."""
        return min(self.devices) >= 0

    @cached_property
    def all_report(self) -> bool:
        """Whether each member is a rank that reports steps."""
        return min(self.ranks) >= 0

    @cached_property
    def is_on_cpus(self) -> bool:
        """Whether no member has a device."""
        return max(self.devices) < 0

    @cached_property
    def device_rows(self) -> Ints:
        """The devices as an array."""
        return np.array(self.devices, dtype=np.int64)

    @cached_property
    def rank_rows(self) -> Ints:
        """The ranks as an array."""
        return np.array(self.ranks, dtype=np.int64)


class Groups:
    """All groups at once: [group] of whatever is known per member, [member] in the order of the groups."""

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = tuple(groups)
        self.sizes = np.array([len(group.devices) for group in groups], dtype=np.int64)
        self.devices = _joined([group.device_rows for group in groups])
        self.ranks = _joined([group.rank_rows for group in groups])
        self.are_on_cpus = np.array([group.is_on_cpus for group in groups], dtype=bool)
        self._starts = np.cumsum(self.sizes) - self.sizes

    def of_devices(self, values: Array | Mask) -> Array:
        """[member] out of [device]; NaN for a member without a device."""
        return _picked(values, self.devices)

    def of_ranks(self, values: Array | Mask) -> Array:
        """[member] out of [rank]; NaN for a member without a rank."""
        return _picked(values, self.ranks)

    def every_device(self, holds: Mask) -> Mask:
        """[group], whether something that is known of [device] holds for every member."""
        return self._every(holds, self.devices)

    def every_rank(self, holds: Mask) -> Mask:
        """[group], whether something that is known of [rank] holds for every member."""
        return self._every(holds, self.ranks)

    def any_member(self, holds: Mask) -> Mask:
        """[group], whether something that is known of [member] holds for any."""
        return np.logical_or.reduceat(holds, self._starts) if len(self.sizes) else np.empty(0, dtype=bool)

    def _every(self, holds: Mask, rows: Ints) -> Mask:
        if not len(self.sizes):
            return np.empty(0, dtype=bool)
        return np.logical_and.reduceat(np.append(holds, False)[rows], self._starts)  # row -1, nobody, is the last

    def least(self, values: Array) -> Array:
        """[group], smallest value of a member; NaN if one is unknown."""
        return np.minimum.reduceat(values, self._starts) if len(self.sizes) else np.empty(0)

    def greatest(self, values: Array) -> Array:
        """[group], greatest value of a member that is known; NaN if none is."""
        return np.fmax.reduceat(values, self._starts) if len(self.sizes) else np.empty(0)

    def median(self, values: Array) -> Array:
        """[group], median of the members that are known."""
        found = np.full(len(self.sizes), np.nan)
        padded = np.append(values, np.nan)
        for chosen, members in self._classes:
            found[chosen] = median(padded[members])
        return found

    def spread(self, of_groups: NDArray[Scalar]) -> NDArray[Scalar]:
        """[member] out of [group]."""
        return np.repeat(of_groups, self.sizes)

    @cached_property
    def _classes(self) -> list[tuple[Ints, Ints]]:
        """Groups of similar size as [group, member], the place after the last member where a group has fewer."""
        classes = []
        steps = np.ceil(np.log2(np.maximum(self.sizes, 1))).astype(np.int64)
        for step in np.unique(steps):
            chosen = np.flatnonzero(steps == step)
            places = np.arange(1 << int(step))
            members = np.where(
                places < self.sizes[chosen][:, None], self._starts[chosen][:, None] + places, len(self.devices)
            )
            classes.append((chosen, members))
        return classes


def peer_groups(frame: Frame) -> Groups:
    """All groups of peers: same job, pipeline stage and device model."""
    return frame.once("peer groups", lambda: _groups(frame), frame.job_version)


def _groups(frame: Frame) -> Groups:
    """A job that did not change has the groups that it had."""
    of_jobs = frame.of_jobs("peer groups", lambda key, job: tuple(_of_job(frame, key, job)))
    return Groups([group for groups in of_jobs.values() for group in groups])


def _of_job(frame: Frame, key: JobKey, job: Job) -> Iterator[Group]:
    devices = frame.devices.entities
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
        if at < 0 and rank.uuid:
            continue  # the job has just left this device: its last steps are not those of a rank on CPUs
        seen.add(at)
        yield rank.stage, (at, row)
    if not job.ranks:
        yield from ((None, (at, -1)) for at in job.devices if at not in seen)


def _joined(rows: Sequence[Ints]) -> Ints:
    return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)


def _picked(values: Array | Mask, rows: Ints) -> Array:
    return np.append(np.asarray(values, dtype=np.float64), np.nan)[rows]  # row -1 is the last
