"""Links one by one: bytes without a total beside its parts, packed error rates, versions, links to the CPU."""

from __future__ import annotations

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exporters.test_nvml_readings import Bench, of
from tests.fakes.nvml_abi import FIELD, KIB, installed
from tests.fakes.nvml_profiles import H100, T4
from warpgauge.core.catalog import Tier, device, link
from warpgauge.exporters.collectors.nvml_fields import FieldValue, Unwrapped, superseded, to_readings
from warpgauge.exporters.collectors.nvml_links import bit_error_ratio, link_fields

PER_LINK = [field for field in link_fields(2) if field.metric is device.LINK_TRANSMIT and not field.stands_in]
(SUM,) = [field for field in link_fields(2) if field.metric is device.LINK_TRANSMIT and field.stands_in]
UNSUPPORTED, BUSY = pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_UNKNOWN
COUNTER = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG


@pytest.fixture
def bench(request):
    made = Bench(*getattr(request, "param", (H100,)))
    with installed(made.fake):
        yield made


def answered(*codes):
    """The fields of two links (KiB, then NVLink 5's bytes, link by link), then their sum, with these return codes."""
    fields = (*PER_LINK, SUM)
    return [FieldValue(field, code, 5.0, 64) for field, code in zip(fields, codes, strict=True)]


def labels_of(*codes):
    return [labels for _, labels, _ in to_readings(answered(*codes), Unwrapped(), 0.0)]


def test_each_link_has_a_counter_in_bytes_and_no_total_stands_beside_them(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert {labels for metric, labels in values if metric is device.LINK_TRANSMIT} == {(str(at),) for at in range(18)}
    assert values[device.LINK_TRANSMIT, ("17",)] == 1000 * bench.fake.seconds * KIB
    assert values[device.LINK_RECEIVE, ("0",)] == 2000 * bench.fake.seconds * KIB


def test_a_driver_that_tells_only_the_sum_of_all_links_gets_one_series():
    assert labels_of(UNSUPPORTED, UNSUPPORTED, UNSUPPORTED, UNSUPPORTED, 0) == [("all",)]


@given(st.lists(st.sampled_from([0, UNSUPPORTED, BUSY]), min_size=5, max_size=5))
def test_a_sum_never_stands_beside_its_links_nor_in_for_one_that_is_only_busy(codes):
    found = labels_of(*codes)
    assert len(found) == len(set(found))
    assert found == [("all",)] or ("all",) not in found
    if BUSY in codes[:4]:
        assert ("all",) not in found


def test_of_two_fields_for_one_link_the_second_counts_only_where_the_first_is_missing():
    readings = to_readings(answered(0, UNSUPPORTED, UNSUPPORTED, 0, 0), Unwrapped(), 0.0)
    assert [(labels, value) for _, labels, value in readings] == [(("0",), 5.0 * KIB), (("1",), 5.0)]


def test_what_another_field_makes_needless_is_not_asked_again():
    idle = superseded(answered(0, 0, 0, UNSUPPORTED, 0))
    assert idle == [PER_LINK[1], SUM]
    assert superseded(answered(UNSUPPORTED, UNSUPPORTED, UNSUPPORTED, UNSUPPORTED, 0)) == []


def test_a_second_reading_asks_for_fewer_fields_and_tells_the_same(bench):
    (gpu,) = bench.open()
    first, _ = bench.read(gpu, Tier.NORMAL)
    second, errors = bench.read(gpu, Tier.NORMAL)
    assert (first.keys() - second.keys(), errors) == (set(), [])


@of(T4)
def test_a_board_without_links_has_no_series_of_them(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    assert not [metric for metric, _ in values if metric.name.startswith(("accel_link_", "accel_c2c_"))]


def test_a_link_says_its_version(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.SLOW)
    assert values[link.LINK_INFO, ("3", "4.0")] == 1.0


def test_a_version_that_a_newer_driver_invented_is_none_of_ours(bench):
    bench.fake.gpus[0].fields[FIELD["NVML_FI_DEV_NVLINK_GET_VERSION"]] = (COUNTER, 99)
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.SLOW)
    assert not [metric for metric, _ in values if metric is link.LINK_INFO]


def test_a_bit_error_rate_is_unpacked_from_mantissa_and_exponent():
    assert bit_error_ratio(3 << 8 | 15) == pytest.approx(3e-15, rel=1e-9, abs=0.0)
    assert bit_error_ratio(0) == 0.0


@given(st.integers(0, 0xFFF))
def test_a_bit_error_rate_is_finite_and_never_negative(packed):
    assert 0.0 <= bit_error_ratio(packed) <= 15.0


def test_links_to_the_cpu_are_told_one_by_one(bench):
    fields = bench.fake.gpus[0].fields
    fields[FIELD["NVML_FI_DEV_C2C_LINK_COUNT"]] = (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, 2)
    fields[FIELD["NVML_FI_DEV_C2C_LINK_GET_STATUS"]] = (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, 1)
    fields[FIELD["NVML_FI_DEV_C2C_LINK_GET_MAX_BW"]] = (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, 45000)
    fields[FIELD["NVML_FI_DEV_C2C_LINK_ERROR_REPLAY"]] = (COUNTER, 4)
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.SLOW)
    assert [values[link.C2C_LINK_ACTIVE, (at,)] for at in ("0", "1")] == [1.0, 1.0]
    assert values[link.C2C_LINK_SPEED, ("1",)] == pytest.approx(45e9)
    assert values[link.C2C_LINK_ERRORS, ("0", "replay")] == 4
    assert (link.C2C_LINK_ACTIVE, ("2",)) not in values
