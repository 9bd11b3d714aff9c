"""Phases that the device times. The device is a stand-in for torch's CUDA events with a stream and a clock of its own:
work is launched and runs later, and an event that was not reached yet tells nothing, as in CUDA.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.exporters.test_training_timer import Hand, Listener
from warpgauge.exporters import training
from warpgauge.exporters.training import StepTimer

PHASES = training.PHASES
FAULT = "CUDA error: an illegal memory access was encountered"


class Device:
    """One stream. The host goes on while it works."""

    def __init__(self, clock):
        self.clock = clock
        self.busy_until = 0.0
        self.fails_from = None
        self.is_broken = False
        self.events = 0

    def launch(self, seconds):
        """Hand over work that takes so long."""
        self.busy_until = max(self.clock(), self.busy_until) + seconds

    def catch_up(self):
        """Let the host do nothing until all work is done."""
        self.clock.seconds = max(self.clock(), self.busy_until)

    def event(self):
        self.events += 1
        if self.fails_from is not None and self.events > self.fails_from:
            raise RuntimeError(FAULT)
        return Event(self)


class Event:
    """torch.cuda.Event(enable_timing=True), as far as it is used. There is no way to wait for it."""

    def __init__(self, device):
        self.device = device
        self.at = None

    def record(self):
        self.at = max(self.device.clock(), self.device.busy_until)

    def query(self):
        if self.device.is_broken:
            raise RuntimeError(FAULT)
        return self.at is not None and self.device.clock() >= self.at

    def elapsed_time(self, end):
        if not (self.query() and end.query()):
            msg = "Both events must be recorded and completed before calculating elapsed time."
            raise RuntimeError(msg)
        return 1e3 * (end.at - self.at)


def torch_on(device):
    """A stand-in for torch.cuda at work on such a device."""
    return SimpleNamespace(Event=lambda **_: device.event(), memory_reserved=lambda: 4096)


def torch_with(*, up=True, reserved=None, current=0):
    """A stand-in for the module torch, with so much memory by number of device."""
    held = reserved or {}
    cuda = SimpleNamespace(
        is_initialized=lambda: up,
        Event=lambda enable_timing: enable_timing,
        device_count=lambda: 2,
        memory_reserved=lambda number=current: held.get(number, 0),
    )
    return SimpleNamespace(cuda=cuda)


@pytest.fixture
def clock():
    return Hand()


@pytest.fixture
def device(clock):
    return Device(clock)


@pytest.fixture
def track(clock, device):
    """What one thread of a timer measures with; a fault of the device is the test's."""
    return training._DeviceTrack(clock, device.event, lambda error: pytest.fail(str(error)))


def told(track, device):
    """Steps and phases that are told once the device has done everything."""
    device.catch_up()
    track.flush()
    steps, sums = track.take(1000)
    return steps, {
        name: seconds for name, seconds in zip(PHASES, map(pytest.approx, sums), strict=True) if seconds != 0
    }


def step(track):
    """As StepTimer.step()."""
    track.call()
    return track


def test_work_counts_where_it_runs_and_not_where_it_was_handed_over(track, device):
    with step(track):
        device.launch(2)
        with track.phase("allreduce"):
            device.launch(1)
        device.launch(0.5)
    assert told(track, device)[1] == {"compute": 2.5, "communication": 1.0}


def test_a_step_is_told_once_the_device_has_reached_its_end_and_nobody_waits_for_it(track, device, clock):
    with step(track):
        device.launch(5)
    with step(track):
        device.launch(5)
    assert track.take(10) == ([], [0.0] * len(PHASES))
    assert clock() == 100.0  # the host went on
    clock.spend(6)
    track.flush()
    assert track.take(10)[1][PHASES.index("compute")] == pytest.approx(5.0)
    assert told(track, device)[1] == {"compute": 5.0}


def test_the_steps_duration_is_the_hosts(track, device, clock):
    with step(track):
        device.launch(1)
        clock.spend(3)
    assert told(track, device)[0] == [3.0]


def test_waiting_for_input_counts_only_where_the_device_had_nothing_to_do(track, device, clock):
    with step(track):
        device.launch(2)
    clock.spend(3)
    track.wait(3)
    with step(track):
        device.launch(4)
    assert told(track, device)[1] == {"compute": 6.0, "input": 1.0}


def test_an_evaluation_between_two_steps_is_no_input(track, device, clock):
    with step(track):
        device.launch(1)
    clock.spend(50)
    track.wait(0.25)
    with step(track):
        device.launch(1)
    assert told(track, device)[1] == {"compute": 2.0, "input": 0.25}


def test_input_within_a_step_is_not_compute(track, device, clock):
    with step(track):
        clock.spend(2)
        track.wait(2)
        device.launch(1)
    assert told(track, device)[1] == {"input": 2.0, "compute": 1.0}


def test_an_inner_phase_takes_its_time_from_the_outer_one(track, device):
    with step(track), track.phase("checkpoint"):
        device.launch(2)
        with track.phase("barrier"):
            device.launch(1)
        device.launch(4)
    assert told(track, device)[1] == {"checkpoint": 6.0, "communication": 1.0}


def test_where_compute_is_named_the_rest_is_other(track, device):
    with step(track):
        device.launch(1)
        with track.phase("forward"):
            device.launch(4)
    assert told(track, device)[1] == {"compute": 4.0, "other": 1.0}


def test_a_phase_between_two_steps_counts_by_itself(track, device, clock):
    for _ in range(2):
        with step(track):
            device.launch(1)
        with track.phase("checkpoint"):  # of its ten seconds the device still computes in the first
            clock.spend(10)
    assert told(track, device) == ([0.0, 0.0], {"compute": 2.0, "checkpoint": 18.0})


def test_a_phase_around_a_step_claims_none_of_it(track, device):
    with track.phase("other"):
        device.launch(1)
        with step(track):
            device.launch(5)
        device.launch(2)
    assert told(track, device)[1] == {"compute": 5.0, "other": 3.0}


def test_plain_calls_measure_from_call_to_call(track, device, clock):
    for _ in range(3):
        clock.spend(1)
        track.wait(1)
        device.launch(2)
        with track.phase("allreduce"):
            device.launch(1)
        device.catch_up()
        track.call()
    assert told(track, device) == ([4.0, 4.0], {"compute": 4.0, "communication": 3.0, "input": 2.0})


def test_a_step_that_failed_is_no_step(track, device):
    with suppress(RuntimeError), step(track):
        device.launch(7)
        raise RuntimeError
    with step(track):
        device.launch(2)
    assert told(track, device) == ([0.0], {"compute": 2.0})


def test_a_step_inside_a_step_is_part_of_it(track, device):
    with step(track):
        for _ in range(3):
            with step(track):
                device.launch(1)
    assert told(track, device) == ([0.0], {"compute": 3.0})


def test_a_device_far_behind_costs_no_memory_and_no_step(track, device):
    many = training._MOST_BEHIND + 100
    for _ in range(many):
        with step(track):
            device.launch(1)
    assert len(track._behind) == training._MOST_BEHIND
    device.catch_up()
    track.flush()
    steps, sums = track.take(2 * many)
    assert len(steps) == many
    assert sum(sums) == pytest.approx(training._MOST_BEHIND)  # the hundred oldest have lost their phases


def test_a_step_of_endless_phases_costs_no_memory_and_keeps_its_time(track, device):
    with step(track):
        for _ in range(2000):
            with track.phase("forward"):
                device.launch(0.5)
        assert len(track._line.marks) <= training._MOST_MARKS + 1
    _, phases = told(track, device)
    assert sum(value.expected for value in phases.values()) == pytest.approx(1000.0)


@pytest.mark.parametrize("misuse", ["exit", "twice", "late"])
def test_misuse_never_raises(track, device, misuse):
    phase = track.phase("x")
    if misuse == "exit":
        phase.__exit__(None, None, None)
        track.__exit__(None, None, None)
    elif misuse == "twice":
        for _ in range(2):
            with step(track), phase, track, phase:
                device.launch(1)
    else:
        track.__enter__()
        phase.__enter__()
        track.__exit__(None, None, None)
        phase.__exit__(None, None, None)
    with step(track):
        device.launch(1)
    told(track, device)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["launch", "spend", "open", "close", "step", "wait"]), st.integers(0, 7)), max_size=30
)


@given(ACTIONS)
def test_the_phases_of_steps_never_exceed_the_time_that_passed(actions):
    clock = Hand()
    device = Device(clock)
    track = training._DeviceTrack(clock, device.event, lambda error: pytest.fail(str(error)))
    is_open, phases = False, []
    for action, number in actions:
        if action == "launch":
            device.launch(number)
        elif action == "spend":
            clock.spend(number)
        elif action == "wait":
            clock.spend(number)
            track.wait(number)
        elif action == "open" and len(phases) < 5:
            phases.append(track.phase(("forward", "allreduce", "checkpoint")[number % 3]))
            phases[-1].__enter__()
        elif action == "close" and phases:
            phases.pop().__exit__(None, None, None)
        elif action == "step" and not phases:
            (track.__exit__(None, None, None) if is_open else step(track).__enter__())
            is_open = not is_open
    _, sums = told(track, device)
    assert sum(value.expected for value in sums.values()) <= clock() - 100.0 + 1e-6
    assert all(value.expected >= 0 for value in sums.values())


# ---- the whole timer


@pytest.fixture
def agent(tmp_path):
    listener = Listener(tmp_path / "agent.sock")
    yield listener
    listener.close()


@pytest.fixture
def timer(agent, clock):
    timer = StepTimer(job_id="j", rank=3, socket_path=agent.path, clock=clock)
    yield timer
    timer.close()


def sums_of(agent, key):
    total = {}
    for message in agent.all():
        for name, seconds in message.get(key, {}).items():
            total[name] = total.get(name, 0.0) + seconds
    return total


def test_the_agent_hears_which_clock_it_was(timer, agent, device):
    timer._device_came(training._Device(torch_on(device)))
    for _ in timer.input([1, 2]):
        with timer.step():
            device.launch(2)
            with timer.phase("allreduce"):
                device.launch(1)
    device.catch_up()
    timer.flush()
    messages = agent.all()
    assert [message["device"] for message in messages if "device" in message] == [
        {"compute": pytest.approx(4.0), "communication": pytest.approx(2.0)}
    ]
    assert all(message["phases"] == {} for message in messages)


def test_a_device_that_fails_costs_its_clock_and_one_line_of_log(timer, agent, device, clock, caplog):
    timer._device_came(training._Device(torch_on(device)))
    device.fails_from = 3
    with caplog.at_level(logging.INFO, logger="warpgauge.training"):
        for _ in range(5):
            with timer.step(), timer.phase("allreduce"):
                clock.spend(1)
    timer.flush()
    assert [record.getMessage() for record in caplog.records] == [
        f"the device's clock cannot be read, phases are timed by the host's: {FAULT}"
    ]
    assert sums_of(agent, "phases") == {"communication": pytest.approx(4.0)}  # of the steps after it


def test_a_device_that_fails_when_it_is_asked_costs_the_same(timer, agent, device, clock):
    timer._device_came(training._Device(torch_on(device)))
    with timer.step():
        device.launch(1)
    device.is_broken = True
    with timer.step():
        device.catch_up()
    with timer.step(), timer.phase("allreduce"):
        clock.spend(3)
    timer.flush()
    assert timer._device is None
    assert sums_of(agent, "phases") == {"communication": pytest.approx(3.0)}


def test_the_device_is_used_where_torch_is_at_work_on_one():
    found = training._device_of({"torch": torch_with(reserved={1: 4096})})
    assert found.event() is True  # with timing


@pytest.mark.parametrize(
    "modules",
    [
        {},
        {"torch": None},
        {"torch": torch_with(up=False)},
        {"torch": torch_with(reserved={})},
        {"torch": SimpleNamespace(cuda=object())},
    ],
    ids=["not imported", "None", "not up", "without memory", "half imported"],
)
def test_else_it_is_left_alone(modules):
    assert training._device_of(modules) is None


def test_a_thread_on_a_device_that_this_process_does_not_use_keeps_the_hosts_clock(timer, agent, device, clock):
    timer._device_came(training._Device(torch_with(reserved={1: 4096}, current=0).cuda))
    with timer.step(), timer.phase("allreduce"):
        clock.spend(2)
    timer.flush()
    assert (device.events, sums_of(agent, "phases")) == (0, {"communication": pytest.approx(2.0)})


@pytest.mark.parametrize("wanted", [True, False])
def test_the_sender_finds_it_unless_told_not_to(agent, monkeypatch, wanted):
    monkeypatch.setitem(sys.modules, "torch", torch_with(reserved={0: 1}))
    timer = StepTimer(job_id="j", socket_path=agent.path, device_clock=wanted)
    timer.step()
    timer._sender._tick()
    found = timer._device is not None
    timer._device = None  # the stand-in makes no events
    timer.close()
    assert found is wanted
