"""Whether somebody else's load came to a slow rank's place when it became slow.

On the CPUs the kernel's pressure tells: time in which tasks were ready and waited for a CPU. It must have risen with
the rank's slowness and be long enough to explain it. On a device it is another job that holds it too, or one process
more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.windows import mean
from warpgauge.analyzer.detection.wording import listed, percent
from warpgauge.core.catalog import device, host
from warpgauge.core.finding import Whose

if TYPE_CHECKING:
    from warpgauge.analyzer.anomalies.straggler.place import Place
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import JobKey
    from warpgauge.core.finding import Evidence

__all__ = ["Neighbor", "around", "neighbor_of", "pressure_of"]

_LEAST_RISE: Final = 0.10  # of time in which some task waited for a CPU
_LEAST_EXPLAINED: Final = 0.5  # of the extra time per step
_LEAST_COLUMNS: Final = 3  # before the onset, to compare with
_LEAST_MORE_PROCESSES: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """Who shares the place with the rank, in words, and what shows it."""

    words: str
    evidence: tuple[Evidence, ...]
    is_on_cpus: bool  # the agent can name its processes


def neighbor_of(place: Place, since: float, *, extra_seconds: float, step_seconds: float) -> Neighbor | None:
    """The load beside a rank that does `extra_seconds` more per step since the onset; None if nothing shows one."""
    return _on_device(place, since) or _on_cpus(place, since, extra_seconds, step_seconds)


def pressure_of(frame: Frame, cluster: str, node: str) -> tuple[float, ...]:
    """Share of time in which tasks of a node waited for a CPU, [column of the whole frame]; nothing if unknown."""
    rows = [int(row) for row in frame.sites.nodes_at((cluster, node))]
    if not rows:
        return ()
    return tuple(frame.values(host.PRESSURE_SECONDS, "cpu", "some", rows=rows)[0].tolist())


def _on_cpus(place: Place, since: float, extra_seconds: float, step_seconds: float) -> Neighbor | None:
    scope, frame = place.scope, place.frame
    waited = np.asarray(pressure_of(frame, scope.cluster or "", scope.node or ""))
    before, after = around(frame, waited, since, begin=_held_since(place))
    explains = after * step_seconds >= _LEAST_EXPLAINED * extra_seconds
    if not (after - before >= _LEAST_RISE and explains):
        return None
    return Neighbor(
        words=f"tasks on {scope.node} wait for a CPU {percent(after)} of the time, {percent(before)} before",
        evidence=(
            measured(
                host.PRESSURE_SECONDS,
                after,
                labels='{resource="cpu",scope="some"}',
                unit="ratio",
                baseline=before,
                threshold=before + _LEAST_RISE,
                window_seconds=round(frame.now - since, 3),
            ),
        ),
        is_on_cpus=True,
    )


def _on_device(place: Place, since: float) -> Neighbor | None:
    frame, row = place.frame, place.device
    if row < 0:
        return None
    others = sorted(key for key, job in frame.jobs.items() if row in job.devices and key != place.group.key)
    before, after = around(frame, frame.values(device.PROCESSES, rows=row), since, begin=_held_since(place))
    if not others and not after - before >= _LEAST_MORE_PROCESSES:
        return None
    words = f"more processes use {place.name} than before"
    if others:
        holds = "hold" if len(others) > 1 else "holds"
        words = f"{listed([f'job {key[1]}' for key in others])} {holds} {place.name} too"
    known = np.isfinite(after)
    rows = (measured(device.PROCESSES, after, baseline=before if np.isfinite(before) else None),) if known else ()
    if len(others) == 1:  # of several nobody knows which it is
        rows = (*rows, measured(device.WORKLOAD_INFO, 1.0, whose=_whose(frame, others[0])))
    return Neighbor(words=words, evidence=rows, is_on_cpus=False)


def _whose(frame: Frame, key: JobKey) -> Whose:
    job = frame.jobs[key]
    return Whose(job_id=key[1], scheduler=job.scheduler if job.scheduler != "none" else None, user=job.user or None)


def _held_since(place: Place) -> float:
    """When the rank's job came to its device, 0 if unknown: what was there before says nothing of who came since."""
    return float(np.nan_to_num(place.frame.allocated_since[place.device])) if place.device >= 0 else 0.0


def around(
    frame: Frame, values: np.ndarray[tuple[int, ...], np.dtype[np.floating]], since: float, *, begin: float = 0.0
) -> tuple[float, float]:
    """Mean of a column of values before (but not before `begin`) and since the onset, NaN where there is too little."""
    if not len(values):
        return float("nan"), float("nan")
    first = int(np.searchsorted(frame.time_ms, since * 1000 + 1))
    before = values[min(int(np.searchsorted(frame.time_ms, begin * 1000 + 1)) + 1, first) if begin else 0 : first]
    if np.isfinite(before).sum() < _LEAST_COLUMNS:
        return float("nan"), float(mean(values[first:]))
    return float(mean(before)), float(mean(values[first:]))
