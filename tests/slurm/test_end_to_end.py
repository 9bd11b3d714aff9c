"""From steps that are really slow to a job that runs elsewhere, on a real Slurm with the real agent and analyzer.

Nothing is written by hand: the ranks tell the step timer, the agents of their nodes tell the analyzer, and everything
after that follows from it. Only the analyzer's waits are shorter than a site's (`hurried`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.real_servers import wait_until
from tests.slurm.site import sick, site
from warpgauge.core.catalog import training
from warpgauge.executors.slurm.commands import reason_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real_servers import Servers
    from tests.slurm_cluster import SlurmCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

PEERS = 5  # jobs that nobody touches, which the moved one is held against
STEPS = ["received", "accepted", "dryRunOk", "executing", "executed"]


def test_a_job_that_a_sick_node_holds_back_is_moved_and_runs_faster(
    slurm_cluster: SlurmCluster, servers: Servers, tmp_path: Path
):
    with site(slurm_cluster, servers, tmp_path / "site") as here:
        job = here.submit("-N2", "--ntasks-per-node=2", "--gres=gpu:2")
        for _ in range(PEERS):
            here.submit("--ntasks=1")
        before = slurm_cluster.running(job)
        node = before.held[1].node
        with sick(node, job):
            found = wait_until(lambda: here.findings(job), what="the straggler is found", seconds=90)
            assert (found[0]["kind"], found[0]["scope"]["node"]) == ("straggler", node)

            advice = wait_until(here.recommendations, what="a move is recommended", seconds=60)[0]
            assert (advice["kind"], advice["target"][0]["name"]) == ("replace-straggler", str(job))
            assert {row["metric"].partition("{")[0] for row in advice["evidence"]} == {training.PHASE_SECONDS.name}

            with here.executor("--dry-run"):
                here.order("approve", advice["id"])
                wait_until(lambda: "dryRunOk" in here.phases(advice["id"]), what="it was tried dry")
                time.sleep(1.5)  # three rounds in which it must not act
            assert here.phases(advice["id"]) == STEPS[:3]
            assert f"scontrol requeuehold {job}" in here.audited("ack", advice["id"])[2]["detail"]
            assert (slurm_cluster.job(job), slurm_cluster.slurm.node(node).is_drained) == (before, False)

            time.sleep(max(0.0, found[0]["since"] + 17 - time.time()))  # a past to compare with
            with here.executor():
                wait_until(lambda: "executed" in here.phases(advice["id"]), what="it was executed", seconds=60)
                assert here.phases(advice["id"]) == STEPS
                moved = slurm_cluster.running(job)
                assert node not in [held.node for held in moved.held]
                assert (moved.restarts, moved.excluded_nodes) == (1, node)
                assert slurm_cluster.slurm.node(node).reason == reason_of(advice["id"])

                (verified,) = wait_until(
                    lambda: here.audited("verification", advice["id"]), what="the move is verified", seconds=120
                )
                assert verified["verdict"] == "improved", verified
                assert verified["metric"] == training.STEP_SECONDS.name
                assert verified["after"]["median"] < verified["before"]["median"]
                assert verified["control"]["peers"] == PEERS

                here.order("undo", advice["id"])
                wait_until(lambda: slurm_cluster.slurm.node(node).why_not is None, what="the node is given back")
        assert slurm_cluster.job(job).held == moved.held
