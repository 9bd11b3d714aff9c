"""Samples in columns are the same sequence as samples one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import device
from warpgauge.core.sample import Sample, Samples

ROWS = (device.POWER, device.ENERGY, device.POWER_INSTANT)
plain = st.lists(
    st.builds(
        Sample, st.sampled_from(ROWS), st.sampled_from([("GPU-1", "0"), ("GPU-2", "1")]), st.floats(allow_nan=False)
    )
)


def in_columns(samples):
    return Samples(*[[getattr(sample, name) for sample in samples] for name in ("metric", "labels", "value")])


@given(plain, plain)
def test_columns_are_equal_to_the_samples_in_them_and_to_no_others(samples, others):
    columns = in_columns(samples)
    assert columns == samples
    assert columns == tuple(samples)
    assert (columns == others) == (samples == others)
    assert len(columns) == len(samples)
    assert bool(columns) == bool(samples)
    assert list(reversed(columns)) == samples[::-1]


@given(plain.filter(bool))
def test_each_can_be_looked_at_by_its_place(samples):
    columns = in_columns(samples)
    assert columns[-1] == samples[-1]
    assert columns[1:] == tuple(samples[1:])
    assert samples[0] in columns
