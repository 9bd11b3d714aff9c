"""What supervisor and child say to each other."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import ALL, Kind, Tier, device, own, runtime
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.sample import Histogram, ReadError, Sample, Unavailable
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.child import Child
from warpgauge.exporters.collectors.collector import DeviceRefusedError, DriverError
from warpgauge.exporters.dictation import Listener, Speaker
from warpgauge.exporters.messages import (
    COMMON,
    Absent,
    At,
    BadMessageError,
    Calls,
    Done,
    Failed,
    Found,
    Holding,
    Positions,
    Read,
    Refused,
    Took,
    decode,
    encode,
)

GPU = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100", numa_node=1)
positions = st.integers(0, 100)
samples = st.sampled_from([row for row in ALL if row.kind is not Kind.HISTOGRAM]).flatmap(
    lambda row: st.builds(
        Sample,
        st.just(row),
        st.tuples(*[st.text(max_size=5)] * len(row.labels)) | st.tuples(*[st.text(max_size=5)] * len(row.every_label)),
        st.floats(allow_nan=False, allow_infinity=False),
    )
)
errors = st.builds(ReadError, st.text(max_size=9), st.text(max_size=9), st.none() | st.text(max_size=9))
counts = st.lists(st.integers(0, 9), min_size=13, max_size=13)
messages = st.one_of(
    st.builds(At, positions, st.sampled_from(["open", "identify", "read"])),
    st.builds(Positions, st.lists(positions, max_size=5).map(tuple)),
    st.builds(Found, positions, st.just(GPU)),
    st.builds(Refused, positions, st.text(max_size=9), st.text(max_size=9)),
    st.builds(
        Read,
        positions,
        st.sampled_from(Tier),
        st.lists(samples, max_size=4).map(tuple),
        st.lists(errors, max_size=2).map(tuple),
    ),
    st.builds(
        Holding,
        positions,
        st.none() | st.lists(st.tuples(st.integers(1, 1 << 22), st.text(max_size=3)), max_size=4).map(tuple),
    ),
    st.builds(Done, positions),
    st.builds(Calls, st.dictionaries(st.text(max_size=9), st.tuples(counts, st.floats(0, 9)), max_size=3)),
    st.builds(Took, st.floats(0, 9)),
    st.builds(Absent, st.text(max_size=9)),
    st.builds(Failed, st.text(max_size=9), st.text(max_size=9)),
)


@given(messages)
def test_what_is_said_is_what_is_heard(message):
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda body: json.dumps(body).encode())
)
def test_any_other_line_is_refused_and_nothing_else_is_raised(line):
    with pytest.raises(BadMessageError):
        decode(line)


@pytest.mark.parametrize(
    "row",
    [
        ["no_such_metric", [], 1.0],
        [device.POWER.name, ["GPU-1"], 1.0],
        [device.POWER.name, ["GPU-1", "0"], float("nan")],
        [device.POWER.name, ["GPU-1", "0"], "1"],
        [own.CALL_SECONDS.name, ["nvml", "x"], 1.0],
    ],
)
def test_a_sample_that_is_none_is_refused(row):
    line = json.dumps({"say": "read", "position": 0, "tier": "fast", "samples": [row], "errors": []}).encode()
    with pytest.raises(BadMessageError):
        decode(line)


@pytest.mark.parametrize("holders", [[[0, ""]], [[-4, ""]], [["x", ""]], [[7, "i" * 41]], [[7]], [[7, ""]] * 1025])
def test_a_list_of_holders_that_cannot_be_is_refused(holders):
    with pytest.raises(BadMessageError):
        decode(json.dumps({"say": "holding", "position": 0, "holders": holders}).encode())


class Scripted:
    """A collector that does what a test wants."""

    name = "scripted"
    isolated = True

    def __init__(self, *, why=None, refuse=(), broken=False):
        self.calls = CallTimes()
        self.closed = False
        self._why, self._refuse, self._broken = why, refuse, broken

    def check(self):
        if self._broken:
            raise DriverError("library_mismatch", "versions differ")  # noqa: EM101 - a word for a label, not a message
        return self._why

    def positions(self):
        return (0, 1)

    def devices(self):
        return ()

    def identify(self, position):
        if position in self._refuse:
            raise DeviceRefusedError("lost", "gone")  # noqa: EM101 - as above
        return Device(uuid=f"GPU-{position}", index=position, kind=DeviceKind.GPU, vendor="v", model="m")

    def read(self, tier, gpu):
        if gpu is None:
            return [], []
        if tier is Tier.SLOW and gpu.index == 1:
            raise ZeroDivisionError
        return [Sample(device.POWER, gpu.labels, 1.0)], []

    def close(self):
        self.closed = True


def told(collector, *commands):
    """Everything the child says when it is given these commands."""
    out = io.BytesIO()
    child = Child(collector, out)
    child.obey(json.dumps(command).encode() for command in commands)
    assert child._rounds.wait(5.0)
    child.leave()
    listener = Listener()
    return [listener.decode(line) for line in out.getvalue().splitlines()]


OPEN = {"do": "open", "only": None, "skip": []}


def test_a_device_is_named_before_it_is_touched():
    said = told(Scripted(), OPEN)
    for position in (0, 1):
        about = [message for message in said if getattr(message, "position", None) == position]
        assert about[0] == At(position, "identify")
        assert about.index(At(position, "read")) < next(i for i, one in enumerate(about) if isinstance(one, Read))
        assert about[-1] == Done(position)


class Pipe(io.BytesIO):
    """What the supervisor could have read so far: what was flushed."""

    sent = b""

    def flush(self):
        self.sent = self.getvalue()


def test_the_name_of_a_device_and_all_that_was_said_before_are_out_when_it_is_touched():
    pipe, seen = Pipe(), []

    class Watched(Scripted):
        def read(self, tier, device):
            seen.append((device, pipe.sent))
            return super().read(tier, device)

    child = Child(Watched(), pipe)
    child.obey(json.dumps(command).encode() for command in (OPEN, {"do": "read", "tiers": ["fast"]}))
    assert child._rounds.wait(5.0)
    touched = [(at.index, sent) for at, sent in seen if at is not None]
    assert len(touched) == 8
    assert all(sent.endswith(encode(At(position, "read"))) for position, sent in touched)
    assert pipe.sent == pipe.getvalue()


def test_settings_hold_until_others_are_told():
    heard = []

    class Adjusted(Scripted):
        def adjust(self, settings):
            heard.append(settings)

    read = {"do": "read", "tiers": ["fast"]}
    told(Adjusted(), {**OPEN, "settings": {"gpm": True}}, read, {**read, "settings": {"gpm": False}}, read)
    assert heard == [{"gpm": True}, {"gpm": False}]


def test_opening_reads_every_tier_once():
    said = told(Scripted(), OPEN)
    assert [one.tier for one in said if isinstance(one, Read) and one.position == 0] == [
        Tier.FAST,
        Tier.NORMAL,
        Tier.SLOW,
    ]


def test_a_skipped_device_is_not_touched_and_neither_is_one_outside_only():
    for command in ({**OPEN, "skip": [1]}, {**OPEN, "only": [0]}):
        said = told(Scripted(), command)
        assert 1 not in {message.position for message in said if hasattr(message, "position")}


def test_a_refused_device_leaves_the_others():
    said = told(Scripted(refuse={0}), OPEN, {"do": "read", "tiers": ["fast"]})
    assert Refused(0, "lost", "gone") in said
    assert len([one for one in said if isinstance(one, Read) and one.position == 1]) == 4


def test_a_mistake_in_one_reading_costs_that_reading_only():
    said = told(Scripted(), OPEN)
    (slow,) = [one for one in said if isinstance(one, Read) and one.position == 1 and one.tier is Tier.SLOW]
    assert [error.reason for error in slow.errors] == ["internal"]
    assert Done(1) in said


def test_absent_devices_end_the_child():
    said = told(Scripted(why="no library"), OPEN, {"do": "read", "tiers": ["fast"]})
    assert said == [At(COMMON, "open"), Absent("no library")]


def test_a_driver_that_cannot_be_opened_ends_the_child_with_the_reason():
    assert told(Scripted(broken=True), OPEN)[-1] == Failed("library_mismatch", "versions differ")


def test_driver_calls_are_reported_with_the_normal_tier():
    collector = Scripted()
    collector.calls.add("f", 0.5)
    said = told(collector, OPEN, {"do": "read", "tiers": ["fast"]}, {"do": "read", "tiers": ["fast", "normal"]})
    assert len([one for one in said if isinstance(one, Calls)]) == 1


def test_leaving_gives_the_devices_back():
    collector = Scripted()
    told(collector, OPEN)
    assert collector.closed


def test_no_command_means_no_word():
    assert told(Scripted()) == []


SECONDS = Sample(runtime.PROGRAM_SECONDS, ("u", "0"), Histogram(tuple(range(13)), 4.5))


def test_a_histogram_of_a_runtime_comes_through_and_a_missing_value_does_not():
    missing = Sample(device.ENERGY, ("u", "0"), Unavailable("it lies"))
    said = decode(encode(Read(0, Tier.NORMAL, (SECONDS, missing), ())))
    assert said == Read(0, Tier.NORMAL, (SECONDS,), ())


@pytest.mark.parametrize("counts", [[1] * 12, [2, 1, *[3] * 11], [-1] * 13, [0.5] * 13, ["1"] * 13, [True] * 13])
def test_counts_that_make_no_sense_are_refused(counts):
    line = {"say": "read", "position": 0, "tier": "normal", "errors": []}
    line["samples"] = [[runtime.PROGRAM_SECONDS.name, ["u", "0"], [counts, 1.0]]]
    with pytest.raises(BadMessageError):
        decode(json.dumps(line).encode())


def test_histograms_and_missing_values_are_said_in_full_each_time_and_numbers_after_them_too():
    speaker, listener = Speaker(), Listener()
    number = Sample(device.POWER, ("u", "0"), 350.0)
    missing = Sample(device.ENERGY, ("u", "0"), Unavailable("it lies"))
    for said in [(number, SECONDS), (number, SECONDS), (number, missing), (number,), (number,)]:
        heard = listener.decode(speaker.encode(Read(0, Tier.NORMAL, said, ())))
        assert heard.samples == tuple(sample for sample in said if sample is not missing)
