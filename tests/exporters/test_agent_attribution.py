"""From the driver's list of processes, through the child and the agent, to the page: who has which GPU."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.procfs import FakeProc
from tests.fakes.running_agent import python_fake, running
from warpgauge.core.catalog import device

pytestmark = pytest.mark.slow

BOTH = ("nvml", "attribution")


def test_a_job_is_named_on_its_gpu_and_gone_when_it_is_killed(tmp_path):
    proc, script = FakeProc(tmp_path / "proc"), tmp_path / "faults"
    proc.start(1000, SLURM_JOB_ID="77", SLURM_PROCID="3")  # one of the processes that the fake GPU lists

    async def tell():
        program = python_fake(script, "h100")
        quiet = {"pod_resources_socket": "", "gpustat_directory": "", "proc_root": str(proc.root)}
        async with running(program, script, collectors=BOTH, **quiet) as agent:
            await agent.until(lambda: named(agent) == {("77", "3")})
            proc.end(1000)
            await agent.until(lambda: named(agent) == set(), seconds=2.0)

    asyncio.run(tell())


def named(agent) -> set[tuple[str, str]]:
    page = agent.values(device.WORKLOAD_INFO.name)  # by container, instance_id, job_id, namespace, pod, rank, ...
    return {(labels[2], labels[5]) for labels in page if labels[6] == "slurm"}
