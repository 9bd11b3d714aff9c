"""The plan as one bounded object: what moves where in words, the pool before and after, and names nobody can trust."""

from __future__ import annotations

import json

from tests.planning.pools import node, pod
from warpgauge.analyzer.planning.document import MOST_ROWS, plan_object
from warpgauge.analyzer.planning.live import LeftOut, LivePool
from warpgauge.analyzer.planning.node_map import MOST_DEVICES, MOST_NODES
from warpgauge.analyzer.planning.openb import Workload
from warpgauge.analyzer.planning.pool_plan import plan_pool
from warpgauge.analyzer.planning.wording import MOST_LETTERS, devices_words, shown

HOSTILE = '<img src=x onerror="alert(1)">\u202e\x00\x1b[31m'


def document(nodes, running, waiting=(), *, core="slurm", left_out=()):
    """`running` maps a pod to the node and devices that it has."""
    seats = {one.name: seat for one, seat in running}
    pool = LivePool(
        nodes=tuple(nodes),
        workload=Workload(pods=(*(one for one, _ in running), *waiting), seats=seats),
        left_out=tuple(left_out),
    )
    return plan_object(pool, plan_pool(pool.nodes, pool.workload), core=core)


def scattered(*names: str, movable: bool = True):
    return [(pod(name, movable=movable), (f"n{place}", (0,))) for place, name in enumerate(names)]


def test_a_gang_that_waits_gets_moves_in_words_with_gain_cost_and_the_way_back():
    made = document([node("n0"), node("n1")], scattered("41", "42"), [pod("43", 8, cores=64)])

    goal = made["goals"][0]
    assert [move["text"] for move in goal["moves"]] == ["job 41: n0 GPU 0 → n1 GPU 1"]
    assert [move["text"] for move in goal["undo"]] == ["job 41: n1 GPU 1 → n0 GPU 0"]
    assert goal["title"] == "Free whole nodes for jobs that wait for several GPUs"
    assert goal["reason"] == "frees 1 whole node of 8 GPUs; 0 free now, 1 wanted"
    assert goal["cost"]["text"] == "120 GPU-seconds of work, without what 1 pod did since a checkpoint nobody told of"
    assert goal["then_fit"] == ["43"]
    assert made["headline"] == "1 job waits on, 1 move would let 1 job run."


def test_each_goal_that_no_move_serves_says_why():
    made = document([node("n0"), node("n1")], scattered("41", "42", movable=False), [pod("43", 8)])

    assert made["headline"] == "1 job waits on, nothing is worth moving."
    assert {goal["goal"]: (goal["moves"], goal["reason"]) for goal in made["goals"]} == {
        "whole_nodes_free": (
            [],
            "nothing worth moving: no node of 8 GPUs can be emptied: its pods must stay or have no other place",
        ),
        "fragmented_gpus": ([], "nothing worth moving: no move wins 0.5 GPU"),
    }
    (waits,) = made["waiting"]
    assert waits["why"].startswith("8 GPUs, 8 cores, 8 GiB: of 2 such nodes 0 have the devices free")


def test_where_nothing_waits_it_says_so():
    made = document([node("n0")], scattered("41"))
    assert made["headline"] == "Nothing waits for room, so nothing is worth moving."


def test_the_map_shows_the_nodes_before_and_after_those_that_change_first():
    made = document([node("n0", 2), node("n1", 2), node("n2", 0)], scattered("41", "42"), [pod("43", 2)])

    assert [(one["name"], one["changes"]) for one in made["nodes"]] == [("n0", True), ("n1", True), ("n2", False)]
    assert made["nodes"][0]["before"] == [{"used": 1000, "by": ["41"]}, {"used": 0, "by": []}]
    assert made["nodes"][0]["after"] == [{"used": 1000, "by": ["43"]}, {"used": 1000, "by": ["43"]}]
    assert made["devices"] == {
        "before": {"total": 4, "in_use": 2, "free_on_empty_nodes": 0, "free_beside_others": 2},
        "after": {"total": 4, "in_use": 4, "free_on_empty_nodes": 0, "free_beside_others": 0},
    }


def test_a_place_that_is_free_already_is_told_apart_from_moves():
    made = document([node("n0"), node("n1")], scattered("41"), [pod("44", 4)])

    assert [one["text"] for one in made["placements"]] == ["job 44 → n1 GPU 0-3"]
    assert made["headline"] == "1 waiting job has a place, nothing is worth moving."


def test_names_are_cut_and_nothing_that_does_not_print_goes_out():
    long = "x" * 1000
    made = document(
        [node(f"n0{HOSTILE}"), node("n1")],
        [(pod(HOSTILE), (f"n0{HOSTILE}", (0,))), (pod(long), ("n1", (0,)))],
        [pod("w", 8, tenant=HOSTILE)],
        left_out=[LeftOut(what=f"node {HOSTILE}", why=long)],
    )

    said = json.dumps(made, ensure_ascii=False)
    assert said.isprintable()
    assert long[: MOST_LETTERS + 1] not in said
    assert "<img src=x" in said  # as text: the console sets texts, never markup


def test_a_core_that_does_not_tell_devices_is_said_not_to():
    made = document([node("n0")], scattered("a/b"), core="kubernetes")
    (note,) = made["notes"]
    assert note == "Kubernetes does not tell which device of a node a pod has: the numbers here are counted out."
    assert document([node("n0")], scattered("a"))["notes"] == []


def test_a_large_pool_is_cut_at_the_bounds_and_the_rest_is_counted():
    nodes = [node(f"n{number:04d}", 8) for number in range(700)]
    running = [(pod(f"p{number}", 8, movable=False), (f"n{number:04d}", tuple(range(8)))) for number in range(700)]
    left_out = [LeftOut(what=f"node {number}", why="drain") for number in range(300)]
    made = document(nodes, running, [pod(f"w{number}", 8) for number in range(400)], left_out=left_out)

    assert len(made["nodes"]) == min(MOST_NODES, MOST_DEVICES // 8)
    assert (len(made["waiting"]), len(made["left_out"])) == (MOST_ROWS, MOST_ROWS)
    assert made["more"] == {"waiting": 400 - MOST_ROWS, "left_out": 300 - MOST_ROWS, "nodes": 700 - len(made["nodes"])}


def test_devices_are_named_by_spans():
    assert devices_words((3, 0, 1, 2, 6)) == "GPU 0-3,6"
    assert devices_words(()) == "no GPU"


def test_text_that_prints_stays_as_it_is():
    assert shown("näme/ü-1") == "näme/ü-1"
