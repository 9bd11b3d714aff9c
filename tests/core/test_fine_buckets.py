"""Narrow buckets: a value lies within the bounds of its bucket, whatever it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.fine_buckets import HIGHEST, LOWEST, ZERO, bucket_of, summed


@given(st.floats(1e-5, 9e5))
def test_a_value_lies_within_the_bounds_of_its_bucket(value):
    bucket = bucket_of(value)
    assert LOWEST <= bucket <= HIGHEST
    assert 2.0 ** ((bucket - 1) / 8) * (1 - 1e-12) < value <= 2.0 ** (bucket / 8) * (1 + 1e-12)


@given(st.integers(-16, 16))
def test_a_bound_belongs_to_the_bucket_below_it(power):
    assert bucket_of(2.0**power) == 8 * power


def test_what_is_next_to_nothing_counts_as_zero_and_what_is_too_much_as_the_most():
    assert [bucket_of(value) for value in (0.0, -1.0, 1e-9, 1e12)] == [ZERO, ZERO, ZERO, HIGHEST]


def test_counts_add_up():
    assert summed({1: 2, 3: 4}, [(3, 1), (5, 7)]) == {1: 2, 3: 5, 5: 7}
