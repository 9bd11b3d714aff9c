"""`warpgauge plan`: what it prints, its exit codes, and one sentence for each wrong use."""

from __future__ import annotations

import json
import re

import pytest

from warpgauge.analyzer.planning.live import LeftOut
from warpgauge.analyzer.planning.openb import Workload
from warpgauge.analyzer.planning.policies import POLICY_NAMES
from warpgauge.analyzer.planning.pool_plan import plan_pool
from warpgauge.cli.main import main
from warpgauge.cli.plan_report import as_json_lines, as_text
from warpgauge.cli.verbs.plan import POLICIES
from warpgauge.core.catalog import device

NODES = ["sn,cpu_milli,memory_mib,gpu,model", *(f"gpu-{name},96000,393216,8,A100" for name in "abc")]
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,qos,gang,node,gpus"


@pytest.fixture
def plan(tmp_path, capsys):
    """`plan(pods, "--json")` gives exit code, stdout and stderr."""

    def run(pods: list[str], *flags: str, nodes: list[str] = NODES) -> tuple[int, str, str]:
        (tmp_path / "nodes.csv").write_text("\n".join(nodes) + "\n")
        (tmp_path / "pods.csv").write_text("\n".join([PODS, *pods]) + "\n")
        paths = ("--nodes", str(tmp_path / "nodes.csv"), "--pods", str(tmp_path / "pods.csv"))
        code = main(["plan", *paths, *flags], environ={})
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


SCATTERED = [
    "one,8000,8192,1,1000,BE,,gpu-a,0",
    "two,8000,8192,1,1000,BE,,gpu-b,0",
    "three,8000,8192,1,1000,LS,,gpu-c,0",
]
TRAINING = ["rank-0,80000,8192,8,1000,LS,train,,"]


def test_a_pod_with_room_is_given_a_place_and_all_is_well(plan):
    code, out, err = plan(["web,4000,8192,1,500,LS,,,"])
    assert (code, err) == (0, "")
    assert "1 waiting pods have a place, 0 jobs wait on" in out
    assert "web  gpu-a  0" in out
    assert "Moves: nothing worth moving: no job waits for several GPUs of one node." in out


def test_a_gang_that_waits_for_a_whole_node_gets_moves_with_gain_cost_and_undo(plan):
    code, out, _ = plan([*SCATTERED, *TRAINING])
    assert code == 1
    assert "train  8 GPUs, 80 cores, 8 GiB: of 3 such nodes 0 have the devices free" in out.replace("\n", " ")
    assert "Move, in this order:" in out
    assert "Gain: frees 1 whole node of 8 GPUs; 0 free now, 1 wanted." in out
    assert "Then these jobs fit: train." in out
    assert "Cost: 120 GPU-seconds of work, without what 1 pod did since a checkpoint nobody told of." in out
    assert "Undo: the same moves backwards" in out


def test_json_lines_hold_every_step_and_its_way_back(plan):
    _, out, _ = plan([*SCATTERED, *TRAINING], "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    by_type = {}
    for line in lines:
        by_type.setdefault(line["type"], []).append(line)
    ((move,), (back,), (summary,)) = by_type["move"], by_type["undo"], by_type["summary"]
    assert (move["source"], move["target"]) == (back["target"], back["source"])
    assert (move["pod"], move["step"]) == ("one", 1)
    assert summary["gain"] == {"metric": "whole_nodes_free", "unit": "nodes", "before": 0, "after": 1}
    assert summary["cost"] == {"gpu_seconds": 120.0, "pods_of_unknown_loss": 1}
    assert summary["jobs_that_fit_after_moves"] == ["train"]


def test_pods_that_must_not_be_disturbed_stay_unless_all_may_move(plan):
    fixed = [line.replace(",BE,", ",LS,") for line in SCATTERED]
    assert "nothing worth moving" in plan([*fixed, *TRAINING])[1]
    assert "Then these jobs fit: train." in plan([*fixed, *TRAINING], "--move-all")[1]


def test_moves_that_would_help_nobody_are_not_proposed(plan):
    nodes = [line.replace("96000", "48000") for line in NODES]
    code, out, _ = plan([*SCATTERED, "rank-0,48001,8192,8,1000,LS,,,"], nodes=nodes)
    assert code == 1
    assert "Moves: nothing worth moving: " in out
    assert "Move, in this order" not in out


def test_a_pod_without_gpu_leaves_the_cores_that_idle_devices_need(plan):
    nodes = [NODES[0], "full,8000,393216,1,A100", "idle,32000,393216,1,A100", "spare,96000,393216,0,"]
    pods = ["cores,28000,8192,0,0,BE,,idle,", "busy,8000,8192,1,1000,LS,,full,0", "wait,8000,8192,1,1000,LS,,,"]
    _, out, _ = plan(pods, nodes=nodes)
    assert "cores  idle  -        spare  -" in out
    assert "Then these jobs fit: wait." in out
    assert "nothing worth moving" in plan(pods, "--most-moves", "0", nodes=nodes)[1]


def test_whole_nodes_may_be_asked_for_without_a_job(plan):
    code, out, _ = plan(SCATTERED, "--whole-nodes", "2")
    assert code == 1
    assert "frees 2 whole nodes of 8 GPUs; 0 free now, 2 wanted" in out


def test_a_pod_that_this_plan_places_is_not_moved_by_it(plan):
    waiting = [line.split(",gpu-")[0] + ",," for line in SCATTERED]
    _, out, _ = plan(waiting, "--policy", "spread", "--whole-nodes", "2", "--move-all")
    assert "3 waiting pods have a place" in out
    assert "Moves: nothing worth moving" in out


@pytest.mark.parametrize(
    ("pods", "complaint"),
    [
        (["p,1,1,1,1000,LS,,gpu-z,0"], "pod p runs on gpu-z, which the node list does not have"),
        (["p,1,1,1,700,LS,,gpu-a,0", "q,1,1,1,700,LS,,gpu-a,0"], "pod q can not run on gpu-a beside the pods before"),
        (["p,1,1,1,1000,LS,,gpu-a,9"], "pod p can not run on gpu-a"),
    ],
)
def test_a_state_that_can_not_be_is_refused(plan, pods, complaint):
    code, _, err = plan(pods)
    assert code == 2
    assert err.startswith(f"warpgauge: {complaint}")


def test_a_flag_out_of_range_is_refused(plan):
    assert plan([], "--gpus", "0")[0::2] == (2, "warpgauge: --gpus must be at least 1, got 0\n")


def test_the_flag_lists_exactly_the_policies_that_there_are():
    assert POLICIES == POLICY_NAMES


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ([], "give --nodes CSV and --pods CSV, or --core"),
        (["--nodes", "n.csv"], "give --nodes CSV and --pods CSV, or --core"),
        (["--nodes", "n.csv", "--pods", "p.csv", "--partition", "a"], "which alone take --partition"),
        (["--core", "slurm", "--pods", "p.csv"], "give one or the other"),
    ],
)
def test_files_or_a_live_cluster_and_not_half_of_each(flags, words, capsys):
    assert main(["plan", *flags], environ={}) == 2
    assert words in capsys.readouterr().err


def test_what_a_live_cluster_leaves_out_is_listed():
    pool = plan_pool((), Workload(pods=(), seats={}))
    left_out = [LeftOut(what="node a", why="drain (fan broken)")]
    assert "node a  drain (fan broken)" in as_text(pool, left_out)
    assert next(as_json_lines(pool, left_out)) == {"type": "left_out", "what": "node a", "why": "drain (fan broken)"}


HOT = {"gpu-a": 1.0, "gpu-b": 0.0, "gpu-c": 0.0}  # share of the time that heat slows a node's device


def telemetry_of(hot: dict[str, float]) -> str:
    """Ten minutes of one device a node, as an OpenMetrics file."""
    lines: dict[str, list[str]] = {}
    for node, share in hot.items():
        for second in range(0, 600, 10):
            for metric, more, value in (
                (device.THROTTLE_ACTIVE, ',reason="sw_thermal"', share),
                (device.CLOCK, ',clock="sm"', 1.98e9 * (1 - 0.3 * share)),
                (device.CLOCK_MAX, ',clock="sm"', 1.98e9),
                (device.DEVICE_STATE, ',state="ok"', 1),
            ):
                labels = f'node="{node}",uuid="{node}-0",index="0"{more}'
                lines.setdefault(metric.name, []).append(f"{metric.name}{{{labels}}} {value} {1_750_000_000 + second}")
    families = [f"# TYPE {name} gauge\n" + "\n".join(rows) for name, rows in lines.items()]
    return "\n".join([*families, "# EOF", ""])


@pytest.fixture
def telemetry(tmp_path):
    def write(hot: dict[str, float]) -> tuple[str, str]:
        (tmp_path / "hot.om").write_text(telemetry_of(hot))
        return "--telemetry", str(tmp_path / "hot.om")

    return write


def test_with_telemetry_it_says_who_should_leave_a_hot_node(plan, telemetry):
    code, out, _ = plan(SCATTERED, *telemetry(HOT))
    assert code == 1
    assert "Slow, by what was measured:" in out
    assert "gpu-a  thermal_limited  one to gpu-b  takes one off gpu-a, which throttled 100%" in out


def test_json_has_the_move_off_a_hot_node_with_its_way_back(plan, telemetry):
    code, out, _ = plan(SCATTERED, "--json", *telemetry(HOT))
    documents = [json.loads(line) for line in out.splitlines()]
    (relief,) = [one for one in documents if one["type"] == "relief"]
    assert (code, relief["node"]) == (1, "gpu-a")
    ((move,), (back,)) = relief["moves"], relief["undo"]
    assert (move["pod"], move["source"]["node"], move["target"]["node"]) == ("one", "gpu-a", "gpu-b")
    assert (back["source"], back["target"]) == (move["target"], move["source"])
    assert documents[-1]["type"] == "summary"


def test_where_every_node_is_hot_nobody_is_moved_and_it_says_why(plan, telemetry):
    code, out, _ = plan(SCATTERED, *telemetry(dict.fromkeys(HOT, 1.0)))
    assert code == 0
    assert (
        "gpu-a  thermal_limited  nobody  nothing worth moving: no movable pod of gpu-a has a place on a cool node"
        in out
    )


def test_what_may_not_move_leaves_a_hot_node_only_if_all_may(plan, telemetry):
    fixed = [line.replace("BE", "LS") for line in SCATTERED]
    assert "gpu-a  thermal_limited  nobody" in plan(fixed, *telemetry(HOT))[1]
    assert "gpu-a  thermal_limited  one to gpu-b" in plan(fixed, "--move-all", *telemetry(HOT))[1]


def test_where_nothing_is_slowed_down_it_says_so(plan, telemetry):
    code, out, _ = plan(SCATTERED, *telemetry(dict.fromkeys(HOT, 0.0)))
    assert (code, "Slow, by what was measured: no node of the pool." in out) == (0, True)


def test_one_object_for_a_console_has_the_moves_and_exits_as_the_plan_does(plan):
    code, out, _ = plan([*SCATTERED, *TRAINING], "--document")
    made = json.loads(out)
    assert (code, made["core"], made["simulated"]) == (1, "files", False)
    assert [move["text"] for move in made["goals"][0]["moves"]] == ["job one: gpu-a GPU 0 → gpu-b GPU 1"]


def test_the_simulated_fleet_is_planned_and_said_to_be_simulated(capsys):
    assert main(["plan", "--core", "simulated"], environ={}) == 1
    said = capsys.readouterr().out
    assert said.startswith("Simulated: the fleet model that `warpgauge up --demo` shows, no cluster.")
    assert re.search(r"notebook-lucia +sim-node-\d", said)
    assert "Then these jobs fit: rerank-train." in said

    assert main(["plan", "--core", "simulated", "--document"], environ={}) == 1
    made = json.loads(capsys.readouterr().out)
    assert (made["simulated"], made["devices"]["before"]["total"]) == (True, 64)


def test_without_telemetry_nothing_is_said_of_it(plan):
    _, out, _ = plan(SCATTERED)
    assert "was measured" not in out
