"""A recording whose lines are well formed and whose content is nonsense: a replay says less, and never breaks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.nvml_abi import FakeNvml
from tests.fakes.nvml_profiles import H100, T4
from tests.fakes.recorded import record_on
from warpgauge.core.exposition import parse
from warpgauge.exporters.recording import Playback
from warpgauge.exporters.recording.lines import Call


@pytest.fixture(scope="module")
def recording():
    return record_on(FakeNvml([H100, T4]), seconds=1.5).recording


def damaged(entry, noise):
    if not isinstance(entry, Call) or not entry.outputs:
        return entry
    place = min(entry.outputs)
    size = entry.arguments[place].size
    return replace(entry, outputs={**entry.outputs, place: noise[:size]})


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_a_replay_of_nonsense_gives_a_page_that_parses(recording, data):
    entries = list(recording.entries)
    places = st.integers(0, len(entries) - 2)
    for place in data.draw(st.lists(places, max_size=30)):
        entries[place] = damaged(entries[place], data.draw(st.binary(max_size=64)))
    for place in sorted(data.draw(st.sets(places, max_size=30)), reverse=True):
        del entries[place]
    playback = Playback(replace(recording, entries=tuple(entries)))
    playback.run()
    assert list(parse(playback.page().decode(), place="page"))


def test_a_count_beyond_all_reason_costs_its_own_call_only(recording):
    huge = [
        replace(entry, outputs={**entry.outputs, 4: b"\xff\xff\xff\x0f"})
        if isinstance(entry, Call) and entry.function == "nvmlDeviceGetSamples" and 4 in entry.outputs
        else entry
        for entry in recording.entries
    ]
    playback = Playback(replace(recording, entries=tuple(huge)))
    playback.run()
    names = {line.name for line in parse(playback.page().decode(), place="page")}
    assert "accel_power_watts" in names
    assert "accel_sample_period_seconds" not in names
