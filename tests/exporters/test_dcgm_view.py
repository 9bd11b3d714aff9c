"""The DCGM view: names, types, units and labels as dcgm-exporter has them, from the raw numbers of the fake driver."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.exporters.test_nvml_readings import TIERS, Bench
from tests.fakes.nvml_abi import ENGINES, installed
from tests.fakes.nvml_profiles import H100, H100_MIG, T4
from warpgauge.core.catalog import ALL, Kind, Tier, device
from warpgauge.core.clock import ManualClock
from warpgauge.core.device import DeviceState
from warpgauge.core.exposition import labels_of, parse
from warpgauge.core.sample import Sample
from warpgauge.exporters.dcgm import FIELDS, NOT_GIVEN, DcgmView
from warpgauge.exporters.readings import Readings

MIB = 2**20


class Page:
    """The view over two readings of fake boards."""

    def __init__(self, *profiles):
        self.bench = Bench(*profiles)
        self.readings = Readings(ManualClock())
        self.version = 0
        self.bench.fake.engines = dict.fromkeys(ENGINES, 12.5)
        self.view = DcgmView(self.readings, node="node-7")
        with installed(self.bench.fake):
            self.devices = self.bench.open()
            for _ in range(2):
                self.bench.pass_time()
                for tier in TIERS:
                    self.read(tier)

    def read(self, tier):
        for owner in [*self.devices, None]:
            samples, _ = self.bench.collector.read(tier, owner)
            if owner is not None:
                self.readings.see("nvml", owner)
            self.readings.update("nvml", tier, owner.uuid if owner else None, samples)

    def text(self):
        self.version += 1
        return self.view.body(self.version).decode()

    def families(self):
        return {family.name: family for family in text_string_to_metric_families(self.text())}

    def values(self, index=0):
        lines = parse(self.text(), place="dcgm")
        return {line.name: line.value for line in lines if labels_of(line.labels)["gpu"] == str(index)}


@pytest.fixture(scope="module")
def page():
    return Page(H100, H100)


def test_values_are_in_dcgms_units(page):
    gpu, values = page.bench.fake.gpus[1], page.values(1)
    assert values["DCGM_FI_DEV_GPU_UTIL"] == gpu.utilization
    assert values["DCGM_FI_DEV_MEM_COPY_UTIL"] == gpu.utilization // 2
    assert values["DCGM_FI_DEV_FB_USED"] == gpu.memory_used / MIB
    assert values["DCGM_FI_DEV_FB_RESERVED"] == H100.memory_reserved / MIB
    assert values["DCGM_FI_DEV_GPU_TEMP"] == gpu.temperature
    assert values["DCGM_FI_DEV_POWER_USAGE"] == gpu.power_mw / 1000
    assert values["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == int(gpu.power_mw * page.bench.fake.seconds)
    assert values["DCGM_FI_DEV_SM_CLOCK"] == int(H100.clocks_mhz["SM"] * 0.9)
    assert values["DCGM_FI_DEV_POWER_VIOLATION"] == int(page.bench.fake.seconds * 1e7)
    assert values["DCGM_FI_DEV_BOARD_LIMIT_VIOLATION"] == int(page.bench.fake.seconds * 3e6)
    assert values["DCGM_FI_DEV_LOW_UTIL_VIOLATION"] == int(page.bench.fake.seconds * 4e6)
    assert values["DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"] == 0.375
    assert values["DCGM_FI_PROF_PCIE_RX_BYTES"] == 37.5 * MIB
    assert values["DCGM_FI_PROF_NVDEC7_ACTIVE"] == 0.125
    assert values["DCGM_FI_DEV_POWER_USAGE_INSTANT"] == gpu.power_mw / 1000 + 12
    assert values["DCGM_FI_DEV_TOTAL_BASE_CLOCKS_VIOLATION"] == int(page.bench.fake.seconds * 5e6)
    assert values["DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL"] == sum(range(18))


def test_whole_numbers_are_written_whole(page):
    assert "DCGM_FI_DEV_GPU_UTIL{" in page.text()
    (line,) = [line for line in page.text().splitlines() if line.startswith('DCGM_FI_DEV_GPU_UTIL{gpu="0"')]
    assert line.endswith(" 40")


def test_labels_are_those_of_dcgm_exporter(page):
    sample = page.families()["DCGM_FI_DEV_GPU_TEMP"].samples[1]
    assert sample.labels == {
        "gpu": "1",
        "UUID": page.bench.fake.gpus[1].uuid,
        "pci_bus_id": "00000000:1C:00.0",
        "device": "nvidia1",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": "node-7",
        "DCGM_FI_DRIVER_VERSION": "580.65.06",
    }


@pytest.fixture(scope="module")
def cut_page():
    return Page(H100_MIG)


def test_series_of_an_instance_carry_its_number_and_profile_and_stand_in_for_the_board(cut_page):
    samples = cut_page.families()["DCGM_FI_DEV_FB_USED"].samples
    told = {sample.labels["GPU_I_ID"]: sample.labels["GPU_I_PROFILE"] for sample in samples}
    assert told == {"1": "3g.40gb", "5": "2g.20gb", "13": "1g.10gb"}
    (line,) = [
        line for line in cut_page.text().splitlines() if line.startswith("DCGM_FI_DEV_FB_USED{") and "1g." in line
    ]
    names = [name for name, _, _ in (pair.partition("=") for pair in line[line.index("{") + 1 :].split(","))]
    assert names[:8] == ["gpu", "UUID", "pci_bus_id", "device", "modelName", "GPU_I_PROFILE", "GPU_I_ID", "Hostname"]
    assert line.endswith(f" {10 * 63}")


def test_what_belongs_to_a_cut_board_carries_no_instance(cut_page):
    for name in ("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_XID_ERRORS"):
        (sample,) = cut_page.families()[name].samples
        assert not {"GPU_I_ID", "GPU_I_PROFILE"} & sample.labels.keys()
    assert "DCGM_FI_DEV_GPU_UTIL{" not in cut_page.text()  # the driver tells none; GR_ENGINE_ACTIVE stands in
    assert len(cut_page.families()["DCGM_FI_PROF_GR_ENGINE_ACTIVE"].samples) == 3


def test_counters_are_counters_and_all_else_is_a_gauge(page):
    types = dict(line.split()[2:] for line in page.text().splitlines() if line.startswith("# TYPE"))
    kinds = {field.name: field.kind.value for field in FIELDS}
    assert types == {name: kinds.get(name, "gauge") for name in types}
    assert types["DCGM_FI_DEV_PCIE_REPLAY_COUNTER"] == "counter"


def test_an_h100_has_every_field_but_those_of_older_boards_and_its_encoder(page):
    assert {field.name for field in FIELDS} - page.values().keys() == {
        "DCGM_FI_DEV_ENC_UTIL",
        "DCGM_FI_DEV_RETIRED_SBE",
        "DCGM_FI_DEV_RETIRED_DBE",
        "DCGM_FI_DEV_RETIRED_PENDING",
    }


def test_what_a_board_cannot_give_is_absent_and_not_0():
    text = Page(T4).text()
    assert "DCGM_FI_DEV_GPU_TEMP{" in text
    assert "DCGM_FI_PROF_" not in text
    assert "DCGM_FI_DEV_ROW_REMAP_FAILURE" not in text
    assert 'DCGM_FI_DEV_RETIRED_SBE{gpu="0"' in text


def test_the_last_xid_is_told_with_its_code_and_its_words():
    page = Page(H100)
    assert page.values()["DCGM_FI_DEV_XID_ERRORS"] == 0
    page.readings.happened(page.devices[0], "xid", 48, source="nvml")
    (sample,) = page.families()["DCGM_FI_DEV_XID_ERRORS"].samples
    assert (sample.value, sample.labels["err_code"], sample.labels["err_msg"]) == (48, "48", "double-bit ECC error")


def test_a_lost_gpu_has_no_series():
    page = Page(H100, H100)
    page.readings.mark(page.devices[0].uuid, DeviceState.LOST)
    assert page.values(0) == {}
    assert page.values(1) != {}


def test_a_page_is_made_once_for_each_publication(page):
    page.version += 1
    assert page.view.body(page.version) is page.view.body(page.version)


def test_the_catalogs_equivalents_say_the_same():
    by_name = {field.name: field for field in FIELDS}
    for metric in ALL:
        if metric.dcgm is not None:
            field = by_name[metric.dcgm.name]
            assert field.metric is metric
            assert field.factor * metric.dcgm.factor == pytest.approx(1.0)


def test_no_field_is_both_given_and_not():
    names = [field.name for field in FIELDS]
    assert len(names) == len(set(names))
    assert not set(names) & NOT_GIVEN.keys()
    assert {field.kind for field in FIELDS} == {Kind.GAUGE, Kind.COUNTER}


def holder(gpu, *, scheduler="kubernetes", pod="", job="", rank=""):
    namespace, container = ("ml", "main") if pod else ("", "")
    labels = (gpu.uuid, "", scheduler, namespace, pod, container, job, rank, "")
    return Sample(device.WORKLOAD_INFO, labels, 1.0)


def labels_with(*holders, profile=H100):
    """Labels of the series about power, with some workloads on the first GPU."""
    page = Page(profile)
    page.readings.update("attribution", Tier.FAST, page.devices[0].uuid, [make(page.devices[0]) for make in holders])
    lines = parse(page.text(), place="dcgm")
    return next(labels_of(line.labels) for line in lines if line.name == "DCGM_FI_DEV_POWER_USAGE")


def test_the_pod_that_holds_a_gpu_is_on_its_series_as_dcgm_exporter_has_it():
    labels = labels_with(lambda gpu: holder(gpu, pod="train-0"))
    assert (labels["container"], labels["namespace"], labels["pod"]) == ("main", "ml", "train-0")
    assert "hpc_job" not in labels


def test_a_slurm_job_is_named_once_however_many_ranks_it_has_there():
    labels = labels_with(
        *[lambda gpu, rank=rank: holder(gpu, scheduler="slurm", job="4711", rank=rank) for rank in "01"]
    )
    assert labels["hpc_job"] == "4711"
    assert "pod" not in labels


@pytest.mark.parametrize(
    "holders",
    [
        [],
        [lambda gpu: holder(gpu, pod="a"), lambda gpu: holder(gpu, pod="b")],
        [lambda gpu: holder(gpu, scheduler="none")],
    ],
)
def test_of_nobody_of_several_and_of_a_plain_process_no_workload_is_named(holders):
    assert not {"pod", "namespace", "container", "hpc_job"} & labels_with(*holders).keys()
