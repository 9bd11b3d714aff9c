"""How much speaks for a rank having become slow, as a sequential test: who lags far is named after two samples.

Each sample of a rank adds the log of how much likelier it is if the rank takes `RAISE_EFFECT` longer than its peers
than if it takes as long (Wald 1945), under a normal distribution that is as wide as the compute time of its peers
scatters from sample to sample. The best sum that ends now is Page's CUSUM (1954), and where it begins is the onset.
`EVIDENCE` is the log of the rank-samples between two false alarms; one sample counts for at most half of it, so that
no single one is enough, however far out. Work that moves from rank to rank makes the peers scatter, and so does not
add up; until there are `LEAST_STEPS` steps it may hit one rank only by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.straggler.lag import are_timed_by_device
from warpgauge.analyzer.schema import TableName
from warpgauge.analyzer.windows import Array, Mask, mean, median, ratio
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.frame import Frame

__all__ = ["EVIDENCE", "EarlyLag", "rank_sample_seconds", "read_early", "sample_seconds"]

LOOK_SECONDS: Final = 600.0  # ten samples of a fleet that is read once a minute
EFFECT: Final = 0.10  # what is tested against none
EVIDENCE: Final = 18.0  # a false alarm in e^18 rank-samples: one rank read every 15 s, once in 31 years
HOLD_EVIDENCE: Final = EVIDENCE / 4
LEAST_SAMPLES: Final = 2.0
LEAST_SECONDS: Final = 30.0
LEAST_STEPS: Final = 6.0  # that all of them hit one of four ranks by chance: 1 in 1024
NOISE: Final = 0.04  # of the compute time: even ranks that never scattered may, sound ones do by 1 to 3 %

_HOLD_SAMPLES: Final = 2.5  # how far apart samples may be, in samples: see `Samples.ingest`


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyLag:
    """The evidence about each member of a group, and the newest seconds of the one with the most."""

    evidence: Array  # [member]
    is_lasting: Mask  # [member], whether it rests on enough samples, seconds and steps
    seconds: float

    @property
    def holds(self) -> Mask:
        """[member], whether a finding stays open on it."""
        return np.asarray(self.evidence >= HOLD_EVIDENCE)

    @property
    def raises(self) -> Mask:
        """[member], whether its lag is more than the scatter of its peers makes by chance."""
        return np.asarray(self.evidence >= EVIDENCE)


def rank_sample_seconds(frame: Frame) -> Array:
    """[rank], how far apart its samples are; NaN where it has none."""
    return frame.once("rank sample seconds", lambda: frame.patience_seconds(TableName.RANKS) / _HOLD_SAMPLES)


def sample_seconds(frame: Frame, group: Group) -> float:
    """How far apart the samples of a group's ranks are; at least a column."""
    return float(np.fmax(np.fmax.reduce(rank_sample_seconds(frame)[list(group.ranks)]), frame.step_seconds))


def read_early(frame: Frame, group: Group) -> EarlyLag | None:
    """The evidence of a group whose ranks all report steps that may be believed, else None."""
    if min(group.ranks) < 0 or not are_timed_by_device(frame, group):
        return None
    rows = list(group.ranks)
    steps = frame.values(training.STEP_SECONDS, "count", seconds=LOOK_SECONDS, rows=rows).astype(np.float64)
    spent = frame.values(training.PHASE_SECONDS, "compute", seconds=LOOK_SECONDS, rows=rows).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.log(ratio(spent, steps))
    lag = each - median(each.T)
    columns = max(sample_seconds(frame, group) / frame.step_seconds, 1.0)  # that one sample fills
    sums = _summed(_evidence(lag, EVIDENCE / 2) / columns)
    first = _onsets(sums)
    evidence = sums[np.arange(len(rows)), first]
    best = int(np.argmax(evidence))
    is_since = np.arange(lag.shape[1]) >= first[:, None]
    samples = (is_since & np.isfinite(lag)).sum(axis=1) / columns
    taken = np.where(is_since, np.nan_to_num(steps), 0.0).sum(axis=1) * frame.step_seconds
    lasts = (samples >= LEAST_SAMPLES - 1 / columns) & (samples * columns * frame.step_seconds >= LEAST_SECONDS)
    return EarlyLag(
        evidence=evidence,
        is_lasting=lasts & (taken >= LEAST_STEPS),
        seconds=float((lag.shape[1] - first[best]) * frame.step_seconds),
    )


def _evidence(lag: Array, most: float) -> Array:
    """[member, column], log likelihood ratio of a slow rank against a sound one, `most` at most; 0 where unknown."""
    effect = np.log1p(EFFECT)
    found = effect * (lag - effect / 2) / _variance(lag)[:, None]
    return np.asarray(np.clip(np.where(np.isfinite(found), found, 0.0), -most, most))


def _variance(lag: Array) -> Array:
    """[member], how much the others scatter about their own means; the worst of them, another straggler, left out."""
    own = np.nan_to_num(mean(np.square(lag - mean(lag)[:, None])))
    members = len(own)
    others = np.where(np.eye(members, dtype=bool), 0.0, own[None, :])
    worst = others.max(axis=1)
    return np.asarray(NOISE**2 + (others.sum(axis=1) - worst) / max(members - 2, 1))


def _summed(evidence: Array) -> Array:
    """[member, column], the sum from each column to now."""
    return np.cumsum(evidence[:, ::-1], axis=1)[:, ::-1]


def _onsets(sums: Array) -> Array:
    return np.argmax(sums, axis=1)
