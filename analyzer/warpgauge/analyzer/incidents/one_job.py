"""Whether what began on many nodes at once is the work of one job there, and not the nodes, nor what tells of them.

A job that hangs, waits or changes does so on all its nodes in the same minute. Kinds of work are believed where all
devices are of one job and their power, which another sensor tells, goes on varying and moved with it: an exporter that
counts something else from now on leaves the power alone, one that repeats itself lets nothing vary, and what slows
every job (a driver, a power cap) strikes more than one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.windows import mean, median
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.detection import Candidate
    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.finding import Finding

__all__ = ["Work", "work_in"]

WORK: Final = frozenset({
    FindingKind.HANG,
    FindingKind.IDLE_ALLOCATED,
    FindingKind.INPUT_BOUND,
    FindingKind.HOST_BOUND,
    FindingKind.LAUNCH_BOUND,
    FindingKind.NETWORK_BOUND,
    FindingKind.INTERCONNECT_BOUND,
    FindingKind.MEMORY_CAPACITY_BOUND,
})  # fmt: skip
"""Kinds that say what work does, not in what state a node or a device is."""

MOVED: Final = 0.15
"""Of the power before: a load that changed moves it by more, noise of ten minutes by less."""

_NUMBER: Final = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one job does on the nodes of a cluster."""

    job: str  # as pods of it are called, numbers as 0; "" where nobody tells whose the devices are
    rest: tuple[Finding | Candidate, ...]  # of all that was seen there, what is no work


def work_in(seen: Sequence[Finding | Candidate], frame: Frame) -> Work | None:
    """What a job does, of all that was seen on the nodes of a cluster; None if it is not one job's, or not sure."""
    works = [one for one in seen if one.kind in WORK]
    jobs = {_job_of(one, frame) for one in works}
    if len(jobs) != 1 or not all(_is_alive(one, frame) for one in works):
        return None
    return Work(job=jobs.pop(), rest=tuple(one for one in seen if one.kind not in WORK))


def _job_of(one: Finding | Candidate, frame: Frame) -> str:
    """The job, "" if none is known; pods of one job, each a job of its own here, differ in a number."""
    known = one.scope.job_id
    if known is None:
        jobs = {frame.device_job[row] for row in _rows(one, frame)}
        known = next((job[1] for job in jobs if job is not None), "") if len(jobs) == 1 else ""
    return _NUMBER.sub("0", known)


def _rows(one: Finding | Candidate, frame: Frame) -> list[int]:
    """The devices that it speaks of."""
    scope, entities = one.scope, frame.devices.entities
    there = [int(row) for row in frame.sites.devices_at((scope.cluster or "", scope.node or ""))]
    if scope.uuid is not None:
        return [row for row in there if entities[row].uuid == scope.uuid]
    held = frame.jobs.get((scope.cluster or "", scope.job_id or ""))
    return [row for row in there if held is None or row in held.devices]


def _is_alive(one: Finding | Candidate, frame: Frame) -> bool:
    """Whether its devices' power varies and, as far as the frame goes back, moved with it."""
    rows = _rows(one, frame)
    if not rows:
        return False
    power = frame.values(device.POWER, rows=rows)
    first = int(np.searchsorted(frame.time_ms, one.since * 1000.0, side="right"))
    before, after = power[:, :first], power[:, first:]
    is_known = np.isfinite(after)
    highest, lowest = np.where(is_known, after, -np.inf), np.where(is_known, after, np.inf)
    if not (highest.max(axis=1, initial=-np.inf) > lowest.min(axis=1, initial=np.inf)).any():
        return False
    usual, now = float(median(mean(before))), float(median(mean(after)))
    return np.isnan(usual) or abs(now - usual) >= MOVED * usual
