"""What is said once and referred to afterwards: what arrives is what was said, or the child is replaced."""

from __future__ import annotations

import base64
import dataclasses
import struct
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import Tier, device
from warpgauge.core.sample import ReadError, Sample, Samples
from warpgauge.exporters.dictation import Listener, Speaker
from warpgauge.exporters.increments import Increment
from warpgauge.exporters.messages import At, BadMessageError, Done, Gained, Read

numbers = st.floats(allow_nan=False, allow_infinity=False)
BUCKETS = len(device.POWER_DISTRIBUTION.buckets) + 1


def reading(*values, tier=Tier.FAST, errors=()):
    rows = (device.POWER, device.ENERGY, device.POWER_INSTANT)
    samples = tuple(Sample(row, ("GPU-1", "0"), value) for row, value in zip(rows, values, strict=False))
    return Read(0, tier, samples, tuple(errors))


def gain(counts, total, bookmark):
    increments = (Increment(device.POWER_DISTRIBUTION, (), tuple(counts), total),)
    return Gained(0, increments, {"power": tuple(bookmark)})


errors = st.builds(ReadError, st.text(max_size=9), st.text(max_size=9), st.none() | st.text(max_size=9))
readings = st.builds(
    lambda values, tier, errors: reading(*values, tier=tier, errors=errors),
    st.lists(numbers, max_size=3),
    st.sampled_from([Tier.FAST, Tier.NORMAL]),
    st.lists(errors, max_size=2),
)
counts = st.lists(st.integers(0, 2000), min_size=BUCKETS, max_size=BUCKETS)
gains = st.builds(gain, counts, numbers, st.lists(numbers, min_size=2, max_size=2))
others = st.builds(At, st.integers(0, 3), st.just("read")) | st.builds(Done, st.integers(0, 3))


@given(st.lists(readings | gains | others, max_size=12))
def test_what_is_said_is_what_is_heard_however_often_the_series_change(messages):
    speaker, listener = Speaker(), Listener()
    lines = [speaker.encode(message) for message in messages]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert [listener.decode(line) for line in lines] == messages


def test_names_and_labels_are_said_once():
    speaker = Speaker()
    first, second = speaker.encode(reading(1.0, 2.0)), speaker.encode(reading(3.0, 4.0))
    assert b"GPU-1" in first
    assert b"GPU-1" not in second
    assert b"accel" not in second


def test_each_tier_and_each_child_begins_anew():
    speaker = Speaker()
    speaker.encode(reading(1.0))
    assert b"GPU-1" in speaker.encode(reading(1.0, tier=Tier.NORMAL))
    short = speaker.encode(reading(1.0))
    with pytest.raises(BadMessageError):
        Listener().decode(short)


def listening():
    speaker, listener = Speaker(), Listener()
    for message in (reading(1.0, 2.0), gain([0] * BUCKETS, 0.0, (1.0, 2.0))):
        listener.decode(speaker.encode(message))
    return listener


def values(*numbers, position=b"0", tier=b"fast", errors=b"[]"):
    packed = base64.b64encode(struct.pack(f"={len(numbers)}d", *numbers))
    return b'{"say":"values","position":%b,"tier":"%b","errors":%b,"values":"%b"}' % (position, tier, errors, packed)


BOOKMARK = (1.0, 2.0)


def gained(*numbers, places=b"0", position=b"0", fine=b"[]"):
    """Places, what each of them gained, the sum of the one histogram, and two numbers of a bookmark."""
    packed = base64.b64encode(struct.pack(f"={len(numbers)}d", *numbers))
    about = b'"position":%b,"places":%b,"fine":%b' % (position, places, fine)
    return b'{"say":"gains",%b,"numbers":"%b"}' % (about, packed)


def test_gains_go_over_as_numbers():
    speaker, listener = Speaker(), Listener()
    listener.decode(speaker.encode(gain([0] * BUCKETS, 0.0, (1.0, 2.0))))
    said = gain([3, *[0] * (BUCKETS - 1)], 4.5, (5.0, 6.0))
    line = speaker.encode(said)
    assert line == gained(0.0, 3.0, 4.5, 5.0, 6.0, places=b"1") + b"\n"
    heard = listener.decode(line)
    assert heard == said
    assert all(type(count) is int for count in heard.increments[0].counts)


def test_numbers_go_over_as_they_are():
    first, *others = [
        Read(0, Tier.FAST, reading(at, -0.0).samples, ()) for at in (1.0, 0.1, 5e-324, 1.7976931348623157e308)
    ]
    speaker, listener = Speaker(), Listener()
    listener.decode(speaker.encode(first))
    assert speaker.encode(others[0]) == values(0.1, -0.0) + b"\n"
    for said in others:
        heard = listener.decode(speaker.encode(said))
        assert isinstance(heard, Read)
        assert [repr(sample.value) for sample in heard.samples] == [repr(sample.value) for sample in said.samples]


@pytest.mark.parametrize(
    "line",
    [
        values(1.0),
        values(1.0, 2.0, 3.0),
        values(1.0, nan),
        values(inf, -inf),
        values(1.0, 2.0).replace(b"=", b""),
        values(1.0, 2.0).replace(b'"values":"', b'"values":"!'),
        values(1.0, 2.0)[:-12] + b'"}',
        b'{"say":"values","position":0,"tier":"fast","errors":[],"values":[1.0,2.0]}',
        b'{"say":"values","position":0,"tier":"fast","errors":[],"values":null}',
        values(1.0, 2.0, errors=b"[1]"),
        values(1.0, 2.0, tier=b"never"),
        values(1.0, 2.0, position=b"1"),
        values(1.0, 2.0, position=b"[]"),
        values(1.0, 2.0).replace(b'"errors":[],', b""),
        b'{"say":"values",\xff',
        gained(0.0),
        gained(0.0, *BOOKMARK, 3.0),
        gained(0.0, 1.0, 0.0, *BOOKMARK, places=b"2"),
        gained(1.0, places=b"-1"),
        gained(0.0, 1.0, 0.0, *BOOKMARK, places=b"1.0"),
        gained(0.0, 1.0, 0.0, *BOOKMARK, places=b'"1"'),
        gained(0.0, -1.0, 0.0, *BOOKMARK, places=b"1"),
        gained(0.0, 1.5, 0.0, *BOOKMARK, places=b"1"),
        gained(0.5, 1.0, 0.0, *BOOKMARK, places=b"1"),
        gained(-1.0, 1.0, 0.0, *BOOKMARK, places=b"1"),
        gained(float(BUCKETS), 1.0, 0.0, *BOOKMARK, places=b"1"),
        gained(3.0, 3.0, 1.0, 1.0, 0.0, *BOOKMARK, places=b"2"),
        gained(inf, *BOOKMARK),
        gained(0.0, nan, 1.0),
        gained(0.0, *BOOKMARK, fine=b"[[],[]]"),
        gained(0.0, *BOOKMARK, fine=b"[[[0,-1]]]"),
        gained(0.0, *BOOKMARK, fine=b"[[[0,1.5]]]"),
        gained(0.0, *BOOKMARK, fine=b"7"),
        gained(0.0, *BOOKMARK, position=b"1"),
        gained(0.0, *BOOKMARK).replace(b'"fine":[],', b""),
        gained(0.0, *BOOKMARK).replace(b'"places":0,', b""),
        gained(0.0, *BOOKMARK).replace(b'"numbers":"', b'"numbers":"!'),
        b'{"say":"gains","position":0,"places":0,"fine":[],"numbers":[1.0]}',
    ],
)
def test_a_short_line_that_does_not_fit_what_was_said_is_refused(line):
    with pytest.raises(BadMessageError):
        listening().decode(line + b"\n")


def test_a_bookmark_that_has_another_length_is_said_in_full():
    speaker, listener = Speaker(), Listener()
    for bookmark in ({"power": (1.0, 2.0)}, {"power": (1.0,)}, {"compute": (1.0,)}, {"compute": (2.0,)}):
        line = speaker.encode(Gained(0, (), dict(bookmark)))
        assert listener.decode(line) == Gained(0, (), bookmark)
    assert line == gained(2.0) + b"\n"


def test_a_collector_that_goes_on_with_the_same_bookmark_is_understood_all_the_same():
    speaker, listener, bookmark = Speaker(), Listener(), {"power": (1.0, 2.0)}
    listener.decode(speaker.encode(Gained(0, (), bookmark)))
    bookmark["power"] = (1.0, 3.0)
    heard = listener.decode(speaker.encode(Gained(0, (), bookmark)))
    assert isinstance(heard, Gained)
    assert heard.bookmark == {"power": (1.0, 3.0)}


def test_each_place_of_a_bookmark_is_found_by_its_name():
    speaker, listener, bookmark = Speaker(), Listener(), {"power": (1.0, 2.0), "activity": (3.0,), "none": ()}
    for _ in range(2):  # in full, and then in short
        heard = listener.decode(speaker.encode(Gained(0, (), bookmark)))
    assert isinstance(heard, Gained)
    assert dict(heard.bookmark) == bookmark
    with pytest.raises(KeyError):
        heard.bookmark["memory"]


@pytest.mark.parametrize("says_fine", [True, False])
def test_narrow_buckets_are_said_only_where_somebody_wants_them(says_fine):
    speaker, listener = Speaker(), Listener()
    speaker.says_fine = says_fine
    counts = (1, *[0] * (BUCKETS - 1))
    said = Gained(0, (Increment(device.POWER_DISTRIBUTION, (), counts, 2.5, ((8, 1),)),), {})
    for _ in range(2):  # in full, and then in short
        heard = listener.decode(speaker.encode(said))
        assert isinstance(heard, Gained)
        assert [(gain.counts, gain.sum) for gain in heard.increments] == [(counts, 2.5)]
        assert [gain.fine for gain in heard.increments] == [((8, 1),) if says_fine else ()]


def test_samples_in_columns_are_said_as_any_others():
    plain = reading(1.0, 2.0)
    columns = Samples(*zip(*[(it.metric, it.labels, it.value) for it in plain.samples], strict=True))
    for first, second in ((plain.samples, columns), (columns, plain.samples)):
        speaker = Speaker()
        lines = [speaker.encode(Read(0, Tier.FAST, said, ())) for said in (first, second)]
        assert lines[0] == Speaker().encode(plain)
        assert b"GPU-1" in lines[1] or lines[1] == values(1.0, 2.0) + b"\n"


def test_a_line_that_comes_again_and_again_is_known_by_its_bytes():
    speaker, listener = Speaker(), Listener()
    line = speaker.encode(At(3, "read"))
    assert listener.decode(line) is listener.decode(line)
    assert listener.decode(line) == At(3, "read")
    assert dataclasses.is_dataclass(listener.decode(speaker.encode(Done(3))))
