"""What one process, or one file of a scheduler, says about whose work it is."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.procfs import CONTAINER_ID, DOCKER_CGROUP, POD_CGROUP, POD_UID, FakeProc
from warpgauge.exporters.attribution.census import workload_of
from warpgauge.exporters.attribution.containers import Container, container_of
from warpgauge.exporters.attribution.device_files import files_by_pci_address, holders_of_files
from warpgauge.exporters.attribution.procfs import ProcessFacts, ProcFs
from warpgauge.exporters.attribution.slurm import allocated_indices, slurm_workload
from warpgauge.exporters.attribution.slurm_files import gpustat_claims, mapping_claims
from warpgauge.exporters.attribution.workload import Workload
from warpgauge.exporters.attribution.yarn import yarn_workload

SLURM_CGROUP = "0::/system.slice/slurmstepd.scope/job_77/step_0/user/task_3\n"


@pytest.fixture
def proc(tmp_path):
    return FakeProc(tmp_path)


def facts(cgroup="0::/user.slice\n", **environment):
    return ProcessFacts(pid=10, started=1, user="ada", cgroup=cgroup, environment=environment)


# ---- Slurm


@pytest.mark.parametrize(
    "cgroup",
    [SLURM_CGROUP, "4:memory:/slurm/uid_1000/job_77/step_0/task_3\n", "0::/system.slice/node1_slurmstepd.scope/job_77"],
)
def test_the_cgroup_names_the_job_whatever_the_environment_claims(cgroup):
    job = slurm_workload(facts(cgroup, SLURM_JOB_ID="1", SLURM_PROCID="3"))
    assert job == Workload(scheduler="slurm", job_id="77", rank="3", user="ada")


def test_without_a_cgroup_of_slurm_the_environment_names_the_job():
    assert slurm_workload(facts(SLURM_JOB_ID="81")) == Workload(scheduler="slurm", job_id="81", user="ada")


def test_the_rank_within_a_task_goes_before_the_tasks_own():
    assert slurm_workload(facts(SLURM_JOB_ID="81", SLURM_PROCID="0", RANK="5")).rank == "5"


def test_the_batch_step_has_no_rank():
    batch = facts(SLURM_CGROUP.replace("step_0", "step_batch"), SLURM_PROCID="0")
    assert slurm_workload(batch).rank == ""


@pytest.mark.parametrize("value", ["", "x", "1;2", "-3", "9" * 21, "٣"])
def test_a_job_id_that_is_no_number_is_none(value):
    assert slurm_workload(facts(SLURM_JOB_ID=value)) is None


@pytest.mark.parametrize(("text", "indices"), [("0,2-4", (0, 2, 3, 4)), ("3", (3,)), ("", ()), ("0,x", ())])
def test_the_gpus_of_a_job_are_read_from_what_slurm_gave_it(text, indices):
    assert allocated_indices(facts(SLURM_JOB_GPUS=text)) == indices


def test_the_gpus_of_a_step_go_before_those_of_its_job():
    assert allocated_indices(facts(SLURM_JOB_GPUS="0-3", SLURM_STEP_GPUS="2")) == (2,)


# ---- containers and pods


@pytest.mark.parametrize(
    ("cgroup", "pod_uid"),
    [
        (DOCKER_CGROUP, None),
        (f"12:pids:/docker/{CONTAINER_ID}\n", None),
        (f"0::/containerd.service/kubepods-pod{POD_UID}.slice/{CONTAINER_ID}\n", POD_UID),
        (POD_CGROUP, POD_UID),
        (f"3:cpu:/kubepods/burstable/pod{POD_UID}/{CONTAINER_ID}\n", POD_UID),
        (f"0::/machine.slice/libpod-{CONTAINER_ID}.scope/container\n", None),
    ],
)  # fmt: skip
def test_the_cgroup_names_the_container(cgroup, pod_uid):
    assert container_of(cgroup) == Container(CONTAINER_ID[:12], pod_uid)


@pytest.mark.parametrize("cgroup", ["0::/\n", "0::/user.slice/session-4.scope\n", "0::/docker/abc\n"])
def test_a_process_outside_every_container_is_in_none(cgroup):
    assert container_of(cgroup) is None


# ---- YARN

YARN_CONTAINER = "container_e17_1410901177871_0001_01_000005"
YARN_JOB = Workload(
    scheduler="yarn", container=YARN_CONTAINER, job_id="application_1410901177871_0001", rank="3", user="ada"
)


@pytest.mark.parametrize(
    "process",
    [
        facts(CONTAINER_ID=YARN_CONTAINER, RANK="3"),
        facts(f"4:cpu,cpuacct:/hadoop-yarn/{YARN_CONTAINER}\n", RANK="3"),
        facts(
            f"0::/hadoop-yarn/{YARN_CONTAINER}/child\n", CONTAINER_ID="container_1410901177871_0009_01_000001", RANK="3"
        ),
    ],
)
def test_a_process_of_a_yarn_container_belongs_to_the_application(process):
    assert workload_of(process) == YARN_JOB


@pytest.mark.parametrize("value", ["", "3f2a", "container_1_2_3_4", f"{YARN_CONTAINER} ", f"x{YARN_CONTAINER}"])
def test_what_is_no_container_of_yarn_is_none(value):
    assert yarn_workload(facts(CONTAINER_ID=value)) is None


def test_a_container_of_yarn_in_docker_is_yarns():
    assert workload_of(facts(DOCKER_CGROUP, CONTAINER_ID=YARN_CONTAINER, RANK="3")) == YARN_JOB


@given(st.text())
def test_no_cgroup_text_breaks_the_reading(text):
    container_of(text)
    yarn_workload(facts(text))
    slurm_workload(facts(text))


def test_a_pods_name_is_believed_only_if_the_kubelet_knows_it():
    process = facts(POD_CGROUP, HOSTNAME="trainer-0")
    assert workload_of(process) == Workload(scheduler="kubernetes", container=CONTAINER_ID[:12])
    known = workload_of(process, {"trainer-0": "research"})
    assert known == Workload(scheduler="kubernetes", namespace="research", pod="trainer-0")


def test_a_process_of_nobody_but_its_user_is_plain():
    assert workload_of(facts()) == Workload(scheduler="none", user="ada")


# ---- /proc


def test_only_the_allowed_variables_are_kept(proc):
    proc.start(10, SLURM_JOB_ID="7", AWS_SECRET_ACCESS_KEY="hush", RANK="1")  # noqa: S106 - that is the point
    assert ProcFs(proc.root).facts(10).environment == {"SLURM_JOB_ID": "7", "RANK": "1"}


def test_a_process_that_another_one_replaced_meanwhile_is_not_described(proc, monkeypatch):
    proc.start(10)
    system, starts = ProcFs(proc.root), iter([4242, 4243])
    monkeypatch.setattr(system, "started", lambda _: next(starts))
    assert system.facts(10) is None


@pytest.mark.parametrize("stat", [b"", b"10 (a) R", b"10 (a) R " + b"x " * 30, b"\xff" * 9000])
def test_a_damaged_stat_is_no_process(proc, stat):
    proc.start(10)
    (proc.root / "10/stat").write_bytes(stat)
    assert ProcFs(proc.root).facts(10) is None


def test_a_dead_process_that_nobody_has_waited_for_is_gone(proc):
    proc.start(10)
    stat = proc.root / "10/stat"
    stat.write_text(stat.read_text().replace(") S ", ") Z "))
    assert ProcFs(proc.root).started(10) is None


def test_values_from_an_environment_are_bounded_and_printable(proc):
    proc.start(10, HOSTNAME="a\nb\x1b" + "c" * 10_000)
    value = ProcFs(proc.root).facts(10).environment["HOSTNAME"]
    assert value.startswith("abc")
    assert len(value) <= 128


# ---- device files


def test_a_device_file_is_matched_by_pci_address_not_by_number(proc, tmp_path):
    proc.nvidia("0000:3b:00.0", minor=5)
    proc.start(10)
    proc.opens(10, "/dev/null", "/dev/nvidia5", "/dev/nvidiactl", "/dev/nvidia0")
    files = files_by_pci_address(proc.root, tmp_path / "sys")
    assert holders_of_files(ProcFs(proc.root), files) == {"0000:3b:00.0": {10}}


def test_render_nodes_are_matched_through_sysfs(proc, tmp_path):
    device = tmp_path / "sys/devices/0000:c1:00.0"
    device.mkdir(parents=True)
    node = tmp_path / "sys/class/drm/renderD129"
    node.mkdir(parents=True)
    (node / "device").symlink_to(device)
    assert files_by_pci_address(proc.root, tmp_path / "sys") == {"/dev/dri/renderD129": "0000:c1:00.0"}


def test_a_real_process_that_has_a_device_file_open_is_found(tmp_path):
    path = tmp_path / "nvidia3"
    with path.open("w"):
        assert holders_of_files(ProcFs(), {str(path): "0000:3b:00.0"}) == {"0000:3b:00.0": {os.getpid()}}
    assert holders_of_files(ProcFs(), {str(path): "0000:3b:00.0"}) == {}


# ---- files of prologs


def test_the_job_mapping_directory_names_gpus_and_instances(tmp_path):
    (tmp_path / "0").write_text("77\n78\n")
    (tmp_path / "1.3").write_text("79")
    (tmp_path / "README").write_text("80")
    assert [(gpu, part, who.job_id) for gpu, part, who in mapping_claims(tmp_path)] == [
        ("0", "", "77"), ("0", "", "78"), ("1", "3", "79"),
    ]  # fmt: skip


def test_gpustat_names_job_and_user(tmp_path):
    (tmp_path / "2").write_text("77 1000\n")
    (tmp_path / "3").write_text("no job\n")
    assert list(gpustat_claims(tmp_path, lambda uid: f"user{uid}")) == [
        ("2", "", Workload(scheduler="slurm", job_id="77", user="user1000"))
    ]


def test_a_directory_that_is_not_there_says_nothing(tmp_path):
    assert list(mapping_claims(tmp_path / "none")) == list(gpustat_claims(tmp_path / "none", str)) == []


def test_a_pipe_among_the_files_holds_nobody_up(tmp_path):
    os.mkfifo(tmp_path / "0")
    (tmp_path / "1").write_text("77")
    assert [gpu for gpu, _, _ in mapping_claims(tmp_path)] == ["1"]
