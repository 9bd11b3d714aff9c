"""Each exporter of devices: units, markers for "not available", and the verdicts that its series can support."""

from __future__ import annotations

import numpy as np
import pynvml
import pytest

from tests.analyzer.fleets import DCGM_IDLE, UUIDS, WORKLOAD, Fleet, dcgm, idle_device, kinds_of, lacks_of
from warpgauge.analyzer.dialects import DIALECTS, map_series
from warpgauge.analyzer.dialects.dcgm_exporter import DCGM_EXPORTER
from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.dialects.rows import throttle_bits
from warpgauge.analyzer.dialects.verdicts import VERDICTS, missing_for
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.intake import Intake
from warpgauge.analyzer.sources import Page, Points, Ranges, Target
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind
from warpgauge.exporters.dcgm import FIELDS

T0 = 1_750_000_000.0
GIB = 2.0**30


def intake() -> Intake:
    return Intake(Frame(step_seconds=10.0, window_seconds=600.0), NodeNames("local"))


def scrape(into: Intake, lines: str, at: float = T0) -> Frame:
    target = Target(name="http://gpu1:9400/metrics", labels={"instance": "gpu1:9400"})
    into.take(Page(target=target, text=lines, is_openmetrics=False, time=at, interval_seconds=10.0))
    return into.frame


def row_of(name: str, **labels: str):
    return {(one.metric, tuple(one.labels.get(label, "") for label in one.metric.labels[2:])): one.factor
            for one in map_series(name, labels)}  # fmt: skip


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_what_our_agent_writes_under_dcgms_names_is_read_back_in_our_units(field):
    """The dialect and the agent's DCGM view are written apart; each holds the other to its units."""
    (mapped,) = [one for one in map_series(field.name, dcgm(0)) if one.metric is field.metric]

    assert mapped.factor * field.factor == pytest.approx(1.0)
    ours = dict(zip(field.metric.labels[2:], field.labels, strict=False))
    assert all(mapped.labels[name] == value for name, value in ours.items() if value is not None)


@pytest.mark.parametrize(
    ("old", "new", "ratio"),
    [
        ("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_CELSIUS", 1.0),
        ("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_BOARD_POWER_WATTS", 1.0),
        ("DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_GPU_UTIL_RATIO", 0.01),
        ("DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_USED_BYTES", 2.0**20),
        ("DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_SM_CLOCK_HERTZ", 1e6),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", 1e-3),
        ("DCGM_FI_DEV_THERMAL_VIOLATION", "DCGM_FI_DEV_GPU_THERMAL_THROTTLE_SECONDS_TOTAL", 1e-9),
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", 1.0),
        ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_TENSOR_UTIL_RATIO", 1.0),
    ],
)
def test_a_renamed_dcgm_field_is_the_same_row_in_its_new_unit(old: str, new: str, ratio: float):
    before, after = row_of(old, **dcgm(0)), row_of(new, **dcgm(0))

    assert before.keys() == after.keys()
    value = next(key for key in before if key[0].kind.value != "info")
    assert before[value] / after[value] == pytest.approx(ratio)


def test_the_bits_of_throttle_reasons_are_those_of_nvml():
    names = {
        "idle": "GpuIdle",
        "app_clocks": "ApplicationsClocksSetting",
        "sw_power_cap": "SwPowerCap",
        "hw_slowdown": "HwSlowdown",
        "sync_boost": "SyncBoost",
        "sw_thermal": "SwThermalSlowdown",
        "hw_thermal": "HwThermalSlowdown",
        "hw_power_brake": "HwPowerBrakeSlowdown",
        "display": "DisplayClockSetting",
    }
    constants = {
        reason: getattr(pynvml, f"nvmlClocksEventReason{name}", None)
        or getattr(pynvml, f"nvmlClocksThrottleReason{name}")
        for reason, name in names.items()
    }
    assert {row.labels["reason"]: row.mask for row in throttle_bits()} == constants


def test_a_set_of_throttle_bits_becomes_a_state_for_each_reason():
    into = intake()
    labels = 'gpu="0",UUID="GPU-1"'
    for second in (0, 10):
        frame = scrape(into, f"DCGM_FI_DEV_CLOCKS_EVENT_REASONS{{{labels}}} {0x20 + 0x04}\n", T0 + second)

    held = {reason for reason in device.THROTTLE_REASONS if frame.latest(device.THROTTLE_ACTIVE, reason)[0] == 1}
    assert held == {"sw_thermal", "sw_power_cap"}
    assert frame.latest(device.THROTTLE_ACTIVE, "idle")[0] == 0


@pytest.mark.parametrize(
    ("name", "blank"),
    [
        ("DCGM_FI_DEV_MEMORY_TEMP", "9223372036854775794"),  # README of dcgm-exporter
        ("DCGM_FI_DEV_MEMORY_TEMP", "2147483632"),
        ("DCGM_FI_PROF_SM_ACTIVE", "140737488355328"),  # NVIDIA/DCGM#202
        ("DCGM_FI_DEV_FB_USED", "9223372036854775792"),
        ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "9223372036854775792"),
        ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "9223372036854775794"),
    ],
)
def test_a_marker_for_not_available_is_no_value(name: str, blank: str):
    into = intake()
    for second in (0, 10, 20):
        scrape(into, f'{name}{{gpu="0",UUID="GPU-1"}} {blank}\n', T0 + second)

    metric = map_series(name, dcgm(0))[0].metric
    for extra in into.frame.channels(metric):
        assert not np.isfinite(into.frame.values(metric, *extra)).any()
    assert into.counts.blank == 3


def test_an_activity_a_little_above_one_is_one():
    into = intake()
    frame = scrape(into, 'DCGM_FI_PROF_SM_ACTIVE{gpu="0",UUID="GPU-1"} 1.3\n')

    assert frame.instant(device.COMPUTE_ACTIVE)[0] == 1.0


def xid_pages(*values: int) -> Frame:
    into = intake()
    for number, value in enumerate(values):
        labels = f'gpu="0",UUID="GPU-1",err_code="{value}",err_msg="text"'
        scrape(into, f"DCGM_FI_DEV_XID_ERRORS{{{labels}}} {value}\n", T0 + 10.0 * number)
    return into.frame


def test_a_change_of_the_last_xid_is_one_event_at_that_time():
    frame = xid_pages(0, 0, 79, 79, 79)

    assert frame.channels(device.XID_EVENTS) == [("79",)]
    assert np.nansum(frame.values(device.XID_EVENTS, "79")) * 10.0 == pytest.approx(1.0)
    assert frame.latest(device.XID_LAST, "79")[0] == pytest.approx(20.0)


def test_an_xid_that_stood_there_at_the_first_sight_is_no_event():
    assert xid_pages(31, 31, 31).channels(device.XID_EVENTS) == []


def test_a_last_xid_that_goes_back_to_none_is_no_event():
    frame = xid_pages(0, 31, 0, 31)

    assert np.nansum(frame.values(device.XID_EVENTS, "31")) * 10.0 == pytest.approx(2.0)


def test_polls_that_overlap_count_an_xid_once():
    into = intake()
    times = np.array([T0, T0 + 10, T0 + 20]) * 1000
    points = [Points(name="DCGM_FI_DEV_XID_ERRORS", labels=dcgm(0), times_ms=times.astype(np.int64),
                     values=np.array([0.0, 79.0, 79.0]))]  # fmt: skip
    for _ in range(2):
        into.take(Ranges(target=Target(name="p"), points=points, interval_seconds=10.0))

    assert np.nansum(into.frame.values(device.XID_EVENTS, "79")) * 10.0 == pytest.approx(1.0)


def test_switches_and_links_are_no_devices():
    assert map_series("DCGM_FI_DEV_NVSWITCH_TEMPERATURE_CURRENT", {"nvswitch": "0"}) == ()
    assert map_series("DCGM_FI_DEV_NVLINK_REPLAY_TOTAL", {"nvlink": "3", "gpu_uuid": "GPU-1"}) == ()


def cooled_off_after(seconds: float):
    """A clock that falls for the rest of the hour."""
    return lambda times: np.where(times < seconds, 1980.0, 900.0)


def test_dcgm_finds_heat_where_the_violation_counter_is_enabled():
    fleet = Fleet()
    for gpu in range(4):
        labels = {"instance": "gpu1:9400", **dcgm(gpu, **WORKLOAD)}
        is_hot = gpu == 2
        fleet.add("DCGM_FI_DEV_SM_CLOCK", labels, cooled_off_after(1800) if is_hot else 1980)
        fleet.add("DCGM_FI_DEV_GPU_UTIL", labels, 99)
        fleet.add("DCGM_FI_DEV_GPU_TEMP", labels, 88 if is_hot else 60)
        seconds = (lambda times: np.maximum(times - 1800, 0.0) * 1e9) if is_hot else 0
        fleet.add("DCGM_FI_DEV_THERMAL_VIOLATION", labels, seconds)

    report = fleet.report()
    found = {(finding.kind.value, finding.scope.uuid) for finding in report.findings}
    assert ("thermal_limited", UUIDS[2]) in found
    assert {uuid for _, uuid in found} == {UUIDS[2]}


def smi(name: str) -> tuple[str, dict[str, str]]:
    return f"nvidia_smi_{name}", {"instance": "gpu1:9835", "uuid": UUIDS[0].removeprefix("GPU-")}


def nvidia_smi_fleet(**values: object) -> Fleet:
    fleet = Fleet()
    _, labels = smi("gpu_info")
    fleet.add("nvidia_smi_gpu_info", labels | {"name": "NVIDIA H100 80GB HBM3", "index": "0"}, 1)
    for name, value in values.items():
        fleet.add(*smi(name), value)
    return fleet


def test_nvidia_gpu_exporter_finds_heat_and_leaves_the_rest_unjudged():
    report = nvidia_smi_fleet(
        clocks_current_sm_clock_hz=lambda times: cooled_off_after(1800)(times) * 1e6,
        clocks_max_sm_clock_hz=1.98e9,
        clocks_event_reasons_sw_thermal_slowdown=lambda times: (times > 1800).astype(float),
        utilization_gpu_ratio=0.99,
        temperature_gpu=88,
    ).report()

    assert kinds_of(report) == {"thermal_limited"}
    (finding,) = report.findings
    assert finding.scope.uuid == UUIDS[0]
    lacks = lacks_of(report)
    assert lacks["idle_allocated"] == {device.WORKLOAD_INFO.name}
    assert device.DEVICE_STATE.name in lacks["device_state"]


def test_a_device_that_two_exporters_read_is_one():
    fleet = nvidia_smi_fleet(power_draw_watts=300)
    fleet.add("node_uname_info", {"instance": "gpu1:9100", "nodename": "gpu-node-1"}, 1)
    idle_device(fleet, {"instance": "gpu1:9400", **dcgm(0, **WORKLOAD)}, DCGM_IDLE)

    assert fleet.report().devices == 1


def amd(gpu: int = 0, **more: str) -> dict[str, str]:
    return {
        "instance": "amd1:5000",
        "gpu_id": str(gpu),
        "serial_number": f"69240900540{gpu}",
        "card_model": "102-G30211-0C",
        "hostname": "tw038",
        "gpu_partition_id": "0",
        "gpu_compute_partition_type": "spx",
        "gpu_memory_partition_type": "nps1",
        "pod": "",
        "namespace": "",
        "container": "",
        "job_id": "",
        **more,
    }


def test_amd_finds_an_idle_device_of_a_slurm_job_and_a_hot_one():
    fleet = Fleet()
    held = amd(0, job_id="8", job_user="ada", job_partition="gpu")
    for name, value in (("gpu_gfx_activity", 0), ("gpu_total_vram", 196_592), ("gpu_used_vram", 150_000)):
        fleet.add(name, held, value)
    for gpu in range(1, 5):
        busy, is_hot = amd(gpu), gpu == 3
        clock = cooled_off_after(1800) if is_hot else 1980
        fleet.add("gpu_gfx_activity", busy, 100)
        fleet.add("gpu_clock", busy | {"clock_type": "system", "clock_index": "0"}, clock)
        fleet.add("gpu_clock", busy | {"clock_type": "system", "clock_index": "1"}, 132)
        share = (lambda times: np.where(times > 1800, 80.0, 0.0)) if is_hot else 0
        fleet.add("gpu_violation_socket_thermal_residency_percentage", busy, share)

    report = fleet.report()
    assert kinds_of(report) == {"idle_allocated", "thermal_limited"}
    assert device.DEVICE_STATE.name in lacks_of(report)["device_state"]


def test_a_prefix_that_amds_configuration_sets_changes_nothing():
    assert map_series("amd_gpu_used_vram", amd()) == map_series("gpu_used_vram", amd())


def test_partitions_of_an_amd_device_are_instances_of_it():
    (part,) = map_series("gpu_used_vram", amd(47, gpu_compute_partition_type="cpx", gpu_partition_id="3"))

    assert part.labels["instance_id"] == "3"


def test_other_exporters_names_that_amd_shares_are_left_alone():
    assert map_series("gpu_clock", {"gpu_index": "0"}) == ()


def all_smi(**more: str) -> dict[str, str]:
    return {"instance": "10.0.0.7:9090", "gpu": "NVIDIA H200", "gpu_uuid": UUIDS[0], "gpu_index": "0", **more}


def test_all_smi_tells_memory_pressure_of_a_node_and_names_what_it_cannot_tell():
    fleet = Fleet()
    fleet.add("all_smi_gpu_info", all_smi(type="GPU"), 1)
    fleet.add("all_smi_gpu_utilization", all_smi(), 25.5)
    fleet.add("all_smi_memory_total_bytes", {"instance": "10.0.0.7:9090"}, 64 * GIB)
    fleet.add(
        "all_smi_memory_available_bytes", {"instance": "10.0.0.7:9090"}, lambda t: np.where(t < 600, 32, 0.6) * GIB
    )

    report = fleet.report()
    assert kinds_of(report) == {"memory_pressure"}
    lacks = lacks_of(report)
    assert lacks["idle_allocated"] == {device.WORKLOAD_INFO.name}
    assert device.THROTTLE_ACTIVE.name in lacks["thermal_limited"]


def test_older_all_smi_names_its_devices_with_other_labels():
    (mapped,) = map_series("all_smi_gpu_utilization", {"gpu": "A100", "uuid": "GPU-9", "index": "3"})

    assert (mapped.labels["uuid"], mapped.labels["index"], mapped.factor) == ("GPU-9", "3", 0.01)


def test_the_table_of_verdicts_says_what_the_fleets_above_show():
    verdicts = {kind: verdict for verdict in VERDICTS for kind in verdict.kinds}
    supported = {
        (dialect.name, kind) for dialect in DIALECTS for kind, verdict in verdicts.items()
        if not missing_for(dialect, verdict)
    }  # fmt: skip
    assert (DCGM_EXPORTER.name, FindingKind.IDLE_ALLOCATED) in supported
    assert ("nvidia_gpu_exporter", FindingKind.THERMAL_LIMITED) in supported
    assert ("nvidia_gpu_exporter", FindingKind.IDLE_ALLOCATED) not in supported
    assert ("all-smi", FindingKind.THERMAL_LIMITED) not in supported
    assert ("all-smi", FindingKind.MEMORY_PRESSURE) in supported
