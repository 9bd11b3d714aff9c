"""MIG boards over the fake library: what belongs to a part, what stays with the board, and what a new layout costs."""

from __future__ import annotations

from types import SimpleNamespace

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exporters.test_nvml_readings import TIERS, Bench, of
from tests.exporters.test_nvml_readings import bench as bench  # noqa: PLC0414 - a fixture
from tests.fakes.nvml_abi import installed
from tests.fakes.nvml_abi_mig import cut
from tests.fakes.nvml_profiles import A100_MIG, H100, H100_MIG, T4
from warpgauge.core.catalog import ALL, Tier, detail, device
from warpgauge.exporters.collectors.collector import DriverError
from warpgauge.exporters.collectors.nvml_mig_layout import profile_name

MIB = 2**20
PARTS = {metric for metric in ALL if metric.by_instance}
WHOLE = "off"


def instances(values, metric):
    """Instance -> value of the metric's only series there."""
    return {labels[-1]: value for (row, labels), value in values.items() if row is metric and labels}


def read_twice(bench, gpu):
    bench.read(gpu)
    bench.pass_time()
    return bench.read(gpu)


@of(H100_MIG)
def test_each_gpu_instance_has_its_memory_once_however_many_compute_instances_share_it(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    totals = {"1": 40 * 1008 * MIB, "5": 20 * 1008 * MIB, "13": 10 * 1008 * MIB}
    assert instances(values, device.MEMORY_TOTAL) == totals
    rows = (device.MEMORY_USED, device.MEMORY_FREE, device.MEMORY_RESERVED)
    assert {number: sum(values[row, (number,)] for row in rows) for number in totals} == totals


@of(H100_MIG)
def test_no_family_has_the_board_beside_its_parts(bench):
    (gpu,) = bench.open()
    values, reasons = read_twice(bench, gpu)
    told = {(metric, len(labels) - len(metric.labels) + 2) for metric, labels in values if metric in PARTS}
    assert {extra for _, extra in told} == {1}
    missing = {metric for metric in PARTS if (metric, 1) not in told}
    no_links, idle = {device.LINK_TRANSMIT_RATE, device.LINK_RECEIVE_RATE}, {detail.ENGINE_ACTIVE}
    assert missing == no_links | idle  # MIG has no NVLink, and no engine worked yet
    assert reasons == []
    assert bench.fake.calls["nvmlGpmSampleGet"] == 0


@of(H100_MIG)
def test_power_temperature_clocks_and_errors_stay_with_the_board(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    assert values[device.POWER, ()] == pytest.approx(350.0)
    assert values[device.TEMPERATURE, ("core",)] == 50
    assert values[device.ECC_ERRORS, ("corrected", "volatile")] == 1
    assert values[device.MIG_MODE, ("current",)] == 1


@of(H100_MIG)
def test_activity_is_that_of_the_instance(bench):
    (gpu,) = bench.open()
    values, _ = read_twice(bench, gpu)
    assert instances(values, device.COMPUTE_ACTIVE) == pytest.approx({"1": 0.15, "5": 0.35, "13": 0.75})
    assert values[device.PIPE_ACTIVE, ("tensor", "5")] == pytest.approx(0.35)
    assert values[device.PCIE_TRANSMIT_RATE, ("5",)] == pytest.approx(35 * MIB)


@of(H100_MIG)
def test_processes_are_those_of_all_compute_instances_of_a_gpu_instance(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.SLOW)
    assert instances(values, device.PROCESSES) == {"1": 1 + 2, "5": 1, "13": 1}


@of(H100_MIG)
def test_the_inventory_passes_over_holes_and_names_every_compute_instance(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.SLOW)
    told = {(labels[0], labels[1], labels[3]) for metric, labels in values if metric is device.INSTANCE_INFO}
    assert told == {
        ("1", "0", "1c.3g.40gb"),
        ("1", "1", "2c.3g.40gb"),
        ("5", "0", "2g.20gb"),
        ("13", "0", "1g.10gb"),
    }
    uuids = {labels[2] for metric, labels in values if metric is device.INSTANCE_INFO}
    assert uuids == {part.uuid for part in bench.fake.gpus[0].parts if part is not None}


@of(A100_MIG)
def test_an_a100_tells_inventory_memory_and_processes_and_no_activity(bench):
    (gpu,) = bench.open()
    values, _ = read_twice(bench, gpu)
    told = {metric for metric, _ in values if metric in PARTS}
    memory = {device.MEMORY_TOTAL, device.MEMORY_USED, device.MEMORY_FREE, device.MEMORY_RESERVED}
    assert told == {*memory, device.PROCESSES}
    assert instances(values, device.MEMORY_TOTAL).keys() == {"2", "9"}
    assert (device.UTILIZATION, ("compute",)) not in values


@of(T4)
def test_a_board_that_cannot_be_cut_is_never_asked_about_parts(bench):
    (gpu,) = bench.open()
    asked = bench.fake.calls["nvmlDeviceGetMigMode"]
    bench.read(gpu)  # its own mode, once
    bench.read(gpu)
    assert bench.fake.calls["nvmlDeviceGetMigMode"] <= asked + 1
    assert bench.fake.calls["nvmlDeviceGetMaxMigDeviceCount"] == 0


@pytest.mark.parametrize("bench", [(H100,)], indirect=True)
def test_mig_without_instances_leaves_everything_to_the_board(bench):
    cut(bench.fake.gpus[0], "- - -")
    (gpu,) = bench.open()
    values, _ = read_twice(bench, gpu)
    assert values[device.MIG_MODE, ("current",)] == 1
    assert values[device.MEMORY_TOTAL, ()] == H100.memory_total
    assert values[device.COMPUTE_ACTIVE, ()] == pytest.approx(0.375)


@of(H100)
def test_mig_switched_on_is_noticed_with_the_next_normal_tick(bench):
    (gpu,) = bench.open()
    read_twice(bench, gpu)
    cut(bench.fake.gpus[0], H100_MIG.layout)
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert instances(values, device.MEMORY_TOTAL).keys() == {"1", "5", "13"}
    assert (device.MEMORY_TOTAL, ()) not in values


@of(H100)
def test_averages_of_the_whole_board_begin_anew_with_the_mode_though_nothing_was_cut(bench):
    (gpu,) = bench.open()
    read_twice(bench, gpu)
    cut(bench.fake.gpus[0], "-")
    bench.read(gpu, Tier.NORMAL)
    bench.pass_time()
    values, _ = bench.read(gpu, Tier.FAST)
    assert (device.COMPUTE_ACTIVE, ()) not in values


@of(H100_MIG)
def test_mig_switched_off_gives_the_board_back_what_it_could_not_do_meanwhile(bench):
    (gpu,) = bench.open()
    _, reasons = bench.read(gpu)
    assert "unsupported" in reasons  # utilization, while the board is cut
    cut(bench.fake.gpus[0], WHOLE)
    bench.read(gpu, Tier.NORMAL)
    values, _ = read_twice(bench, gpu)
    assert values[device.UTILIZATION, ("compute",)] == pytest.approx(0.40)
    assert values[device.MEMORY_TOTAL, ()] == H100.memory_total
    assert values[device.COMPUTE_ACTIVE, ()] == pytest.approx(0.375)
    assert not {metric for metric, _ in values} & {device.INSTANCE_INFO}


@pytest.mark.parametrize(
    "code", [pynvml.NVML_ERROR_INVALID_ARGUMENT, pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_UNINITIALIZED]
)
@pytest.mark.parametrize("tier", [Tier.FAST, Tier.NORMAL])
@of(H100_MIG)
def test_a_dead_handle_costs_its_instance_and_nobody_else_anything(bench, code, tier):
    bench.fake.dead_code = code
    (gpu,) = bench.open()
    read_twice(bench, gpu)
    fake = bench.fake.gpus[0]
    fake.dead_parts += [part for part in fake.parts if part and part.number == 5]
    fake.dead_parts[0].is_dead = True
    fake.parts = [part if part and part.number != 5 else None for part in fake.parts]
    bench.pass_time()
    values, reasons = bench.read(gpu, tier)
    metric = device.COMPUTE_ACTIVE if tier is Tier.FAST else device.MEMORY_USED
    assert instances(values, metric).keys() == {"1", "13"}
    assert reasons == []


@of(H100_MIG)
def test_an_instance_that_was_made_anew_starts_without_a_past(bench):
    (gpu,) = bench.open()
    read_twice(bench, gpu)
    cut(bench.fake.gpus[0], H100_MIG.layout.replace("5:2g", "5:1g"))
    bench.read(gpu, Tier.SLOW)
    bench.pass_time()
    first, _ = bench.read(gpu, Tier.FAST)
    bench.pass_time()
    second, _ = bench.read(gpu, Tier.FAST)
    assert instances(first, device.COMPUTE_ACTIVE).keys() == {"1", "13"}
    assert instances(second, device.COMPUTE_ACTIVE).keys() == {"1", "5", "13"}


@of(H100_MIG)
def test_an_instance_that_was_away_at_a_tick_starts_without_a_past_though_it_looks_the_same(bench):
    (gpu,) = bench.open()
    read_twice(bench, gpu)
    cut(bench.fake.gpus[0], "-")
    bench.pass_time()
    bench.read(gpu, Tier.FAST)
    cut(bench.fake.gpus[0], H100_MIG.layout)
    bench.read(gpu, Tier.SLOW)
    bench.pass_time()
    values, _ = bench.read(gpu, Tier.FAST)
    assert instances(values, device.COMPUTE_ACTIVE) == {}


@of(H100_MIG)
def test_a_handle_that_was_given_to_another_instance_never_tells_for_the_old_one(bench):
    (gpu,) = bench.open()
    bench.read(gpu)
    cut(bench.fake.gpus[0], "13:1g.10gb 1:3g.40gb 7:1g.10gb 8:1g.10gb", reuse=True)
    values, _ = bench.read(gpu, Tier.NORMAL)
    bench.read(gpu, Tier.SLOW)
    later, _ = bench.read(gpu, Tier.NORMAL)
    sizes = {"1": 40 * 1008 * MIB, "13": 10 * 1008 * MIB, "7": 10 * 1008 * MIB, "8": 10 * 1008 * MIB}
    assert instances(values, device.MEMORY_TOTAL).items() <= sizes.items()
    assert instances(later, device.MEMORY_TOTAL) == sizes


@of(H100_MIG)
def test_a_question_that_an_instance_refuses_is_left_out_until_the_next_look(bench):
    (gpu,) = bench.open()
    bench.read(gpu)
    bench.fake.fail(pynvml.NVML_ERROR_INVALID_ARGUMENT, function="nvmlDeviceGetMemoryInfo_v2")
    _, first = bench.read(gpu, Tier.NORMAL)
    looks = bench.fake.calls["nvmlDeviceGetMaxMigDeviceCount"]
    _, second = bench.read(gpu, Tier.NORMAL)
    assert (first, second) == (["unsupported"] * 3, [])
    assert bench.fake.calls["nvmlDeviceGetMaxMigDeviceCount"] == looks
    bench.fake.heal()
    bench.read(gpu, Tier.SLOW)
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert (device.MEMORY_RESERVED, ("5",)) in values


@of(H100_MIG)
def test_an_old_library_tells_an_instances_memory_in_the_old_way_within_the_same_tick(bench):
    bench.fake.missing.add("nvmlDeviceGetMemoryInfo_v2")
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert values[device.MEMORY_USED, ("5",)] + values[device.MEMORY_FREE, ("5",)] == 20 * 1008 * MIB
    assert (device.MEMORY_RESERVED, ("5",)) not in values


@of(H100_MIG)
def test_no_permission_to_see_the_parts_leaves_the_board_as_a_whole_and_says_so(bench):
    bench.fake.fail(pynvml.NVML_ERROR_NO_PERMISSION, function="nvmlDeviceGetMigDeviceHandleByIndex")
    (gpu,) = bench.open()
    values, reasons = bench.read(gpu)
    assert "permission" in reasons
    assert values[device.MEMORY_TOTAL, ()] == H100.memory_total


@of(H100_MIG)
def test_a_layout_that_cannot_be_read_once_leaves_the_parts_as_they_were(bench):
    (gpu,) = bench.open()
    read_twice(bench, gpu)
    bench.fake.fail(pynvml.NVML_ERROR_UNKNOWN, function="nvmlDeviceGetMaxMigDeviceCount", times=1)
    bench.pass_time()
    values, reasons = bench.read(gpu, Tier.SLOW, Tier.FAST)
    assert reasons == ["busy"]
    assert instances(values, device.COMPUTE_ACTIVE).keys() == {"1", "5", "13"}


@pytest.mark.parametrize("tier", TIERS)
@of(H100_MIG)
def test_a_lost_board_takes_its_parts_along(bench, tier):
    (gpu,) = bench.open()
    bench.read(gpu)
    bench.fake.fail(pynvml.NVML_ERROR_GPU_IS_LOST, gpu=0)
    samples, errors = bench.collector.read(tier, gpu)
    assert (samples, [error.reason for error in errors]) == ([], ["lost"])


@pytest.mark.parametrize("tier", TIERS)
@of(H100_MIG)
def test_a_driver_that_was_unloaded_under_a_cut_board_ends_the_session(bench, tier):
    (gpu,) = bench.open()
    bench.read(gpu)
    bench.fake.fail(pynvml.NVML_ERROR_UNINITIALIZED)
    with pytest.raises(DriverError):
        bench.collector.read(tier, gpu)


@of(H100_MIG)
def test_closing_frees_the_gpm_samples_of_instances_living_and_gone(bench):
    (gpu,) = bench.open()
    read_twice(bench, gpu)
    cut(bench.fake.gpus[0], "3:2g.20gb")
    bench.read(gpu, Tier.SLOW)
    read_twice(bench, gpu)
    bench.collector.close()
    assert bench.fake.open_samples == 0


@of(H100_MIG)
def test_while_gpm_may_not_be_read_there_is_memory_and_no_sample_is_held(bench):
    (gpu,) = bench.open()
    read_twice(bench, gpu)
    bench.collector._boards[gpu.uuid].is_profiled = False
    values, _ = read_twice(bench, gpu)
    assert instances(values, device.COMPUTE_ACTIVE) == {}
    assert instances(values, device.MEMORY_USED).keys() == {"1", "5", "13"}
    assert bench.fake.open_samples == 0


@of(H100_MIG)
def test_a_driver_that_names_no_profile_has_it_made_up_from_the_attributes(bench):
    bench.fake.fail(pynvml.NVML_ERROR_NOT_SUPPORTED, function="nvmlDeviceGetName")
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.SLOW)
    told = sorted(labels[3] for metric, labels in values if metric is device.INSTANCE_INFO)
    assert told == ["1c.3g.40gb", "1g.10gb", "2c.3g.40gb", "2g.20gb"]


@pytest.mark.parametrize(
    ("board_mib", "slices", "memory_mib", "name"),
    [
        (40960, (1, 1), 4864, "1g.5gb"),
        (81559, (1, 1), 9728, "1g.10gb"),
        (81559, (1, 1), 19968, "1g.20gb"),
        (81559, (3, 1), 40192, "1c.3g.40gb"),
        (81559, (7, 7), 80384, "7g.80gb"),
        (95830, (1, 1), 11264, "1g.12gb"),
        (143771, (1, 1), 16384, "1g.18gb"),
        (143771, (3, 3), 69120, "3g.71gb"),
        (183359, (1, 1), 22528, "1g.23gb"),
        (183359, (2, 2), 45056, "2g.45gb"),
    ],
)
def test_profiles_are_named_as_nvidia_names_them(board_mib, slices, memory_mib, name):
    attributes = SimpleNamespace(
        gpuInstanceSliceCount=slices[0], computeInstanceSliceCount=slices[1], memorySizeMB=memory_mib
    )
    assert profile_name(attributes, board_mib * MIB) == name


LAYOUTS = st.lists(
    st.sampled_from(["1:3g.40gb", "1:3g.40gb/1+2", "5:2g.20gb", "13:1g.10gb", "9:1g.10gb", "-"]), max_size=4
).map(lambda words: " ".join(dict.fromkeys(words)))


@settings(max_examples=15)
@given(layouts=st.lists(LAYOUTS | st.just(WHOLE), min_size=1, max_size=4), reuse=st.booleans())
def test_however_a_board_is_cut_each_family_is_told_by_the_whole_or_by_the_parts(layouts, reuse):
    bench = Bench(H100)
    with installed(bench.fake):
        (gpu,) = bench.open()
        for layout in layouts:
            if len({word.partition(":")[0] for word in layout.split()}) < len(layout.split()):
                continue  # one number cannot be two instances
            cut(bench.fake.gpus[0], layout, reuse=reuse)
            for _ in range(2):
                bench.pass_time()
                for tier in TIERS:
                    samples, _ = bench.collector.read(tier, gpu)
                    series = [(sample.metric, sample.labels) for sample in samples]
                    assert len(series) == len(set(series))
                    shapes = {(metric, len(labels) - len(metric.labels)) for metric, labels in series}
                    assert len(shapes) == len({metric for metric, _ in shapes})
            wanted = {part.number for part in bench.fake.gpus[0].parts if part is not None}
            told = {sample.labels[-1] for sample in bench.collector.read(Tier.NORMAL, gpu)[0] if sample.metric in PARTS}
            assert told == ({str(number) for number in wanted} or {"0"})  # the board's index, where it is whole
