"""Workloads on devices and on the machine: put together, kept up, and gone when they end."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.kubelet import serving
from tests.fakes.procfs import CONTAINER_ID, DOCKER_CGROUP, POD_CGROUP, FakeProc
from warpgauge.core.catalog import Tier, device, host
from warpgauge.core.clock import ManualClock
from warpgauge.core.device import Device, DeviceKind
from warpgauge.exporters.attribution.claims import Held
from warpgauge.exporters.attribution.speaking import Spoken
from warpgauge.exporters.attribution.workload import Holder
from warpgauge.exporters.collectors.attribution import AttributionCollector

GPU = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100", pci_bus_id="0000:3B:00.0")
OTHER = replace(GPU, uuid="GPU-2", index=1, pci_bus_id="0000:5e:00.0")


class Site:
    """A machine of a test's own and the collector that looks at it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = FakeProc(root / "proc")
        self.proc.root.mkdir()
        self.clock = ManualClock(0.0)
        self.spoken: dict[int, Spoken] = {}
        self.held: tuple[Held, ...] = (Held(GPU, ()), Held(OTHER, ()))
        self.collector = self.agent()

    def agent(self, **more: object) -> AttributionCollector:
        given: dict[str, object] = {"pod_resources": "", "gpustat": self.root / "gpustat"} | more
        return AttributionCollector(
            held=lambda: self.held, spoken=lambda: dict(self.spoken), proc_root=self.proc.root,
            sys_root=self.root / "sys", job_mapping=self.root / "map",
            name_of=lambda _: "ada", clock=self.clock, system="linux", **given,
        )  # fmt: skip

    def hold(self, *holders: Holder) -> None:
        self.held = (Held(GPU, holders), Held(OTHER, ()))

    def read(self, seconds: float = 0.0) -> list:
        self.clock.advance(seconds)
        return self.collector.read(Tier.FAST)[0]

    def on_devices(self, seconds: float = 0.0) -> list[tuple[str, dict[str, str]]]:
        return [(one.labels[0], said(one)) for one in self.read(seconds) if one.metric is device.WORKLOAD_INFO]

    def on_host(self, seconds: float = 0.0) -> list[dict[str, str]]:
        return [said(one) for one in self.read(seconds) if one.metric is host.WORKLOAD_INFO]


def said(sample) -> dict[str, str]:
    return {
        name: value for name, value in zip(sample.metric.labels, sample.labels, strict=True) if value and name != "uuid"
    }


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


# ---- who has a device


def test_a_slurm_job_on_a_gpu_has_id_rank_and_user(site):
    site.proc.start(10, SLURM_JOB_ID="77", SLURM_PROCID="3")
    site.hold(Holder(10))
    job = {"scheduler": "slurm", "job_id": "77", "rank": "3", "user": "ada"}
    assert site.on_devices() == [("GPU-1", job)]
    assert site.on_host() == [job]


def test_a_gpu_that_a_job_was_given_and_does_not_use_is_its_all_the_same(site):
    site.proc.nvidia("0000:5e:00.0", minor=0)
    site.proc.nvidia("0000:3b:00.0", minor=1)
    site.proc.start(10, SLURM_JOB_ID="77", SLURM_PROCID="0", SLURM_JOB_GPUS="0")
    assert [uuid for uuid, _ in site.on_devices()] == ["GPU-2"]  # number 0 is a device file, not NVML's index


def test_two_ranks_on_one_gpu_are_two_series(site):
    for rank in range(2):
        site.proc.start(10 + rank, SLURM_JOB_ID="77", SLURM_PROCID=str(rank))
    site.hold(Holder(10), Holder(11))
    assert [who["rank"] for _, who in site.on_devices()] == ["0", "1"]


def test_a_process_that_nobody_scheduled_has_its_user_and_is_no_workload_of_the_host(site):
    site.proc.start(10)
    site.hold(Holder(10))
    assert site.on_devices() == [("GPU-1", {"scheduler": "none", "user": "ada"})]
    assert site.on_host() == []


def test_a_container_on_a_gpu_has_its_short_id(site):
    site.proc.start(10, cgroup=DOCKER_CGROUP)
    site.hold(Holder(10))
    assert site.on_devices() == [("GPU-1", {"scheduler": "docker", "container": CONTAINER_ID[:12]})]


def test_an_instance_of_a_partitioned_gpu_is_told(site):
    site.proc.start(10)
    site.hold(Holder(10, "3"))
    assert site.on_devices() == [("GPU-1", {"instance_id": "3", "scheduler": "none", "user": "ada"})]


def test_where_the_driver_lists_nobody_open_device_files_tell(site):
    site.proc.nvidia("0000:3b:00.0", minor=4)
    site.proc.start(10, SLURM_JOB_ID="77")
    site.proc.opens(10, "/dev/nvidia4")
    site.held = (Held(GPU), Held(OTHER))
    assert [(uuid, who["job_id"]) for uuid, who in site.on_devices()] == [("GPU-1", "77")]


def test_a_driver_that_lists_its_processes_is_not_contradicted_by_files(site):
    site.proc.nvidia("0000:3b:00.0", minor=4)
    site.proc.start(10)
    site.proc.opens(10, "/dev/nvidia4")
    assert site.on_devices() == []


def test_what_a_prolog_wrote_and_what_a_process_says_are_one_series(site):
    (site.root / "map").mkdir()
    (site.root / "map/0").write_text("77\n")
    (site.root / "gpustat").mkdir()
    (site.root / "gpustat/0").write_text("77 1000\n")
    site.proc.start(10, SLURM_JOB_ID="77", SLURM_PROCID="1")
    site.hold(Holder(10))
    assert site.on_devices() == [("GPU-1", {"scheduler": "slurm", "job_id": "77", "rank": "1", "user": "ada"})]


def test_a_job_that_only_the_prolog_names_is_named(site):
    (site.root / "map").mkdir()
    (site.root / "map/1").write_text("78\n")
    assert site.on_devices() == [("GPU-2", {"scheduler": "slurm", "job_id": "78"})]


# ---- its end


def test_a_killed_job_is_gone_from_device_and_machine_at_the_next_tick(site):
    site.proc.start(10, SLURM_JOB_ID="77", SLURM_PROCID="0")
    site.hold(Holder(10))
    assert len(site.read()) == 2
    site.proc.end(10)  # the driver's list, ten seconds old, still has it
    assert site.read(1.0) == []


def test_a_killed_process_of_nobody_is_gone_from_its_device_at_the_next_tick(site):
    site.proc.start(10)
    site.hold(Holder(10))
    assert len(site.read()) == 1
    site.proc.end(10)
    assert site.read(1.0) == []


def test_a_job_lives_as_long_as_one_of_its_processes(site):
    for pid in (10, 11, 12):
        site.proc.start(pid, SLURM_JOB_ID="77")
    assert len(site.on_host()) == 1
    site.proc.end(10)
    site.proc.end(12)
    assert len(site.on_host(1.0)) == 1
    site.proc.end(11)
    assert site.on_host(1.0) == []


def test_another_process_with_the_pid_of_a_dead_one_is_not_taken_for_it(site):
    site.proc.start(10, SLURM_JOB_ID="77")
    site.hold(Holder(10))
    site.read()
    site.proc.start(10, started=9999)
    assert site.on_devices(1.0) == [("GPU-1", {"scheduler": "none", "user": "ada"})]
    assert site.on_host() == []


def test_an_agent_that_starts_anew_knows_nothing_of_jobs_that_ended(site):
    site.proc.start(10, SLURM_JOB_ID="77")
    site.read()
    site.proc.end(10)
    assert site.agent().read(Tier.FAST) == ([], [])


# ---- looking


def test_a_process_that_slurm_moves_into_the_job_after_its_birth_is_found_there(site):
    site.proc.start(10)
    assert site.on_host() == []
    site.proc.start(10, cgroup="0::/system.slice/slurmstepd.scope/job_77/step_0/user/task_0\n")
    assert [who["job_id"] for who in site.on_host(5.0)] == ["77"]


def test_old_processes_are_not_read_again(site, monkeypatch):
    for pid in range(10, 40):
        site.proc.start(pid)
    site.read()
    site.read(5.0)
    asked = []
    monkeypatch.setattr(site.collector._census.proc, "facts", asked.append)
    site.proc.start(50)
    site.read(5.0)
    assert asked == [50]


def test_between_looks_the_processes_are_not_listed(site, monkeypatch):
    site.read()
    monkeypatch.setattr(site.collector._census.proc, "pids", lambda: pytest.fail("listed"))
    for _ in range(4):
        site.read(1.0)


def test_the_launcher_of_a_job_is_not_shown_beside_its_ranks(site):
    site.proc.start(10, SLURM_JOB_ID="77")
    for rank in range(2):
        site.proc.start(20 + rank, SLURM_JOB_ID="77", SLURM_PROCID=str(rank))
    assert [who["rank"] for who in site.on_host()] == ["0", "1"]


def test_a_flood_of_jobs_is_bounded_and_told(site):
    for pid in range(10, 700):
        site.proc.start(pid, SLURM_JOB_ID=str(pid))
    samples, errors = site.collector.read(Tier.FAST)
    assert len(samples) == 512
    assert [error.reason for error in errors] == ["over_limit"]


# ---- pods


def test_pods_have_their_devices_slices_and_instances(site):
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "k.sock") as kubelet:
        kubelet.give("research", "trainer-0", "main", "nvidia.com/gpu", "GPU-1::0")
        kubelet.give("web", "chat-1", "model", "nvidia.com/gpu", "GPU-1::1")
        kubelet.give("web", "chat-2", "model", "nvidia.com/mig-1g.10gb", "MIG-9")
        site.held = (Held(GPU, ()), Held(OTHER, (), {"MIG-9": "7"}))
        site.collector = site.agent(pod_resources=kubelet.socket)
        pods = [(uuid, who.get("instance_id", ""), who["pod"]) for uuid, who in site.on_devices()]
        assert pods == [("GPU-1", "", "trainer-0"), ("GPU-1", "", "chat-1"), ("GPU-2", "7", "chat-2")]
        kubelet.end_all()
        assert site.on_devices(5.0) == []
        site.collector.close()


def test_a_pod_is_one_series_though_its_process_is_seen_too(site):
    site.proc.start(10, cgroup=POD_CGROUP)
    site.hold(Holder(10))
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "k.sock") as kubelet:
        kubelet.give("research", "trainer-0", "main", "nvidia.com/gpu", "GPU-1")
        site.collector = site.agent(pod_resources=kubelet.socket)
        pod = {"scheduler": "kubernetes", "namespace": "research", "pod": "trainer-0", "container": "main"}
        assert site.on_devices() == [("GPU-1", pod)]
        site.collector.close()


def test_a_kubelet_that_fails_costs_the_pods_names_only(site):
    site.proc.start(10, SLURM_JOB_ID="77")
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "k.sock") as kubelet:
        kubelet.refuse = True
        site.collector = site.agent(pod_resources=kubelet.socket)
        samples, errors = site.collector.read(Tier.FAST)
        assert [sample.metric for sample in samples] == [host.WORKLOAD_INFO]
        assert [error.reason for error in errors] == ["kubelet"]
        site.collector.close()


# ---- jobs that report steps


def test_a_job_that_reports_steps_has_its_user_on_machine_and_device(site):
    site.proc.start(10)
    site.hold(Holder(10))
    site.spoken[10] = Spoken("10.0.0.1:29500", 2)
    job = {"scheduler": "none", "job_id": "10.0.0.1:29500", "rank": "2", "user": "ada"}
    assert site.on_devices() == [("GPU-1", job)]
    assert site.on_host() == [job]


def test_a_slurm_job_keeps_its_id_and_takes_the_rank_it_reports(site):
    site.proc.start(10, SLURM_JOB_ID="77", SLURM_PROCID="0")
    site.proc.start(11, SLURM_JOB_ID="77")
    site.spoken[11] = Spoken("77", 5)
    assert [(who["job_id"], who["rank"]) for who in site.on_host()] == [("77", "0"), ("77", "5")]


def test_a_job_that_stops_reporting_is_the_plain_process_again(site):
    site.proc.start(10)
    site.hold(Holder(10))
    site.spoken[10] = Spoken("mine", 0)
    assert [who["job_id"] for who in site.on_host()] == ["mine"]
    site.spoken.clear()
    assert site.on_host(1.0) == []
    assert site.on_devices() == [("GPU-1", {"scheduler": "none", "user": "ada"})]


def test_a_job_in_a_pod_has_the_pods_names_on_one_series(site):
    site.proc.start(10, cgroup=POD_CGROUP)
    site.hold(Holder(10))
    site.spoken[10] = Spoken("pretrain", 1)
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "k.sock") as kubelet:
        kubelet.give("research", "trainer-0", "main", "nvidia.com/gpu", "GPU-1")
        site.collector = site.agent(pod_resources=kubelet.socket)
        names = {"scheduler": "kubernetes", "namespace": "research", "pod": "trainer-0", "container": "main"}
        assert site.on_devices() == [("GPU-1", names | {"job_id": "pretrain", "rank": "1"})]
        site.collector.close()
