"""How much speaks for a rank having become slow, as a sequential test: who lags far is named after two samples.

Each sample of a rank adds the log of how much likelier it is if the rank takes `EFFECT` longer than its peers
than if it takes as long (Wald 1945), under a normal distribution that is as wide as the compute time of its peers
scatters from sample to sample. The best sum that ends now is Page's CUSUM (1954), and where it begins is the onset.
`EVIDENCE` is the log of the rank-samples between two false alarms; one sample counts for at most half of it, so that
no single one is enough, however far out. Work that moves from rank to rank makes the peers scatter, and so does not
add up; the first few steps it may hit one rank only by chance: with four ranks six steps are needed, with sixteen four,
and a step in which the rank did not lag takes one of them away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.straggler.lag import are_timed_by_device
from warpgauge.analyzer.anomalies.straggler.place import members_by_node
from warpgauge.analyzer.detection.windows import Array, Mask, mean, median, ratio
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.frame import Frame, Ints

__all__ = [
    "EFFECT",
    "EVIDENCE",
    "LEAST_SAMPLES",
    "NOISE",
    "EarlyLag",
    "rank_sample_seconds",
    "read_early",
    "sample_seconds",
]

LOOK_SECONDS: Final = 600.0  # ten samples of a fleet that is read once a minute
EFFECT: Final = 0.10  # what is tested against none
EVIDENCE: Final = 18.0  # a false alarm in e^18 rank-samples: one rank read every 15 s, once in 31 years
HOLD_EVIDENCE: Final = EVIDENCE / 4
LEAST_SAMPLES: Final = 2.0
RECENT_SAMPLES: Final = 3.0
LEAST_ELSEWHERE: Final = 2  # ranks on other machines, to hold a machine against
LEAST_SECONDS: Final = 30.0
BY_CHANCE: Final = 1e-3  # that work which moves hits one and the same rank at each step so far
NOISE: Final = 0.04  # of the compute time: even ranks that never scattered may, sound ones do by 1 to 3 %

_ALL: Final = slice(None)


@dataclass(frozen=True)
class EarlyLag:
    """The evidence about each member of a group, and the newest seconds of the one with the most.

    What is held against other machines is worked out when it is asked for: where five minutes name a rank, nobody asks.
    """

    samples: _Samples
    hosts: tuple[Ints, ...]  # the members on each machine

    @property
    def evidence(self) -> Array:
        """[member]."""
        return self._by_rank.whole.evidence

    @property
    def of_host(self) -> Array:
        """[member], held against ranks on other machines only: those of its own may be slow with it."""
        return self._by_host.whole.evidence

    @property
    def is_lasting(self) -> Mask:
        """[member], whether it rests on enough samples, seconds and steps."""
        return np.asarray(self._by_rank.whole.is_lasting | self._by_host.whole.is_lasting)

    @property
    def seconds(self) -> float:
        """The newest seconds that the most evidence rests on."""
        return max(self._by_rank.whole.seconds, self._by_host.whole.seconds)

    @cached_property
    def _by_rank(self) -> _Found:
        return self.samples.of_ranks()

    @cached_property
    def _by_host(self) -> _Found:
        return self.samples.of_hosts(self.hosts)

    def raises(self, members: Mask, *, is_host: bool) -> bool:
        """Whether the lag of all of these is more than their peers scatter by chance."""
        return bool(((self._by_host if is_host else self._by_rank).evidence_of(members) >= EVIDENCE).all())

    def holds(self, members: Mask, *, is_host: bool) -> bool:
        """Whether a finding about these stays open."""
        return bool(((self.of_host if is_host else self.evidence)[members] >= HOLD_EVIDENCE).all())

    @property
    def is_any(self) -> bool:
        """Whether there is evidence about any member at all."""
        return bool(max(self.evidence.max(), self.of_host.max()) >= HOLD_EVIDENCE)


def rank_sample_seconds(frame: Frame) -> Array:
    """[rank], how far apart its samples are; NaN where it has none."""
    return frame.interval_seconds(TableName.RANKS)


def sample_seconds(frame: Frame, group: Group) -> float:
    """How far apart the samples of a group's ranks are; at least a column."""
    return float(np.fmax(np.fmax.reduce(rank_sample_seconds(frame)[group.rank_rows]), frame.step_seconds))


def read_early(frame: Frame, group: Group) -> EarlyLag | None:
    """The evidence of a group whose ranks all report steps that may be believed, else None."""
    if not group.all_report or not are_timed_by_device(frame, group):
        return None
    rows = group.rank_rows
    steps = frame.values(training.STEP_SECONDS, "count", seconds=LOOK_SECONDS, rows=rows).astype(np.float64)
    spent = frame.values(training.PHASE_SECONDS, "compute", seconds=LOOK_SECONDS, rows=rows).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.log(ratio(spent, steps))
    samples = _Samples(frame, each, steps, max(sample_seconds(frame, group) / frame.step_seconds, 1.0))
    return EarlyLag(samples, members_by_node(frame, group))


@dataclass(frozen=True)
class _Sums:
    """The best sum of evidence that ends now, of each member; what it rests on is worked out when it is asked for."""

    samples: _Samples
    added: Array  # [member, column], by each sample

    @cached_property
    def _from_each(self) -> Array:
        """[member, column], the sum of all evidence from a column on."""
        return np.asarray(np.cumsum(self.added[:, ::-1], axis=1)[:, ::-1] / self.samples.width)

    @cached_property
    def _first(self) -> Ints:
        return np.asarray(np.argmax(self._from_each, axis=1), dtype=np.int64)

    @cached_property
    def evidence(self) -> Array:
        """[member]."""
        return np.asarray(self._from_each.max(axis=1))

    @cached_property
    def is_lasting(self) -> Mask:
        """[member], of all."""
        samples, column_seconds = self.samples, self.samples.frame.step_seconds
        is_since = np.arange(self.added.shape[1]) >= self._first[:, None]
        known = (is_since & np.isfinite(samples.each)).sum(axis=1)
        lagging = np.nan_to_num(samples.steps) * np.sign(self.added)  # less those in which it did not lag
        taken = np.where(is_since, lagging, 0.0).sum(axis=1) * column_seconds
        lasts = (known >= LEAST_SAMPLES * samples.width - 1) & (known * column_seconds >= LEAST_SECONDS)
        return np.asarray(lasts & (taken >= least_steps(len(taken))) & (self.evidence > 0))

    @cached_property
    def seconds(self) -> float:
        """The newest seconds that the most evidence rests on."""
        best = int(np.argmax(self.evidence))
        if not self.evidence[best] > 0:
            return 0.0
        return float((self.added.shape[1] - self._first[best]) * self.samples.frame.step_seconds)


@dataclass(frozen=True)
class _Found:
    """The best sums; if one is enough, held once more against how the peers scatter while it lasts.

    Long steps are few in a sample: work that moves may come back to a rank before it hit a third one lately.
    """

    samples: _Samples
    held_against: Callable[[int, Mask | slice], Array]  # so many columns, of these members -> what each column adds

    @cached_property
    def _at_first(self) -> _Sums:
        return _Sums(self.samples, self.held_against(0, _ALL))

    @cached_property
    def _columns(self) -> int:
        """While the best sum lasts, if it is enough; else 0."""
        if not (self._at_first.evidence >= EVIDENCE).any():
            return 0
        return round(self._at_first.seconds / self.samples.frame.step_seconds)

    @cached_property
    def whole(self) -> _Sums:
        """Of all members."""
        return _Sums(self.samples, self.held_against(self._columns, _ALL)) if self._columns else self._at_first

    def evidence_of(self, members: Mask) -> Array:
        """Of some members, at the cost of these."""
        if not self._columns:
            return np.asarray(self._at_first.evidence[members])
        return _Sums(self.samples, self.held_against(self._columns, members)).evidence


@dataclass(frozen=True, slots=True)
class _Samples:
    """What a group's members told: [member, column], logs of their compute time per step, and steps per second."""

    frame: Frame
    each: Array
    steps: Array
    width: float  # columns that one sample fills

    def of_ranks(self) -> _Found:
        """Each member against all others."""
        lag = self.each - median(self.each.T)
        scatter, is_self = self._scatter(lag), np.eye(len(lag), dtype=bool)

        def held_against(columns: int, members: Mask | slice) -> Array:
            others = np.where(is_self[members], 0.0, scatter(columns))
            return _evidence(lag[members], _mean_but_worst(others, len(lag) - 1))

        return _Found(self, held_against)

    def of_hosts(self, hosts: Sequence[Ints]) -> _Found:
        """Each member against those on other machines, whose own may be slow with it: half of a job may be."""
        return _Found(self, lambda columns, members: self._against_elsewhere(hosts, columns)[members])

    def _against_elsewhere(self, hosts: Sequence[Ints], columns: int) -> Array:
        evidence = np.zeros_like(self.each)
        recent = self.each[:, -self._recent :]
        recent = recent - median(recent.T)
        for own in hosts:
            if len(self.each) - len(own) < LEAST_ELSEWHERE or not float(median(recent[own].ravel())) > 0:
                continue
            elsewhere = np.delete(np.arange(len(self.each)), own)
            lag = self.each - median(self.each[elsewhere].T)
            variance = _mean_but_worst(self._scatter(lag)(columns)[None, elsewhere], len(elsewhere))
            evidence[own] = _evidence(lag[own], variance)
        return evidence

    @property
    def _recent(self) -> int:
        return max(round(RECENT_SAMPLES * self.width), 1)

    def _scatter(self, lag: Array) -> Callable[[int], Array]:
        """[member], how much each scatters about its usual lag: over all columns, the newest, or so many of them.

        Whichever is most counts: what began together with a lag has no past.
        """
        squares = np.square(lag - median(lag)[:, None])

        def over(columns: int) -> Array:
            return np.fmax(mean(squares[:, -max(columns, 1) :]), 0.0)  # 0 where nothing is known

        usual = np.fmax(over(len(squares.T)), over(self._recent))
        return lambda columns: np.asarray(np.fmax(usual, over(columns)))


def _mean_but_worst(scatter: Array, members: int) -> Array:
    """[...], variance of so many peers; the worst of them, another straggler, is left out."""
    return np.asarray(NOISE**2 + (scatter.sum(axis=-1) - scatter.max(axis=-1)) / max(members - 1, 1))


def least_steps(ranks: int) -> float:
    """After how many steps it is no chance any more that one of so many ranks had the most to do each time."""
    return float(1.0 - np.log(BY_CHANCE) / np.log(ranks))


def _evidence(lag: Array, variance: Array) -> Array:
    """[member, column], log likelihood ratio of a slow rank against a sound one; 0 where unknown."""
    effect = np.log1p(EFFECT)
    found = effect * (lag - effect / 2) / variance[:, None]
    return np.asarray(np.clip(np.where(np.isfinite(found), found, 0.0), -EVIDENCE / 2, EVIDENCE / 2))
