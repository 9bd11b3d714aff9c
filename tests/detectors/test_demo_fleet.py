"""The detectors on the fleet model: each fault is found at its place, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.detectors.fleet_feed import START, FleetFeed
from warpgauge.core.finding import Finding, Severity
from warpgauge.exporters.synthetic.faults import FAULTS
from warpgauge.exporters.synthetic.fleet import Fleet

LIVE_SECONDS = 90.0  # the demo has so long to name everything
ONSET_SECONDS = 120.0  # heat needs a minute or two to build up
SEEDS = (1000, 1001, 1002, 1003, 1004)
WITHOUT = dict(
    zip(FAULTS, SEEDS[1:], strict=True)
)  # the first seed has all faults, in the test that looks at each tick

Place = tuple[str, str | None, str | None, str | None, int | None]


def place(kind: str, scope: Any) -> Place:
    return (kind, scope.get("node"), scope.get("uuid"), scope.get("job_id"), scope.get("rank"))


def of_finding(finding: Finding) -> Place:
    scope = finding.scope
    return (str(finding.kind), scope.node, scope.uuid, scope.job_id, scope.rank)


def watched(
    seed: int, faults: tuple[str, ...], *, from_the_start: bool = False
) -> tuple[FleetFeed, dict[Place, Finding]]:
    """The feed after its live seconds and all findings above info: at the end, or at any tick from the start."""
    feed = FleetFeed(seed, faults)
    if not from_the_start:
        feed.past()
    seen: dict[Place, Finding] = {}
    for result in feed.live(LIVE_SECONDS):
        now = {of_finding(finding): finding for finding in result.findings if finding.severity is not Severity.INFO}
        seen = {**seen, **now} if from_the_start else now
    return feed, seen


def truth_of(fleet: Fleet) -> dict[Place, dict[str, Any]]:
    return {place(fault["kind"], fault["scope"]): fault for fault in fleet.truth()["faults"]}


def expected(feed: FleetFeed) -> dict[Place, dict[str, Any]]:
    return truth_of(feed.fleet)


def judge(feed: FleetFeed, found: dict[Place, Finding]) -> None:
    """Exactly the faults are found, each at its place, since when it began, with all that a finding says."""
    truth = expected(feed)
    assert set(found) == set(truth)
    for key, fault in truth.items():
        assert found[key].since == pytest.approx(fault["start"], abs=ONSET_SECONDS)
        assert found[key].evidence
        assert found[key].remedy
        assert found[key].simulated


@pytest.mark.slow
@pytest.mark.parametrize(("removed", "seed"), WITHOUT.items())
def test_with_a_fault_removed_exactly_that_finding_goes(removed: str, seed: int) -> None:
    feed, found = watched(seed, tuple(fault for fault in FAULTS if fault != removed))
    judge(feed, found)
    assert len(found) == len(FAULTS) - 1
    assert removed not in {kind for kind, *_ in found}


@pytest.mark.slow
def test_a_sound_fleet_is_silent_at_every_tick_of_an_hour() -> None:
    feed, found = watched(SEEDS[0], (), from_the_start=True)
    assert found == {}
    assert feed.frame.now == START + LIVE_SECONDS + feed.frame.step_seconds


@pytest.mark.slow
def test_at_every_tick_of_an_hour_nothing_but_the_faults_was_ever_said() -> None:
    feed, found = watched(SEEDS[0], FAULTS, from_the_start=True)
    judge(feed, found)
    assert len(found) == len(FAULTS)


def test_another_seed_moves_the_faults() -> None:
    places = [frozenset(truth_of(Fleet(seed, FAULTS, start=START))) for seed in SEEDS]
    assert len(set(places)) == len(SEEDS)
