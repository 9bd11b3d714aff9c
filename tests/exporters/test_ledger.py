"""Histograms add up the same, however often somebody looks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import device
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.sample import Histogram
from warpgauge.exporters.increments import Gains, Increment
from warpgauge.exporters.ledger import Ledger

GPU = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100")
ROW = device.POWER_DISTRIBUTION
BUCKETS = len(ROW.buckets) + 1
METRICS, LABELS = [ROW], [()]

counts = st.lists(st.integers(0, 2000), min_size=BUCKETS, max_size=BUCKETS)
fine = st.just(()) | st.just(((8, 1),))
steps = st.lists(st.tuples(counts, st.integers(0, 1000), fine, st.sampled_from(["columns", "others", "rows", "look"])))


def gains(counts, total, fine, kind):
    """The same gain in one of the ways that it may come."""
    if kind == "rows":
        return (Increment(ROW, (), tuple(counts), float(total), fine),)
    columns = (METRICS, LABELS) if kind == "columns" else ([ROW], [()])
    places = [place for place, count in enumerate(counts) if count]
    return Gains(*columns, places, [counts[place] for place in places], [float(total)], [fine] if fine else ())


@given(steps)
def test_gains_in_columns_add_up_to_what_they_do_one_by_one(steps):
    lazy, plain = Ledger(), Ledger()
    for counts, total, fine, kind in steps:
        if kind == "look":
            lazy.samples(GPU)
        lazy.add(GPU.uuid, gains(counts, total, fine, kind))
        plain.add(GPU.uuid, gains(counts, total, fine, "rows"))
    assert lazy.samples(GPU) == plain.samples(GPU)


def test_what_was_gained_is_added_to_what_there_was():
    ledger = Ledger()
    for milliseconds, joules in ((5, 2.0), (7, 1.0)):
        ledger.add(GPU.uuid, (Increment(ROW, (), (milliseconds,) * BUCKETS, joules, ((8, milliseconds),)),))
    (sample,) = ledger.samples(GPU)
    assert sample.value == Histogram(tuple(12 * place for place in range(1, BUCKETS + 1)), 3.0, ((8, 12),))
