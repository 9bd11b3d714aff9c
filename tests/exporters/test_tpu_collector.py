"""The TPU collector over a real gRPC server that speaks the runtime's protocol, and over a tree like /sys."""

from __future__ import annotations

import pytest

from tests.exporters.collector_contract import TIERS, holds, refuses_what_is_not_there
from tests.fakes import tpu_runtime as fake
from warpgauge.core.catalog import Tier, device, runtime
from warpgauge.core.clock import ManualClock
from warpgauge.core.sample import Histogram
from warpgauge.exporters.collectors.tpu import TpuCollector
from warpgauge.exporters.doctor.check import Verdict
from warpgauge.exporters.doctor.others import other_accelerators

CHIPS = ["0000:00:04.0", "0000:00:05.0", "0000:00:06.0", "0000:00:07.0"]


class Bench:
    def __init__(self, tmp_path, runtime_, **plugged):
        self.runtime, self.clock = runtime_, ManualClock()
        self.proc = tmp_path / "proc"
        self.proc.mkdir()
        fake.plug_in(tmp_path / "sys", CHIPS, **plugged)
        self.collector = TpuCollector(
            sys_root=str(tmp_path / "sys"), proc_root=str(self.proc), address=runtime_.address, clock=self.clock
        )
        assert self.collector.check() is None
        self.chips = self.collector.devices()

    def read(self, chip, *tiers):
        values, reasons = {}, []
        for tier in tiers or TIERS:
            samples, errors = self.collector.read(tier, chip)
            values.update({(sample.metric, sample.labels[2:]): sample.value for sample in samples})
            reasons += [error.reason for error in errors]
        self.clock.advance(1.0)
        return values, reasons


@pytest.fixture
def bench(tmp_path):
    with fake.serving(fake.FakeRuntime()) as served:
        made = Bench(tmp_path, served)
        served.metrics = fake.busy(len(CHIPS))
        yield made
        made.collector.close()


def test_it_keeps_every_collectors_promises(bench):
    holds(bench.collector, is_gone=bench.runtime.metrics.clear)
    refuses_what_is_not_there(bench.collector, 99)


def test_our_part_of_the_protocol_has_the_names_numbers_and_types_of_googles():
    from warpgauge.exporters.collectors import tpu_messages  # noqa: PLC0415 - a private table is compared

    theirs = {}
    for file in fake.described().file:
        for top in file.message_type:
            for nested in (top, *top.nested_type, *(deep for one in top.nested_type for deep in one.nested_type)):
                theirs[nested.name] = nested
    for ours in tpu_messages._file().message_type:
        fields = {field.name: field for field in theirs[ours.name].field}
        for field in ours.field:
            other = fields[field.name]
            assert (field.number, field.type, field.label) == (other.number, other.type, other.label), field.name
            assert field.type_name.rpartition(".")[2] == other.type_name.rpartition(".")[2]
            assert field.HasField("oneof_index") == other.HasField("oneof_index")


def test_chips_come_from_pci_in_the_order_of_the_runtime(bench):
    assert [chip.pci_bus_id for chip in bench.chips] == CHIPS[::-1]
    first = bench.chips[0]
    assert (first.vendor, first.model, first.kind.value, first.numa_node) == ("google", "TPU v5e", "tpu", 1)


def test_a_busy_chip_tells_its_memory_its_duty_cycle_and_its_queue(bench):
    values, reasons = bench.read(bench.chips[2])
    assert reasons == []
    assert values[runtime.RUNTIME_UP, ()] == 1.0
    assert values[device.UTILIZATION, ("compute",)] == pytest.approx(0.52)
    assert values[device.MEMORY_BANDWIDTH_ACTIVE, ()] == 0.25
    assert values[device.MEMORY_TOTAL, ()] == 2.0**34
    assert values[device.MEMORY_USED, ()] == 3e9
    assert values[device.MEMORY_FREE, ()] == 2.0**34 - 3e9
    assert values[runtime.QUEUED_PROGRAMS, ()] == 2.0
    assert values[runtime.IDLE_SECONDS, ()] == 0.5


@pytest.mark.parametrize("ordinals", [[0, 1, 2, 3], ["0", "1", "2", "3"]])
def test_the_device_ordinal_may_be_a_number_or_a_string(bench, ordinals):
    bench.runtime.metrics["hlo.queue.size.gauge"] = fake.queues({one: int(one) * 10 for one in ordinals})
    values, _ = bench.read(bench.chips[3], Tier.FAST)
    assert values[runtime.QUEUED_PROGRAMS, ()] == 30.0


def test_ids_count_from_anywhere_in_the_slice(bench):
    bench.runtime.metrics = fake.busy(4, first=8)
    values, _ = bench.read(bench.chips[1], Tier.FAST)
    assert values[device.UTILIZATION, ("compute",)] == pytest.approx(0.59)


def test_a_distribution_becomes_a_histogram_whose_bounds_never_count_what_may_lie_above(bench):
    values, _ = bench.read(bench.chips[0], Tier.NORMAL)
    made = values[runtime.PROGRAM_SECONDS, ()]
    assert isinstance(made, Histogram)
    counted = dict(zip((*runtime.PROGRAM_SECONDS.buckets, "inf"), made.counts, strict=True))
    # below 1 ms: 1; to 10 ms: 2; to 100 ms: 3; above that: 4
    assert (counted[1e-4], counted[1e-3], counted[2.5e-3], counted[1e-2], counted[0.1]) == (0, 1, 1, 3, 6)
    assert (counted[60.0], counted["inf"]) == (6, 10)
    assert made.sum == pytest.approx(10 * 0.002)


def test_an_empty_distribution_is_a_histogram_of_zeros_and_no_percentile_of_1(bench):
    bench.runtime.metrics["hlo.execution.timing.distribution.microseconds"] = fake.distributions(
        [0, 1, 2, 3], [], scale=1.0, growth=2.0, mean=0.0
    )
    values, _ = bench.read(bench.chips[0], Tier.NORMAL)
    made = values[runtime.PROGRAM_SECONDS, ()]
    assert set(made.counts) == {0}
    assert made.sum == 0.0


def test_transfers_of_the_node_are_summed_over_buffer_sizes(bench):
    name = "megascale.dcn_transfer_latencies.microsecond.cumulative.distribution"
    bench.runtime.metrics[name] = fake.distributions(["a", "b"], [0, 5], scale=1e6, growth=10.0, mean=3e6)
    samples, _ = bench.collector.read(Tier.SLOW, None)
    (made,) = samples
    assert (made.labels, made.value.counts[-1]) == (("google", "dcn"), 10)
    assert made.value.sum == pytest.approx(30.0)


def test_without_a_workload_the_chips_stay_and_the_runtime_is_0(tmp_path):
    quiet = fake.FakeRuntime()
    quiet.address = "127.0.0.1:1"  # nobody listens
    bench = Bench(tmp_path, quiet)
    values, reasons = bench.read(bench.chips[0])
    assert values[runtime.RUNTIME_UP, ()] == 0.0
    assert {metric for metric, _ in values} == {runtime.RUNTIME_UP, device.DEVICE_INFO, device.PROCESSES}
    assert reasons == []  # nothing is wrong with a free TPU


@pytest.mark.slow
def test_a_runtime_that_hangs_costs_one_call_per_tick_and_says_timeout(bench):
    bench.runtime.pause_seconds = 1.0
    readings = [bench.collector.read(Tier.FAST, chip) for chip in bench.chips]
    assert all(errors[0].reason == "timeout" for _, errors in readings)
    assert all(samples[0].value == 0.0 for samples, _ in readings)


def test_points_that_fit_no_chips_are_an_error_and_no_values(bench):
    bench.runtime.metrics["tpu.runtime.tensorcore.dutycycle.percent"] = fake.gauges({0: 1.0, 1: 2.0, 2: 3.0})
    values, reasons = bench.read(bench.chips[0], Tier.FAST)
    assert (device.UTILIZATION, ("compute",)) not in values
    assert reasons == ["unmatched"]


def test_one_answer_serves_all_chips(bench):
    for chip in bench.chips:
        bench.collector.read(Tier.FAST, chip)
    assert bench.runtime.asked.count("hlo.queue.size.gauge") == 1


def test_cores_of_one_chip_are_put_together(tmp_path):
    with fake.serving(fake.FakeRuntime()) as served:
        bench = Bench(tmp_path, served, device="0x0027")  # v3: two devices per chip
        served.metrics = fake.busy(8)
        values, reasons = bench.read(bench.chips[1])
        bench.collector.close()
    assert bench.chips[1].model == "TPU v3"
    assert values[device.MEMORY_USED, ()] == 3e9 + 4e9
    assert values[device.UTILIZATION, ("compute",)] == pytest.approx(0.525)
    assert reasons == []


def test_owners_are_counted_from_their_open_files(bench):
    folder = bench.proc / "4711" / "fd"
    folder.mkdir(parents=True)
    (folder / "3").symlink_to("/dev/vfio/11")
    (folder / "4").symlink_to("/dev/null")
    held, _ = bench.read(bench.chips[0], Tier.SLOW)
    free, _ = bench.read(bench.chips[1], Tier.SLOW)
    assert (held[device.PROCESSES, ()], free[device.PROCESSES, ()]) == (1.0, 0.0)


def test_a_machine_without_a_tpu_says_so_and_loads_nothing(tmp_path):
    assert "no TPU" in (TpuCollector(sys_root=str(tmp_path)).check() or "")
    assert not list(tmp_path.iterdir())


# ---- the doctor


def test_the_doctor_says_nothing_where_no_tpu_is_plugged_in(tmp_path):
    assert other_accelerators(sys_root=tmp_path) == []


def test_the_doctor_names_the_extra_that_is_missing(tmp_path):
    fake.plug_in(tmp_path, CHIPS)
    (check,) = other_accelerators(sys_root=tmp_path, has_module=lambda _: False)
    assert (check.verdict, check.mend) == (Verdict.FAIL, "install the extra: pip install '.[tpu]'")


def test_the_doctor_tells_a_free_tpu_from_one_whose_runtime_answers(tmp_path, bench):
    fake.plug_in(tmp_path, CHIPS)
    (busy,) = other_accelerators(sys_root=tmp_path, tpu_addresses=[bench.runtime.address])
    (free,) = other_accelerators(sys_root=tmp_path, tpu_addresses=["127.0.0.1:1"])
    assert (busy.verdict, free.verdict) == (Verdict.OK, Verdict.WARN)
