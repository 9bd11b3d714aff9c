"""The step timer: what it measures, that it never disturbs the loop, and that what it says arrives."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from warpgauge.exporters import training
from warpgauge.exporters.collectors.training_message import parse
from warpgauge.exporters.training import StepTimer, socket_candidates

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets on this system")


class Listener:
    """An agent's socket; `said` is everything that has come so far."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(5)

    def next(self):
        return json.loads(self.socket.recv(65536))

    def all(self):
        self.socket.settimeout(0)
        said = []
        while True:
            try:
                said.append(json.loads(self.socket.recv(65536)))
            except BlockingIOError:
                return said

    def close(self):
        self.socket.close()
        Path(self.path).unlink(missing_ok=True)


class Hand:
    """A clock moved by hand."""

    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds

    def spend(self, seconds):
        self.seconds += seconds


@pytest.fixture
def agent(tmp_path):
    listener = Listener(tmp_path / "agent.sock")
    yield listener
    listener.close()


@pytest.fixture
def clock():
    return Hand()


@pytest.fixture
def timer(agent, clock):
    timer = StepTimer(job_id="j", rank=3, socket_path=agent.path, clock=clock)
    yield timer
    timer.close()


def told(timer, agent):
    """Durations of all steps and the sum of each phase that the agent has heard of."""
    timer.flush()
    messages = agent.all()
    phases = {}
    for message in messages:
        for name, seconds in message["phases"].items():
            phases[name] = phases.get(name, 0.0) + seconds
    steps = [seconds for message in messages for seconds in message["steps"]]
    return steps, {name: pytest.approx(seconds) for name, seconds in phases.items()}


def slow(clock, items, seconds):
    for item in items:
        clock.spend(seconds)
        yield item


# ---- what is measured


def test_a_step_is_what_its_block_takes(timer, agent, clock):
    with timer.step():
        clock.spend(2)
    clock.spend(100)
    assert told(timer, agent) == ([2.0], {"compute": 2.0})


def test_waiting_for_input_belongs_to_the_step_that_follows(timer, agent, clock):
    for _ in timer.input(slow(clock, "ab", 3)):
        with timer.step():
            clock.spend(1)
    assert told(timer, agent) == ([4.0, 4.0], {"input": 6.0, "compute": 2.0})


def test_a_phase_takes_its_time_from_compute(timer, agent, clock):
    with timer.step():
        clock.spend(1)
        with timer.phase("allreduce"):
            clock.spend(0.5)
    assert told(timer, agent) == ([1.5], {"compute": 1.0, "communication": 0.5})


def test_an_inner_phase_takes_its_time_from_the_outer_one(timer, agent, clock):
    with timer.step(), timer.phase("checkpoint"):
        clock.spend(2)
        with timer.phase("barrier"):
            clock.spend(1)
    assert told(timer, agent) == ([3.0], {"checkpoint": 2.0, "communication": 1.0})


def test_a_phase_inside_one_of_the_same_name_is_measured_once(timer, agent, clock):
    with timer.step(), timer.phase("checkpoint"):
        clock.spend(2)
        with timer.phase("checkpoint"):
            clock.spend(1)
        clock.spend(4)
    assert told(timer, agent) == ([7.0], {"checkpoint": 7.0})


def test_a_phase_that_an_error_ended_can_be_entered_again(timer, agent, clock):
    for seconds in (1, 2):
        with suppress(RuntimeError), timer.phase("checkpoint"):
            clock.spend(seconds)
            raise RuntimeError
    assert told(timer, agent) == ([], {"checkpoint": 3.0})


def test_names_without_end_are_phases_and_kept_by_nobody(timer, agent, clock):
    for number in range(1000):
        with timer.phase(f"layer {number}"):
            clock.spend(0.5)
    assert told(timer, agent) == ([], {"other": 500.0})
    assert len(timer._tracks.phases) == training._MOST_NAMES


def test_where_compute_is_named_the_rest_is_other(timer, agent, clock):
    with timer.step():
        clock.spend(1)
        with timer.phase("forward"):
            clock.spend(4)
    assert told(timer, agent) == ([5.0], {"compute": 4.0, "other": 1.0})


@pytest.mark.parametrize(
    ("name", "phase"),
    [
        ("input", "input"),
        ("backward", "compute"),
        ("reduce_scatter", "communication"),
        ("save_checkpoint", "checkpoint"),
        ("lunch", "other"),
        (["unhashable"], "other"),
        (None, "other"),
    ],
    ids=str,
)
def test_names_map_to_the_five_phases(timer, agent, clock, name, phase):
    with timer.phase(name):
        clock.spend(1)
    assert told(timer, agent) == ([], {phase: 1.0})


def test_a_checkpoint_between_two_steps_makes_neither_longer(timer, agent, clock):
    for _ in range(2):
        with timer.step():
            clock.spend(1)
        with timer.phase("checkpoint"):
            clock.spend(10)
    assert told(timer, agent) == ([1.0, 1.0], {"compute": 2.0, "checkpoint": 20.0})


def test_a_phase_around_a_step_claims_none_of_it(timer, agent, clock):
    with timer.phase("other"):
        clock.spend(1)
        with timer.step():
            clock.spend(5)
    assert told(timer, agent) == ([5.0], {"compute": 5.0, "other": 1.0})


def test_plain_calls_measure_from_call_to_call(timer, agent, clock):
    for _ in range(3):
        clock.spend(2)
        timer.step()
    assert told(timer, agent) == ([2.0, 2.0], {"compute": 4.0})


def test_with_plain_calls_input_and_phases_lie_inside_the_step(timer, agent, clock):
    for _ in timer.input(slow(clock, "abc", 3)):
        with timer.phase("allreduce"):
            clock.spend(1)
        clock.spend(2)
        timer.step()
    steps, phases = told(timer, agent)
    assert steps == [6.0, 6.0]
    assert phases == {"input": 6.0, "communication": 3.0, "compute": 4.0}


def test_a_step_inside_a_step_is_part_of_it(timer, agent, clock):
    with timer.step():
        for _ in range(4):
            with timer.step():
                clock.spend(1)
    assert told(timer, agent) == ([4.0], {"compute": 4.0})


def test_the_phases_of_a_step_add_up_to_it(timer, agent, clock):
    for number in timer.input(slow(clock, range(20), 0.125)):
        with timer.step():
            clock.spend(0.25)
            with timer.phase("allreduce"):
                clock.spend(0.0625 * number)
    steps, phases = told(timer, agent)
    assert sum(steps) == pytest.approx(sum(value.expected for value in phases.values()))


def test_each_thread_has_steps_of_its_own(agent):
    timer = StepTimer(job_id="j", socket_path=agent.path)
    together = threading.Barrier(8)

    def work():
        together.wait()
        for _ in range(50):
            with timer.step(), timer.phase("allreduce"):
                pass

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    steps, _ = told(timer, agent)
    timer.close()
    assert len(steps) == 400


# ---- the user's loop is left alone


def test_items_come_through_as_they_are(timer):
    assert list(timer.input([3, 1, 2])) == [3, 1, 2]


def test_a_loader_keeps_its_length(timer):
    assert len(timer.input([3, 1, 2])) == 3


def test_a_loader_may_be_gone_through_again(timer):
    loader = timer.input([1, 2])
    assert [list(loader), list(loader)] == [[1, 2], [1, 2]]


def test_an_error_of_the_loader_is_the_users_own(timer):
    def broken():
        yield 1
        raise KeyError("shard 7")  # noqa: EM101, TRY003 - the user's

    with pytest.raises(KeyError, match="shard 7"):
        list(timer.input(broken()))


def test_an_error_in_a_step_goes_through_and_the_step_does_not_count(timer, agent, clock):
    def fails():
        with timer.step():
            clock.spend(1)
            raise RuntimeError("out of memory")  # noqa: EM101, TRY003 - the user's

    with pytest.raises(RuntimeError, match="out of memory"):
        fails()
    with timer.step():
        clock.spend(2)
    assert told(timer, agent)[0] == [2.0]


@pytest.mark.parametrize("misuse", ["exit", "reuse", "after close"])
def test_misuse_never_raises(timer, misuse):
    step, phase = timer.step(), timer.phase("x")
    if misuse == "exit":
        step.__exit__(None, None, None)
        phase.__exit__(None, None, None)
    elif misuse == "reuse":
        for _ in range(2):
            with step, phase, step, phase:
                pass
    else:
        timer.close()
        with timer.step(), timer.phase("x"):
            pass
        timer.flush()
        timer.close()


@pytest.mark.parametrize("environ", [{"RANK": "x"}, {"RANK": "-1"}, {"RANK": ""}], ids=str)
def test_nonsense_in_the_environment_never_raises(agent, monkeypatch, environ):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    timer = StepTimer(socket_path=agent.path)
    with timer.step():
        pass
    timer.close()
    assert agent.next()["rank"] == 0


# ---- who says it


@pytest.mark.parametrize(
    ("environ", "rank"),
    [
        ({"RANK": "5", "WORLD_SIZE": "8"}, 5),
        ({"SLURM_PROCID": "6"}, 6),
        ({"RANK": "5", "SLURM_PROCID": "6"}, 5),
        ({"OMPI_COMM_WORLD_RANK": "7"}, 7),
        ({"OMPI_COMM_WORLD_RANK": "7", "SLURM_PROCID": "0"}, 7),  # mpirun in a Slurm job: of its own is one task a node
        ({}, 0),
    ],
    ids=str,
)
def test_the_rank_comes_from_the_launcher(agent, monkeypatch, environ, rank):
    for name in (one for pair in training._LAUNCHERS for one in pair):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    timer = StepTimer(socket_path=agent.path)
    timer.step()
    timer.close()
    assert agent.next()["rank"] == rank


@pytest.mark.parametrize(
    ("environ", "given", "ranks"),
    [
        ({"RANK": "5", "WORLD_SIZE": "8"}, {}, 8),
        ({"SLURM_PROCID": "6", "SLURM_STEP_NUM_TASKS": "8"}, {}, 8),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}, {}, None),  # a batch script: one process, whatever it may start
        ({"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "RANK": "9", "WORLD_SIZE": "16"}, {}, 16),  # torchrun
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4", "SLURM_STEP_NUM_TASKS": "2"}, {}, 4),
        ({"PMI_RANK": "1", "PMI_SIZE": "3"}, {}, 3),
        ({"WORLD_SIZE": "2"}, {"rank": 5}, None),  # nodes where ranks are spawned by the script
        ({"RANK": "0", "WORLD_SIZE": "8"}, {"ranks": 1}, 1),
        ({"RANK": "3", "WORLD_SIZE": "8"}, {"ranks": 2}, None),
        ({"WORLD_SIZE": "all"}, {}, None),
        ({"WORLD_SIZE": "-8"}, {}, None),
        ({"WORLD_SIZE": "9" * 5000}, {}, None),
        ({"WORLD_SIZE": "1000001"}, {}, None),
        ({}, {}, None),
    ],
    ids=lambda value: str(value)[:60],
)
def test_the_number_of_ranks_comes_from_the_launcher_or_the_script(agent, monkeypatch, environ, given, ranks):
    for name in (one for pair in training._LAUNCHERS for one in pair):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    timer = StepTimer(**given, socket_path=agent.path)
    timer.step()
    timer.close()
    said = agent.next()
    assert said.get("ranks") == ranks
    assert parse(json.dumps(said).encode()).ranks == ranks


@pytest.mark.parametrize(
    ("environ", "given", "job"),
    [
        ({"SLURM_JOB_ID": "77"}, None, "77"),
        ({"SLURM_JOB_ID": "77"}, "mine", "77"),
        ({"CONTAINER_ID": "container_e17_1410901177871_0001_01_000005"}, "mine", "application_1410901177871_0001"),
        ({"CONTAINER_ID": "container_1410901177871_0001_01_000005"}, None, "application_1410901177871_0001"),
        ({"CONTAINER_ID": "3f2a"}, "mine", "mine"),
        ({}, "mine", "mine"),
        ({"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}, None, "10.0.0.1:29500"),
        ({}, None, "pid-{own}"),
    ],
    ids=str,
)
def test_the_job_is_slurms_or_the_given_one_or_what_the_ranks_share(agent, monkeypatch, environ, given, job):
    for name in ("SLURM_JOB_ID", "CONTAINER_ID", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    timer = StepTimer(job_id=given, socket_path=agent.path)
    timer.step()
    timer.close()
    assert agent.next()["job"] == job.format(own=os.getpid())


def test_a_stage_is_told_only_where_there_is_one(agent):
    timers = [StepTimer(stage=stage, socket_path=agent.path) for stage in (None, 2)]
    for timer in timers:
        timer.step()
        timer.close()
    assert [message.get("stage") for message in agent.all()] == [None, 2]


def test_the_socket_is_the_given_one_or_the_environments_or_a_default():
    environ = {"WARPGAUGE_TRAINING_SOCKET": "/env.sock", "XDG_RUNTIME_DIR": "/run/user/7"}
    assert socket_candidates("/given.sock", environ) == ["/given.sock"]
    assert socket_candidates(None, environ) == ["/env.sock"]
    assert socket_candidates(None, {"XDG_RUNTIME_DIR": "/run/user/7"})[:2] == [
        "/run/warpgauge/warpgauge-train.sock",
        "/run/user/7/warpgauge-train.sock",
    ]


# ---- the way to the agent


def test_a_message_stays_within_what_the_agent_takes(timer, agent, clock):
    for number in range(1000):
        with timer.step():
            clock.spend(0.1234567 * number)
    timer.flush()
    agent.socket.settimeout(0)
    assert len(agent.socket.recv(65536)) < 8192


def test_the_first_use_says_that_the_rank_is_there(timer, agent):
    timer.step()
    assert agent.next() == {"v": 1, "job": "j", "rank": 3, "steps": [], "phases": {}}


def test_without_an_agent_there_is_one_line_of_log(tmp_path, caplog):
    timer = StepTimer(socket_path=str(tmp_path / "nobody.sock"))
    with caplog.at_level(logging.INFO, logger="warpgauge.training"):
        for _ in range(5):
            with timer.step():
                pass
            timer.flush()
        timer.close()
    assert [record.getMessage() for record in caplog.records] == [
        "no warpgauge agent listens for training steps; looking again every 10 s"
    ]


def test_without_an_agent_nothing_is_kept(tmp_path):
    timer = StepTimer(socket_path=str(tmp_path / "nobody.sock"))
    timer.step()
    timer.flush()
    for _ in range(100):
        with timer.step():
            pass
    assert timer._sender._tracks == []
    timer.close()


def test_while_nobody_reads_the_oldest_steps_go_and_no_phase_is_lost(clock):
    track = training._Track(clock)
    for number in range(20_000):
        with track:
            clock.spend(number)
    steps, spent = track.take(100_000)
    assert len(steps) < 20_000
    assert steps == list(range(20_000 - len(steps), 20_000))
    assert sum(spent) == sum(range(20_000))


def test_what_was_taken_is_not_told_twice(clock):
    track = training._Track(clock)
    with track:
        clock.spend(2)
    assert track.take(100) == ([2.0], [0.0, 2.0, 0.0, 0.0, 0.0, 0.0])
    assert track.take(100) == ([], [0.0] * 6)


def test_the_phases_of_a_step_in_progress_are_told_with_the_step(clock):
    track = training._Track(clock)
    with track:
        with training._Phase(track, "allreduce"):
            clock.spend(2)
        assert track.take(100) == ([], [0.0] * 6)
    assert track.take(100) == ([2.0], [0.0, 0.0, 2.0, 0.0, 0.0, 0.0])


def test_between_two_calls_of_step_nothing_is_told_and_after_the_last_everything(clock):
    track = training._Track(clock)
    track.pending = clock()
    track.settle()
    with training._Phase(track, "checkpoint"):
        clock.spend(2)
    assert track.take(100) == ([], [0.0] * 6)
    track.end()
    assert track.take(100) == ([], [0.0, 0.0, 0.0, 2.0, 0.0, 0.0])


def test_what_a_rank_sends_is_a_phase_of_its_own(timer, agent, clock):
    with timer.step():
        with timer.phase("send"):
            clock.spend(3)
        with timer.phase("allreduce"):
            clock.spend(1)
    assert told(timer, agent)[1] == {"transfer": 3.0, "communication": 1.0}


def test_a_phase_told_before_its_step_failed_is_made_good_by_the_next(timer, agent, clock):
    def fails():
        with timer.step():
            with timer.phase("allreduce"):
                clock.spend(3)
            timer._sender._tick()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    with timer.step(), timer.phase("allreduce"):
        clock.spend(5)
    assert told(timer, agent)[1] == {"communication": 5.0}


def test_a_thread_that_ended_is_let_go_of_once_all_is_told(timer, agent):
    def work():
        with timer.step():
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(told(timer, agent)[0]) == 1
    assert timer._sender._tracks == []


def test_an_agent_that_comes_back_is_found(tmp_path):
    first = Listener(tmp_path / "agent.sock")
    timer = StepTimer(job_id="j", socket_path=first.path)
    timer.step()
    timer.flush()
    first.close()
    with timer.step():
        pass
    timer.flush()
    second = Listener(tmp_path / "agent.sock")
    timer._sender._look_at = 0.0  # its own thread may have looked while nobody listened; that was ten seconds ago
    timer._sender._tick()
    with timer.step():
        pass
    timer.flush()
    assert sum(len(message["steps"]) for message in second.all()) == 1
    timer.close()
    second.close()


def test_a_copy_sent_to_another_process_is_a_timer_of_its_own(timer, agent):
    with timer.step():
        pass
    timer.flush()
    agent.all()
    copy = pickle.loads(pickle.dumps(timer))  # noqa: S301 - our own
    with copy.step():
        pass
    copy.close()
    assert agent.next()["rank"] == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_speaks_for_itself(agent):
    program = (
        "import os, sys; sys.path[:0] = sys.argv[2:]\n"
        "from warpgauge.exporters.training import StepTimer\n"
        "timer = StepTimer(job_id='j', rank=1, socket_path=sys.argv[1])\n"
        "with timer.step(): pass\n"
        "timer.flush()\n"
        "if os.fork() == 0:\n"
        "    with timer.step(): pass\n"
        "    timer.close()\n"
        "    os._exit(0)\n"
        "os.wait()\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program, agent.path, *sys.path], check=True, timeout=30)
    assert sum(len(message["steps"]) for message in agent.all()) == 2


def test_what_is_left_is_sent_when_the_script_ends(agent):
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from warpgauge.exporters.training import StepTimer\n"
        "timer = StepTimer(socket_path=sys.argv[1])\n"
        "for _ in range(3): timer.step()\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program, agent.path, *sys.path], check=True, timeout=30)
    assert sum(len(message["steps"]) for message in agent.all()) == 2


@pytest.mark.slow
def test_a_script_ends_at_once_when_the_agent_is_stopped(agent):
    program = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from warpgauge.exporters.training import StepTimer\n"
        "timer = StepTimer(socket_path=sys.argv[1])\n"
        "for _ in range(400_000): timer.step()\n"
    )
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", program, agent.path, *sys.path], check=True, timeout=30)
    assert time.monotonic() - start < 15  # nobody reads, so the queue is full; without a bound this would hang


def test_the_one_file_works_by_itself_on_a_bare_python(agent, tmp_path):
    shutil.copy(training.__file__, tmp_path / "steptimer.py")
    program = (
        "import sys; from steptimer import StepTimer\n"
        "timer = StepTimer(socket_path=sys.argv[1])\n"
        "for _ in timer.input(range(3)):\n"
        "    with timer.step(): pass\n"
    )
    subprocess.run(
        [sys.executable, "-W", "error", "-S", "-E", "-c", program, agent.path], check=True, timeout=30, cwd=tmp_path
    )
    assert sum(len(message["steps"]) for message in agent.all()) == 3


def test_it_imports_and_runs_where_there_are_no_unix_sockets(tmp_path):
    shutil.copy(training.__file__, tmp_path / "steptimer.py")
    program = (
        "import os, socket, tempfile; del socket.AF_UNIX, os.getuid, os.register_at_fork\n"
        "from steptimer import StepTimer\n"
        "timer = StepTimer()\n"
        "for _ in timer.input(range(3)):\n"
        "    with timer.step(), timer.phase('allreduce'): pass\n"
        "timer.flush()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], check=True, timeout=30, cwd=tmp_path, capture_output=True
    )
    assert ran.stderr.decode().strip() == "no warpgauge agent listens for training steps; looking again every 10 s"


def test_a_keyboard_interrupt_ends_a_script_as_ever(agent):
    program = (
        "import os, signal, sys; sys.path[:0] = sys.argv[2:]\n"
        "from warpgauge.exporters.training import StepTimer\n"
        "timer = StepTimer(socket_path=sys.argv[1])\n"
        "with timer.step(): os.kill(os.getpid(), signal.SIGINT)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, agent.path, *sys.path], check=False, timeout=30, capture_output=True
    )
    assert ran.returncode == -signal.SIGINT
