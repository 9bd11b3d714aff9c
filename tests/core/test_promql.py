from __future__ import annotations

import promql_parser
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import device, training
from warpgauge.core.promql import (
    Matches,
    Unlike,
    aggregate,
    appeared,
    increase,
    over_time,
    own_labels,
    rate,
    select,
    state_code,
)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (select(device.POWER), "accel_power_watts"),
        (select(device.POWER, node="n1"), 'accel_power_watts{node="n1"}'),
        (select(device.MEMORY_USED, instance_id="5"), 'accel_memory_used_bytes{instance_id="5"}'),
        (select(device.POWER, node=Matches("$node")), 'accel_power_watts{node=~"$node"}'),
        (select(device.WORKLOAD_INFO, job_id=Unlike("")), 'accel_workload_info{job_id!=""}'),
        (select(device.THROTTLE_ACTIVE, reason=("idle", "display")), 'accel_throttle_active{reason=~"idle|display"}'),
        (select(training.STEP_SECONDS, "count"), "training_step_seconds_count"),
        (rate(device.ENERGY, "5m"), "rate(accel_energy_joules_total[5m])"),
        (increase(training.STEP_SECONDS, "5m", "sum"), "increase(training_step_seconds_sum[5m])"),
        (over_time("max", device.POWER, "5m"), "max_over_time(accel_power_watts[5m])"),
        (aggregate("sum", "x", by=("a", "b")), "sum by (a, b) (x)"),
        (aggregate("topk", "x", argument=3), "topk(3, x)"),
        (own_labels("x", "node"), 'label_replace(x, "node", "$1", "exported_node", "(.+)")'),
        (
            appeared(device.PCIE_REPLAY, "15m", "6h"),
            "(accel_pcie_replay_total unless present_over_time(accel_pcie_replay_total[6h] offset 15m))",
        ),
    ],
)
def test_queries_are_written_from_rows(written: str, expected: str):
    assert written == expected
    assert promql_parser.parse(written)


def test_a_state_is_numbered_in_the_order_of_its_row():
    text = state_code(device.DEVICE_STATE, by=("uuid",))
    assert text.startswith('max by (uuid) (0 * (accel_device_state{state="ok"} == 1) or 1 * (')
    assert '6 * (accel_device_state{state="hung"} == 1))' in text


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: select(device.POWER, gpu="1"), "accel_power_watts has no label gpu"),
        (lambda: select(device.POWER, instance_id="5"), "accel_power_watts has no label instance_id"),
        (lambda: select(training.STEP_SECONDS), "part '' does not exist"),
        (lambda: select(device.POWER, "sum"), "part 'sum' does not exist"),
        (lambda: rate(device.POWER, "5m"), "rate and increase need a counter"),
        (lambda: over_time("max", device.ENERGY, "5m"), "use rate or increase"),
        (lambda: state_code(device.POWER, by=()), "not a state"),
    ],
)
def test_what_prometheus_would_answer_with_nothing_is_refused(wrong, message: str):
    with pytest.raises(ValueError, match=message):
        wrong()


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))))
def test_any_label_value_survives_quoting(value: str):
    (matcher,) = promql_parser.parse(select(device.POWER, node=value)).matchers.matchers
    assert matcher.value == value
