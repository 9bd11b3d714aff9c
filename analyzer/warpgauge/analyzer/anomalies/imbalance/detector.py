"""Work that is unevenly shared: a pipeline stage that takes longer, or data whose size moves from rank to rank.

Neither is the hardware, so neither ever asks for another device. A stage is held against the other stages of its job,
by the median rank of each. Data that moves leaves every rank's mean alike; it shows in how much each rank's compute
time per step scatters while its wait goes the other way: who has the large batch waits for nobody. The mean of n steps
scatters by 1 / sqrt(n) of what one step does, which gives the scatter of a single step from sums over samples. Of N
ranks that scatter so the slowest is expected E(max of N normals) deviations above the mean, which is lost each step for
sure; it is at most sqrt(N - 1) deviations above, as where one rank has a large share and the others none. A level that
shifts once, on whichever ranks, is no scatter.
Contention for CPUs makes ranks scatter too, so a host whose tasks wait for a CPU that long is not judged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.imbalance.moving import (
    CONTENTION_RATIO,
    HOLD_EFFECT,
    LEAST_MIRRORED,
    LEAST_PEERS,
    LEAST_SAMPLES,
    LEAST_STEPS,
    MOST_SECONDS,
    RAISE_EFFECT,
    SURE_SHARE,
    moving_candidate,
    moving_suspects,
)
from warpgauge.analyzer.anomalies.imbalance.stages import STAGE_HOLD_EFFECT, STAGE_RAISE_EFFECT, slow_stages
from warpgauge.analyzer.anomalies.imbalance.steps import LEAST_COVERAGE, timed_groups
from warpgauge.analyzer.anomalies.peers import peer_groups
from warpgauge.analyzer.detection import Detection, Judgement, NotJudged
from warpgauge.analyzer.detection.phases import BUCKETS
from warpgauge.core.catalog import training
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame

__all__ = [
    "CONTENTION_RATIO",
    "HOLD_EFFECT",
    "LEAST_COVERAGE",
    "LEAST_MIRRORED",
    "LEAST_PEERS",
    "LEAST_SAMPLES",
    "LEAST_STEPS",
    "MOST_SECONDS",
    "RAISE_EFFECT",
    "STAGE_HOLD_EFFECT",
    "STAGE_RAISE_EFFECT",
    "SURE_SHARE",
    "Imbalance",
]

GAINFUL: Final = (FindingKind.WORKLOAD_IMBALANCE,)
WINDOW_SECONDS: Final = 300.0
MOST_BUCKETS: Final = BUCKETS - 1


class Imbalance:
    """Names jobs whose work is unevenly shared."""

    name = "imbalance"

    def detect(self, frame: Frame) -> Detection:
        """Judge every group of at least four peers, and every job with stages, whose steps may be trusted."""
        groups = peer_groups(frame)
        is_timed = timed_groups(frame, groups, WINDOW_SECONDS)
        found = [
            one
            for at in np.flatnonzero(moving_suspects(frame, groups, WINDOW_SECONDS) & is_timed)
            if (one := moving_candidate(frame, groups.groups[at], WINDOW_SECONDS, parts=BUCKETS, most=MOST_BUCKETS))
        ]
        found += slow_stages(frame, groups, is_timed)
        ranks, rest = int(groups.sizes[is_timed].sum()), int(groups.sizes[~is_timed].sum())
        return Detection(
            candidates=tuple(found), judged=self._judged(ranks), not_judged=self._not(rest) if rest else ()
        )

    def _judged(self, ranks: int) -> Judgement | None:
        what = "ranks, for work that is unevenly shared"
        return (
            Judgement(detector=self.name, what=what, entities=ranks, window_seconds=WINDOW_SECONDS) if ranks else None
        )

    def _not(self, ranks: int) -> tuple[NotJudged, ...]:
        what, why = "whether work is unevenly shared", "no device-timed steps of all ranks"
        missing = (training.PHASE_SECONDS.name,)
        return (NotJudged(detector=self.name, what=what, why=why, missing=missing, entities=ranks),)
