"""The detectors on the fleet model: each fault is found at its place, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.detectors.fleet_feed import START, FleetFeed
from warpgauge.core.finding import Finding, Severity
from warpgauge.exporters.synthetic.faults import FAULTS

LIVE_SECONDS = 90.0  # the demo has so long to name everything
ONSET_SECONDS = 120.0  # heat needs a minute or two to build up
SEEDS = (1000, 1001, 1002, 1003, 1004)

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


def expected(feed: FleetFeed) -> dict[Place, dict[str, Any]]:
    return {place(fault["kind"], fault["scope"]): fault for fault in feed.fleet.truth()["faults"]}


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS[1:])  # the first is watched from the start below
def test_the_findings_are_exactly_the_faults_with_place_and_onset(seed: int) -> None:
    feed, found = watched(seed, FAULTS)
    truth = expected(feed)
    assert set(found) == set(truth)
    assert len(found) == len(FAULTS)
    for key, fault in truth.items():
        assert found[key].since == pytest.approx(fault["start"], abs=ONSET_SECONDS)
        assert found[key].evidence
        assert found[key].remedy
        assert found[key].simulated


@pytest.mark.slow
@pytest.mark.parametrize("removed", FAULTS)
def test_with_a_fault_removed_exactly_that_finding_goes(removed: str) -> None:
    feed, found = watched(42, tuple(fault for fault in FAULTS if fault != removed))
    assert set(found) == set(expected(feed))
    assert len(found) == len(FAULTS) - 1


@pytest.mark.slow
def test_a_sound_fleet_is_silent_at_every_tick_of_an_hour() -> None:
    feed, found = watched(SEEDS[0], (), from_the_start=True)
    assert found == {}
    assert feed.frame.now == START + LIVE_SECONDS + feed.frame.step_seconds


@pytest.mark.slow
def test_at_every_tick_of_an_hour_nothing_but_the_faults_was_ever_said() -> None:
    feed, found = watched(SEEDS[0], FAULTS, from_the_start=True)
    assert set(found) == set(expected(feed))
    assert all(
        found[key].since == pytest.approx(fault["start"], abs=ONSET_SECONDS) for key, fault in expected(feed).items()
    )


@pytest.mark.slow
def test_another_seed_moves_the_faults() -> None:
    places = [frozenset(expected(FleetFeed(seed, FAULTS))) for seed in SEEDS]
    assert len(set(places)) == len(SEEDS)
