"""The training collector: a real socket, real step timers, real credentials."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest

from warpgauge.core.catalog import Tier, own
from warpgauge.core.catalog.training import PHASE_SECONDS, STEP_SECONDS
from warpgauge.exporters.collectors.training import TrainingCollector, default_socket_path
from warpgauge.exporters.collectors.training_message import MAX_BYTES
from warpgauge.exporters.training import StepTimer, socket_candidates

pytestmark = pytest.mark.skipif(not hasattr(socket, "SO_PASSCRED"), reason="no socket credentials on this system")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run/train.sock"


@pytest.fixture
def collector(path):
    collector = TrainingCollector(socket_path=path)
    assert collector.check() is None
    yield collector
    collector.close()


def outcomes(collector):
    return {one.labels[0]: one.value for one in collector.read(Tier.NORMAL)[0] if one.metric is own.STEP_MESSAGES}


def wait_until(condition):
    until = time.monotonic() + 5
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    assert condition()


def send(path, *messages):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(str(path))
        for message in messages:
            sender.send(message)


def test_a_real_step_timers_steps_are_on_the_next_reading(collector, path):
    timer = StepTimer(job_id="j", rank=3, stage=1, socket_path=str(path))
    for _ in timer.input(range(4)):
        with timer.step(), timer.phase("allreduce"):
            pass
    timer.close()
    wait_until(lambda: outcomes(collector)["accepted"] >= 1)
    samples, errors = collector.read(Tier.FAST)
    steps = next(sample for sample in samples if sample.metric is STEP_SECONDS)
    assert (steps.labels, steps.value.counts[-1], errors) == (("j", "3", "1"), 4, [])
    assert {sample.labels[3] for sample in samples if sample.metric is PHASE_SECONDS} >= {"input", "communication"}


def test_a_process_of_a_slurm_job_cannot_speak_for_another_job(collector, path):
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.connect(sys.argv[1])\n"
        "for job in ('77', '78'):\n"
        '    s.send(b\'{"v":1,"job":"%s","rank":0,"steps":[1],"phases":{}}\' % job.encode())\n'
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, env={**os.environ, "SLURM_JOB_ID": "77"}
    ) as process:
        wait_until(lambda: sum(outcomes(collector).values()) == 2)
        told = outcomes(collector), {sample.labels[0] for sample in collector.read(Tier.FAST)[0]}
        process.communicate()
    assert told == ({"accepted": 1.0, "malformed": 0.0, "foreign_job": 1.0, "over_limit": 0.0}, {"77"})


@pytest.mark.parametrize("data", [b"", b"junk", b"x" * MAX_BYTES, b"x" * (MAX_BYTES + 1), b"x" * 100_000])
def test_junk_is_counted_and_does_no_harm(collector, path, data):
    send(path, data)
    wait_until(lambda: outcomes(collector)["malformed"] == 1)
    assert collector.read(Tier.FAST) == ([], [])


def test_descriptors_sent_along_are_not_taken(collector, path):
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, path.parent.joinpath("f").open("w") as file:
        sender.connect(str(path))
        for _ in range(5):
            socket.send_fds(sender, [b"junk"], [file.fileno()])
    wait_until(lambda: outcomes(collector)["malformed"] == 5)
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208 - a count


def test_a_flood_is_taken_without_loss_of_the_rest(collector, path):
    send(path, *[b"junk"] * 600)
    wait_until(lambda: outcomes(collector)["malformed"] == 600)


@pytest.mark.usefixtures("collector")
def test_any_user_may_write_to_the_socket(path):
    assert path.stat().st_mode & 0o777 == 0o666


@pytest.mark.usefixtures("collector")
def test_a_second_agent_does_not_take_the_socket(path):
    reason = TrainingCollector(socket_path=path).check()
    assert reason == f"cannot listen for training steps on {path}: another agent listens there"


def test_the_socket_of_a_killed_agent_is_taken_over(path):
    path.parent.mkdir()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(path))
    dead.close()
    collector = TrainingCollector(socket_path=path)
    assert collector.check() is None
    collector.close()


def test_a_file_in_the_way_is_left_alone(path):
    path.parent.mkdir()
    path.write_text("precious")
    assert TrainingCollector(socket_path=path).check() is not None
    assert path.read_text() == "precious"


def test_closing_takes_the_socket_away(path):
    collector = TrainingCollector(socket_path=path)
    collector.check()
    collector.close()
    assert not path.exists()


def test_checking_again_changes_nothing(collector):
    assert collector.check() is None


def test_a_folder_that_cannot_be_made_is_one_sentence():
    reason = TrainingCollector(socket_path="/proc/nowhere/train.sock").check()
    assert reason == "cannot listen for training steps on /proc/nowhere/train.sock: No such file or directory"


def test_without_a_message_there_is_no_series(collector):
    assert collector.read(Tier.FAST) == ([], [])


def test_ranks_are_no_devices(collector):
    assert collector.devices() == ()


@pytest.mark.parametrize(
    ("environ", "folder"),
    [({"RUNTIME_DIRECTORY": "/run/warpgauge:/run/other"}, "/run/warpgauge"), ({}, None)],
    ids=["as a service", "as this user"],
)
def test_timers_look_where_the_agent_listens(environ, folder, tmp_path):
    environ = {**environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    path = default_socket_path(environ)
    assert folder is None or str(path.parent) == folder
    assert str(path) in socket_candidates(None, environ)
