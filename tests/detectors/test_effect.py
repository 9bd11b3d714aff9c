"""Before and after against peers: noise is called noise, the interval covers what it promises, effects are found."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from warpgauge.analyzer.recommend.effect import Comparison, Estimate, _student_t, compare
from warpgauge.core.verification import Verdict

COLUMNS = 60


def wandering(random: np.random.Generator, things: int, *, level: float = 1.0) -> np.ndarray:
    """Step times as jobs have them: a level of their own, values that hang together, a common drift, outliers."""
    noise = random.normal(size=(things, 2 * COLUMNS))
    for column in range(1, 2 * COLUMNS):  # what happened a minute ago still shows
        noise[:, column] = 0.8 * noise[:, column - 1] + 0.6 * noise[:, column]
    common = np.cumsum(random.normal(scale=0.003, size=2 * COLUMNS))
    spikes = random.random(noise.shape) < 0.01
    own = random.uniform(0.3, 3.0, size=(things, 1))
    return level * own * np.exp(0.03 * noise + common + 0.5 * spikes)


def judged(values: np.ndarray, *, effect: float = 0.0, lower_is_better: bool = True) -> Estimate:
    values = values.copy()
    values[0, COLUMNS:] *= 1 + effect
    before, after = values[:, :COLUMNS], values[:, COLUMNS:]
    return compare(
        Comparison(
            before=before[0],
            after=after[0],
            peers_before=before[1:],
            peers_after=after[1:],
            lower_is_better=lower_is_better,
            is_scale=True,
        )
    )


@pytest.mark.parametrize("peers", [4, 8, 30])
def test_of_a_thousand_acks_without_effect_few_are_called_one_and_the_interval_covers(peers: int) -> None:
    random = np.random.default_rng(20 + peers)
    made = [judged(wandering(random, 1 + peers)) for _ in range(1000)]
    verdicts = Counter(one.verdict for one in made)
    assert verdicts[Verdict.IMPROVED] + verdicts[Verdict.WORSE] <= 50
    assert 930 <= sum(one.low <= 0 <= one.high for one in made) <= 970


def test_the_interval_covers_a_true_effect_as_often() -> None:
    random, covered = np.random.default_rng(5), 0
    for _ in range(1000):
        values = wandering(random, 9)
        made = judged(values, effect=-0.2)
        truth = -0.2 * float(np.median(values[0, :COLUMNS]))
        covered += made.low <= truth <= made.high
    assert 930 <= covered <= 970


@pytest.mark.parametrize(
    ("effect", "lower_is_better", "verdict"),
    [
        (-0.3, True, Verdict.IMPROVED),
        (0.3, True, Verdict.WORSE),
        (0.3, False, Verdict.IMPROVED),
        (-0.3, False, Verdict.WORSE),
    ],
)
def test_a_change_is_seen_with_its_sign(effect: float, *, lower_is_better: bool, verdict: Verdict) -> None:
    made = judged(wandering(np.random.default_rng(1), 9), effect=effect, lower_is_better=lower_is_better)
    assert made.verdict is verdict
    assert made.low <= made.value <= made.high


def test_what_happens_to_all_alike_is_no_effect() -> None:
    values = wandering(np.random.default_rng(2), 9)
    values[:, COLUMNS:] *= 1.5
    assert judged(values).verdict is Verdict.NO_CHANGE


def test_a_sure_change_that_matters_to_nobody_is_no_change() -> None:
    values = np.ones((9, 2 * COLUMNS)) * np.linspace(1, 2, 9)[:, None]
    made = judged(values, effect=-0.01)
    assert (made.verdict, made.reason) == (Verdict.NO_CHANGE, "a change of 1.0% is too small to matter")


def test_without_peers_nothing_is_said() -> None:
    made = judged(wandering(np.random.default_rng(3), 4), effect=-0.5)
    assert made.verdict is Verdict.INCONCLUSIVE
    assert made.value is None
    assert made.reason == "3 untouched peers with values before and after, 4 are needed"


def test_without_values_nothing_is_said() -> None:
    values = wandering(np.random.default_rng(4), 9)
    values[0, COLUMNS:] = math.nan
    assert judged(values).reason == "too few values before or after"


@pytest.mark.parametrize(
    ("coverage", "freedom", "point"),
    [(0.95, 3, 3.182), (0.95, 4, 2.776), (0.95, 7, 2.365), (0.95, 29, 2.045), (0.98, 3, 4.541), (0.98, 7, 2.998)],
)
def test_students_points_are_those_of_the_tables(coverage: float, freedom: int, point: float) -> None:
    assert _student_t(coverage, freedom) == pytest.approx(point, rel=1e-2)
