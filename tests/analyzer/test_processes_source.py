"""The busiest processes as an agent tells them, with whose they are as far as it knows."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.analyzer.http_stub import answer, serving
from warpgauge.analyzer.sources.fetch import new_session
from warpgauge.analyzer.sources.processes import busiest_processes

if TYPE_CHECKING:
    from warpgauge.analyzer.detection import ProcessReading

PROCESS = {"pid": 7, "command": "python", "cpu_ratio": 0.5, "memory_bytes": 1, "user": "ann"}


def read(**more: Any) -> ProcessReading:
    async def run() -> tuple[ProcessReading, ...]:
        page = answer(json.dumps({"processes": [PROCESS | more]}), content_type="application/json")
        async with serving({"/api/v1/processes": page}) as url, new_session() as session:
            return await busiest_processes(session, f"{url}/metrics")

    (found,) = asyncio.run(run())
    return found


@pytest.mark.parametrize(
    ("workload", "job", "scheduler"),
    [
        ({"scheduler": "slurm", "job_id": "78", "user": "ann"}, "78", "slurm"),
        ({"scheduler": "kubernetes", "namespace": "ml", "pod": "train-0"}, "ml/train-0", "kubernetes"),
        ({"scheduler": "none", "user": "ann"}, "", "none"),
        (None, None, ""),
    ],
    ids=["a job", "a pod", "no job", "not told"],
)
def test_a_process_is_of_a_job_of_none_or_of_one_that_is_not_told(workload: Any, job: str | None, scheduler: str):
    found = read() if workload is None else read(workload=workload)
    assert (found.job, found.scheduler) == (job, scheduler)


def test_a_name_from_outside_is_cut():
    assert len(read(workload={"scheduler": "slurm", "job_id": "9" * 10_000}).job) == 128
