"""What `sinfo --json` and `squeue --json` of a real Slurm 22.05.8 say, read back; and what is refused."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.errors import InputError
from warpgauge.core.slurm import Slurm, SlurmError, parse_jobs, parse_nodes

RECORDED = Path(__file__).parents[1] / "fixtures" / "slurm-22.05.8"
SINFO = (RECORDED / "sinfo.json").read_bytes()
SQUEUE = (RECORDED / "squeue.json").read_bytes()


def jobs(**changes: object):
    """The recorded jobs by id, with fields of the first one changed."""
    document = json.loads(SQUEUE)
    document["jobs"][0] |= changes
    return {job.id: job for job in parse_jobs(json.dumps(document).encode())}


def nodes(**changes: object):
    document = json.loads(SINFO)
    document["nodes"][0] |= changes
    return {node.name: node for node in parse_nodes(json.dumps(document).encode())}


def test_a_node_has_its_devices_and_takes_work():
    node = nodes()["gpu-n0"]
    assert (node.cpus, node.memory_mib, node.gpu_count, node.model) == (8, 2000, 4, "a100")
    assert (node.why_not, node.is_drained) == (None, False)


def test_a_drained_node_says_so_and_why():
    node = nodes()["gpu-n3"]
    assert (node.why_not, node.is_drained) == ("drain (fan broken)", True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"state": "down", "reason": "Not responding"}, "down (Not responding)"),
        ({"state": "unknown-to-us"}, "unknown-to-us"),
        ({"state_flags": ["MAINTENANCE", "RESERVED"]}, "maintenance reserved"),
        ({"state_flags": ["A_FLAG_OF_A_LATER_SLURM"]}, "a_flag_of_a_later_slurm"),
    ],
)
def test_a_node_in_any_state_but_the_well_known_ones_takes_no_work(changes: dict[str, object], why: str):
    assert nodes(**changes)["gpu-n0"].why_not == why


@pytest.mark.parametrize("flag", ["COMPLETING", "PLANNED"])
def test_a_nodes_digest_stays_while_only_its_load_changes(flag: str):
    assert nodes(state="idle", state_flags=[flag])["gpu-n0"].digest == nodes()["gpu-n0"].digest


@pytest.mark.parametrize("changes", [{"state_flags": ["DRAIN"]}, {"state": "down"}, {"reason": "another"}])
def test_a_nodes_digest_changes_with_its_health(changes: dict[str, object]):
    assert nodes(**changes)["gpu-n0"].digest != nodes()["gpu-n0"].digest


@pytest.mark.parametrize(
    ("gres", "count", "model"),
    [
        ("", 0, ""),
        ("gpu:4", 4, ""),
        ("gpu:a100:8(S:0-1)", 8, "a100"),
        ("gpu:a100:2(S:0),gpu:v100:2(S:1),mps:a100:400", 4, ""),
        ("shard:16,gpu:h100:8", 8, "h100"),
    ],
)
def test_the_devices_of_a_node_are_its_gpus_and_nothing_else(gres: str, count: int, model: str):
    node = nodes(gres=gres)["gpu-n0"]
    assert (node.gpu_count, node.model) == (count, model)


def test_a_running_job_holds_cpus_memory_and_devices_on_each_node():
    job = jobs()[1]
    assert [(held.node, held.cpus, held.memory_mib, held.gpus) for held in job.held] == [
        ("gpu-n0", 1, 64, (0, 1)),
        ("gpu-n1", 1, 64, (0, 1)),
    ]
    assert (job.tenant, job.restarts, job.is_requeueable, job.is_batch) == ("ml", 0, True, True)


def test_a_job_name_that_looks_like_another_field_changes_nothing():
    job = jobs()[1]
    assert (job.name, job.state) == ("train JobState=DONE", "RUNNING")


def test_the_user_is_the_tenant_where_there_is_no_account():
    assert jobs()[2].tenant == jobs()[2].user


def test_a_waiting_job_asks_for_the_same_on_each_node():
    asked = jobs()[3].asked
    assert (asked.nodes, asked.cpus, asked.memory_mib, asked.gpu_count, asked.by_name) == (2, 1, 64, 4, False)


def test_a_job_that_names_a_node_says_so():
    assert jobs()[4].asked.by_name


def test_a_waiting_array_says_which_tasks_wait():
    assert (jobs()[5].tasks, jobs()[5].asked.gpu_count) == ("1-4%2", 2)


@pytest.mark.parametrize(
    ("changes", "count", "model"),
    [
        ({"tres_per_node": "gres:gpu"}, 1, ""),
        ({"tres_per_node": "gres/gpu:h100=3"}, 3, "h100"),
        ({"tres_per_node": "gres:gpu:a100:2"}, 2, "a100"),
        ({"tres_per_node": "", "tres_per_job": "gres:gpu:8"}, 4, ""),
        ({"tres_per_node": "", "tres_per_job": "gres:gpu:7"}, None, ""),
        ({"tres_per_node": "", "tres_per_task": "gres:gpu:1", "tasks": 6}, 3, ""),
        ({"tres_per_node": "", "tres_per_socket": "gres:gpu:1"}, None, ""),
        ({"tres_per_node": ""}, 0, ""),
    ],
)
def test_the_ways_to_ask_for_gpus(changes: dict[str, object], count: int | None, model: str):
    asked = jobs(**changes)[1].asked
    assert (asked.gpu_count, asked.model) == (count, model)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"job_id": "1; rm"}, "job_id must be a whole number"),
        ({"restart_cnt": None}, "restart_cnt must be a whole number"),
        ({"requeue": 1}, "requeue must be true or false"),
        ({"gres_detail": ["gpu:a100:2(IDX:0-1)"]}, "gres_detail speaks of 1 nodes, job_resources of 2"),
        ({"gres_detail": ["gpu:2(IDX:0-99999)"] * 2}, "names no devices"),
        ({"job_resources": {"nodes": "a"}}, "has no list of allocated_nodes"),
        ({"job_resources": {"allocated_nodes": [{"nodename": "a", "sockets": [1]}] * 2}}, "sockets must hold cores"),
    ],
)
def test_an_answer_of_another_form_is_refused_with_its_place(changes: dict[str, object], words: str):
    with pytest.raises(InputError, match=rf"squeue --json jobs\[0\].*: .*{words}.*Slurm 22.05"):
        jobs(**changes)


def test_an_error_that_comes_with_exit_status_0_is_an_error():
    with pytest.raises(InputError, match=r"Slurm reports .*5005"):
        parse_nodes(b'{"errors": [{"error_code": 5005}], "nodes": []}')


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_an_input_error(data: bytes):
    for parse in (parse_jobs, parse_nodes):
        with pytest.raises(InputError):
            parse(data)


@pytest.fixture
def program(tmp_path: Path):
    """`program("exit 3")` gives a Slurm whose scontrol is that shell script."""

    def make(script: str, **settings: float) -> Slurm:
        path = tmp_path / "scontrol"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return Slurm({"PATH": f"{tmp_path}:{os.environ['PATH']}", "SQUEUE_FORMAT": "%i"}, **settings)

    return make


def test_what_slurm_said_is_in_the_error(program):
    with pytest.raises(SlurmError, match="scontrol update x: exit status 1, Slurm said: Invalid user id"):
        program("echo 'Invalid user id' >&2; exit 1").control(["update", "x"])


def test_a_program_that_hangs_is_ended(program):
    with pytest.raises(SlurmError, match="no answer within"):
        program("exec sleep 60", timeout_seconds=0.2).control(["ping"])


def test_an_argument_never_meets_a_shell(program):
    assert program('printf "%s" "$1"').control(["a; touch /tmp/x $(id)"]) == "a; touch /tmp/x $(id)"


def test_variables_that_change_what_the_programs_print_are_not_handed_on(program):
    assert program('printf "%s" "${SQUEUE_FORMAT-none}"').control([]) == "none"


def test_without_slurm_the_error_says_what_to_install(tmp_path: Path):
    with pytest.raises(SlurmError, match="slurm-client"):
        Slurm({"PATH": str(tmp_path)}).control(["ping"])


def test_more_output_than_is_sane_is_not_read(program, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("warpgauge.core.slurm.programs.MOST_BYTES", 10)
    with pytest.raises(SlurmError, match="printed more than 10 bytes"):
        program(f"{sys.executable} -c 'print(\"x\" * 99)'").control([])
