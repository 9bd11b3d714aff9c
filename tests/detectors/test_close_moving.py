"""Work that moves from rank to rank, told within seconds: on machines whose ranks scatter anyway, too."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.scenes import Lockstep
from warpgauge.analyzer.anomalies.straggler.close_up import CloseUp
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.frame import Frame
from warpgauge.core.finding import FindingKind

COLUMNS = 60
RANKS = 4
COMPUTE = 0.1
STEPS = 5  # a second


def scattering(seed: int, *deviations: tuple[int, float], shift: float = 0.0) -> list[Candidate]:
    """What is said of ranks whose steps deviate so many seconds for so many columns, up to now.

    With `shift` three of them compute so much longer in the last four columns.
    """
    noise, widths = np.random.default_rng(seed), np.concatenate([np.full(*one) for one in deviations])
    means = noise.normal(COMPUTE, np.broadcast_to(widths / np.sqrt(STEPS), (RANKS, COLUMNS)))
    means[:3, -4:] += shift
    scene = Lockstep(
        ranks=RANKS, columns=COLUMNS, step_seconds=1.0, has_devices=False, compute=dict(enumerate(np.abs(means)))
    )
    frame = Frame()
    frame.close_up = scene.frame()
    return [one for one in CloseUp().detect(frame).candidates if one.kind is FindingKind.WORKLOAD_IMBALANCE]


def raised(found: list[Candidate]) -> list[Candidate]:
    return [one for one in found if one.strength is Strength.RAISE]


@pytest.mark.parametrize("usual", [0.002, 0.015])
def test_work_that_began_to_move_is_told_after_five_seconds_and_since_when(usual: float):
    onsets = [one.since for seed in range(20) for one in raised(scattering(seed, (55, usual), (5, 0.08)))]

    assert len(onsets) >= 17
    assert np.abs(np.array(onsets) - (scene_end() - 5)).max() <= 3.0


def test_a_machine_whose_ranks_always_scatter_is_left_to_the_minutes():
    """Every sixth of these windows loses a tenth of a step to chance."""
    assert not any(raised(scattering(seed, (60, 0.025))) for seed in range(40))


def test_ranks_that_become_slower_together_move_no_work():
    assert not any(raised(scattering(seed, (60, 0.004), shift=0.05)) for seed in range(20))


def test_what_goes_on_for_longer_than_is_looked_at_is_held_and_not_raised():
    assert {one.strength for seed in range(3) for one in scattering(seed, (60, 0.08))} == {Strength.HOLD}


def scene_end() -> float:
    return Lockstep(ranks=RANKS, columns=COLUMNS, step_seconds=1.0, has_devices=False).frame().now
