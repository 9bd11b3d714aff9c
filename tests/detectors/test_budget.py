"""Only so much of what is raised may be chance, and a change that changes nothing is not raised."""

from __future__ import annotations

from dataclasses import replace
from math import isclose, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analyzer.test_engine import Run, candidate
from warpgauge.analyzer.anomalies.chances import chance_of_level, chi_square_tail, student_tail
from warpgauge.analyzer.detection import Candidate, Detection, Judgement, Strength
from warpgauge.analyzer.incidents.budget import WANTED_SHARE, admitted, largest_admitted
from warpgauge.core.finding import Evidence, FindingKind, Scope


def on(node: int, chance: float | None) -> Candidate:
    return candidate(scope=Scope(cluster="c", node=f"n{node}"), chance=chance)


def raised(*candidates: Candidate, entities: int) -> list[str | None]:
    judged = Judgement(detector="d", what="nodes", entities=entities, window_seconds=60.0)
    found = admitted({one.key: one for one in candidates}, [Detection(candidates=candidates, judged=judged)])
    return [one.scope.node for one in found.values() if one.strength is Strength.RAISE]


def test_the_larger_the_fleet_the_surer_a_single_device_must_be():
    assert raised(on(1, 1e-5), entities=100) == ["n1"]
    assert raised(on(1, 1e-5), entities=10_000) == []


def test_many_that_agree_may_each_be_less_sure():
    """Benjamini and Hochberg: the tenth of ten needs a tenth of the evidence that a single one needs."""
    assert raised(*(on(node, 9e-6) for node in range(10)), entities=10_000) == [f"n{node}" for node in range(10)]


def test_what_a_rule_decides_is_not_a_matter_of_chance():
    assert raised(on(1, None), on(2, 0.5), entities=10_000) == ["n1"]


def test_what_is_refused_keeps_an_open_finding_open():
    run = Run()
    (finding,) = run.tick(candidate(chance=1e-12)).findings

    for _ in range(5):
        findings = run.tick(candidate(chance=0.9)).findings

    assert [one.id for one in findings] == [finding.id]


def test_what_is_likely_chance_opens_nothing():
    assert Run().tick(candidate(chance=0.02)).findings == ()


def test_of_pure_noise_next_to_nothing_is_raised():
    """A thousand ticks of a thousand sound devices: what the rule promises, at most one tick of a hundred."""
    random = np.random.default_rng(7)
    lowest = random.random((1000, 1000)).min(axis=1)  # of each tick; without a lowest one nothing is admitted

    share = np.mean([largest_admitted([float(one)], 1000) > 0 for one in lowest])

    assert share <= 2 * WANTED_SHARE


@given(chances=st.lists(st.floats(0, 1), max_size=30), tests=st.integers(0, 1000))
def test_whatever_is_admitted_is_within_the_step_up_rule(chances: list[float], tests: int):
    chances.sort()
    limit = largest_admitted(chances, tests)
    passed = [one for one in chances if one <= limit]

    assert limit <= WANTED_SHARE
    assert not passed or passed[-1] <= WANTED_SHARE * len(passed) / max(tests, len(chances))


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (FindingKind.LEVEL_SHIFT, 109.0, []),
        (FindingKind.LEVEL_SHIFT, 111.0, ["n1"]),
        (FindingKind.DRIFT, 91.0, []),
        (FindingKind.DRIFT, 89.0, ["n1"]),
        (FindingKind.HOST_SATURATED, 101.0, ["n1"]),  # a state, not a change
    ],
)
def test_a_level_that_moved_by_less_than_a_tenth_is_not_raised(kind: FindingKind, value: float, expected: list[str]):
    row = Evidence(metric="accel_power_watts", value=value, unit="watts", baseline=100.0)

    assert raised(replace(on(1, None), kind=kind, evidence=(row,)), entities=1) == expected


def test_a_rate_that_was_zero_has_no_tenth():
    row = Evidence(metric="accel_pcie_replay_total", value=3.0, unit="1/s", baseline=0.0)

    assert raised(replace(on(1, None), kind=FindingKind.LEVEL_SHIFT, evidence=(row,)), entities=1) == ["n1"]


# ---- tails


@pytest.mark.parametrize(
    ("t", "freedom", "expected"), [(2.145, 14, 0.05), (10.0, 14, 9.3e-8), (4.0, 4, 0.0161), (6.0, 100, 3.1e-8)]
)
def test_tails_of_students_distribution_are_those_of_the_tables(t: float, freedom: int, expected: float):
    assert isclose(log(student_tail(t, freedom)), log(expected), rel_tol=0.02)


@pytest.mark.parametrize(("value", "freedom", "expected"), [(3.841, 1, 0.05), (18.307, 10, 0.05), (50.0, 8, 4.1e-8)])
def test_tails_of_chi_square_are_those_of_the_tables(value: float, freedom: float, expected: float):
    (tail,) = chi_square_tail(np.array([value]), np.array([freedom])).tolist()
    assert isclose(log(tail), log(expected), rel_tol=0.05)


def test_a_level_that_often_moves_as_far_is_likely_chance():
    random = np.random.default_rng(3)
    wild = 100.0 + np.repeat(random.normal(0, 10, 20), 12)
    calm = 100.0 + random.normal(0, 1, 240)

    assert chance_of_level(wild, 20.0, 12) > 0.01
    assert chance_of_level(calm, 20.0, 12) < 1e-9


def test_without_a_past_nothing_is_unlikely():
    assert chance_of_level(np.ones(12), 50.0, 12) == 1.0
