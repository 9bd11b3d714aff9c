"""MIG right-sizing and idle reclaim: what is proposed, and when they keep silent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.analyzer.planning.sizing import Demand, Profile, right_size

GIB = 2**30
WEEK = 7 * 86_400.0
SIZES = [("1g", 10, 1), ("1g.double", 20, 1), ("2g", 20, 2), ("3g", 40, 3), ("4g", 40, 4), ("7g", 80, 7)]
PROFILES = [Profile(name=name, memory_bytes=gib * GIB, compute_ratio=slices / 7) for name, gib, slices in SIZES]
WHOLE = PROFILES[-1]


def demand(gib=None, active=None, seconds=WEEK, **more):
    memory = None if gib is None else int(gib * GIB)
    return Demand(memory_bytes_p99=memory, sm_active_ratio_p95=active, observed_seconds=seconds, **more)


@pytest.mark.parametrize(
    ("gib", "active", "expected"), [(5, 0.1, "1g"), (12, 0.1, "1g.double"), (12, 0.2, "2g"), (30, 0.2, "3g")]
)
def test_the_smallest_profile_with_head_room_is_proposed(gib, active, expected):
    profile = right_size(demand(gib, active), WHOLE, PROFILES).profile
    assert profile is not None
    assert profile.name == expected


def test_memory_needs_head_room_too():
    assert right_size(demand(9, 0.05), WHOLE, PROFILES).profile == PROFILES[1]  # 9 x 1.2 is more than 10 GiB


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (demand(None, 0.1), "was not measured"),
        (demand(5, None), "was not measured"),
        (demand(5, 0.1, seconds=86_400), "seen for 1.0 days only"),
        (demand(70, 0.1), "no profile has 84.0 GiB"),
        (demand(60, 0.9), "7g is the smallest that fits already"),
    ],
)
def test_it_stays_as_it_is_with_the_reason(asked, reason):
    verdict = right_size(asked, WHOLE, PROFILES)
    assert verdict.profile is None
    assert reason in verdict.reason


def test_a_whole_run_may_be_shorter_than_a_week():
    assert right_size(demand(5, 0.1, seconds=60, is_whole_run=True), WHOLE, PROFILES).profile == PROFILES[0]


@given(st.floats(0.1, 90), st.floats(0, 1), st.sampled_from(PROFILES))
def test_a_proposed_profile_always_holds_the_demand_and_is_smaller(gib, active, current):
    profile = right_size(demand(gib, active), current, PROFILES).profile
    if profile is not None:
        assert profile.memory_bytes > gib * GIB
        assert profile.compute_ratio >= active
        assert (profile.compute_ratio, profile.memory_bytes) < (current.compute_ratio, current.memory_bytes)
