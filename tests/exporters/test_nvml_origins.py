"""Which call gives which metric: what the reference page says is what the collector does."""

from __future__ import annotations

from tests.fakes.nvml_abi import FakeNvml, installed
from tests.fakes.nvml_profiles import PROFILES
from warpgauge.core.catalog import ALL, Family, Metric, Tier, device, runtime, vendor
from warpgauge.exporters.collectors.nvml import NvmlCollector
from warpgauge.exporters.collectors.nvml_getters import GETTERS
from warpgauge.exporters.collectors.nvml_origins import origins

OURS = {device.WORKLOAD_INFO, device.DEVICE_UP, device.DEVICE_STATE, device.LAST_SAMPLE}


def test_every_metric_of_devices_has_an_origin_unless_the_agent_makes_it():
    others = {row for module in (runtime, vendor) for row in vars(module).values() if isinstance(row, Metric)}
    assert {row for row in ALL if row.family is Family.DEVICE} - set(origins()) - others == OURS


def test_every_sample_of_every_board_has_an_origin():
    fake = FakeNvml([PROFILES[name] for name in sorted(PROFILES)])
    told = set()
    with installed(fake):
        collector = NvmlCollector(sys_root="/nonexistent")
        collector.check()
        for gpu in collector.devices():
            for tier in (Tier.FAST, Tier.NORMAL, Tier.SLOW):
                told |= {sample.metric for sample in collector.read(tier, gpu)[0]}
    assert len(told) > 50
    assert told <= set(origins())


def test_a_getter_names_all_that_its_result_tells():
    fake = FakeNvml([PROFILES["h100"]])
    seen = {}
    with installed(fake):
        collector = NvmlCollector(sys_root="/nonexistent")
        collector.check()
        (gpu,) = collector.devices()
        board = collector._boards[gpu.uuid]
        for getter in GETTERS:
            seen[getter.function] = {metric for metric, _, _ in board._get(getter, [])}
    named = {getter.function: {getter.metric, *getter.beside} for getter in GETTERS}
    assert {
        function: metrics - named[function] for function, metrics in seen.items() if metrics - named[function]
    } == {}
    assert seen["nvmlDeviceGetMemoryInfo"] == named["nvmlDeviceGetMemoryInfo"]
