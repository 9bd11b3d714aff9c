"""Which job holds which device now, and since when: read off the presence of workload info series."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from warpgauge.analyzer.entities import Job, JobKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from warpgauge.analyzer.entities import RankEntity

__all__ = ["Allocation", "Holding", "Roster", "roster_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One workload info series: a job's rank holds a device."""

    device: int  # row of frame.devices
    uuid: str
    job: JobKey
    rank: int | None
    scheduler: str
    user: str

    @classmethod
    def from_labels(cls, labels: Mapping[str, str], *, cluster: str, device: int) -> Holding | None:
        """Read a workload info series; None when it names no workload."""
        name = labels.get("job_id") or "/".join(filter(None, (labels.get("namespace"), labels.get("pod"))))
        name = name or labels.get("container", "")
        if not name:
            return None
        rank = labels.get("rank", "")
        return cls(
            device=device,
            uuid=labels.get("uuid", ""),
            job=(cluster, name),
            rank=int(rank) if rank.isdecimal() else None,
            scheduler=labels.get("scheduler") or "none",
            user=labels.get("user", ""),
        )


@dataclass(frozen=True, slots=True)
class Allocation:
    """A holding that is in force, and the time of its first sample, in seconds since the epoch."""

    holding: Holding
    since: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """All jobs now."""

    jobs: Mapping[JobKey, Job] = field(default_factory=dict)
    device_job: Mapping[int, JobKey] = field(default_factory=dict)  # the youngest allocation of each device
    allocated_since: Mapping[int, float] = field(default_factory=dict)
    rank_uuid: Mapping[tuple[JobKey, int], str] = field(default_factory=dict)


def roster_of(allocations: Sequence[Allocation], ranks: Iterable[tuple[int, RankEntity]]) -> Roster:
    """Join allocations and the rows of reporting ranks to jobs."""
    youngest: dict[int, Allocation] = {}
    devices: dict[JobKey, dict[int, Holding]] = {}
    for allocation in allocations:
        holding = allocation.holding
        if holding.device not in youngest or allocation.since > youngest[holding.device].since:
            youngest[holding.device] = allocation
        devices.setdefault(holding.job, {}).setdefault(holding.device, holding)
    members: dict[JobKey, list[tuple[int, int]]] = {}
    for row, rank in ranks:
        members.setdefault((rank.cluster, rank.job_id), []).append((rank.rank, row))
    keys = {**dict.fromkeys(devices), **dict.fromkeys(members)}
    return Roster(
        jobs={key: _job(key, devices.get(key, {}), members.get(key, [])) for key in keys},
        device_job={row: allocation.holding.job for row, allocation in youngest.items()},
        allocated_since={row: allocation.since for row, allocation in youngest.items()},
        rank_uuid={(h.job, h.rank): h.uuid for h in (a.holding for a in allocations) if h.rank is not None},
    )


def _job(key: JobKey, devices: Mapping[int, Holding], members: list[tuple[int, int]]) -> Job:
    first = next(iter(devices.values()), None)
    return Job(
        cluster=key[0],
        job_id=key[1],
        scheduler=first.scheduler if first else "none",
        user=first.user if first else "",
        ranks=tuple(row for _, row in sorted(members)),
        devices=tuple(devices),
    )
