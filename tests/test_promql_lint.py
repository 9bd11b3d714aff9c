"""The lint itself: each rule speaks when it must and is silent when it must."""

from __future__ import annotations

import pytest

from tests.promql_lint import Lint
from warpgauge.core.catalog.device import WORKLOAD_INFO
from warpgauge.core.promql import TARGET_LABELS

LINT = Lint({"node:busy:ratio": "avg by (cluster, node) (host_load1)"})


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("accel_powr_watts", "accel_powr_watts is not in the catalog"),
        ('accel_power_watts{gpu="1"}', "accel_power_watts has no label gpu"),
        ('accel_device_state{state="gone"}', "accel_device_state has no state gone"),
        ("accel_energy_joules_total", "accel_energy_joules_total is cumulative and stands outside rate or increase"),
        ("rate(accel_power_watts[5m])", "accel_power_watts is a gauge under rate or increase"),
        ("training_step_seconds", "training_step_seconds is not in the catalog"),
        (
            "rate(accel_energy_joules_total[1m])",
            "accel_energy_joules_total: a range of 0:01:00 holds fewer than four scrapes",
        ),
        (
            "rate(accel_energy_joules_total[2m])",
            "accel_energy_joules_total: a range of 0:02:00 holds fewer than four scrapes",
        ),
        (
            'training_step_seconds_bucket{le="1"} unless present_over_time(training_step_seconds_bucket[5m])',
            "training_step_seconds_bucket selects buckets by le, which Prometheus 3 writes otherwise (1.0 for 1)",
        ),
        ("sum by (rack) (accel_power_watts)", "sum groups by rack, which its input has not"),
        (
            "accel_power_watts * on (job_id) group_left () accel_workload_info",
            "a join is on job_id, which one side has not",
        ),
        (
            "accel_workload_info * on (uuid) group_left (rack) accel_power_watts",
            "group_left takes rack, which the right side has not",
        ),
    ],
)
def test_a_fault_is_named(expression: str, complaint: str):
    assert LINT.complaints(expression) == [complaint]


@pytest.mark.parametrize(
    "expression",
    [
        "sum by (cluster) (accel_power_watts)",
        "rate(accel_energy_joules_total[$__rate_interval])",
        "histogram_quantile(0.9, sum by (le) (rate(training_step_seconds_bucket[5m])))",
        "accel_ecc_errors_total unless present_over_time(accel_ecc_errors_total[6h] offset 15m)",
        "node:busy:ratio > 0.9",
        'absent(up{job="x"})',
    ],
)
def test_a_good_expression_is_left_alone(expression: str):
    assert LINT.complaints(expression) == []


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("max by (cluster, uuid) (accel_power_watts)", {"cluster", "uuid"}),
        ('absent(up{job="x", node=~"n.*"})', {"job"}),
        ("node:busy:ratio > 0.9", {"cluster", "node"}),
        ("sum by (uuid) (accel_power_watts) or sum by (uuid, index) (accel_power_watts)", {"uuid"}),
        ('label_replace(sum by (node) (accel_power_watts), "instance", "$1", "node", "(.+)")', {"node", "instance"}),
        ("time() - max by (uuid) (accel_power_watts) > 3", {"uuid"}),
        (
            "accel_workload_info * on (uuid) group_left (index) max by (uuid, index) (accel_power_watts)",
            {*WORKLOAD_INFO.labels, *TARGET_LABELS, "index"},
        ),
        ("sum by (uuid, node) (accel_power_watts) / on (uuid) sum by (uuid) (accel_power_watts)", {"uuid"}),
    ],
)
def test_labels_of_a_result_are_known(expression: str, labels: set[str]):
    assert LINT.labels_of(expression) == labels
