"""Which job holds which device now, and since when: read off the presence of workload info series.

The roster is carried from one state of the frame to the next: only jobs of which something changed (a holding came or
went, a rank fell silent, a device was described) are put together anew, and these are new `Job` objects. So whatever
was worked out for a job holds while `jobs[key]` is the same object.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.frame.entities import DeviceEntity, Job, JobKey, RankEntity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.table import Ints, Table

    Bools = NDArray[np.bool_]
    Doubles = NDArray[np.float64]

__all__ = ["Holding", "Roster", "job_name"]


def job_name(labels: Mapping[str, str]) -> str:
    """What a workload is called here, by the labels of its info series; "" if it is no job."""
    pod = "/".join(filter(None, (labels.get("namespace"), labels.get("pod"))))
    return labels.get("job_id") or pod or labels.get("container", "")


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
        if not (name := job_name(labels)):
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


class Roster:
    """All jobs now; `version` rises whenever one of them changed."""

    def __init__(self, holdings: Mapping[int, Holding] | None = None) -> None:
        self.holdings: dict[int, Holding] = {}  # by series id
        self.jobs: dict[JobKey, Job] = {}
        self.device_job: list[JobKey | None] = []  # the youngest allocation of each device
        self.allocated_since: Doubles = np.empty(0)  # [device], seconds since the epoch, NaN where no job is
        self.version = 0
        self.names: list[JobKey | None] = [None]  # every job that ever held a device; number 0 is none
        self.device_names: Ints = np.empty(0, dtype=np.int64)  # [device], number in `names` of `device_job`
        self._numbers: dict[JobKey | None, int] = {None: 0}
        self._by_job: dict[JobKey, list[int]] = {}
        self._by_device: dict[int, list[int]] = {}
        self._since: dict[int, float] = {}  # of the holdings in force
        self._rank_rows: dict[JobKey, list[int]] = {}
        self._known_ranks = 0
        self.starts_ms: Ints = np.empty(0, dtype=np.int64)  # beside `ids`: when it came into force, -1 where it is not
        self._ids: Ints = np.empty(0, dtype=np.int64)
        self._newcomers: list[int] = []  # that are not in `_ids` yet
        self._reports: Bools = np.empty(0, dtype=bool)  # [rank]
        for number, holding in sorted((holdings or {}).items()):
            self.add(number, holding)

    def add(self, number: int, holding: Holding) -> None:
        """Let a series, of a higher number than all before, say that a job holds a device."""
        self.holdings[number] = holding
        self._newcomers.append(number)
        self._by_job.setdefault(holding.job, []).append(number)
        self._by_device.setdefault(holding.device, []).append(number)

    @property
    def ids(self) -> Ints:
        """Numbers of all holdings, ascending."""
        if self._newcomers:
            self._ids = np.append(self._ids, np.array(self._newcomers, dtype=np.int64))
            self._newcomers.clear()
        return self._ids

    def update(self, starts_ms: Ints, reports: Bools, devices: Table[DeviceEntity], ranks: Table[RankEntity]) -> None:
        """Carry on: when each of `ids` came into force (-1: not in force), and which ranks report steps now."""
        self._learn_ranks(ranks)
        changed_ids = self._changed(starts_ms)
        jobs = {self.holdings[number].job for number in changed_ids}
        jobs |= {self.holdings[number].job for row in devices.touched for number in self._by_device.get(row, ())}
        jobs |= {_key(ranks.entities[row]) for row in (*self._newly_silent_or_loud(reports), *ranks.touched)}
        self.starts_ms, self._reports = starts_ms, reports
        self._place({self.holdings[number].device for number in changed_ids}, len(devices))
        for key in sorted(jobs):  # findings about equals come in the order of jobs
            self._rebuild(key)
            self._name_ranks(key, ranks)
        self.version += bool(jobs or devices.touched)
        devices.touched.clear()
        ranks.touched.clear()

    def _learn_ranks(self, ranks: Table[RankEntity]) -> None:
        for row in range(self._known_ranks, len(ranks)):
            self._rank_rows.setdefault(_key(ranks.entities[row]), []).append(row)
        self._known_ranks = len(ranks)

    def _changed(self, starts_ms: Ints) -> list[int]:
        """Numbers of holdings that came, went or began anew; `_since` follows."""
        before = np.concatenate([self.starts_ms, np.full(len(starts_ms) - len(self.starts_ms), -1)])
        ids = self.ids
        changed = [(int(ids[at]), int(starts_ms[at])) for at in np.flatnonzero(before != starts_ms)]
        for number, start_ms in changed:
            if start_ms < 0:
                self._since.pop(number, None)
            else:
                self._since[number] = start_ms / 1000.0
        return [number for number, _ in changed]

    def _newly_silent_or_loud(self, reports: Bools) -> Iterable[int]:
        before = np.concatenate([self._reports, np.zeros(len(reports) - len(self._reports), dtype=bool)])
        return (int(row) for row in np.flatnonzero(before != reports))

    def _place(self, changed: Iterable[int], devices: int) -> None:
        """Say anew which job holds the changed devices."""
        more = devices - len(self.device_job)
        if more:
            self.device_job += [None] * more
            self.allocated_since = np.concatenate([self.allocated_since, np.full(more, np.nan)])
            self.device_names = np.concatenate([self.device_names, np.zeros(more, dtype=np.int64)])
        for row in changed:
            holding = [number for number in self._by_device[row] if number in self._since]
            youngest = max(holding, key=lambda number: self._since[number], default=None)
            key = None if youngest is None else self.holdings[youngest].job
            self.device_job[row], self.device_names[row] = key, self._number(key)
            self.allocated_since[row] = np.nan if youngest is None else self._since[youngest]

    def _number(self, key: JobKey | None) -> int:
        number = self._numbers.setdefault(key, len(self.names))
        if number == len(self.names):
            self.names.append(key)
        return number

    def _rebuild(self, key: JobKey) -> None:
        held: dict[int, Holding] = {}
        for number in self._by_job.get(key, ()):
            if number in self._since:
                held.setdefault(self.holdings[number].device, self.holdings[number])
        members = [row for row in self._rank_rows.get(key, ()) if self._reports[row]]
        if held or members:
            self.jobs[key] = _job(key, held, members)
        else:
            self.jobs.pop(key, None)

    def _name_ranks(self, key: JobKey, ranks: Table[RankEntity]) -> None:
        """Tell the job's ranks which device they run on, and order them by their numbers."""
        for number in self._by_job.get(key, ()):
            holding = self.holdings[number]
            row = None if holding.rank is None else ranks.find((*key, holding.rank))
            if row is not None and number in self._since:
                ranks.replace(row, _on_device(ranks.entities[row], holding.uuid))
        job = self.jobs.get(key)
        if job is not None and job.ranks:
            self.jobs[key] = _in_order(job, ranks.entities)


def _key(rank: RankEntity) -> JobKey:
    return (rank.cluster, rank.job_id)


def _on_device(rank: RankEntity, uuid: str) -> RankEntity:
    return rank if rank.uuid == uuid else replace(rank, uuid=uuid)


def _in_order(job: Job, ranks: Sequence[RankEntity]) -> Job:
    return replace(job, ranks=tuple(sorted(job.ranks, key=lambda row: (ranks[row].rank, row))))


def _job(key: JobKey, devices: Mapping[int, Holding], ranks: Sequence[int]) -> Job:
    first = next(iter(devices.values()), None)
    return Job(
        cluster=key[0],
        job_id=key[1],
        scheduler=first.scheduler if first else "none",
        user=first.user if first else "",
        ranks=tuple(ranks),
        devices=tuple(devices),
    )
