"""A real Slurm cluster, read: `warpgauge plan --core slurm`, and single questions."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.real_servers import wait_until
from tests.running import warpgauge
from warpgauge.analyzer.service.plan_page import page_of
from warpgauge.analyzer.service.pool_reading import PoolReader
from warpgauge.cli.planner import planner_of
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import Config, PlanningConfig

if TYPE_CHECKING:
    from pathlib import Path

    from tests.slurm_cluster import SlurmCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]


def read_for_the_console(slurm_conf: str, timeout_seconds: float = 60.0) -> dict[str, Any]:
    """What the analyzer's API says once it has read the cluster of a slurm.conf."""
    settings = replace(Config(), planning=PlanningConfig(core="slurm", timeout_seconds=timeout_seconds))
    command = planner_of(argparse.Namespace(config=None), settings)
    reader = PoolReader(replace(command, environ={"SLURM_CONF": slurm_conf}), settings.planning, clock := SystemClock())
    asyncio.run(reader.read())
    return page_of(reader, (), now=clock.now())


def test_what_moves_where_lets_a_waiting_gang_run(slurm_cluster: SlurmCluster, tmp_path: Path):
    scattered = [slurm_cluster.submit("--gres=gpu:1", "-w", f"gpu-n{number}") for number in range(4)]
    for job in scattered:
        slurm_cluster.running(job)
    gang = slurm_cluster.submit("-N2", "--gres=gpu:4", "--account=ml")

    done = warpgauge("plan", "--core", "slurm", "--json", home=tmp_path, SLURM_CONF=slurm_cluster.environ["SLURM_CONF"])
    assert (done.returncode, done.stderr) == (1, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (summary,) = [line for line in lines if line["type"] == "summary"]
    assert summary["jobs_that_fit_after_moves"] == [str(gang)]
    assert {line["pod"] for line in lines if line["type"] == "move"} <= {str(job) for job in scattered}

    page = read_for_the_console(slurm_cluster.environ["SLURM_CONF"])
    assert (page["state"], page["says"].startswith("As Slurm was ")) == ("current", True)
    assert page["plan"]["goals"][0]["then_fit"] == [str(gang)]
    assert [one["name"] for one in page["plan"]["goals"][0]["moves"]] == [
        line["pod"] for line in lines if line["type"] == "move"
    ]
    nowhere = str(tmp_path / "no-such-slurm.conf")  # for which squeue looks for 30 s
    silent = read_for_the_console(nowhere, timeout_seconds=2.0)
    assert (silent["state"], "no plan within 2 s" in silent["says"]) == ("failed", True)

    seats = {job: f"gpu-n{number}" for number, job in enumerate(scattered)}
    for move in (line for line in lines if line["type"] == "move"):  # by hand, as the person at the terminal would
        seats[int(move["pod"])] = move["target"]["node"]
    for job, node in seats.items():
        slurm_cluster.run("scancel", str(job))
        slurm_cluster.submit("--gres=gpu:1", "-w", node)
    assert len(slurm_cluster.running(gang).held) == 2


def test_a_drained_node_is_named_and_nothing_is_placed_on_it(slurm_cluster: SlurmCluster, tmp_path: Path):
    slurm_cluster.run("scontrol", "update", "nodename=gpu-n0", "state=drain", "reason=fan broken")
    done = warpgauge("plan", "--core", "slurm", home=tmp_path, SLURM_CONF=slurm_cluster.environ["SLURM_CONF"])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("3 nodes, 0 pods run.")
    assert "node gpu-n0  drain (fan broken)" in done.stdout


def test_the_state_of_one_job_is_read_without_all_others(slurm_cluster: SlurmCluster):
    job = slurm_cluster.submit("--gres=gpu:1")
    slurm_cluster.running(job)
    assert slurm_cluster.slurm.job_state(job) == "RUNNING"
    assert slurm_cluster.slurm.job_state(999_999) is None


def test_why_one_job_waits_is_read_without_all_others(slurm_cluster: SlurmCluster):
    later, running = slurm_cluster.submit("--begin=now+600"), slurm_cluster.submit("--gres=gpu:1")
    slurm_cluster.running(running)
    wait_until(lambda: slurm_cluster.slurm.waits_for(later) == "BeginTime", what="the scheduler looked at it")
    assert [slurm_cluster.slurm.waits_for(one) for one in (running, 999_999)] == [None, None]
