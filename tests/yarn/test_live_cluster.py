"""A real YARN and our own programs: `warpgauge plan --core yarn` reads it, `executor --core yarn` acts on it."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.executors.test_yarn import of_app
from tests.real_servers import wait_until
from tests.running import warpgauge
from tests.yarn_cluster import ADMIN
from warpgauge.core.recommendation import RecommendationKind
from warpgauge.exporters.attribution.census import workload_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.yarn_cluster import YarnCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]


def settings(cluster: YarnCluster) -> dict[str, str]:
    return {"WARPGAUGE_YARN_URLS": cluster.url, "WARPGAUGE_YARN_USER": ADMIN}


def test_the_plan_names_what_waits_and_where_the_rest_runs(yarn_cluster: YarnCluster, yarn_app: str, tmp_path: Path):
    here = [name for name, node in yarn_cluster.nodes().items() if node["state"] == "RUNNING"]
    training = yarn_cluster.submit(containers=len(here), gpus=4)
    try:
        yarn_cluster.running(training, containers=len(here))  # all nodes but one, beside its master
        wait_until(lambda: yarn_cluster.app(training).get("resourceRequests"), what="one container waits")
        done = warpgauge("plan", "--core", "yarn", "--json", home=tmp_path, **settings(yarn_cluster))
    finally:
        yarn_cluster.kill(training)
    assert (done.returncode, done.stderr) == (1, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (waiting,) = [line for line in lines if line["type"] == "waiting"]
    (summary,) = [line for line in lines if line["type"] == "summary"]
    assert waiting["job"].startswith(f"{training}/")
    assert summary["nodes"] == len(here)
    assert yarn_app


def test_the_agent_knows_whose_application_a_process_is(yarn_cluster: YarnCluster, yarn_app: str):
    found = {workload_of(facts) for facts in yarn_cluster.processes() if facts is not None}
    assert {one.scheduler for one in found} == {"yarn"}
    own = {one.container for one in found if one.job_id == yarn_app}  # others may be on their way out
    assert {container.rpartition("_")[2] for container in own} == {"000001", "000002"}


def test_an_executor_of_its_own_process_moves_an_application(yarn_cluster: YarnCluster, yarn_app: str, tmp_path: Path):
    now = time.time()
    order = of_app(RecommendationKind.REBALANCE_QUEUE, yarn_app, "batch", yarnQueue="root.train")
    order = replace(order, created=now, not_before=now - 1, expires_at=now + 600)
    (tmp_path / "orders.jsonl").write_text(json.dumps(order.to_event()) + "\n")
    done = warpgauge(
        "executor", "--core", "yarn", "--once", "--from-file", tmp_path / "orders.jsonl",
        "--state-directory", tmp_path / "state", home=tmp_path, **settings(yarn_cluster),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert yarn_cluster.app(yarn_app)["queue"] == "root.batch"
    acks = [json.loads(line)["data"] for line in (tmp_path / "state" / "acks.jsonl").read_text().splitlines()]
    assert [ack["phase"] for ack in acks] == ["received", "accepted", "dryRunOk", "executing", "executed"]
