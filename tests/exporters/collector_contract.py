"""What every collector promises, whatever it reads: each collector's test file runs these claims over its double."""

from __future__ import annotations

import pytest

from warpgauge.core.catalog import ALL, Kind, Tier
from warpgauge.core.sample import Histogram, Unavailable
from warpgauge.exporters.collectors import COLLECTORS
from warpgauge.exporters.collectors.collector import DeviceRefusedError

TIERS = (Tier.FAST, Tier.NORMAL, Tier.SLOW)


def holds(collector, *, is_gone=lambda: None, speaks_of_others=False) -> None:
    """The four verbs; `is_gone` takes away what it reads from, after which it must neither raise nor invent values.

    One that `speaks_of_others` tells of devices that are another collector's.
    """
    assert COLLECTORS[collector.name].isolated is collector.isolated
    assert collector.check() is None
    devices = list(collector.devices())
    assert len({device.uuid for device in devices}) == len(devices)
    assert [device.index for device in devices] == list(range(len(devices)))
    for owner in [*devices, None]:
        for tier in TIERS:
            _samples_are_sound(collector, tier, owner, speaks_of_others=speaks_of_others)
    is_gone()
    for owner in [*devices, None]:
        for tier in TIERS:
            samples, errors = collector.read(tier, owner)
            assert not any(error.reason == "internal" for error in errors)
            assert all(sample.metric in ALL for sample in samples)
    collector.close()
    collector.close()  # twice does no harm


def refuses_what_is_not_there(collector, position: int) -> None:
    """Only for isolated collectors: a position without a device is one device's refusal, not a failure of all."""
    with pytest.raises(DeviceRefusedError) as refused:
        collector.identify(position)
    assert refused.value.reason


def _samples_are_sound(collector, tier, owner, *, speaks_of_others) -> None:
    samples, errors = collector.read(tier, owner)
    keys = [(sample.metric, sample.labels) for sample in samples]
    assert len(set(keys)) == len(keys), "a series stands twice"
    for sample in samples:
        assert sample.metric in ALL
        sample.metric.label_names(sample.labels)  # raises on a wrong number of labels
        if owner is not None:
            assert sample.labels[:2] == owner.labels
        else:
            assert speaks_of_others or sample.device is None
        _value_is_sound(sample)
    assert all(error.reason.replace("_", "").isalpha() for error in errors)


def _value_is_sound(sample) -> None:
    value, metric = sample.value, sample.metric
    if isinstance(value, Unavailable):
        assert value.reason
    elif isinstance(value, Histogram):
        assert metric.kind is Kind.HISTOGRAM
        assert len(value.counts) == len(metric.buckets) + 1
        assert list(value.counts) == sorted(value.counts)
    else:
        assert isinstance(value, float)
        if metric.unit.value in {"ratio", "bytes"}:
            assert value >= 0
