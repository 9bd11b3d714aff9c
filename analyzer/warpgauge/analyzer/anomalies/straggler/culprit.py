"""Who holds a job back: members that lag for one reason, where they are, since when and by how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.anomalies.straggler.place import Hosts, Place
from warpgauge.analyzer.detection.windows import Array, median, onset_time, ratio
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.anomalies.straggler.lag import Lag
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns

__all__ = ["Culprit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Culprit:
    """Members that lag for one reason: a single one, or all of a host."""

    frame: Frame
    group: Group
    lag: Lag
    members: tuple[int, ...]
    phase: str
    extra: float  # seconds per step beyond the peers
    seconds: float  # of the window

    @property
    def slowdown(self) -> float:
        """How many times as long the job's steps take with this lag."""
        step = float(median(self.lag.step))
        return step / max(step - self.extra, 0.01 * step)

    @property
    def place(self) -> Place:
        """The first of the members."""
        return Place(frame=self.frame, group=self.group, member=self.members[0])

    @property
    def hosts(self) -> Hosts | None:
        """Their node or nodes, None for a single rank."""
        return Hosts(frame=self.frame, group=self.group, members=self.members) if len(self.members) > 1 else None

    def since(self) -> float:
        """When the lag began, in seconds since the epoch."""
        rows, members, phase = self.group.rank_rows, list(self.members), self.phase

        def read(columns: Columns) -> Array:
            steps = columns.of(training.STEP_SECONDS, "count")[:, rows]
            each = ratio(columns.of(training.PHASE_SECONDS, phase)[:, rows], steps)
            rest = np.delete(each, members, axis=1)
            return median(each[:, members]) - median(rest)

        key = ("lag", phase, self.group, self.members)
        return onset_time(self.frame, self.frame.trace(TableName.RANKS, key, read) / max(self.extra, 1e-9) - 1 / 2)
