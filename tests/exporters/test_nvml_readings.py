"""The nvml collector over the fake library: units, what is unsupported, and what each return code costs."""

from __future__ import annotations

import pynvml
import pytest

from tests.fakes.nvml_abi import FakeNvml, installed
from tests.fakes.nvml_profiles import A100, H100, RTX_4090, T4
from warpgauge.core.catalog import Tier, detail, device
from warpgauge.core.clock import ManualClock
from warpgauge.exporters.collectors.collector import DeviceRefusedError, DriverError
from warpgauge.exporters.collectors.nvml import NvmlCollector

TIERS = (Tier.FAST, Tier.NORMAL, Tier.SLOW)


class Bench:
    """A collector on a fake library, with its clock."""

    def __init__(self, *profiles):
        self.fake = FakeNvml(profiles or (H100,))
        self.clock = ManualClock()
        self.spent = 0.0  # seconds of CPU, by which each call for GPM's metrics grows it
        self.collector = self.made()

    def made(self):
        """Another process' collector on the same machine."""
        return NvmlCollector(clock=self.clock, sys_root="/nonexistent", spent=self._cpu)

    def _cpu(self):
        return self.spent * self.fake.calls["nvmlGpmMetricsGet"]

    def open(self):
        assert self.collector.check() is None
        return self.collector.devices()

    def read(self, gpu, *tiers):
        """Values by (metric, labels after the identity), and reasons of errors."""
        values, reasons = {}, []
        for tier in tiers or TIERS:
            samples, errors = self.collector.read(tier, gpu)
            values.update({(sample.metric, sample.labels[2:]): sample.value for sample in samples})
            reasons += [error.reason for error in errors]
        return values, reasons

    def pass_time(self, seconds=1.0):
        self.clock.advance(seconds)
        self.fake.seconds += seconds


@pytest.fixture
def bench(request):
    profiles = request.param if hasattr(request, "param") else (H100,)
    made = Bench(*profiles)
    with installed(made.fake):
        yield made


def of(*profiles):
    return pytest.mark.parametrize("bench", [profiles], indirect=True)


def test_a_device_is_described_by_what_the_driver_says(bench):
    (gpu,) = bench.open()
    assert (gpu.uuid, gpu.index, gpu.model) == (bench.fake.gpus[0].uuid, 0, H100.name)
    assert (gpu.architecture, gpu.pci_bus_id, gpu.vendor) == ("hopper", "0000:1b:00.0", "nvidia")


def test_values_are_in_base_units(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    assert values[device.UTILIZATION, ("compute",)] == pytest.approx(0.40)
    assert values[device.POWER, ()] == pytest.approx(350.0)
    assert values[device.POWER_LIMIT, ("enforced",)] == pytest.approx(700.0)
    assert values[device.POWER_LIMIT, ("min",)] == pytest.approx(175.0)
    assert values[device.CLOCK_MAX, ("sm",)] == pytest.approx(1.98e9)
    assert values[device.ENERGY, ()] == pytest.approx(350.0 * bench.fake.seconds)
    assert values[device.THROTTLE_SECONDS, ("sw_power_cap",)] == pytest.approx(bench.fake.seconds * 0.01)
    assert values[device.TEMPERATURE_LIMIT, ("slowdown",)] == 89
    assert values[device.PROCESSES, ()] == 2


@pytest.mark.parametrize(
    ("label", "suffix"), [("graphics", "GRAPHICS"), ("sm", "SM"), ("memory", "MEM"), ("video", "VIDEO")]
)
def test_each_clock_is_the_one_it_is_called(bench, label, suffix):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    assert values[device.CLOCK_MAX, (label,)] == H100.clocks_mhz[suffix] * 1e6


def test_rows_remapped_for_errors_that_were_corrected_and_not_are_told_apart(bench):
    bench.fake.gpus[0].remapped = (3, 1, 1, 0)
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.SLOW)
    assert [values[device.ROWS_REMAPPED, (errors,)] for errors in ("corrected", "uncorrected")] == [3, 1]
    assert [values[row, ()] for row in (device.ROW_REMAP_PENDING, device.ROW_REMAP_FAILED)] == [1, 0]


def test_the_memorys_part_of_the_power_and_the_time_below_base_clocks_are_in_base_units(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    assert values[detail.MEMORY_POWER, ()] == pytest.approx(70.0)
    assert values[detail.CLOCKS_BELOW_BASE, ()] == pytest.approx(bench.fake.seconds * 0.005)


@of(A100)
def test_a_board_that_does_not_tell_its_memorys_power_has_none(bench):
    (gpu,) = bench.open()
    assert (detail.MEMORY_POWER, ()) not in bench.read(gpu)[0]


def test_used_free_and_reserved_make_up_the_total(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.NORMAL)
    parts = [values[metric, ()] for metric in (device.MEMORY_USED, device.MEMORY_FREE, device.MEMORY_RESERVED)]
    assert sum(parts) == values[device.MEMORY_TOTAL, ()] == H100.memory_total


def test_an_old_library_without_memory_v2_tells_no_reserved_memory(bench):
    bench.fake.missing.add("nvmlDeviceGetMemoryInfo_v2")
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert (device.MEMORY_RESERVED, ()) not in values
    assert values[device.MEMORY_USED, ()] + values[device.MEMORY_FREE, ()] == H100.memory_total


@pytest.mark.parametrize(
    ("bit", "reason"),
    [
        (0x1, "idle"),
        (0x2, "app_clocks"),
        (0x4, "sw_power_cap"),
        (0x8, "hw_slowdown"),
        (0x10, "sync_boost"),
        (0x20, "sw_thermal"),
        (0x40, "hw_thermal"),
        (0x80, "hw_power_brake"),
        (0x100, "display"),
    ],
)
def test_each_throttle_bit_means_what_nvml_h_says(bench, bit, reason):
    bench.fake.gpus[0].reasons = bit
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.FAST)
    active = [labels[0] for (metric, labels), value in values.items() if metric is device.THROTTLE_ACTIVE and value]
    assert active == [reason]


def test_gpm_gives_nothing_at_first_and_ratios_from_the_second_tick_on(bench):
    (gpu,) = bench.open()
    first, _ = bench.read(gpu, Tier.FAST)
    bench.pass_time()
    second, _ = bench.read(gpu, Tier.FAST)
    assert (device.COMPUTE_ACTIVE, ()) not in first
    assert second[device.COMPUTE_ACTIVE, ()] == pytest.approx(0.375)
    assert second[device.PIPE_ACTIVE, ("tensor",)] == pytest.approx(0.375)


def test_gpm_is_not_asked_again_within_a_tenth_of_a_second(bench):
    (gpu,) = bench.open()
    bench.read(gpu, Tier.FAST)
    bench.pass_time(0.05)
    values, _ = bench.read(gpu, Tier.FAST)
    assert (device.COMPUTE_ACTIVE, ()) not in values
    assert bench.fake.calls["nvmlGpmSampleGet"] == 1


def test_gpm_says_nothing_about_an_hour_without_readings(bench):
    (gpu,) = bench.open()
    bench.read(gpu, Tier.FAST)
    bench.pass_time(3600)
    values, _ = bench.read(gpu, Tier.FAST)
    assert (device.COMPUTE_ACTIVE, ()) not in values


def test_closing_frees_every_gpm_sample(bench):
    (gpu,) = bench.open()
    for _ in range(3):
        bench.read(gpu, Tier.FAST)
        bench.pass_time()
    bench.collector.close()
    assert bench.fake.open_samples == 0


@of(A100)
def test_a_board_before_hopper_has_no_gpm_and_no_error_for_it(bench):
    (gpu,) = bench.open()
    bench.read(gpu)
    bench.pass_time()
    values, reasons = bench.read(gpu)
    assert (device.COMPUTE_ACTIVE, ()) not in values
    assert reasons == []


@of(T4)
def test_what_a_board_lacks_is_absent_and_not_zero(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    metrics = {metric for metric, _ in values}
    assert not metrics & {device.ROWS_REMAPPED, device.LINK_TRANSMIT, device.PCIE_TRANSMIT, device.FAN_SPEED}
    assert (device.TEMPERATURE, ("memory",)) not in values


@of(T4)
def test_an_old_driver_is_asked_through_its_old_calls(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    assert values[device.TEMPERATURE, ("core",)] == 50
    assert values[device.THROTTLE_ACTIVE, ("idle",)] == 0
    assert values[device.THROTTLE_SECONDS, ("sw_thermal",)] == pytest.approx(bench.fake.seconds * 0.002)


@of(RTX_4090)
def test_every_fan_is_read_and_may_pass_its_intended_speed(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert [values[device.FAN_SPEED, (fan,)] for fan in ("0", "1")] == [pytest.approx(0.3), pytest.approx(1.1)]


def test_an_unsupported_call_is_told_once_and_never_made_again(bench):
    (gpu,) = bench.open()
    _, first = bench.read(gpu, Tier.FAST)
    calls = bench.fake.calls["nvmlDeviceGetEncoderUtilization"]
    bench.pass_time()
    _, second = bench.read(gpu, Tier.FAST)
    assert (set(first), second) == ({"unsupported"}, [])
    assert bench.fake.calls["nvmlDeviceGetEncoderUtilization"] == calls


def test_a_result_that_outgrew_its_buffer_is_asked_for_once_more(bench):
    (gpu,) = bench.open()
    bench.fake.fail(pynvml.NVML_ERROR_INSUFFICIENT_SIZE, function="nvmlDeviceGetRemappedRows", times=1)
    values, reasons = bench.read(gpu, Tier.SLOW)
    assert values[device.ROWS_REMAPPED, ("corrected",)] == 0
    assert set(reasons) <= {"unsupported"}


def test_an_average_stands_until_the_next_and_not_on_a_board_that_refuses_everything(bench):
    bench.collector.adjust({"gpm_every": 5.0})
    (gpu,) = bench.open()
    for _ in range(12):
        bench.pass_time()
        values, _ = bench.read(gpu, Tier.FAST)
    assert (device.COMPUTE_ACTIVE, ()) in values
    assert (device.GRAPHICS_ENGINE_ACTIVE, ()) in values
    bench.fake.fail(pynvml.NVML_ERROR_NO_PERMISSION)
    bench.pass_time()
    values, reasons = bench.read(gpu, Tier.FAST)
    assert values == {}
    assert set(reasons) == {"permission"}


def test_no_permission_costs_one_metric_and_says_so(bench):
    (gpu,) = bench.open()
    bench.fake.fail(pynvml.NVML_ERROR_NO_PERMISSION, function="nvmlDeviceGetPowerUsage")
    values, reasons = bench.read(gpu, Tier.FAST)
    assert (device.POWER, ()) not in values
    assert (device.UTILIZATION, ("compute",)) in values
    assert "permission" in reasons


def test_an_empty_answer_is_no_error(bench):
    (gpu,) = bench.open()
    bench.read(gpu, Tier.FAST)
    bench.fake.fail(pynvml.NVML_ERROR_NO_DATA, function="nvmlDeviceGetPowerUsage")
    values, reasons = bench.read(gpu, Tier.FAST)
    assert (device.POWER, ()) not in values
    assert reasons == []


def test_a_passing_error_is_tried_again_next_time(bench):
    (gpu,) = bench.open()
    bench.read(gpu, Tier.FAST)
    bench.fake.fail(pynvml.NVML_ERROR_UNKNOWN, function="nvmlDeviceGetPowerUsage", times=1)
    _, reasons = bench.read(gpu, Tier.FAST)
    values, _ = bench.read(gpu, Tier.FAST)
    assert reasons == ["busy"]
    assert (device.POWER, ()) in values


@pytest.mark.parametrize(
    ("code", "reason"),
    [(pynvml.NVML_ERROR_GPU_IS_LOST, "lost"), (pynvml.NVML_ERROR_RESET_REQUIRED, "needs_reset")],
)
@pytest.mark.parametrize("tier", TIERS)
def test_a_gpu_that_is_gone_gives_one_reason_and_no_sample_in_any_tier(bench, code, reason, tier):
    (gpu,) = bench.open()
    bench.read(gpu)
    bench.fake.fail(code, gpu=0)
    samples, errors = bench.collector.read(tier, gpu)
    assert samples == []
    assert [(error.reason, error.device) for error in errors] == [(reason, gpu.uuid)]


@of(H100, H100)
def test_one_bad_gpu_takes_nothing_from_the_others(bench):
    bad, good = bench.open()
    before, _ = bench.read(good)
    bench.fake.fail(pynvml.NVML_ERROR_GPU_IS_LOST, gpu=0)
    bench.read(bad)
    after, reasons = bench.read(good)
    assert before.keys() <= after.keys()
    assert reasons == []


@of(H100, H100)
def test_a_gpu_that_cannot_be_opened_leaves_the_others(bench):
    bench.fake.fail(pynvml.NVML_ERROR_GPU_IS_LOST, gpu=0)
    assert [gpu.index for gpu in bench.open()] == [1]
    with pytest.raises(DeviceRefusedError, match="lost"):
        bench.collector.identify(0)


def test_a_driver_that_was_unloaded_ends_the_session(bench):
    (gpu,) = bench.open()
    bench.fake.fail(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    with pytest.raises(DriverError) as caught:
        bench.collector.read(Tier.FAST, gpu)
    assert caught.value.reason == "driver_not_loaded"


def test_a_library_of_another_version_than_the_driver_is_named(bench):
    bench.fake.fail(pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH)
    with pytest.raises(DriverError) as caught:
        bench.collector.check()
    assert caught.value.reason == "library_mismatch"


def test_no_library_means_absent_and_not_broken(bench):
    bench.fake.fail(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)
    assert bench.collector.check() == "no libnvidia-ml.so.1 on this machine"


def test_a_driver_that_lists_no_gpu_is_a_failure_and_not_a_healthy_idle_machine():
    fake = FakeNvml([])
    with installed(fake):
        collector = NvmlCollector()
        assert collector.check() is None
        with pytest.raises(DriverError, match="no_devices"):
            collector.positions()


def test_the_driver_tells_its_versions_once_a_slow_tick(bench):
    bench.open()
    (sample,), _ = bench.collector.read(Tier.SLOW, None)
    assert sample.labels == ("nvidia", "580.65.06", "13.580.65.06", "13.0")
    assert bench.collector.read(Tier.FAST, None) == ([], [])


def test_every_call_is_timed(bench):
    (gpu,) = bench.open()
    bench.read(gpu, Tier.FAST)
    portion = bench.collector.calls.take()
    assert {function: sum(counts) for function, (counts, _) in portion.items()}["nvmlDeviceGetPowerUsage"] == 1
    assert bench.collector.calls.take() == {}


def test_a_recovery_action_is_one_of_the_drivers_states(bench):
    bench.fake.gpus[0].recovery_action = pynvml.NVML_GPU_RECOVERY_ACTION_DRAIN_AND_RESET
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.NORMAL)
    asked = [labels[0] for (metric, labels), value in values.items() if metric is device.RECOVERY_ACTION and value]
    assert asked == ["drain_and_reset"]


def test_a_state_that_a_newer_driver_invented_is_none_of_ours(bench):
    bench.fake.gpus[0].recovery_action = 99
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert not any(value for (metric, _), value in values.items() if metric is device.RECOVERY_ACTION)


@pytest.mark.parametrize(
    ("metric", "prefix"),
    [
        (device.RECOVERY_ACTION, "NVML_GPU_RECOVERY_ACTION_"),
        (device.LINK_STATE, "NVML_NVLINK_STATE_"),
        (device.COMPUTE_MODE, "NVML_COMPUTEMODE_"),
    ],
)
def test_states_stand_in_the_order_of_the_drivers_enumeration(metric, prefix):
    names = [f"{prefix}{state.upper()}" for state in metric.states]
    assert [getattr(pynvml, name) for name in names] == list(range(len(names)))


def test_each_link_has_its_own_state_speed_and_errors(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    assert [values[device.LINK_ERRORS, (str(link), "replay")] for link in range(18)] == list(range(18))
    assert values[device.LINK_STATE, ("3", "sleep")] == values[device.LINK_STATE, ("4", "active")] == 1
    assert values[device.LINK_STATE, ("3", "active")] == 0
    assert values[device.LINK_SPEED, ("17",)] == pytest.approx(26.562e9)
    assert (device.LINK_SPEED, ("18",)) not in values


@of(T4)
def test_a_board_without_links_is_not_asked_about_them(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    assert not {metric for metric, _ in values} & {device.LINK_STATE, device.LINK_SPEED, device.LINK_ERRORS}


def test_margins_are_signed_and_power_is_told_twice(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu)
    assert values[device.TEMPERATURE_MARGIN, ()] == H100.limits_c["SLOWDOWN"] - 50
    assert values[device.TEMPERATURE_MARGIN_LIMIT, ("shutdown",)] == -8
    assert values[device.POWER_INSTANT, ()] == pytest.approx(362.0)


def test_memory_errors_are_told_by_their_place(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.SLOW)
    assert values[device.ECC_LOCATION_ERRORS, ("corrected", "aggregate", "device_memory")] == 11
    assert values[device.ECC_LOCATION_ERRORS, ("uncorrected", "aggregate", "sram")] == 11
    assert values[device.ECC_LOCATION_ERRORS, ("corrected", "aggregate", "sram")] == 1
    assert values[device.ROW_REMAP_BANKS, ("max",)] == 638


@of(T4)
def test_a_board_that_retires_pages_remaps_no_rows(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.SLOW)
    assert values[device.PAGES_RETIRED, ("corrected",)] == 2
    assert (device.ROW_REMAP_BANKS, ("max",)) not in values


def test_modes_and_firmware_are_told(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.SLOW)
    assert (values[device.ECC_MODE, ("current",)], values[device.ECC_MODE, ("pending",)]) == (1, 0)
    assert values[device.COMPUTE_MODE, ("exclusive_process",)] == 1
    assert values[device.MIG_MODE, ("current",)] == 0
    assert values[device.PERSISTENCE_MODE, ()] == 1
    assert values[device.FIRMWARE_INFO, ("96.00.74.00.01", "")] == 1


def test_memory_access_is_a_metric_of_its_own(bench):
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.FAST)
    assert values[device.MEMORY_ACCESS, ()] == pytest.approx(0.20)


def test_the_fixed_function_engines_are_read_with_the_normal_tier(bench):
    (gpu,) = bench.open()
    engines = {labels for metric, labels in bench.read(gpu, Tier.FAST)[0] if metric is device.UTILIZATION}
    assert engines == {("compute",)}
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert values[device.UTILIZATION, ("jpeg",)] == pytest.approx(0.01)


def test_gpm_rates_are_in_bytes_per_second_and_may_pass_1(bench):
    (gpu,) = bench.open()
    bench.read(gpu, Tier.FAST)
    bench.pass_time()
    values, _ = bench.read(gpu, Tier.FAST)
    assert values[device.PCIE_RECEIVE_RATE, ()] == pytest.approx(37.5 * 2**20)
    assert {labels[0] for metric, labels in values if metric is device.PIPE_ACTIVE} >= {"tensor", "tensor_hmma", "fp32"}


def test_a_gpm_metric_that_a_device_lacks_is_absent_and_not_asked_again(bench):
    bench.fake.gpm_codes[pynvml.NVML_GPM_METRIC_FP64_UTIL] = pynvml.NVML_ERROR_NOT_SUPPORTED
    bench.fake.gpm_codes[pynvml.NVML_GPM_METRIC_FP32_UTIL] = pynvml.NVML_ERROR_UNKNOWN
    (gpu,) = bench.open()
    seen = []
    for _ in range(3):
        bench.pass_time()
        values, _ = bench.read(gpu, Tier.FAST)
        seen.append({labels[0] for metric, labels in values if metric is device.PIPE_ACTIVE})
        if seen[-1]:
            bench.fake.gpm_codes.clear()
    assert not seen[1] & {"fp64", "fp32"}
    assert "fp32" in seen[2]  # what failed for once is tried again
    assert "fp64" not in seen[2]


def test_names_stay_the_same_objects_while_the_series_do(bench):
    (gpu,) = bench.open()
    bench.read(gpu)
    bench.pass_time()
    bench.read(gpu)
    seen = []
    for _ in range(2):
        bench.pass_time()
        seen.append(bench.collector.read(Tier.FAST, gpu)[0])
    assert seen[0].labels is seen[1].labels
    assert seen[0].metrics is seen[1].metrics
    bench.fake.fail(pynvml.NVML_ERROR_UNKNOWN, function="nvmlDeviceGetPowerUsage", times=1)
    bench.pass_time()
    without = bench.collector.read(Tier.FAST, gpu)[0]
    assert device.POWER not in without.metrics
    assert len(without.labels) == len(seen[1].labels) - 1
