"""Distributions between child, parent and page: what is refused, what stays, and what goes on after a child's death."""

from __future__ import annotations

import asyncio
import json
import subprocess

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.exporters.test_agent_messages import OPEN, Scripted, told
from tests.exporters.test_agent_pages import GPU, OTHER, Desk
from tests.fakes.running_agent import python_fake, running
from warpgauge.core.catalog import ALL, Kind, device, own
from warpgauge.core.catalog.device import DEVICE
from warpgauge.core.clock import SystemClock
from warpgauge.core.device import DeviceState
from warpgauge.exporters.increments import Increment
from warpgauge.exporters.messages import BadMessageError, Done, Found, Gained, Read, decode, encode

POWER = device.POWER_DISTRIBUTION
BUCKETS = len(POWER.buckets) + 1
ROWS = [row for row in ALL if row.kind is Kind.HISTOGRAM and row.labels[: len(DEVICE)] == DEVICE]

increments = st.sampled_from(ROWS).flatmap(
    lambda row: st.builds(
        Increment,
        st.just(row),
        st.tuples(*[st.text(max_size=5)] * (len(row.labels) - len(DEVICE))),
        st.tuples(*[st.integers(0, 10**9)] * (len(row.buckets) + 1)),
        st.floats(allow_nan=False, allow_infinity=False),
    )
)
bookmarks = st.dictionaries(
    st.text(max_size=9),
    st.lists(st.integers(0, 2**60) | st.floats(allow_nan=False, allow_infinity=False), max_size=3).map(tuple),
    max_size=3,
)


def gain(*counts, total=1.0, metric=POWER, labels=()):
    return Increment(metric, labels, (*counts, *[0] * (len(metric.buckets) + 1 - len(counts))), total)


def counts_of(text, index="0"):
    """Cumulative counts of the power distribution of one device."""
    return [
        sample.value
        for family in parse_text(text)
        for sample in family.samples
        if sample.name == f"{POWER.name}_bucket" and sample.labels["index"] == index
    ]


@given(st.builds(Gained, st.integers(0, 99), st.lists(increments, max_size=3).map(tuple), bookmarks))
def test_what_was_gained_arrives_as_it_was_said(message):
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "row",
    [
        ["no_such_metric", [], [0] * BUCKETS, 1.0],
        [device.POWER.name, [], [0] * BUCKETS, 1.0],
        [own.CALL_SECONDS.name, [], [0] * (len(own.CALL_SECONDS.buckets) + 1), 1.0],
        [POWER.name, ["GPU-1", "0"], [0] * BUCKETS, 1.0],
        [device.UTILIZATION_DISTRIBUTION.name, [1], [0] * (len(device.UTILIZATION_DISTRIBUTION.buckets) + 1), 1.0],
        [POWER.name, [], [0] * (BUCKETS - 1), 1.0],
        [POWER.name, [], [-1, *[0] * (BUCKETS - 1)], 1.0],
        [POWER.name, [], [0.5, *[0] * (BUCKETS - 1)], 1.0],
        [POWER.name, [], [True, *[0] * (BUCKETS - 1)], 1.0],
        [POWER.name, [], [0] * BUCKETS, float("nan")],
        [POWER.name, [], [0] * BUCKETS, "1"],
    ],
)
def test_a_gain_that_is_none_is_refused(row):
    body = {"say": "gained", "position": 0, "increments": [row], "bookmark": {}}
    with pytest.raises(BadMessageError):
        decode(json.dumps(body).encode())


@pytest.mark.parametrize("bookmark", [{"power": ["1"]}, {"power": [float("inf")]}, {"power": 1}, ["power"], None])
def test_a_bookmark_that_is_none_is_refused(bookmark):
    body = {"say": "gained", "position": 0, "increments": [], "bookmark": bookmark}
    with pytest.raises(BadMessageError):
        decode(json.dumps(body).encode())


def test_gains_add_up_on_the_page():
    desk = Desk()
    desk.readings.add("nvml", GPU, [gain(3, 4, total=20.0)])
    desk.readings.add("nvml", GPU, [gain(1, 0, 5, total=30.0)])
    assert counts_of(desk.text())[:4] == [4, 8, 13, 13]
    assert f'{POWER.name}_sum{{index="0",uuid="GPU-1"}} 50.0\n' in desk.text()


def test_a_lost_device_loses_its_series_and_goes_on_from_its_counts_when_it_returns():
    desk = Desk()
    for gpu in (GPU, OTHER):
        desk.say(gpu)
        desk.readings.add("nvml", gpu, [gain(7)])
    desk.readings.mark(GPU.uuid, DeviceState.LOST)
    assert counts_of(desk.text()) == []
    assert counts_of(desk.text(), OTHER.labels[1])[-1] == 7
    desk.readings.add("nvml", GPU, [gain(2)])
    assert counts_of(desk.text())[-1] == 9


def test_promtool_has_no_complaint_about_a_distribution(promtool):
    desk = Desk()
    desk.readings.add(
        "nvml", GPU, [gain(3, 4), gain(1, 2, metric=device.UTILIZATION_DISTRIBUTION, labels=("compute",))]
    )
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=desk.text(), text=True, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


class Counting(Scripted):
    """A collector whose histograms gain a millisecond with each reading."""

    def __init__(self):
        super().__init__()
        self.bookmarks = None
        self.read_count = 0

    def resume(self, bookmarks):
        self.bookmarks = bookmarks

    def gained(self, gpu):  # noqa: ARG002 - the signature of `Accumulating`
        self.read_count += 1
        return [gain(1)], {"power": (self.read_count,)}


def test_the_child_goes_on_at_the_bookmarks_it_is_given():
    collector = Counting()
    told(collector, {**OPEN, "bookmarks": {"GPU-0": {"power": [17, 18]}}})
    assert collector.bookmarks == {"GPU-0": {"power": [17, 18]}}


def test_gains_are_said_between_the_name_and_the_readings():
    said = [one for one in told(Counting(), OPEN) if getattr(one, "position", None) == 0]
    order = [type(one) for one in said if isinstance(one, Found | Gained | Read | Done)]
    assert order == [Found, Gained, Read, Read, Read, Done]


def main_child(before):
    """The process that reads, if it is none of those before."""
    return next((child for child in psutil.Process().children() if child.pid not in before), None)


@pytest.mark.slow
def test_distributions_go_on_when_the_child_was_killed(tmp_path):
    now = SystemClock().monotonic

    async def kill_the_child(agent, killed):
        await agent.until(lambda: main_child(killed) is not None)
        child = main_child(killed)
        killed.add(child.pid)
        child.kill()

    async def story():
        killed = {child.pid for child in psutil.Process().children()}
        async with running(python_fake(tmp_path / "faults", "h100", "a100"), tmp_path / "faults") as agent:
            await agent.until(lambda: len(power(agent)) == 2 and min(power(agent).values()) > 500)
            seen, begun = power(agent), now()
            for _ in range(4):  # each waits longer for the next one: what they all miss is seconds
                await kill_the_child(agent, killed)
            await agent.until(lambda: power(agent).keys() == seen.keys() and power(agent) != seen)
            assert now() - begun > 1.0
            await agent.until(lambda: min(power(agent)[labels] - seen[labels] for labels in seen) > 3000)
            passed = (now() - begun) * 1000
            for labels, before in seen.items():
                assert power(agent)[labels] - before == pytest.approx(passed, abs=1000)

    def power(agent):
        return agent.values(f"{POWER.name}_count")

    asyncio.run(story())
