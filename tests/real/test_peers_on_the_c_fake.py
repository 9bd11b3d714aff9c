"""The C fake is believed by programs that know nothing of us: nvitop, gpustat and nvitop-exporter, unmodified.

The truth is what this project's own pynvml reads from the same library at the same moment: its clock
stands still.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.fakes.nvml_c import build_stub, stub_environment
from tests.real_servers import free_port, read_text, wait_until
from tools import peers
from warpgauge.core.exposition import labels_of, parse

pytestmark = [pytest.mark.slow, pytest.mark.real]

GPUS = 2
PROCESSES = (os.getpid(), os.getppid())  # they must exist; two, because structs of another size show from the second on
MIB = 1 << 20
NOON = "1795608000.25"

TRUTH = """
import json, pynvml as n
n.nvmlInit()
def of(h):
    memory, rates = n.nvmlDeviceGetMemoryInfo(h, n.nvmlMemory_v2), n.nvmlDeviceGetUtilizationRates(h)
    processes = n.nvmlDeviceGetComputeRunningProcesses(h)
    return {
        "name": n.nvmlDeviceGetName(h), "uuid": n.nvmlDeviceGetUUID(h), "bus": n.nvmlDeviceGetPciInfo(h).busId,
        "total": memory.total, "used": memory.used, "gpu": rates.gpu, "memory": rates.memory,
        "encoder": n.nvmlDeviceGetEncoderUtilization(h)[0], "decoder": n.nvmlDeviceGetDecoderUtilization(h)[0],
        "power_mw": n.nvmlDeviceGetPowerUsage(h), "limit_mw": n.nvmlDeviceGetEnforcedPowerLimit(h),
        "celsius": n.nvmlDeviceGetTemperatureV(h, n.NVML_TEMPERATURE_GPU), "fan": n.nvmlDeviceGetFanSpeed(h),
        "sm_mhz": n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_SM), "serial": n.nvmlDeviceGetSerial(h),
        "pcie_kb": n.nvmlDeviceGetPcieThroughput(h, n.NVML_PCIE_UTIL_TX_BYTES),
        "processes": {one.pid: one.usedGpuMemory for one in processes},
    }
print(json.dumps([of(n.nvmlDeviceGetHandleByIndex(i)) for i in range(n.nvmlDeviceGetCount())]))
"""
NVITOP = """
import json
from nvitop import Device
def of(d):
    return {
        "name": d.name(), "uuid": d.uuid(), "bus": d.bus_id(), "total": d.memory_total(), "used": d.memory_used(),
        "gpu": d.gpu_utilization(), "memory": d.memory_utilization(), "encoder": d.encoder_utilization(),
        "decoder": d.decoder_utilization(), "power_mw": d.power_usage(), "limit_mw": d.power_limit(),
        "celsius": d.temperature(), "fan": d.fan_speed(), "sm_mhz": d.sm_clock(), "serial": d.serial(),
        "processes": {pid: process.gpu_memory() for pid, process in d.processes().items()},
    }
print(json.dumps([of(device) for device in Device.all()]))
"""


@pytest.fixture(scope="module", autouse=True)
def installed():
    """All environments at once: most of their making is waiting."""

    def install(name):
        try:
            peers.environment(name)
        except peers.PeerMissingError as error:
            return str(error)
        return None

    with ThreadPoolExecutor() as pool:
        return dict(zip(("nvitop", "gpustat"), pool.map(install, ("nvitop", "gpustat")), strict=True))


@pytest.fixture(scope="module")
def peer(installed):
    """Path of a peer's program, or a skip that says how to get it."""

    def program(environment, name):
        if installed[environment]:
            pytest.skip(installed[environment])
        return str(peers.environment(environment) / "bin" / name)

    return program


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    folder = build_stub(tmp_path_factory.mktemp("nvml"))
    return stub_environment(folder, gpus=GPUS, NVML_STUB_PIDS=",".join(map(str, PROCESSES)), COLUMNS="160")


@pytest.fixture(scope="module")
def still(moving):
    return {**moving, "NVML_STUB_TIME": NOON}


@pytest.fixture(scope="module")
def truth(still):
    return json.loads(output(still, sys.executable, "-c", TRUTH))


def output(environment, *command):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def test_nvitop_reads_what_the_library_says(peer, still, truth):
    seen = json.loads(output(still, peer("nvitop", "python"), "-c", NVITOP))
    asked = {name for name in truth[0] if name != "pcie_kb"}
    assert seen == [{name: gpu[name] for name in asked} for gpu in truth]


def test_nvitop_draws_every_board_and_process(peer, still, truth):
    drawn = output(still, peer("nvitop", "nvitop"), "-1")
    for gpu in truth:
        assert f"{gpu['power_mw'] / 1000:.0f}W / {gpu['limit_mw'] // 1000}W" in drawn
        assert f"{gpu['celsius']}C" in drawn
        assert f"{gpu['bus']} Off" in drawn
        assert f"{gpu['used'] / 2**30:.2f}GiB / {gpu['total'] / 2**30:.2f}GiB" in drawn
    for pid in PROCESSES:
        assert drawn.count(f" {pid} C ") == GPUS


def test_gpustat_reads_what_the_library_says(peer, still, truth):
    seen = json.loads(output(still, peer("gpustat", "gpustat"), "--json"))
    assert seen["driver_version"] == "580.65.06"
    for gpu, said in zip(truth, seen["gpus"], strict=True):
        expected = {
            "uuid": gpu["uuid"],
            "name": gpu["name"],
            "temperature.gpu": gpu["celsius"],
            "fan.speed": gpu["fan"],
            "utilization.gpu": gpu["gpu"],
            "utilization.enc": gpu["encoder"],
            "utilization.dec": gpu["decoder"],
            "power.draw": gpu["power_mw"] // 1000,
            "enforced.power.limit": gpu["limit_mw"] // 1000,
            "memory.used": gpu["used"] // MIB,
            "memory.total": gpu["total"] // MIB,
        }
        assert {name: said[name] for name in expected} == expected
        assert {str(one["pid"]): one["gpu_memory_usage"] * MIB for one in said["processes"]} == gpu["processes"]


def serve(peer, environment, until):
    """The page of an nvitop-exporter as value by metric, index and link, once it holds what is waited for."""
    port = free_port()
    command = [peer("nvitop", "nvitop-exporter"), "--hostname=localhost", "--bind-address=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def values():
        try:
            page = read_text(f"http://127.0.0.1:{port}/metrics")
        except OSError:
            return {}
        lines = [line for line in page.splitlines() if line.startswith("gpu_")]
        series = {}
        for line in parse("\n".join([*lines, ""]), place="nvitop-exporter"):
            labels = labels_of(line.labels)
            series[line.name, int(labels["index"]), labels.get("link")] = line.value
        return series if until(series) else {}

    try:
        return wait_until(values, what="nvitop-exporter serves")
    finally:
        process.kill()
        process.wait(10)


def test_nvitop_exporter_serves_what_the_library_says(peer, still, truth):
    page = serve(peer, still, lambda series: series.get(("gpu_fan_speed_Percentage", GPUS - 1, None), 0) > 0)
    for index, gpu in enumerate(truth):
        expected = {
            "gpu_utilization_Percentage": gpu["gpu"],
            "gpu_memory_utilization_Percentage": gpu["memory"],
            "gpu_encoder_utilization_Percentage": gpu["encoder"],
            "gpu_memory_total_MiB": gpu["total"] / MIB,
            "gpu_memory_used_MiB": gpu["used"] / MIB,
            "gpu_clock_sm_MHz": gpu["sm_mhz"],
            "gpu_power_usage_W": gpu["power_mw"] / 1000,
            "gpu_power_limit_W": gpu["limit_mw"] / 1000,
            "gpu_temperature_C": gpu["celsius"],
            "gpu_fan_speed_Percentage": gpu["fan"],
            "gpu_pcie_tx_throughput_MiBps": gpu["pcie_kb"] / 1024,
        }
        assert {name: page[name, index, None] for name in expected} == expected


def test_nvitop_exporter_sees_traffic_on_every_link_while_time_goes_on(peer, moving):
    name = "gpu_nvlink_tx_throughput_MiBps"
    page = serve(peer, moving, lambda series: series.get((name, GPUS - 1, "17"), 0.0) > 0)
    rates = [page[name, 0, str(link)] for link in range(18)]
    assert all(0 < rate * MIB < 9.5e9 for rate in rates)  # the fake's rate of a link at full load
    assert rates == sorted(rates, reverse=True)  # each a little less than its neighbor
    assert page["gpu_nvlink_total_tx_throughput_MiBps", 0, None] == pytest.approx(sum(rates), rel=1e-6)
