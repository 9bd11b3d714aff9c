"""What bounds a job: frames in which each class is found, the words and numbers, and frames that stay silent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detectors.scenes import MAX_HERTZ, Lockstep, add_host, since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.bottlenecks.bound import GAINFUL, Bound
from warpgauge.analyzer.bottlenecks.classes import judge
from warpgauge.analyzer.bottlenecks.device_reasons import launches, transfer
from warpgauge.analyzer.bottlenecks.reasons import reason_of
from warpgauge.analyzer.bottlenecks.rules import RAISE
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.incidents.engine import EngineState, analyze
from warpgauge.core.catalog import device, training
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from warpgauge.analyzer.bottlenecks.classes import Verdict
    from warpgauge.analyzer.frame import Frame

COLUMNS = 90
MINUTE = 6  # columns
GIB = 2.0**30
SOUND = {"input": 0.01, "compute": 0.88, "communication": 0.09, "other": 0.02}


@dataclass(kw_only=True)
class Scene:
    """A job on sound H100s; what differs is given."""

    devices: int = 4
    nodes: int = 1
    phases: Mapping[str, ArrayLike] | None = field(default_factory=lambda: SOUND)
    step_seconds: float = 1.0
    clock: str = "device"
    engine: ArrayLike = 0.95
    utilization: ArrayLike | None = None  # as the engine's share where not given
    compute: ArrayLike | None = 0.7
    pipe: ArrayLike | None = 0.3
    bandwidth: ArrayLike | None = 0.3
    pcie_bytes: ArrayLike = 1e9
    pcie_generation: float = 5.0
    used: ArrayLike = 48 * GIB
    capped: ArrayLike | None = 0.0
    hertz: ArrayLike = MAX_HERTZ
    limit_watts: float = 700.0
    watts: ArrayLike | None = None
    has_highest_clock: bool = True
    cpu: float = 0.4
    held: ArrayLike = 1.0
    has_job: bool = True

    def frame(self) -> Frame:
        """All of it as a frame."""
        builder = FrameBuilder(columns=COLUMNS)
        places = [(f"n{at % self.nodes}", f"GPU-{at}") for at in range(self.devices)]
        for at, (node, uuid) in enumerate(places):
            self.add_device(builder, node, uuid, at)
            if self.phases is not None:
                builder.steps("train", rank=at, node=node, seconds=self.step_seconds)
                builder.phases("train", rank=at, node=node, shares=self.phases, clock=self.clock)
        if self.has_job:
            builder.job("train", places, held=self.held)
        for node in {node for node, _ in places}:
            add_host(builder, node, busy=self.cpu)
        return builder.build()

    def add_device(self, builder: FrameBuilder, node: str, uuid: str, at: int) -> None:
        builder.device(node, uuid, index=at)
        labels: dict[str, Any] = {"node": node, "uuid": uuid, "index": str(at)}
        utilization = self.engine if self.utilization is None else self.utilization
        builder.gauge(device.UTILIZATION, utilization, engine="compute", **labels)
        if self.compute is not None:
            builder.gauge(device.GRAPHICS_ENGINE_ACTIVE, self.engine, **labels)
            builder.gauge(device.COMPUTE_ACTIVE, self.compute, **labels)
        if self.pipe is not None:
            builder.gauge(device.PIPE_ACTIVE, self.pipe, pipe="tensor", **labels)
        if self.bandwidth is not None:
            builder.gauge(device.MEMORY_BANDWIDTH_ACTIVE, self.bandwidth, **labels)
        builder.rate(device.PCIE_RECEIVE, self.pcie_bytes, **labels)
        builder.gauge(device.PCIE_LINK_GENERATION, self.pcie_generation, **labels)
        builder.gauge(device.PCIE_LINK_WIDTH, 16.0, **labels)
        builder.gauge(device.PCIE_LINK_GENERATION_MAX, 5.0, **labels)
        builder.gauge(device.PCIE_LINK_WIDTH_MAX, 16.0, **labels)
        builder.gauge(device.MEMORY_USED, self.used, **labels)
        builder.gauge(device.MEMORY_FREE, 80 * GIB - np.asarray(self.used), **labels)
        if self.capped is not None:
            builder.gauge(device.THROTTLE_ACTIVE, self.capped, reason="sw_power_cap", **labels)
        builder.gauge(device.CLOCK, self.hertz, clock="sm", **labels)
        if self.has_highest_clock:
            builder.gauge(device.CLOCK_MAX, MAX_HERTZ, clock="sm", **labels)
        if self.watts is not None:
            builder.gauge(device.POWER, self.watts, **labels)
        builder.gauge(device.POWER_LIMIT, self.limit_watts, limit="enforced", **labels)
        builder.gauge(device.POWER_LIMIT, 700.0, limit="default", **labels)


def verdict(scene: Scene) -> Verdict:
    frame = scene.frame()
    return judge(frame, frame.jobs["test", "train"])


def found(scene: Scene) -> list[Candidate]:
    return list(Bound().detect(scene.frame()).candidates)


def raised(scene: Scene) -> list[Candidate]:
    return [one for one in found(scene) if one.strength is Strength.RAISE]


def steps(**shares: ArrayLike) -> dict[str, ArrayLike]:
    return {**SOUND, **shares}


def growing(to: float) -> Any:
    """Memory in bytes that reaches a share of 80 GiB in the last column, 0.1 % of it per column."""
    return (to - 0.001 * np.arange(COLUMNS)[::-1]) * 80 * GIB


EXCHANGING = {"communication": 0.4, "compute": 0.57}
CASES = {
    FindingKind.NETWORK_BOUND: Scene(nodes=2, phases=steps(**EXCHANGING)),
    FindingKind.INTERCONNECT_BOUND: Scene(phases=steps(**EXCHANGING)),
    FindingKind.HOST_BOUND: Scene(phases=steps(other=0.3, compute=0.6)),
    FindingKind.POWER_LIMITED: Scene(capped=1.0, hertz=0.7 * MAX_HERTZ, limit_watts=400.0),
    FindingKind.MEMORY_CAPACITY_BOUND: Scene(used=growing(0.96)),
    FindingKind.LAUNCH_BOUND: Scene(devices=1, phases=None, compute=0.1, pipe=0.02, bandwidth=0.05),
}


@pytest.mark.parametrize(("kind", "scene"), CASES.items(), ids=str)
def test_each_class_that_can_be_mended_is_one_finding_of_the_job(kind: FindingKind, scene: Scene) -> None:
    (candidate,) = raised(scene)
    assert candidate.kind is kind
    assert candidate.scope.job_id == "train"
    assert candidate.severity is (Severity.INFO if kind is FindingKind.POWER_LIMITED else Severity.WARNING)
    assert candidate.evidence
    assert 0.5 <= candidate.confidence < 1


@pytest.mark.parametrize("kind", CASES, ids=str)
def test_the_engine_lets_no_other_detector_say_the_same(kind: FindingKind) -> None:
    result = analyze(CASES[kind].frame(), EngineState(), DETECTORS)
    assert [finding.kind for finding in result.findings if finding.scope.job_id == "train"] == [kind]


@pytest.mark.parametrize(
    ("scene", "kind"),
    [
        (Scene(), FindingKind.MIXED),
        (Scene(compute=0.9), FindingKind.COMPUTE_BOUND),
        (Scene(bandwidth=0.7), FindingKind.MEMORY_BANDWIDTH_BOUND),
        (Scene(used=78 * GIB), FindingKind.MEMORY_CAPACITY_BOUND),
        (Scene(capped=1.0, hertz=0.7 * MAX_HERTZ), FindingKind.POWER_LIMITED),
        (Scene(phases=steps(input=0.3, compute=0.59)), FindingKind.INPUT_BOUND),
        (Scene(engine=0.0, compute=0.0, pipe=0.0, bandwidth=0.0, phases=None), FindingKind.IDLE_ALLOCATED),
        (Scene(compute=None, pipe=None, bandwidth=None, phases=None), FindingKind.UNDETERMINED),
    ],
)
def test_other_classes_are_verdicts_and_no_findings_of_this_detector(scene: Scene, kind: FindingKind) -> None:
    assert verdict(scene).kind is kind
    assert not found(scene)


def test_a_hosts_clock_on_an_accelerator_supports_no_verdict_about_the_network() -> None:
    scene = Scene(nodes=2, phases=steps(**EXCHANGING), clock="host")
    assert not found(scene)
    assert verdict(scene).kind is FindingKind.MIXED
    assert not verdict(scene).steps.is_trusted


def test_a_job_without_accelerators_is_judged_by_the_hosts_clock() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    for rank in range(2):
        builder.steps("cpu-job", rank=rank, node=f"n{rank}", seconds=1.0)
        builder.phases("cpu-job", rank=rank, node=f"n{rank}", shares=steps(**EXCHANGING), clock="host")
    (candidate,) = Bound().detect(builder.build()).candidates
    assert (candidate.kind, candidate.scope.job_id) == (FindingKind.NETWORK_BOUND, "cpu-job")


def test_a_straggler_makes_its_peers_wait_and_the_network_is_not_blamed() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    for rank in range(4):
        wait = 0.02 if rank == 2 else 0.4
        builder.steps("train", rank=rank, node=f"n{rank}", seconds=1.0)
        shares = steps(communication=wait, compute=0.97 - wait)
        builder.phases("train", rank=rank, node=f"n{rank}", shares=shares, clock="device")
    assert not Bound().detect(builder.build()).candidates


def test_half_of_a_job_that_waits_for_a_silent_machine_says_nothing_about_the_network() -> None:
    waits_long = Lockstep(compute={5: 2.0}, late={"n1": 20})
    assert not [one for one in Bound().detect(waits_long.frame()).candidates if one.strength is Strength.RAISE]


def test_plain_nvml_names_what_is_missing() -> None:
    one = verdict(Scene(compute=None, pipe=None, bandwidth=None, phases=None))
    assert one.missing == (
        "accel_compute_active_ratio",
        "accel_pipe_active_ratio",
        "accel_memory_bandwidth_active_ratio",
        "training_phase_seconds_total",
    )


def test_a_minute_of_it_is_not_enough() -> None:
    during = since(COLUMNS, MINUTE, 0.4, 0.09)
    assert not raised(Scene(nodes=2, phases=steps(communication=during, compute=0.97 - during)))


def test_between_the_thresholds_it_holds_and_does_not_raise() -> None:
    (candidate,) = found(Scene(nodes=2, phases=steps(communication=0.17, compute=0.8)))
    assert (candidate.kind, candidate.strength) == (FindingKind.NETWORK_BOUND, Strength.HOLD)


def exchanging(usual: float, now: float, minutes: int = 6, step_seconds: float = 1.0) -> Scene:
    share = since(COLUMNS, minutes * MINUTE, now, usual)
    return Scene(nodes=2, phases=steps(communication=share, compute=0.97 - share), step_seconds=step_seconds)


def test_less_communication_is_enough_where_it_rose_by_a_tenth_of_a_step() -> None:
    (candidate,) = raised(exchanging(0.03, 0.17))
    assert candidate.kind is FindingKind.NETWORK_BOUND
    assert (candidate.evidence[0].baseline, candidate.evidence[0].threshold) == pytest.approx((0.03, 0.13))
    assert "17 % of each step (0.17 s of 1 s) in communication" in candidate.summary
    assert candidate.summary.endswith(", where 3.0 % was usual.")


@pytest.mark.parametrize(
    ("usual", "now", "minutes"), [(0.09, 0.17, 6), (0.03, 0.14, 6), (0.03, 0.17, 3), (0.03, 0.17, 14)]
)
def test_a_smaller_or_younger_rise_is_none_nor_one_whose_job_is_not_known_from_before(
    usual: float, now: float, minutes: int
) -> None:
    assert not raised(exchanging(usual, now, minutes))


@pytest.mark.parametrize(("seconds", "is_told"), [(9.0, True), (11.0, False)])
def test_in_few_long_steps_a_rise_may_be_work_that_moves(seconds: float, *, is_told: bool) -> None:
    assert bool(raised(exchanging(0.03, 0.17, step_seconds=seconds))) is is_told


def test_what_the_job_before_did_says_nothing_about_this_one() -> None:
    young = np.where(np.arange(COLUMNS) < COLUMNS - 12, np.nan, 1.0)
    scene = Scene(devices=1, phases=None, compute=0.1, pipe=0.02, bandwidth=0.05, held=young)
    assert verdict(scene).is_young
    assert not found(scene)


def test_a_device_that_no_job_is_known_to_hold_is_named_itself() -> None:
    (candidate,) = raised(Scene(devices=1, phases=None, compute=0.1, pipe=0.02, bandwidth=0.05, has_job=False))
    assert (candidate.kind, candidate.scope.uuid, candidate.scope.job_id) == (FindingKind.LAUNCH_BOUND, "GPU-0", None)


def test_devices_that_a_job_has_just_left_are_not_judged_by_what_it_did() -> None:
    at_work = since(COLUMNS, 4, 0.0, 0.95)
    scene = Scene(devices=1, phases=None, engine=at_work, compute=0.1, pipe=0.02, bandwidth=0.05, has_job=False)
    assert not raised(scene)


COPIES: dict[str, Any] = {
    "phases": None,
    "engine": 0.0,
    "compute": 0.0,
    "pipe": 0.0,
    "bandwidth": 0.02,
    "pcie_bytes": 58e9,
}


@pytest.mark.parametrize(("utilization", "kinds"), [(0.99, ["interconnect_bound"]), (since(COLUMNS, 4, 0.0, 0.99), [])])
def test_a_device_that_no_job_holds_and_that_only_copies_is_named_while_it_copies(
    utilization: ArrayLike, kinds: list[str]
) -> None:
    copying = Scene(devices=1, has_job=False, utilization=utilization, **COPIES)
    assert [str(one.kind) for one in raised(copying)] == kinds


def test_a_device_that_fell_silent_is_not_judged_by_what_it_did_for_a_job_that_nobody_tells_of_now() -> None:
    frame = Scene(devices=1, phases=None, compute=0.1, pipe=0.02, bandwidth=0.05, has_job=False).frame()
    frame.advance(frame.now + 40.0)
    assert any(candidate.strength is Strength.RAISE for candidate in Bound().detect(frame).candidates)
    frame.advance(frame.now + 100.0)
    assert not Bound().detect(frame).candidates


THIN: dict[str, Any] = {"phases": None, "compute": 0.1, "pipe": 0.02, "bandwidth": 0.05}


def test_a_busy_device_is_not_judged_alone_while_its_window_holds_the_job_that_was_given_back() -> None:
    def left(minutes: int) -> Scene:
        return Scene(devices=1, held=since(COLUMNS, minutes * MINUTE, np.nan, 1.0), **THIN)

    assert not found(left(4))
    assert [one.scope.job_id for one in raised(left(6))] == [None]


def test_a_machine_that_just_fell_silent_takes_its_job_along_and_leaves_no_device_to_judge() -> None:
    frame = Scene(devices=1, **THIN).frame()
    frame.advance(frame.now + 40.0)  # the job is out of force after 25 s, the device still told of
    assert not frame.jobs
    assert not Bound().detect(frame).candidates


def test_a_server_that_gave_up_all_but_one_device_is_not_judged_by_what_that_did_as_one_of_four() -> None:
    def shrunk(minutes: int) -> Frame:
        builder = FrameBuilder(columns=COLUMNS)
        scene, places = Scene(devices=4, has_job=False, **THIN), [("n0", f"GPU-{at}") for at in range(4)]
        for at, (node, uuid) in enumerate(places):
            scene.add_device(builder, node, uuid, at)
        builder.job("serve", places[:1])
        builder.job("serve", places, held=since(COLUMNS, minutes * MINUTE, np.nan, 1.0))
        return builder.build()

    assert not Bound().detect(shrunk(4)).candidates
    assert "serve" in {one.scope.job_id for one in Bound().detect(shrunk(6)).candidates}


@pytest.mark.parametrize(("engine", "compute", "kinds"), [(0.45, 0.23, []), (0.45, 0.1, ["launch_bound"])])
def test_a_server_that_stands_idle_half_of_the_time_has_no_small_kernels(
    engine: float, compute: float, kinds: list[str]
) -> None:
    scene = Scene(**{**THIN, "devices": 1, "engine": engine, "compute": compute})
    assert [str(one.kind) for one in raised(scene)] == kinds


@pytest.mark.parametrize("minutes", [4.5, 5, 8])
@pytest.mark.parametrize(("pipe", "kinds"), [(0.0, []), (0.03, ["launch_bound"])])
def test_a_worker_that_spins_in_a_collective_launches_no_small_kernels(
    minutes: float, pipe: float, kinds: list[str]
) -> None:
    """Where each pod of a job counts for itself, nobody can tell a hang; nor is it what the pod computes."""
    begins = since(COLUMNS, round(minutes * MINUTE), 1.0, 0.0)
    changes = {"engine": (0.93, 1.0), "compute": (0.8, 0.12), "pipe": (0.4, pipe), "bandwidth": (0.4, 0.001)}
    levels = {name: before + begins * (after - before) for name, (before, after) in changes.items()}
    scene = Scene(**{**THIN, "devices": 1, **levels})
    assert [str(one.kind) for one in raised(scene)] == kinds


def test_a_pause_within_one_step_does_not_make_a_usual_step_longer() -> None:
    builder, seconds = FrameBuilder(columns=COLUMNS), np.ones(COLUMNS)
    seconds[-6:] = 40.0  # a sample of a minute that holds an evaluation
    for rank in range(4):
        builder.steps("train", rank=rank, node="n0", seconds=seconds)
        builder.phases("train", rank=rank, node="n0", shares=SOUND, clock="host")
    frame = builder.build()
    assert judge(frame, frame.jobs["test", "train"]).steps.step_seconds == pytest.approx(1.0)


def test_a_job_has_the_class_of_most_of_its_devices() -> None:
    frame = Scene(devices=4, compute=0.9).frame()
    one = judge(frame, frame.jobs["test", "train"])
    assert {each.kind for each in one.devices} == {FindingKind.COMPUTE_BOUND}
    assert one.kind is FindingKind.COMPUTE_BOUND


def test_the_onset_is_when_the_share_rose() -> None:
    during = since(COLUMNS, 8 * MINUTE, 0.4, 0.05)
    scene = Scene(nodes=2, phases=steps(communication=during, compute=0.97 - during))
    (candidate,) = raised(scene)
    assert candidate.since == pytest.approx(scene.frame().now - 480, abs=20)


def test_the_network_finding_says_how_much_and_how_far_accumulation_helps() -> None:
    (candidate,) = raised(CASES[FindingKind.NETWORK_BOUND])
    assert candidate.summary == (
        "Job train (4 devices) spends 40 % of each step (0.4 s of 1 s) in communication between 2 nodes that computing"
        " does not hide."
    )
    assert "accumulating gradients over 6 micro-batches brings the share to about 10 %" in candidate.remedy
    assert candidate.impact is not None
    assert candidate.impact.slowdown_ratio == pytest.approx(1 / 0.6, rel=0.01)


def test_the_memory_finding_says_when_it_is_full() -> None:
    (candidate,) = raised(CASES[FindingKind.MEMORY_CAPACITY_BOUND])
    assert "At this rate it is full in" in candidate.remedy
    assert candidate.impact is None


@pytest.mark.parametrize("to", [0.92, 0.97])
def test_memory_that_was_taken_at_one_go_does_not_grow(to: float) -> None:
    """The first scrape of a job may still show what its predecessor left: dcgm-exporter reads every 30 s."""
    assert found(Scene(used=since(COLUMNS, 29, to * 80 * GIB, 2 * GIB))) == []


def test_a_lowered_power_limit_is_said_with_both_limits() -> None:
    (candidate,) = raised(CASES[FindingKind.POWER_LIMITED])
    assert "400 W where the board's own limit is 700 W" in candidate.remedy
    assert "nvidia-smi -pl 700" in candidate.remedy


PLAIN = Scene(
    compute=None, pipe=None, bandwidth=None, phases=None, utilization=1.0, hertz=0.7 * MAX_HERTZ, limit_watts=400.0,
    watts=395.0, has_highest_clock=False,
)  # fmt: skip


def test_without_a_highest_clock_power_at_a_lowered_limit_and_the_drivers_word_are_enough():
    (candidate,) = raised(replace(PLAIN, capped=1.0))
    assert candidate.kind is FindingKind.POWER_LIMITED
    assert candidate.summary == (
        "Job train (4 devices) draws 99 % of its power limit of 400 W per device, which holds its clocks down 100 % of"
        " the time; by how much is not known where nobody tells the highest clock."
    )
    assert candidate.impact is None
    assert candidate.confidence < raised(CASES[FindingKind.POWER_LIMITED])[0].confidence


@pytest.mark.parametrize(("has_highest_clock", "at"), [(False, ""), (True, " at 70 % of the highest clock")])
def test_without_throttle_reasons_it_is_likely_and_not_sure(at: str, *, has_highest_clock: bool):
    (candidate,) = raised(replace(PLAIN, capped=None, has_highest_clock=has_highest_clock))
    assert f"400 W per device{at}; what holds its clocks down nobody tells" in candidate.summary
    assert candidate.confidence <= 0.75


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(replace(PLAIN, capped=1.0, watts=340.0), id="the cap is named, and power stands below the limit"),
        pytest.param(replace(PLAIN, capped=0.0), id="at the limit, and the driver does not name it"),
        pytest.param(replace(PLAIN, capped=None, watts=370.0), id="near the limit, and no word of the driver"),
        pytest.param(replace(PLAIN, capped=1.0, limit_watts=700.0, watts=690.0), id="the board's own limit"),
        pytest.param(replace(PLAIN, capped=None, hertz=MAX_HERTZ, has_highest_clock=True), id="at the highest clock"),
        pytest.param(replace(PLAIN, capped=1.0, watts=None), id="no power"),
    ],
)
def test_a_limit_that_may_hold_nothing_back_is_no_finding(scene: Scene):
    assert not raised(scene)


def test_a_slot_that_trained_too_low_is_told_from_one_that_is_just_full() -> None:
    slow = Scene(devices=1, phases=None, compute=0.2, pcie_generation=3.0, pcie_bytes=12e9)
    full = Scene(devices=1, phases=None, compute=0.2, pcie_bytes=50e9)
    assert "generation 3 with 16 lanes where generation 5" in raised(slow)[0].remedy
    assert "Keep on the device what is copied" in raised(full)[0].remedy


def test_small_kernels_are_told_how_far_the_batch_may_grow() -> None:
    assert "the batch may grow up to 1.5-fold" in raised(CASES[FindingKind.LAUNCH_BOUND])[0].remedy


def test_a_loader_is_given_workers_by_the_wait() -> None:
    frame = Scene(phases=steps(input=0.5, compute=0.39)).frame()
    one = judge(frame, frame.jobs["test", "train"])
    assert "num_workers 2.00 times as high (4 -> 8)" in reason_of(frame, one, one.kind).remedy


def test_a_checkpoint_is_no_gap_of_the_host() -> None:
    resting = np.where(np.arange(COLUMNS) % 3 == 0, 0.0, 1.0)
    phases = {name: np.asarray(share) * resting for name, share in SOUND.items()}
    scene = Scene(engine=0.95 * resting, phases={**phases, "checkpoint": 1 - resting})
    assert not found(scene)


def test_the_judgement_counts_devices_and_what_lacks_counters() -> None:
    judged = Bound().detect(Scene().frame())
    assert judged.judged is not None
    assert judged.judged.entities == 4
    plain = Bound().detect(Scene(compute=None, pipe=None, bandwidth=None, phases=None).frame())
    assert plain.judged is None
    assert plain.not_judged[0].entities == 4


def test_steps_of_the_catalog_are_what_the_evidence_names() -> None:
    names = {row.metric for row in raised(CASES[FindingKind.NETWORK_BOUND])[0].evidence}
    assert f'{training.PHASE_SECONDS.name}{{phase="communication"}}' in names


def test_a_sound_fleet_has_a_verdict_for_every_job_and_no_finding() -> None:
    frame = Scene().frame()
    result = analyze(frame, EngineState(), DETECTORS)
    assert not result.findings
    assert [judge(frame, job).kind for job in frame.jobs.values()] == [FindingKind.MIXED]


@settings(max_examples=40, deadline=None)
@given(
    engine=st.floats(0, 1),
    compute=st.floats(0, 1),
    bandwidth=st.floats(0, 1),
    communication=st.floats(0, 0.9),
    capped=st.sampled_from([0.0, 1.0]),
    to=st.floats(0.2, 1.0),
    clock=st.sampled_from(["host", "device"]),
    devices=st.integers(1, 3),
)
def test_no_job_that_a_close_look_would_name_is_screened_out(**drawn: Any) -> None:
    communication, clock = drawn["communication"], drawn["clock"]
    scene = Scene(
        devices=drawn["devices"],
        engine=drawn["engine"],
        compute=drawn["compute"],
        bandwidth=drawn["bandwidth"],
        capped=drawn["capped"],
        hertz=0.8 * MAX_HERTZ,
        limit_watts=500.0,
        used=growing(drawn["to"]),
        phases=steps(communication=communication, compute=0.97 - communication),
        clock=clock,
    )
    one = verdict(scene)
    assert [candidate.kind for candidate in raised(scene)] == ([one.kind] if one.kind in GAINFUL else [])


def described(**levels: float) -> Any:
    """As much of a verdict as its description reads."""
    return SimpleNamespace(rows=(), level=lambda name: levels.get(name, float("nan")))


def test_a_full_slot_is_described_by_the_slot_where_that_only_holds_the_finding() -> None:
    held = described(pcie=0.45, compute=0.33, link=0.0, busy=0.5, engine=0.5)
    assert transfer(None, held).what.startswith("fills its PCIe slots to 45 %")  # type: ignore[arg-type]


def test_copies_are_told_where_no_counter_of_links_or_slot_is_measured() -> None:
    said = transfer(None, described(busy=0.9, engine=0.1, compute=0.1)).what  # type: ignore[arg-type]
    assert said == "copies 80 % of the time while no kernel runs"


def test_copies_are_described_by_the_time_without_kernels() -> None:
    copying = described(pcie=0.2, compute=0.0, link=0.0, busy=0.9, engine=0.1)
    assert transfer(None, copying).what.startswith("copies 80 % of the time while no kernel runs")  # type: ignore[arg-type]


def test_small_kernels_are_held_by_the_rule_that_raised_them() -> None:
    small, tiny = (launches(described(engine=0.36, compute=sm, fill=0.5)) for sm in (0.10, 0.005))
    assert [one.evidence[1].threshold for one in (small, tiny)] == [RAISE.launch_compute, RAISE.tiny_fill * 0.36]
