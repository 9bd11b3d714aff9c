"""A YARN cluster in the planner's words, from what a real one answered."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from warpgauge.analyzer.planning.pool_plan import occupancy_of
from warpgauge.analyzer.planning.yarn import MOST_ASKED, pool_of
from warpgauge.core.errors import ConfigError
from warpgauge.core.yarn import Resources, parse_apps, parse_containers, parse_nodes

RECORDED = Path(__file__).parents[1] / "fixtures" / "yarn-3.5.0"


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


NODES = parse_nodes(recorded("nodes"))
_, APP = parse_apps(recorded("apps"))
HELD = parse_containers(recorded("containers"))
CONTAINERS = {APP.id: HELD}


def test_the_recorded_cluster_adds_up():
    pool = pool_of(NODES, [APP], CONTAINERS)
    assert occupancy_of(pool.nodes, pool.workload).cluster.allocated_ratio == pytest.approx(8 / 12)


def test_a_container_sits_on_its_node_with_the_devices_counted_off():
    pool = pool_of(NODES, [APP], CONTAINERS)
    workers = [container for container in HELD if container.held["yarn.io/gpu"]]
    assert [pool.workload.seats[one.id] for one in workers] == [(one.node, (0, 1, 2, 3)) for one in workers]
    assert {pod.tenant for pod in pool.workload.pods} == {"root.train"}
    assert not any(pod.is_movable for pod in pool.workload.pods)


def test_a_cluster_that_counts_memory_only_hands_out_more_cores_than_there_are():
    busy = [replace(one, held=Resources.read("memory-mb=64,vcores=9")) for one in HELD]
    pool = pool_of(NODES, [APP], {APP.id: busy})
    cores = {node.name: node.cpu_milli for node in pool.nodes}
    assert sorted(cores[node] for node in {one.node for one in busy}) == [9000, 18000]
    assert occupancy_of(pool.nodes, pool.workload).cluster.allocated_ratio == 0


def test_what_is_still_asked_for_waits():
    (waiting,) = [pod for pod in pool_of(NODES, [APP], CONTAINERS).workload.pods if pod.name.startswith(APP.id)]
    assert (waiting.name, waiting.request.gpu_count, waiting.request.memory_mib) == (f"{APP.id}/0.0", 4, 64)


def test_no_more_than_a_thousand_alike_are_planned_for():
    many = replace(APP, asks=(replace(APP.asks[0], count=5000),))
    assert len(pool_of(NODES, [many], {}).workload.pods) == MOST_ASKED


def test_an_ask_for_hosts_by_name_is_left_out_with_the_reason():
    picky = replace(APP, asks=(replace(APP.asks[0], by_name=True),))
    (left,) = pool_of(NODES, [picky], {}).left_out
    assert left.what == f"1 containers of {APP.id}"
    assert "by name" in left.why


def test_a_node_that_takes_no_work_is_left_out_with_what_runs_there():
    away = HELD[-1].node
    nodes = [replace(node, state="DECOMMISSIONING") if node.id == away else node for node in NODES]
    pool = pool_of(nodes, [APP], CONTAINERS)
    assert [(one.what, one.why) for one in pool.left_out] == [(f"node {away.partition(':')[0]}", "decommissioning")]
    assert away not in {node for node, _ in pool.workload.seats.values()}


def test_a_label_is_a_zone_that_only_those_who_ask_for_it_enter():
    nodes = [replace(NODES[0], labels=("a100",)), *NODES[1:]]
    labeled = replace(APP, asks=(replace(APP.asks[0], label="a100"),))
    pool = pool_of(nodes, [labeled], {})
    (waiting,) = pool.workload.pods
    assert [waiting.request.allows(node) for node in pool.nodes] == [True, False, False]
    assert [node.name for node in pool_of(nodes, [labeled], {}, label="a100").nodes] == [NODES[0].id]
    with pytest.raises(ConfigError, match="no node has the label 'h100'; there are a100"):
        pool_of(nodes, [labeled], {}, label="h100")
