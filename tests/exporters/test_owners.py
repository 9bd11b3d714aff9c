"""Whose one process is, asked when a finding needs the name: a job's, its children's, or honestly nobody's."""

from __future__ import annotations

import pytest

from tests.exporters.test_attribution_sources import SLURM_CGROUP
from tests.fakes.procfs import POD_CGROUP, FakeProc
from warpgauge.exporters.attribution.owners import Owners, Pods
from warpgauge.exporters.attribution.procfs import ProcFs
from warpgauge.exporters.attribution.speaking import Spoken

SPEAKER = 20
SPOKEN = {SPEAKER: Spoken("train", 3)}


@pytest.fixture
def proc(tmp_path):
    return FakeProc(tmp_path)


def of(proc: FakeProc, pid: int, pods=None, spoken=None) -> dict[str, str] | None:
    told = Pods()
    told.tell(pods or {})
    return Owners(ProcFs(proc.root, lambda _: "ada"), pods=told.ask, spoken=lambda: spoken or {}).of(pid)


def test_a_process_of_slurm_is_of_its_job(proc):
    proc.start(10, cgroup=SLURM_CGROUP)
    assert of(proc, 10) == {"scheduler": "slurm", "job_id": "77", "user": "ada"}


def test_a_process_in_a_pod_that_the_kubelet_named_is_of_that_pod(proc):
    proc.start(10, cgroup=POD_CGROUP, HOSTNAME="train-0")
    assert of(proc, 10, {"train-0": "ml"}) == {"scheduler": "kubernetes", "namespace": "ml", "pod": "train-0"}


def test_what_a_step_timers_process_started_is_of_its_job(proc):
    proc.start(SPEAKER)
    proc.start(21, parent=SPEAKER)
    proc.start(22, parent=21)
    assert of(proc, 22, spoken=SPOKEN) == {"scheduler": "none", "job_id": "train", "user": "ada"}


def test_a_job_of_a_scheduler_stays_whatever_started_it(proc):
    proc.start(SPEAKER)
    proc.start(10, cgroup=SLURM_CGROUP, parent=SPEAKER)
    assert of(proc, 10, spoken=SPOKEN)["job_id"] == "77"


def test_a_process_that_somebody_simply_started_is_of_no_job(proc):
    proc.start(10)
    assert of(proc, 10, spoken=SPOKEN) == {"scheduler": "none", "user": "ada"}


def test_of_a_process_whose_environment_is_hidden_nobody_says_that_it_is_of_no_job(proc):
    proc.start(10)
    (proc.root / "10/environ").unlink()
    assert of(proc, 10) is None


def test_a_process_that_is_gone_or_its_own_ancestor_is_no_trouble(proc):
    proc.start(10, parent=10)
    assert of(proc, 11) is None
    assert of(proc, 10) == {"scheduler": "none", "user": "ada"}
