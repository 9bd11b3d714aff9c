"""Who takes the CPUs beside a rank: a job is blamed only where that is plain."""

from __future__ import annotations

import pytest

from warpgauge.analyzer.anomalies.straggler.beside import Beside, beside
from warpgauge.analyzer.detection import ProcessReading
from warpgauge.core.finding import Whose


def process(cpu: float, job: str | None, command: str = "a", scheduler: str = "slurm") -> ProcessReading:
    return ProcessReading(
        pid=7, command=command, cpu_ratio=cpu, memory_bytes=1e6, user="ann", job=job, scheduler=scheduler
    )


def test_the_job_that_takes_more_than_half_of_what_others_take_is_blamed():
    found = beside([process(0.2, "78"), process(0.25, "78"), process(0.1, "79"), process(0.3, "train")], "train")

    assert found.whose == Whose(job_id="78", scheduler="slurm", user="ann")
    assert found.share == pytest.approx(0.45)
    assert found.words == "Job 78 takes 45 % of all CPUs there, 82 % of what others take"


def test_many_small_processes_of_one_job_count_together():
    crowd = [process(0.01, "78") for _ in range(40)]
    assert beside([*crowd, process(0.3, "", "make")], "train").whose.job_id == "78"


def test_processes_of_no_job_are_named_and_no_job_is():
    found = beside([process(0.5, "", "make", "none"), process(0.02, "", "sshd", "none"), process(0.1, "78")], "train")

    assert found.whose is None
    assert found.words == "These are processes of no job: make, 52 % of all CPUs; no scheduler can move them"


def test_of_several_jobs_that_take_alike_none_is_blamed_and_it_says_why():
    found = beside([process(0.2, "78"), process(0.2, "79"), process(0.1, "")], "train")

    assert found.whose is None
    assert found.words == (
        "No job takes more than half of what others take: job 78 20 %, job 79 20 % and processes of no job 10 %"
    )


@pytest.mark.parametrize(
    "processes",
    [
        [],
        [process(0.9, "train")],
        [process(0.04, "78")],
        [process(0.5, None)],
        [process(0.5, "78"), process(0.1, None)],
    ],
    ids=["nothing", "its own", "hardly anything", "an agent that does not tell", "one of them hidden"],
)
def test_where_nobody_can_say_it_nothing_is_said(processes):
    assert beside(processes, "train") == Beside()


def test_a_job_that_no_scheduler_started_is_blamed_without_one():
    found = beside([process(0.5, "other", scheduler="none")], "train")
    assert found.whose == Whose(job_id="other", user="ann")
