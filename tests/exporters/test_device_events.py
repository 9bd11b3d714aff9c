"""Events of devices: counted once whoever tells of them, and kept when the device is gone."""

from __future__ import annotations

import asyncio

import pynvml
import pytest

from tests.exporters.test_nvml_readings import Bench
from tests.fakes.nvml_abi import installed
from tests.fakes.nvml_profiles import H100
from tests.fakes.running_agent import python_fake, running
from warpgauge.core.catalog import device as rows
from warpgauge.core.clock import ManualClock, SystemClock
from warpgauge.core.device import Device, DeviceKind
from warpgauge.exporters.device_events import EXPECTED_XIDS, DeviceEvents
from warpgauge.exporters.messages import BadMessageError, Event, decode, encode

GPU = Device(uuid="GPU-1", index=1, kind=DeviceKind.GPU, vendor="nvidia", model="H100")


class Ledger:
    def __init__(self):
        self.clock = ManualClock()
        self.events = DeviceEvents(self.clock)

    def count(self, number):
        return {
            sample.labels[2]: sample.value for sample in self.events.samples([GPU]) if sample.metric is rows.XID_EVENTS
        }.get(str(number))

    def nvml(self, number=79):
        return self.events.xid(GPU, number, source="nvml")

    def kernel(self, number=79):
        return self.events.xid(GPU, number, source="kernel_log")


@pytest.fixture
def ledger():
    return Ledger()


def test_what_breaks_devices_is_zero_before_it_happens_and_has_no_time(ledger):
    samples = list(ledger.events.samples([GPU]))
    assert {sample.labels[2] for sample in samples} == {str(number) for number in EXPECTED_XIDS}
    assert {sample.metric for sample in samples} == {rows.XID_EVENTS}
    assert {sample.value for sample in samples} == {0.0}


def test_the_same_xid_from_both_sources_counts_once(ledger):
    assert ledger.nvml()
    ledger.clock.advance(1)
    assert not ledger.kernel()
    assert ledger.count(79) == 1


def test_two_in_a_row_from_each_source_are_two(ledger):
    assert [ledger.kernel(), ledger.kernel(), ledger.nvml(), ledger.nvml()] == [True, True, False, False]
    assert ledger.count(79) == 2


def test_sources_that_tell_far_apart_tell_of_different_events(ledger):
    ledger.nvml()
    ledger.clock.advance(6)
    assert ledger.kernel()
    assert ledger.count(79) == 2


def test_another_xid_or_another_device_is_another_event(ledger):
    ledger.nvml(79)
    assert ledger.kernel(48)
    other = Device(uuid="GPU-2", index=2, kind=DeviceKind.GPU, vendor="nvidia", model="H100")
    assert ledger.events.xid(other, 79, source="kernel_log")


def test_an_xid_that_nobody_expects_appears_with_its_time(ledger):
    ledger.nvml(31)
    assert ledger.count(31) == 1
    (last,) = [sample for sample in ledger.events.samples([GPU]) if sample.metric is rows.XID_LAST]
    assert (last.labels[2], last.value) == ("31", ledger.clock.now())


def test_a_device_that_is_gone_keeps_its_xids(ledger):
    ledger.nvml()
    assert ("GPU-1", "1", "79") in {sample.labels for sample in ledger.events.samples([]) if sample.value == 1}


def test_each_xid_is_one_line_of_log_with_its_meaning(ledger, caplog):
    ledger.nvml()
    ledger.kernel()
    (record,) = caplog.records
    assert (record.device, record.xid, record.severity) == ("GPU-1", 79, "hardware")
    assert "bus" in record.meaning


def test_an_event_survives_the_pipe():
    assert decode(encode(Event(3, "xid", 79))) == Event(3, "xid", 79)


@pytest.mark.parametrize(
    "line", [b'{"say":"event","position":1}', b'{"say":"event","position":"x","kind":"xid","number":1}']
)
def test_half_an_event_is_no_message(line):
    with pytest.raises(BadMessageError):
        decode(line)


def test_the_collector_tells_whose_xid_it_was():
    bench = Bench(H100, H100, H100)
    with installed(bench.fake):
        bench.open()
        bench.fake.announce(2, pynvml.nvmlEventTypeXidCriticalError, 48)
        bench.fake.announce(0, pynvml.nvmlEventTypeSingleBitEccErrorStorm, 0)
        assert bench.collector.wait_for_events() == [Event(2, "xid", 48)]
        assert bench.collector.wait_for_events() == [Event(0, "single_bit_ecc_storm", 0)]


def test_nothing_new_is_an_empty_answer_and_a_driver_without_events_is_none():
    bench = Bench(H100)
    with installed(bench.fake):
        bench.open()
        assert bench.collector.wait_for_events() == []
        bench.fake.missing.add("nvmlEventSetWait_v2")
        pynvml._nvmlGetFunctionPointer_cache.clear()
        assert bench.collector.wait_for_events() is None


def test_a_gpu_that_cannot_be_registered_keeps_no_other_out():
    bench = Bench(H100, H100)
    with installed(bench.fake):
        bench.open()
        bench.fake.fail(pynvml.NVML_ERROR_UNKNOWN, function="nvmlDeviceRegisterEvents", gpu=0)
        bench.fake.announce(1, pynvml.nvmlEventTypeXidCriticalError, 79)
        assert bench.collector.wait_for_events() == [Event(1, "xid", 79)]


@pytest.mark.slow
def test_a_live_agent_shows_xids_within_a_second_and_keeps_them_over_a_restart_of_the_child(tmp_path):
    script = tmp_path / "faults"

    def xids(agent):
        return {labels: value for labels, value in agent.values("accel_xid_events_total").items() if value}

    async def tell():
        async with running(python_fake(script, "h100", "h100", "h100"), script) as agent:
            await agent.until(lambda: agent.with_data() == {0, 1, 2})
            assert xids(agent) == {}
            begun = SystemClock().monotonic()
            agent.inflict("xid 79 1 first")
            await agent.until(lambda: xids(agent) == {("1", "79"): 1.0})
            assert SystemClock().monotonic() - begun < agent.patience(1.5)  # the wait is a quarter of a second
            agent.inflict("xid 79 1 second")
            await agent.until(lambda: xids(agent) == {("1", "79"): 2.0})
            agent.inflict("crash 2")
            await agent.until(lambda: agent.states()[2] == "hung")
            agent.inflict("lost 1", "xid 48 0 third")
            await agent.until(lambda: agent.states()[1] == "lost")
            await agent.until(lambda: xids(agent) == {("1", "79"): 2.0, ("0", "48"): 1.0})

    asyncio.run(tell())


@pytest.mark.slow
def test_the_kernel_log_alone_tells_of_an_xid(tmp_path):
    script = tmp_path / "faults"

    async def tell():
        async with running(python_fake(script, "h100"), script) as agent:
            await agent.until(lambda: agent.with_data() == {0})
            await agent.until(lambda: set(agent.values("warpgauge_agent_kernel_log_readable")) == {()})
            agent.agent._hear_kernel("NVRM: Xid (PCI:0000:1b:00): 119, pid=1, name=python, Timeout waiting for RPC")
            await agent.until(lambda: agent.values("accel_xid_events_total")["0", "119"] == 1.0)
            agent.agent._hear_kernel("NVRM: Xid (PCI:0000:ff:00): 119, of a GPU that is not here")
            agent.agent._hear_kernel("nvidia-nvswitch0: SXid (PCI:0000:c1:00.0): 12028, Non-fatal")
            await agent.until(
                lambda: agent.values("accel_switch_sxid_events_total") == {("0000:c1:00.0", "12028"): 1.0}
            )
            assert agent.values("accel_xid_events_total")["0", "119"] == 1.0

    asyncio.run(tell())
