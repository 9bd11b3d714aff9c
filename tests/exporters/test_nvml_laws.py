"""Laws of what the nvml collector says, whatever the driver answers; and its tables against the binding's own text."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exporters.test_nvml_readings import Bench
from tests.fakes.nvml_abi import installed
from tests.fakes.nvml_profiles import PROFILES
from warpgauge.core.catalog import Kind, Tier, Unit, device
from warpgauge.exporters.collectors.nvml_fields import FIELDS, FieldValue, Unwrapped, to_readings
from warpgauge.exporters.collectors.nvml_getters import GETTERS
from warpgauge.exporters.collectors.nvml_links import c2c_fields, link_fields

WRAPPING = next(field for field in FIELDS if field.wraps)
SOURCE = Path(inspect.getfile(pynvml)).read_text(encoding="utf-8")


@given(
    utilization=st.integers(0, 130),
    gpm=st.floats(-5, 130) | st.just(float("nan")),
    profile=st.sampled_from(sorted(PROFILES)),
)
def test_ratios_stay_between_0_and_1(utilization, gpm, profile):
    bench = Bench(PROFILES[profile])
    bench.fake.gpus[0].utilization, bench.fake.gpus[0].gpm_percent = utilization, gpm
    for part in filter(None, bench.fake.gpus[0].parts):
        part.gpm_percent = gpm
    with installed(bench.fake):
        (gpu,) = bench.open()
        bench.read(gpu)
        bench.pass_time()
        values, _ = bench.read(gpu)
    ratios = [
        value for (metric, _), value in values.items() if metric.unit is Unit.RATIO and metric is not device.FAN_SPEED
    ]
    assert ratios or profile.endswith("-mig")  # where GPM alone tells any, and an A100 has none
    assert all(0.0 <= ratio <= 1.0 for ratio in ratios)


@given(seconds=st.lists(st.floats(0.2, 500), min_size=1, max_size=5))
def test_counters_never_fall(seconds):
    bench = Bench(PROFILES["h100"])
    with installed(bench.fake):
        (gpu,) = bench.open()
        before, _ = bench.read(gpu)
        for wait in seconds:
            bench.pass_time(wait)
            after, _ = bench.read(gpu)
            counters = {key: value for key, value in after.items() if key[0].kind is Kind.COUNTER}
            assert counters
            assert all(value >= before[key] for key, value in counters.items())
            before = after


@given(start=st.integers(0, 2**32 - 1), steps=st.lists(st.integers(0, 10**9), max_size=20))
def test_a_counter_that_wraps_at_32_bits_runs_on(start, steps):
    counters, raw, total = Unwrapped(), start, float(start)
    counters.advance(FieldValue(WRAPPING, 0, float(start), 32), 0.0)
    for second, step in enumerate(steps, 1):
        raw, total = (raw + step) % 2**32, total + step
        assert counters.advance(FieldValue(WRAPPING, 0, float(raw), 32), float(second)) == total


@given(steps=st.lists(st.integers(0, 2**31), min_size=2, max_size=10), cut=st.integers(0, 9))
def test_a_wrapping_counter_runs_on_in_the_next_process(steps, cut):
    counters, raw, total = Unwrapped(), 0, 0.0
    counters.advance(FieldValue(WRAPPING, 0, 0.0, 32), 0.0)
    for second, step in enumerate(steps, 1):
        if second == cut:
            counters = Unwrapped({**counters.bookmark, "power": (1, 2)})
        raw, total = (raw + step) % 2**32, total + step
        assert counters.advance(FieldValue(WRAPPING, 0, float(raw), 32), float(second)) == total
    assert "power" not in counters.bookmark


def test_a_64_bit_counter_that_falls_was_reset_and_starts_again():
    counters = Unwrapped()
    counters.advance(FieldValue(WRAPPING, 0, 5e12, 64), 0.0)
    assert counters.advance(FieldValue(WRAPPING, 0, 7.0, 64), 1.0) == 7.0


def test_a_field_that_failed_gives_no_reading():
    failed = [FieldValue(field, pynvml.NVML_ERROR_NOT_SUPPORTED, 0.0, 64) for field in FIELDS]
    assert list(to_readings(failed, Unwrapped(), 0.0)) == []


def test_a_memory_temperature_of_zero_is_no_temperature():
    field = next(field for field in FIELDS if field.zero_is_absent)
    assert list(to_readings([FieldValue(field, 0, 0.0, 64)], Unwrapped(), 0.0)) == []


@pytest.mark.parametrize(
    ("metric", "words", "factor"),
    [
        (device.ENERGY, "in mJ", 1e-3),
    ],
)
def test_a_fields_factor_fits_the_unit_that_the_binding_states(metric, words, factor):
    (field,) = [field for field in FIELDS if field.metric is metric]
    (line,) = re.findall(rf"^NVML_FI_DEV_\w+ *= {field.id} .*$", SOURCE, flags=re.MULTILINE)
    assert words in line
    assert field.factor == factor


def test_no_field_is_in_two_places():
    ids = [(field.id, field.scope) for field in (*FIELDS, *link_fields(18), *c2c_fields(10))]
    assert len(ids) == len(set(ids))


def test_no_field_id_is_written_by_hand():
    source = Path(inspect.getfile(to_readings)).read_text(encoding="utf-8")
    assert not re.findall(r"id=\d", source)


def test_every_getter_names_a_function_that_the_binding_has():
    assert [getter.function for getter in GETTERS if not hasattr(pynvml, getter.function)] == []


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_every_reading_belongs_to_the_tier_it_was_read_in(profile):
    bench = Bench(PROFILES[profile])
    with installed(bench.fake):
        (gpu,) = bench.open()
        for tier in (Tier.FAST, Tier.NORMAL, Tier.SLOW):
            samples, _ = bench.collector.read(tier, gpu)
            assert {tier_of(sample) for sample in samples} == {tier}


def tier_of(sample):
    """The metric's, but for the fixed-function engines."""
    is_engine = sample.metric is device.UTILIZATION and sample.labels[-1] != "compute"
    return Tier.NORMAL if is_engine else sample.metric.tier
