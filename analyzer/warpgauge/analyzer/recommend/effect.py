"""Whether something changed for one thing beyond what changed for its untouched peers, with a 95 % interval.

Difference in differences, one difference per thing: what each did after minus what it did before. Under no effect the
treated one's difference is one more draw from where its peers' come from, so the interval is a prediction interval of
Student's t over the peers: mean +- t(n-1) s sqrt(1 + 1/n). One number per thing makes it hold however the values within
a series hang together, which is what makes tests on the single values call noise an effect (Bertrand, Duflo and
Mullainathan, How much should we trust differences-in-differences estimates?, QJE 2004; Conley and Taber, Inference with
difference in differences with a small number of policy changes, REStat 2011).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.core.verification import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Values = NDArray[np.floating[Any]]

__all__ = ["LEAST_PEERS", "Comparison", "Estimate", "compare"]

LEAST_PEERS: Final = 4
LEAST_VALUES: Final = 6  # in each window of each thing
_SURE: Final = (
    0.98  # to call it improved or worse; the interval that is told covers 95 %, which one in twenty would break
)
_INTERVAL: Final = 0.95
LEAST_SHARE: Final = 0.02  # of the level before: a change below it helps nobody, however sure it is
METHOD: Final = "difference in differences, prediction interval over {} untouched peers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A metric of the treated thing and of peers, each in two windows of the same length; NaN is no value."""

    before: Values  # [column]
    after: Values
    peers_before: Values  # [peer, column]
    peers_after: Values
    lower_is_better: bool
    is_scale: bool  # compare ratios (step times of jobs of any size), not differences (shares of 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The change of the treated thing beyond its peers', in the metric's unit."""

    verdict: Verdict
    reason: str
    peers: int = 0
    value: float | None = None
    low: float = 0.0
    high: float = 0.0

    @property
    def method(self) -> str:
        """In words."""
        return METHOD.format(self.peers)


def compare(data: Comparison) -> Estimate:
    """Judge; `inconclusive` where there is too little to say anything."""
    change, level = _change(data.before, data.after, is_scale=data.is_scale)
    if change is None:
        return Estimate(verdict=Verdict.INCONCLUSIVE, reason="too few values before or after")
    pairs = zip(data.peers_before, data.peers_after, strict=True)
    changes = [_change(before, after, is_scale=data.is_scale)[0] for before, after in pairs]
    peers = np.array([one for one in changes if one is not None])
    if len(peers) < LEAST_PEERS:
        reason = f"{len(peers)} untouched peers with values before and after, {LEAST_PEERS} are needed"
        return Estimate(verdict=Verdict.INCONCLUSIVE, reason=reason, peers=len(peers))
    effect = change - float(peers.mean())
    error = float(peers.std(ddof=1)) * math.sqrt(1 + 1 / len(peers))
    half = _student_t(_INTERVAL, len(peers) - 1) * error
    value, low, high = (_in_unit(one, level, data.is_scale) for one in (effect, effect - half, effect + half))
    verdict, reason = _judged(effect, error, value / level if level else math.inf, len(peers))
    if verdict is None:
        verdict = Verdict.IMPROVED if (value < 0) is data.lower_is_better else Verdict.WORSE
    return Estimate(verdict=verdict, reason=reason, peers=len(peers), value=value, low=low, high=high)


def _judged(effect: float, error: float, share: float, peers: int) -> tuple[Verdict | None, str]:
    """The verdict and why; None for a change whose direction decides."""
    if abs(effect) <= _student_t(_INTERVAL, peers - 1) * error:
        return Verdict.NO_CHANGE, "the 95 % interval holds no change"
    if abs(share) < LEAST_SHARE:
        return Verdict.NO_CHANGE, f"a change of {abs(share):.1%} is too small to matter"
    if abs(effect) <= _student_t(_SURE, peers - 1) * error:
        return Verdict.INCONCLUSIVE, f"a change of {share:+.0%} that is not sure enough"
    return None, f"{share:+.0%} beyond the peers"


def _change(before: Values, after: Values, *, is_scale: bool) -> tuple[float | None, float]:
    """Median after against median before (a logarithm of their ratio where it is a scale), and the level before."""
    first, second = before[np.isfinite(before)], after[np.isfinite(after)]
    if min(len(first), len(second)) < LEAST_VALUES:
        return None, 0.0
    was, now = float(np.median(first)), float(np.median(second))
    if not is_scale:
        return now - was, was
    return (math.log(now / was), was) if min(was, now) > 0 else (None, was)


def _in_unit(effect: float, level: float, is_scale: bool) -> float:  # noqa: FBT001 - of the comparison
    return level * math.expm1(effect) if is_scale else effect


def _student_t(coverage: float, freedom: int) -> float:
    """The two-sided point of Student's t; within 1 % from 3 degrees of freedom on (Abramowitz and Stegun, 26.7.5)."""
    z = NormalDist().inv_cdf((1 + coverage) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    point: float = z + sum(term / freedom**power for power, term in enumerate(terms, 1))
    return point
