"""What jobs used of devices that they hold alone, over days: longer than any frame, in a few numbers per job.

Kept are the peak of memory and how long SM activity stood in each twentieth. Only jobs of one whole device each: a job
of several cannot be cut down to a part of one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.core.catalog import device
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import JobKey
    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints

__all__ = ["Usage", "UsageKey", "Used", "alone"]

BINS: Final = 20
EVERY_SECONDS: Final = 300.0  # between two readings of the frame, which holds far more
_LATE_SECONDS: Final = 60.0  # a sample may come this late: younger columns are not whole
_FORGET_SECONDS: Final = 86_400.0  # after a job was seen last
_FORMAT: Final = "warpgauge.usage/v1"

UsageKey = tuple[str, str, str, str]
"""(cluster, node, uuid, job_id)"""


@dataclass(slots=True, kw_only=True, eq=False)
class Used:
    """What one job used of one device; `activity_seconds[i]` in the i-th twentieth of SM activity."""

    since: float  # seconds since the epoch, of the first sample
    until: float
    peak_bytes: float = 0.0
    activity_seconds: Doubles = field(default_factory=lambda: np.zeros(BINS))

    @property
    def seconds(self) -> float:
        """How long both memory and activity were measured."""
        return float(self.activity_seconds.sum())

    @property
    def covered(self) -> float:
        """Share of the time since the first sample in which they were measured, 0-1."""
        return min(1.0, self.seconds / max(self.until - self.since, 1.0))

    def activity_at(self, share: float) -> float:
        """SM activity that it stayed at or below for this share of the time, 0-1, to the next twentieth above."""
        reached = np.cumsum(self.activity_seconds)
        return min(int(np.searchsorted(reached, share * self.seconds)) + 1, BINS) / BINS


class Usage:
    """Carried on by `take`; for the thread that owns the frame."""

    def __init__(self) -> None:
        self.by_key: dict[UsageKey, Used] = {}
        self.version = 0  # rises with every reading
        self._until_ms = 0

    def take(self, frame: Frame) -> None:
        """Read what is new in the frame, if that is some minutes by now."""
        newest_ms = round((frame.now - _LATE_SECONDS) * 1000)
        if newest_ms - self._until_ms < EVERY_SECONDS * 1000:
            return
        columns = np.flatnonzero((frame.time_ms > self._until_ms) & (frame.time_ms <= newest_ms))
        held = alone(frame)
        if len(columns) and held:
            self._add(frame, held, columns)
        self._until_ms, self.version = newest_ms, self.version + 1
        oldest = frame.now - _FORGET_SECONDS
        self.by_key = {key: used for key, used in self.by_key.items() if used.until >= oldest}

    def _add(self, frame: Frame, held: Mapping[JobKey, int], columns: Ints) -> None:
        rows = list(held.values())
        memory = frame.values(device.MEMORY_USED, rows=rows)[:, columns]
        activity = frame.values(device.COMPUTE_ACTIVE, rows=rows)[:, columns]
        ends = frame.time_ms[columns] / 1000.0
        starts_late = ends[None, :] - frame.step_seconds >= frame.allocated_since[rows][:, None]
        is_known = np.isfinite(memory) & np.isfinite(activity) & starts_late
        places = np.clip(np.nan_to_num(activity) * BINS, 0, BINS - 1).astype(np.int64)
        at, column = np.nonzero(is_known)
        seconds = np.zeros((len(rows), BINS))
        np.add.at(seconds, (at, places[at, column]), frame.step_seconds)
        peaks = np.where(is_known, memory, -np.inf).max(axis=1)
        first, last = is_known.argmax(axis=1), is_known.shape[1] - 1 - is_known[:, ::-1].argmax(axis=1)
        for number, ((cluster, job), row) in enumerate(held.items()):
            if seconds[number].any():
                entity = frame.devices.entities[row]
                since, until = float(ends[first[number]]) - frame.step_seconds, float(ends[last[number]])
                used = self.by_key.setdefault((cluster, entity.node, entity.uuid, job), Used(since=since, until=until))
                used.until, used.peak_bytes = until, max(used.peak_bytes, float(peaks[number]))
                used.activity_seconds += seconds[number]

    def to_json(self) -> dict[str, Any]:
        """All of it, for the next run."""
        entries = [
            [*key, used.since, used.until, used.peak_bytes, used.activity_seconds.tolist()]
            for key, used in self.by_key.items()
        ]
        return {"format": _FORMAT, "until_ms": self._until_ms, "entries": entries}

    def resume(self, document: Any) -> None:  # noqa: ANN401 - what a file holds
        """Go on from what `to_json` gave; what another version wrote is left.

        Raises:
            InputError: it is something else; nothing was taken over.

        """
        try:
            is_ours = document["format"] == _FORMAT
            entries = dict(_entry(one) for one in document["entries"]) if is_ours else {}
            until_ms = int(document["until_ms"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            msg = f"not what jobs used of devices: {error!r}"
            raise InputError(msg) from error
        if is_ours:
            self.by_key, self._until_ms = entries, until_ms


def alone(frame: Frame) -> Mapping[JobKey, int]:
    """Jobs that hold one whole device and nothing else, with its row; nobody else holds it."""
    return frame.once("jobs of one device", lambda: dict(_alone(frame)), frame.job_version)


def _alone(frame: Frame) -> Iterator[tuple[JobKey, int]]:
    holders = np.bincount(
        np.array([row for job in frame.jobs.values() for row in job.devices], dtype=np.int64),
        minlength=len(frame.devices),
    )
    for key, job in frame.jobs.items():
        if len(job.devices) == 1 and holders[job.devices[0]] == 1:
            entity = frame.devices.entities[job.devices[0]]
            if entity.node and not entity.instance_id:
                yield key, job.devices[0]


def _entry(row: Any) -> tuple[UsageKey, Used]:  # noqa: ANN401 - as above
    *key, since, until, peak, seconds = row
    cluster, node, uuid, job = map(str, key)
    numbers = [float(one) for one in seconds]
    if len(numbers) != BINS or not np.isfinite([since, until, peak, *numbers]).all() or min(numbers) < 0:
        raise ValueError(row)
    used = Used(since=float(since), until=float(until), peak_bytes=float(peak), activity_seconds=np.array(numbers))
    return (cluster, node, uuid, job), used
