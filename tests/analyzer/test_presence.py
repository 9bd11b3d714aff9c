"""A gap in the telemetry ends no finding: the frame tells where one was, the engine waits until it is out of sight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.detectors.scenes import MAX_HERTZ, add_device
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.bottlenecks.thermal_limited import WINDOW_SECONDS, ThermalLimited
from warpgauge.analyzer.incidents.engine import CLEAR_TICKS, EngineState, analyze
from warpgauge.analyzer.incidents.presence import Presence
from warpgauge.core.finding import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.incidents.engine import Result

WINDOW = round(WINDOW_SECONDS / 10.0)  # columns
GAP = 9  # columns, too long for a detector to look over
HERE = Scope(cluster="test", node="n0", uuid="GPU-2")


class Listener(FrameBuilder):
    """A builder that hears nothing in some columns."""

    def __init__(self, columns: int, silent: slice) -> None:
        super().__init__(columns=columns)
        self.silent = silent

    def _full(self, value: object) -> np.ndarray:
        heard = np.array(super()._full(value))
        heard[self.silent] = np.nan
        return heard


def frame(columns: int, *, silent: slice, hot: slice) -> Frame:
    """Four devices of one job, whose node says nothing in some columns, one of them hot in some; and another node."""
    heat = np.zeros(columns)
    heat[hot] = 1.0
    builder = Listener(columns, silent)
    for index in range(4):
        mine = heat if index == 2 else np.zeros(columns)
        add_device(
            builder,
            "n0",
            f"GPU-{index}",
            index=index,
            sm_hertz=MAX_HERTZ * (1.0 - 0.4 * mine),
            throttled={"sw_thermal": mine},
        )
    builder.job("train", [("n0", f"GPU-{index}") for index in range(4)])
    builder.silent = slice(0)
    add_device(builder, "n1", "GPU-9")
    built = builder.build()
    built.advance(builder.start + columns * builder.step_seconds)  # time goes on in silence too
    return built


def ticks(last: int, *, silent: slice, hot: slice) -> Iterator[tuple[int, Result]]:
    """Column by column, from where the window is full."""
    state = EngineState()
    for columns in range(WINDOW, last):
        now = frame(columns, silent=silent, hot=hot)
        result = analyze(now, state, [ThermalLimited()], has_gap=Presence(now).has_gap)
        state = result.state
        yield columns, result


def test_a_node_that_was_silent_for_a_while_has_a_gap_until_it_is_out_of_the_window():
    silent = slice(40, 40 + GAP)
    found = {
        columns: Presence(frame(columns, silent=silent, hot=slice(0))).has_gap(HERE, WINDOW_SECONDS)
        for columns in (39, 45, 49, 40 + WINDOW, 49 + WINDOW)
    }
    assert found == {39: False, 45: True, 49: True, 40 + WINDOW: True, 49 + WINDOW: False}


def test_what_lies_before_a_nodes_first_word_is_no_gap():
    assert not Presence(frame(60, silent=slice(0, 45), hot=slice(0))).has_gap(HERE, WINDOW_SECONDS)


def test_a_node_that_says_nothing_any_more_has_no_gap_but_an_end():
    assert not Presence(frame(40 + WINDOW, silent=slice(40, None), hot=slice(0))).has_gap(HERE, WINDOW_SECONDS)


@pytest.mark.parametrize(
    ("scope", "has_gap"),
    [
        (Scope(cluster="test", node="n0"), True),
        (Scope(cluster="test", job_id="train"), True),
        (Scope(cluster="test", job_id="over"), False),
        (Scope(cluster="test", node="n7"), False),
        (Scope(cluster="test"), False),
    ],
    ids=["a node", "a job on it", "a job that is over", "another node", "a whole cluster"],
)
def test_the_gap_of_a_node_is_that_of_all_that_stands_on_it(scope: Scope, *, has_gap: bool):
    assert Presence(frame(52, silent=slice(40, 49), hot=slice(0))).has_gap(scope, WINDOW_SECONDS) is has_gap


def test_a_fault_that_goes_on_over_a_gap_is_one_finding_all_the_time():
    found = {
        tuple(finding.id for finding in result.findings)
        for _, result in ticks(95, silent=slice(40, 58), hot=slice(None))
    }
    assert len(found) == 1
    assert len(found.pop()) == 1


def test_a_fault_that_ended_in_a_gap_ends_when_the_gap_is_out_of_the_window():
    silent = slice(40, 58)
    held = [columns for columns, result in ticks(110, silent=silent, hot=slice(0, 45)) if result.findings]
    assert held[-1] >= 58
    assert held[-1] <= 58 + WINDOW + CLEAR_TICKS


def test_a_fault_that_ends_while_its_node_speaks_ends_at_once():
    held = [columns for columns, result in ticks(95, silent=slice(0), hot=slice(0, 45)) if result.findings]
    assert 45 <= held[-1] <= 45 + WINDOW + CLEAR_TICKS
    assert not any(
        result.findings for columns, result in ticks(95, silent=slice(0), hot=slice(0, 45)) if columns > held[-1]
    )


def test_silence_for_good_ends_a_finding_once_the_window_holds_nothing():
    held = [columns for columns, result in ticks(95, silent=slice(45, None), hot=slice(None)) if result.findings]
    assert 45 <= held[-1] <= 45 + WINDOW + 2 + CLEAR_TICKS
