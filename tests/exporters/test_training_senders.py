"""Who a sender is: start time, and its Slurm job from the cgroup or the environment."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.exporters.collectors.training_senders import Sender, Senders

STAT = b"10 (a) R (b) S 1 1 1 0 -1 0 0 0 0 0 5 6 0 0 20 0 1 0 4242 4096 10 0 0\n"


@pytest.fixture
def process(tmp_path):
    def write(pid=10, **files):
        (tmp_path / str(pid)).mkdir(exist_ok=True)
        for name, content in {"stat": STAT, **files}.items():
            (tmp_path / str(pid) / name).write_bytes(content)

    return write


@pytest.fixture
def senders(tmp_path):
    return Senders(tmp_path)


@pytest.mark.parametrize(
    "cgroup",
    [
        b"4:memory:/slurm/uid_1000/job_77/step_0/task_0\n",
        b"0::/system.slice/slurmstepd.scope/job_77/step_0/user/task_0\n",
        b"0::/system.slice/node_slurmstepd.scope/job_77\n",
    ],
)
def test_the_cgroup_names_the_slurm_job(process, senders, cgroup):
    process(cgroup=cgroup)
    assert senders.find(10) == Sender(10, 4242, "77")


def test_a_folder_that_only_looks_like_a_job_is_none(process, senders):
    process(cgroup=b"0::/user.slice/job_77\n")
    assert senders.find(10).own_job_id is None


def test_the_environment_names_the_job_where_no_cgroup_does(process, senders):
    process(environ=b"PATH=/bin\0SLURM_JOB_ID=78\0XSLURM_JOB_ID=79\0")
    assert senders.find(10).own_job_id == "78"


def test_the_cgroup_beats_an_environment_that_says_otherwise(process, senders):
    process(cgroup=b"0::/system.slice/slurmstepd.scope/job_77/step_0\n", environ=b"SLURM_JOB_ID=78\0")
    assert senders.find(10).own_job_id == "77"


def test_in_a_container_of_yarn_the_job_is_its_application(process, senders):
    process(environ=b"CONTAINER_ID=container_e17_1410901177871_0001_01_000005\0")
    assert senders.find(10).own_job_id == "application_1410901177871_0001"


def test_nonsense_in_the_environment_is_no_job(process, senders):
    process(environ=b"SLURM_JOB_ID=\xff;rm\0")
    assert senders.find(10).own_job_id is None


def test_a_process_outside_slurm_has_no_slurm_job(process, senders):
    process(cgroup=b"0::/user.slice\n", environ=b"PATH=/bin\0")
    assert senders.find(10) == Sender(10, 4242, None)


def test_a_process_that_ended_is_not_alive(process, senders, tmp_path):
    process()
    sender = senders.find(10)
    (tmp_path / "10/stat").unlink()
    assert not senders.is_alive(sender)


def test_another_process_with_the_same_pid_is_not_that_process(process, senders):
    process()
    sender = senders.find(10)
    process(stat=STAT.replace(b"4242", b"9999"))
    assert not senders.is_alive(sender)


def test_a_hidden_process_counts_as_alive(senders):
    assert senders.is_alive(senders.find(10))


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc on this system")  # noqa: PTH110 - one look
def test_this_very_process_is_found_alive():
    senders = Senders()
    assert senders.is_alive(senders.find(os.getpid()))


@given(stat=st.binary(max_size=100), cgroup=st.binary(max_size=100), environ=st.binary(max_size=100))
def test_no_contents_of_proc_break_the_lookup(tmp_path_factory, stat, cgroup, environ):
    root = tmp_path_factory.getbasetemp() / "fuzzed"
    (root / "10").mkdir(parents=True, exist_ok=True)
    for name, content in (("stat", stat), ("cgroup", cgroup), ("environ", environ)):
        (root / "10" / name).write_bytes(content)
    Senders(root).find(10)
