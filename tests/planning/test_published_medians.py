"""The literature on its own trace, which is not ours to ship: docs/howto/plan.md says where to get it."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import pytest

from warpgauge.analyzer.planning.arrivals import arrivals, place_all
from warpgauge.analyzer.planning.cluster import Cluster
from warpgauge.analyzer.planning.openb import read_nodes, read_pods
from warpgauge.analyzer.planning.policies import placer_for

FOLDER = os.environ.get("WARPGAUGE_OPENB", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOLDER, reason="no openb trace: WARPGAUGE_OPENB names no folder"),
]


@pytest.mark.parametrize(("policy", "published"), [("random", 87.38), ("bestfit", 93.11), ("fgd", 95.40)])
def test_a_published_policy_allocates_what_its_authors_say_on_the_default_workload(policy, published):
    nodes = read_nodes(Path(FOLDER, "openb_node_list_gpu_node.csv"))
    pods = read_pods(Path(FOLDER, "openb_pod_list_default.csv")).pods
    found = []
    for seed in (42, 43, 44):
        cluster = Cluster(nodes)
        place_all(placer_for(policy, cluster, pods, seed=seed), arrivals(pods, nodes, seed=seed))
        found.append(100 * cluster.allocated_ratio)
    assert statistics.median(found) == pytest.approx(published, abs=0.5)
