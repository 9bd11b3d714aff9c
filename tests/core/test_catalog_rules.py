"""The catalog: a row that breaks a naming rule cannot be written."""

from __future__ import annotations

import re

import pytest

from warpgauge.core.catalog import ALL, BY_NAME, Family, Kind, Metric, Tier, Unit, device, runtime


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"name": "gpu_power_watts"}, "needs a known prefix and lower snake case"),
        ({"name": "accel_Power_watts"}, "needs a known prefix and lower snake case"),
        ({"name": "accel_power-watts"}, "needs a known prefix and lower snake case"),
        ({"name": "accel_power_watts_total"}, "_total belongs on counters and only there"),
        ({"kind": Kind.COUNTER}, "_total belongs on counters and only there"),
        ({"name": "accel_power"}, "must carry its unit 'watts' in the name"),
        ({"help": "Board power"}, "help is a sentence with a full stop"),
        ({"labels": ("UUID",)}, "labels are lower snake case"),
        ({"labels": ("gpu-id",)}, "labels are lower snake case"),
        ({"labels": ("instance",)}, "job, instance, le and quantile are not ours to set"),
        ({"labels": ("le",)}, "job, instance, le and quantile are not ours to set"),
        ({"labels": ("uuid", "uuid")}, "labels must differ"),
        ({"kind": Kind.STATE}, "a state lists its states, others have none"),
        ({"states": ("ok",)}, "a state lists its states, others have none"),
        ({"kind": Kind.HISTOGRAM}, "a histogram has buckets, others have none"),
        ({"buckets": (1.0,)}, "a histogram has buckets, others have none"),
        ({"kind": Kind.HISTOGRAM, "buckets": (2.0, 1.0)}, "buckets must rise"),
        ({"kind": Kind.HISTOGRAM, "buckets": (1.0, 1.0)}, "buckets must rise"),
        ({"kind": Kind.INFO}, "an info metric ends in _info"),
        ({"kind": Kind.HISTOGRAM, "buckets": (1.0,), "by_instance": True}, "no histogram is kept per instance"),
    ],
)
def test_a_row_that_breaks_a_rule_is_refused_with_the_rule(columns, rule):
    row = {"name": "accel_power_watts", "kind": Kind.GAUGE, "unit": Unit.WATTS, "help": "Board power."} | columns
    with pytest.raises(ValueError, match=re.escape(f"catalog row {row['name']!r}: {rule}")):
        Metric(**row)


def test_a_row_that_keeps_the_rules_is_accepted():
    assert Metric("accel_power_watts", Kind.GAUGE, Unit.WATTS, "Board power.", labels=("uuid",)).labels == ("uuid",)


def test_only_a_row_by_instance_takes_one_more_label_and_its_name_is_the_last():
    assert device.MEMORY_USED.label_names(("GPU-1", "0")) == ("uuid", "index")
    assert device.MEMORY_USED.label_names(("GPU-1", "0", "5")) == ("uuid", "index", "instance_id")
    for metric, values in ((device.MEMORY_USED, ("GPU-1",)), (device.POWER, ("GPU-1", "0", "5"))):
        with pytest.raises(ValueError, match="has labels"):
            metric.label_names(values)


def test_no_name_stands_twice():
    assert len(BY_NAME) == len(ALL)


def test_no_two_rows_share_their_family_name_in_openmetrics():
    names = [metric.name.removesuffix("_total").removesuffix("_info") for metric in ALL]
    assert sorted(names) == sorted(set(names))


def test_every_device_row_is_identified_by_uuid_and_index():
    others = {device.DRIVER_INFO, device.WORKLOAD_INFO, device.SXID_EVENTS, runtime.TRANSFER_SECONDS}
    rows = [metric for metric in ALL if metric.family is Family.DEVICE and metric not in others]
    assert rows
    for metric in rows:
        assert metric.labels[:2] == device.DEVICE


def test_every_ratio_says_so_and_no_name_says_percent():
    for metric in ALL:
        assert (metric.unit is Unit.RATIO) == metric.name.removesuffix("_total").removesuffix("_distribution").endswith(
            "_ratio"
        ), metric.name
        assert "percent" not in metric.name


def test_every_unit_has_its_ucum_code():
    assert {unit: bool(unit.ucum) for unit in Unit} == dict.fromkeys(Unit, True)


def test_only_counters_and_histograms_are_cumulative():
    assert {metric.kind for metric in ALL if metric.is_cumulative} == {Kind.COUNTER, Kind.HISTOGRAM}


def test_rows_on_demand_belong_to_no_page():
    assert all(metric.tier in Tier for metric in ALL)


def test_equal_rows_have_equal_hashes():
    twin = Metric(device.POWER.name, Kind.GAUGE, Unit.WATTS, "Another sentence.")
    assert hash(twin) == hash(device.POWER)
    assert twin != device.POWER
