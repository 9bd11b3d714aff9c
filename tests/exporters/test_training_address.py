"""The step timer without an agent: lines in a file or over HTTP, whose sums outlive an outage."""

from __future__ import annotations

import json
import logging
import threading
import time

import pytest

from tests.exporters.push.receivers import Reply, receiver
from tests.exporters.test_training_timer import Hand
from warpgauge.cli.main import main
from warpgauge.core.exposition import parse
from warpgauge.exporters import training
from warpgauge.exporters.training import StepTimer


@pytest.fixture
def clock():
    return Hand()


def make(clock, address, **who):
    return StepTimer(**{"job_id": "j", "rank": 3, "clock": clock, "address": address, **who})


def step(timer, clock, seconds=2.0, reduce_seconds=0.5):
    with timer.step():
        clock.spend(seconds)
        with timer.phase("allreduce"):
            clock.spend(reduce_seconds)


def values(text):
    """The last value of each series, its labels without node, job and rank."""
    lines = parse(text, place="steps.prom", openmetrics=False)
    return {
        (line.name, *(pair for pair in line.labels.split(",") if not pair.startswith(("node", "job_id", "rank")))): (
            line.value
        )
        for line in lines
    }


TOLD_AFTER_TWO = {
    ("training_step_seconds_count",): 2.0,
    ("training_step_seconds_sum",): 5.0,
    ("training_phase_seconds_total", 'phase="compute"', 'clock="host"'): 4.0,
    ("training_phase_seconds_total", 'phase="communication"', 'clock="host"'): 1.0,
}


def test_a_file_has_what_the_steps_add_up_to_with_their_times(clock, tmp_path):
    timer = make(clock, f"file:{tmp_path}/steps.prom")
    for _ in range(2):
        step(timer, clock)
    timer.close()
    text = (tmp_path / "steps.prom").read_text()
    assert values(text) == TOLD_AFTER_TWO
    lines = list(parse(text, place="steps.prom", openmetrics=False))
    assert all(line.timestamp == pytest.approx(time.time(), abs=60) for line in lines)
    assert 'job_id="j",rank="3"' in lines[0].labels


def test_a_file_says_how_many_ranks_the_job_has(clock, tmp_path):
    timer = make(clock, f"file:{tmp_path}/steps.prom", ranks=8)
    step(timer, clock)
    timer.close()
    assert values((tmp_path / "steps.prom").read_text())[("training_job_ranks",)] == 8.0


def test_sums_go_on_from_block_to_block(clock, tmp_path):
    timer = make(clock, f"file:{tmp_path}/steps.prom")
    step(timer, clock)
    timer.flush()
    step(timer, clock)
    timer.close()
    counts = [
        line.value
        for line in parse((tmp_path / "steps.prom").read_text(), place="", openmetrics=False)
        if line.name == "training_step_seconds_count"
    ]
    assert counts == sorted(counts)
    assert counts[-1] == 2.0


def test_each_rank_may_have_a_file_of_its_own(clock, tmp_path):
    timer = make(clock, f"file:{tmp_path}/steps-{{rank}}.prom", stage=1)
    step(timer, clock)
    timer.close()
    assert 'stage="1"' in (tmp_path / "steps-3.prom").read_text()


def test_a_name_with_quotes_is_still_one_label(clock, tmp_path):
    timer = make(clock, f"file:{tmp_path}/steps.prom", job_id='a "b"\\\n')
    step(timer, clock)
    timer.close()
    assert len(values((tmp_path / "steps.prom").read_text())) == 4


def test_the_environment_names_the_address(clock, tmp_path, monkeypatch):
    monkeypatch.setenv("WARPGAUGE_TRAINING_ADDRESS", f"file:{tmp_path}/steps.prom")
    timer = make(clock, None)
    step(timer, clock)
    timer.close()
    assert (tmp_path / "steps.prom").exists()


def test_lines_are_posted_and_the_last_ones_when_it_ends(clock):
    with receiver() as target:
        timer = make(clock, target.url)
        for _ in range(2):
            step(timer, clock)
        timer.close()
    headers, body = target.requests[-1]
    assert headers["content-type"] == "text/plain; version=0.0.4"
    assert values(body.decode()) == TOLD_AFTER_TWO


def test_a_receiver_that_was_away_gets_sums_that_went_on(clock):
    with receiver() as target:
        timer = make(clock, target.url)
        timer._sender._identity = {"job": "j", "rank": 3}
        timer._sender._thread = threading.current_thread()  # only this test sends
        step(timer, clock)
        timer.flush()
        target.replies.append(Reply(503))
        timer._sender._text._due = 0.0
        step(timer, clock)
        timer.flush()  # refused, and from now on the timer costs nothing
        step(timer, clock)
        timer._sender._look_at = timer._sender._text._due = 0.0
        timer._sender._tick()
        step(timer, clock)
        timer.close()
    assert values(target.requests[-1][1].decode())[("training_step_seconds_count",)] == 3.0


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/import", "file:/nowhere/at/all.prom", "gopher://x", "http://[", ""], ids=str
)
def test_where_nothing_is_taken_there_is_one_line_of_log_and_no_cost(clock, address, caplog, tmp_path):
    timer = make(clock, address, socket_path=str(tmp_path / "nobody.sock"))
    with caplog.at_level(logging.INFO, logger="warpgauge.training"):
        for _ in range(5):
            step(timer, clock)
            timer.flush()
        assert not timer._is_live
        timer.close()
    assert len(caplog.records) == 1


def test_a_receiver_that_speaks_no_http_raises_nothing_into_the_loop(clock, caplog):
    with receiver() as target:
        target.replies.append(Reply(200))
        timer = make(clock, target.url)
        step(timer, clock)
        timer.flush()
        timer._sender._text.address = target.url.replace("http:", "https:")
        step(timer, clock)
        timer.close()
    assert "the last training steps could not be written" in caplog.text


def test_the_slow_rank_of_a_job_is_named_from_the_files_of_its_ranks(tmp_path, capsys):
    """Twenty minutes of four ranks; from the ninth on rank 2 computes 1.6 s a step and its peers wait for it."""
    for rank in range(4):
        text = training._Text(f"file:{tmp_path}/steps-{rank}.prom", {"job": "llama", "rank": rank})
        text._labels["node"] = f"n{rank}"
        for tick in range(120):
            is_late = tick > 50
            compute, step_seconds = (1.6 if is_late and rank == 2 else 1.0), (1.7 if is_late else 1.1)
            count = int(10 / step_seconds)
            phases = {"compute": compute * count, "communication": (step_seconds - compute) * count}
            text.now, text._due = (lambda at=tick: 1_750_000_000.0 + 10 * at), 0.0
            text.send(json.dumps({"steps": [step_seconds] * count, "phases": phases}).encode())
    assert main(["analyze", str(tmp_path), "--json"]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    stragglers = [one["scope"] for one in found if one.get("kind") == "straggler"]
    assert [(one["job_id"], one["rank"], one["node"]) for one in stragglers] == [("llama", 2, "n2")]
