"""A device that leaves its peers in several signals together; and the many ways in which one stands apart in order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.analyzer.test_engine import Scripted
from tests.detectors.scenes import since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.anomalies.forest import Forests
from warpgauge.analyzer.anomalies.multivariate import Multivariate
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.incidents.engine import EngineState, analyze
from warpgauge.core.catalog import device
from warpgauge.core.finding import Evidence, FindingKind, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.catalog import Metric

COLUMNS = 300
DEVICES = 40
USUAL: Mapping[Metric, tuple[float, float, dict[str, str]]] = {  # level, share by which boards and moments differ
    device.GRAPHICS_ENGINE_ACTIVE: (0.95, 0.002, {}),
    device.POWER: (600.0, 0.01, {}),
    device.CLOCK: (1.9e9, 0.005, {"clock": "sm"}),
    device.TEMPERATURE: (60.0, 0.02, {"sensor": "core"}),
    device.MEMORY_BANDWIDTH_ACTIVE: (0.4, 0.02, {}),
}
LATE = since(COLUMNS, 40, 1.0)  # the last 400 s
SICK = {device.POWER: 1.0 - 0.12 * LATE, device.CLOCK: 1.0 - 0.05 * LATE, device.TEMPERATURE: 1.0 + 0.08 * LATE}


def frame(
    changes: Mapping[int, Mapping[Metric, ArrayLike]] | None = None,
    *,
    devices: int = DEVICES,
    held: ArrayLike = 1.0,
    seed: int = 1,
) -> Frame:
    """One job on all devices; `changes` are factors by device."""
    random, builder = np.random.default_rng(seed), FrameBuilder(columns=COLUMNS)
    for number in range(devices):
        node, uuid = f"n{number // 8}", f"GPU-{number}"
        builder.device(node, uuid, index=number % 8)
        for metric, (level, spread, labels) in USUAL.items():
            own = level * (1.0 + random.normal(0, spread / 2) + random.normal(0, spread / 2, COLUMNS))
            factor = np.asarray((changes or {}).get(number, {}).get(metric, 1.0))
            builder.gauge(metric, own * factor, node=node, uuid=uuid, index=str(number % 8), **labels)
    builder.job("train", [(f"n{number // 8}", f"GPU-{number}") for number in range(devices)], held=held)
    return builder.build()


def seen(changes: Mapping[int, Mapping[Metric, ArrayLike]] | None = None, **scene: object) -> tuple[Candidate, ...]:
    return Multivariate().detect(frame(changes, **scene)).candidates  # type: ignore[arg-type]  # test shorthand


def test_a_board_that_draws_less_clocks_lower_and_runs_hotter_is_named_with_what_changed() -> None:
    (found,) = seen({5: SICK})
    assert (found.kind, found.severity, found.strength) == (FindingKind.LEVEL_SHIFT, Severity.INFO, Strength.RAISE)
    assert (found.scope.uuid, found.scope.node, found.scope.job_id) == ("GPU-5", "n0", "train")
    assert found.evidence[0].metric == "accel_power_watts"
    assert found.evidence[0].value == pytest.approx(0.88 * 600, rel=0.03)
    assert found.evidence[0].baseline == pytest.approx(600, rel=0.02)
    assert {row.metric for row in found.evidence} >= {'accel_temperature_celsius{sensor="core"}'}
    assert "differs from its 39 peers at the same work" in found.summary
    assert "power draw 12 % below theirs" in found.summary


def test_a_board_of_which_the_newest_samples_are_missing_is_named_all_the_same() -> None:
    unheard = since(COLUMNS, 6, np.nan, 1.0)  # a minute
    scene = frame({5: {metric: unheard * SICK.get(metric, 1.0) for metric in USUAL}})
    (found,) = Multivariate().detect(scene).candidates
    assert found.since == scene.now - 300


def test_its_onset_is_about_when_it_began() -> None:
    late = since(COLUMNS, 20, 1.0)
    (found,) = seen({5: {device.POWER: 1.0 - 0.2 * late, device.TEMPERATURE: 1.0 + 0.1 * late}})
    assert found.since == pytest.approx(1_750_000_000.0 + COLUMNS * 10.0 - 200.0, abs=60.0)


@pytest.mark.parametrize("seed", range(8))
def test_sound_boards_that_differ_a_little_raise_nothing(seed: int) -> None:
    assert seen(seed=seed) == ()


def test_a_board_that_always_stood_apart_did_not_change() -> None:
    assert seen({5: {device.POWER: 0.85, device.TEMPERATURE: 1.15}}) == ()


def test_a_board_that_works_less_does_everything_less() -> None:
    idle = dict.fromkeys((device.GRAPHICS_ENGINE_ACTIVE, device.POWER), 1.0 - 0.3 * LATE)
    assert seen({5: idle}) == ()


def test_a_change_of_all_is_the_workloads() -> None:
    assert seen(dict.fromkeys(range(DEVICES), SICK)) == ()


def test_a_change_below_a_tenth_is_not_raised() -> None:
    small = {device.POWER: 1.0 - 0.08 * LATE, device.CLOCK: 1.0 - 0.04 * LATE}
    assert all(one.strength is Strength.HOLD for one in seen({5: small}))


def test_a_signal_that_a_part_of_the_devices_does_not_measure_costs_these_only() -> None:
    blind: dict[int, dict[Metric, ArrayLike]] = {number: {device.POWER: np.nan} for number in range(8, 12)}
    (found,) = seen({**blind, 5: SICK})
    assert found.scope.uuid == "GPU-5"


def test_a_signal_that_most_devices_do_not_measure_is_left_out() -> None:
    blind: dict[int, dict[Metric, ArrayLike]] = {
        number: {device.MEMORY_BANDWIDTH_ACTIVE: np.nan} for number in range(25)
    }
    (found,) = seen({**blind, 5: {**SICK, device.MEMORY_BANDWIDTH_ACTIVE: np.nan}})
    assert found.scope.uuid == "GPU-5"


def test_too_few_devices_tell_nothing() -> None:
    detection = Multivariate().detect(frame({5: SICK}, devices=16))
    assert (detection.candidates, detection.judged) == ((), None)


def test_a_job_that_has_just_come_has_no_past() -> None:
    assert seen({5: SICK}, held=since(COLUMNS, 100, 1.0, np.nan)) == ()


def test_a_gap_is_no_change() -> None:
    silent = np.where(LATE > 0, np.nan, 1.0)
    assert seen({5: {device.POWER: silent, device.TEMPERATURE: silent}}) == ()


def test_signals_that_stand_still_everywhere_raise_nothing() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    places = [(f"n{number // 8}", f"GPU-{number}") for number in range(DEVICES)]
    for number, (node, uuid) in enumerate(places):
        builder.device(node, uuid, index=number % 8)
        for metric, (level, _, labels) in USUAL.items():
            builder.gauge(metric, level, node=node, uuid=uuid, index=str(number % 8), **labels)
    builder.job("train", places)
    assert Multivariate().detect(builder.build()).candidates == ()


# ---- beside other findings


def hot(**changes: object) -> Candidate:
    usual = Candidate(
        kind=FindingKind.THERMAL_LIMITED,
        scope=Scope(cluster="test", node="n0", uuid="GPU-5", job_id="train"),
        severity=Severity.WARNING,
        since=1_750_000_000.0,
        confidence=0.9,
        evidence=(Evidence(metric="accel_clock_hertz", value=1.0, unit="hertz"),),
        summary="hot",
        remedy="cool it",
    )
    return replace(usual, **changes)  # type: ignore[arg-type]  # test shorthand


def test_beside_a_finding_of_the_same_device_it_is_evidence_of_that() -> None:
    other = Scripted()
    other.says = (hot(),)
    (finding,) = analyze(frame({5: SICK}), EngineState(), [other, Multivariate()]).findings
    assert finding.kind is FindingKind.THERMAL_LIMITED
    assert [row.metric for row in finding.evidence][:2] == ["accel_clock_hertz", "accel_power_watts"]


def test_what_its_machine_suffers_explains_it_too() -> None:
    other = Scripted()
    other.says = (hot(kind=FindingKind.HOST_SATURATED, scope=Scope(cluster="test", node="n0")),)
    (finding,) = analyze(frame({5: SICK}), EngineState(), [other, Multivariate()]).findings
    assert finding.kind is FindingKind.HOST_SATURATED
    assert len(finding.evidence) == 1


def test_a_finding_elsewhere_explains_nothing() -> None:
    other = Scripted()
    other.says = (hot(scope=Scope(cluster="test", node="n3", uuid="GPU-30", job_id="train")),)
    findings = analyze(frame({5: SICK}), EngineState(), [other, Multivariate()]).findings
    assert {finding.kind for finding in findings} == {FindingKind.THERMAL_LIMITED, FindingKind.LEVEL_SHIFT}


# ---- the second opinion


def test_a_forest_that_learnt_the_sound_devices_confirms_what_the_distance_raised() -> None:
    forests = Forests()
    detector = Multivariate(forests)
    before = detector.detect(frame(devices=80))
    forests.settle()

    (alone,) = Multivariate().detect(frame({5: SICK}, devices=80)).candidates
    (found,) = detector.detect(frame({5: SICK}, devices=80)).candidates

    assert before.candidates == ()
    assert found.confidence > alone.confidence
    assert found.summary.endswith("An isolation forest finds it odd too.")


def test_a_forest_does_not_learn_from_devices_that_stand_apart() -> None:
    """Else what lasts would become normal: nine are sick all the while it learns."""
    forests = Forests()
    detector, sick = Multivariate(forests), frame(dict.fromkeys(range(9), SICK), devices=80)
    detector.detect(sick)
    forests.settle()

    found = detector.detect(sick).candidates

    assert len(found) == 9
    assert all(one.summary.endswith("finds it odd too.") for one in found)


def test_a_forest_alone_raises_nothing() -> None:
    """One sound device in a hundred is odd to it; these must stay silent."""
    forests = Forests()
    detector = Multivariate(forests)
    for seed in range(3):
        assert detector.detect(frame(devices=80, seed=seed)).candidates == ()
        forests.settle()


def rows(count: int = 200) -> np.ndarray:
    return np.random.default_rng(5).normal(0, 1, (count, 4))


def test_a_fit_is_never_waited_for_and_its_model_comes_as_a_whole() -> None:
    forests = Forests()
    assert forests.odd("h100", rows()) is None

    forests.learn("h100", rows(), now=0.0)
    forests.settle()

    answer = forests.odd("h100", np.array([[0.0, 0.0, 0.0, 0.0], [9.0, -9.0, 9.0, -9.0]]))
    assert answer is not None
    assert answer.tolist() == [False, True]


def test_a_model_is_fitted_again_only_when_it_is_old() -> None:
    forests = Forests(refit_seconds=600.0)
    forests.learn("h100", rows(), now=0.0)
    forests.settle()
    shifted = rows() + 50.0

    forests.learn("h100", shifted, now=599.0)
    forests.settle()
    young = forests.odd("h100", shifted[:1])
    forests.learn("h100", shifted, now=600.0)
    forests.settle()
    old = forests.odd("h100", np.array([[50.0, 50.0, 50.0, 50.0]]))

    assert (young is not None and young.tolist(), old is not None and old.tolist()) == ([True], [False])


def test_few_devices_and_a_missing_library_give_no_opinion() -> None:
    few, without = Forests(), Forests(package="no_such_package")
    few.learn("h100", rows(63), now=0.0)
    without.learn("h100", rows(), now=0.0)
    few.settle()
    without.settle()

    assert few.odd("h100", rows()) is None
    assert without.odd("h100", rows()) is None


def test_a_fit_that_fails_costs_the_opinion_and_a_line_in_the_log(caplog) -> None:
    forests = Forests()
    forests.learn("h100", np.empty((100, 0)), now=0.0)
    forests.settle()

    assert "forest not fitted" in caplog.text
    assert forests.odd("h100", rows()) is None
