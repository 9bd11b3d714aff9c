"""Devices that do not answer, and nodes and devices that fell silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.detectors.scenes import Lockstep, add_device, add_host, since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.health.device_state import DeviceState
from warpgauge.analyzer.health.telemetry_gap import TelemetryGap
from warpgauge.core.catalog import device, host
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.detection import Candidate

COLUMNS = 60


def with_state(state: str, columns: int, *, job: bool = True) -> FrameBuilder:
    """A device that is in `state` for its last columns, and fine before."""
    builder = FrameBuilder(columns=COLUMNS)
    states = {state: since(COLUMNS, columns, 1.0), "ok": since(COLUMNS, columns, 0.0, 1.0)}
    add_device(builder, "n1", "GPU-a", index=3, state=states)
    if job:
        builder.job("train", [("n1", "GPU-a")])
    return builder


@pytest.mark.parametrize(
    ("state", "columns", "kind", "words"),
    [
        ("lost", 1, FindingKind.DEVICE_LOST, "n1/gpu3 fell off the bus; job train holds it."),
        ("needs_reset", 1, FindingKind.DEVICE_LOST, "n1/gpu3 refuses work until it is reset; job train holds it."),
        ("hung", 2, FindingKind.DEVICE_HUNG, "n1/gpu3 does not answer its driver; job train holds it."),
    ],
)
def test_a_device_that_is_gone_is_critical(state: str, columns: int, kind: FindingKind, words: str) -> None:
    frame = with_state(state, columns).build()
    (candidate,) = DeviceState().detect(frame).candidates
    assert (candidate.kind, candidate.severity, candidate.scope.uuid) == (kind, Severity.CRITICAL, "GPU-a")
    assert candidate.summary == words
    assert candidate.since == frame.now - 10 * columns


def test_one_missed_deadline_is_a_hiccup() -> None:
    assert not DeviceState().detect(with_state("hung", 1).build()).candidates


def test_a_device_that_answers_again_is_fine() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    lost = np.zeros(COLUMNS)
    lost[10:50] = 1.0
    add_device(builder, "n1", "GPU-a", state={"lost": lost, "ok": 1 - lost})
    assert not DeviceState().detect(builder.build()).candidates


def test_a_reset_names_the_index_to_reset() -> None:
    (candidate,) = DeviceState().detect(with_state("needs_reset", 3).build()).candidates
    assert "--gpu-reset -i 3" in candidate.remedy


def test_only_a_held_device_costs_anyone_time() -> None:
    (held,) = DeviceState().detect(with_state("lost", 6).build()).candidates
    (free,) = DeviceState().detect(with_state("lost", 6, job=False).build()).candidates
    assert held.impact is not None
    assert held.impact.lost_device_seconds == 60
    assert free.impact is None


def test_a_degraded_device_still_answers() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    add_device(builder, "n1", "GPU-a", state={"degraded": 1.0, "ok": 0.0})
    assert not DeviceState().detect(builder.build()).candidates


@pytest.mark.parametrize("state", ["released", "denied"])
def test_a_device_that_was_released_or_may_not_be_read_is_not_lost(state: str) -> None:
    detection = DeviceState().detect(with_state(state, 30).build())
    assert not detection.candidates
    assert detection.judged is not None
    assert detection.judged.entities == 1


def test_a_released_device_is_not_silent() -> None:
    assert not TelemetryGap().detect(with_state("released", 30).build()).candidates


def test_devices_without_a_state_are_not_judged_and_the_metric_is_named() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    builder.device("n1", "GPU-a")
    builder.gauge(device.POWER, 300.0, node="n1", uuid="GPU-a", index="0")
    detection = DeviceState().detect(builder.build())
    assert detection.judged is None
    assert detection.not_judged[0].missing == ("accel_device_state",)


def test_a_device_of_which_only_a_fault_is_told_is_judged_like_the_others() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    add_device(builder, "n1", "GPU-a", state={"ok": 1.0})
    builder.device("n1", "GPU-b")
    builder.gauge(device.POWER, 300.0, node="n1", uuid="GPU-b", index="1")
    builder.device("n1", "GPU-c", index=2)
    builder.gauge(device.DEVICE_STATE, 0.0, node="n1", uuid="GPU-c", index="2", state="lost")
    detection = DeviceState().detect(builder.build())
    assert detection.judged is not None
    assert (detection.judged.entities, detection.not_judged[0].entities) == (2, 1)


def fleet(
    silent: dict[str, int],
    *,
    nodes: int = 4,
    devices: int = 2,
    silent_devices: int | None = None,
    step_seconds: float = 10.0,
) -> list[Candidate]:
    """Nodes of two devices; `silent` tells for how many columns nothing was heard of a node (or of its device 0)."""
    builder = FrameBuilder(columns=COLUMNS, step_seconds=step_seconds)
    for number in range(nodes):
        node = f"n{number}"
        gone = silent.get(node, 0)
        heard = since(COLUMNS, gone, np.nan, 1.0) if gone else np.ones(COLUMNS)
        if silent_devices is None:
            add_host(builder, node, busy=0.1 * heard, available=0.5 * heard)
        for index in range(devices):
            is_gone = silent_devices is None or index < silent_devices
            builder.gauge(
                device.POWER,
                300.0 * (heard if is_gone else 1.0),
                node=node,
                uuid=f"GPU-{node}-{index}",
                index=str(index),
            )
    return list(TelemetryGap().detect(builder.build()).candidates)


def test_a_node_that_falls_silent_while_others_report_is_named() -> None:
    (candidate,) = fleet({"n2": 18})
    assert (candidate.scope.node, candidate.scope.uuid) == ("n2", None)
    assert candidate.summary == "Nothing is heard of n2 with 2 devices any more, while other nodes report."


def test_a_device_that_vanishes_from_its_nodes_page_is_named() -> None:
    (candidate,) = fleet({"n1": 18}, silent_devices=1)
    assert candidate.scope.uuid == "GPU-n1-0"
    assert candidate.summary == "n1/gpu0 vanished, while its node goes on reporting."


@pytest.mark.parametrize(("still_there", "named"), [(("", "2"), []), (("2",), []), ((), ["1", "2"])])
def test_a_part_that_goes_while_its_device_speaks_was_only_cut_otherwise(still_there, named) -> None:
    builder = FrameBuilder(columns=COLUMNS)
    add_host(builder, "n1", busy=0.1 * np.ones(COLUMNS), available=0.5 * np.ones(COLUMNS))
    for instance in ("", "1", "2") if "" in still_there else ("1", "2"):
        heard = np.ones(COLUMNS) if instance in still_there else since(COLUMNS, 18, np.nan, 1.0)
        builder.gauge(device.MEMORY_USED, heard, node="n1", uuid="GPU-a", index="0", instance_id=instance)
    candidates = TelemetryGap().detect(builder.build()).candidates
    assert [candidate.scope.instance_id for candidate in candidates] == named


def test_ninety_seconds_of_silence_are_a_restart() -> None:
    assert not fleet({"n2": 9})


@pytest.mark.parametrize(("step_seconds", "missed"), [(60.0, 7), (30.0, 7)])
def test_scrapes_that_fail_by_chance_seven_times_in_a_row_are_no_silence(step_seconds, missed) -> None:
    assert not fleet({"n2": missed}, step_seconds=step_seconds)
    assert [one.scope.node for one in fleet({"n2": missed + 1}, step_seconds=step_seconds)] == ["n2"]


def test_a_device_that_is_missing_on_five_pages_of_a_minute_vanished() -> None:
    assert not fleet({"n1": 4}, silent_devices=1, step_seconds=60.0)
    assert [one.scope.uuid for one in fleet({"n1": 5}, silent_devices=1, step_seconds=60.0)] == ["GPU-n1-0"]


def of_device(heard_of_node: NDArray[np.float64], heard_of_device: NDArray[np.float64]) -> list[Candidate]:
    """A node with one device beside another node that always reports, scraped each 30 s."""
    builder = FrameBuilder(columns=COLUMNS, step_seconds=30.0)
    add_host(builder, "n0", busy=0.1)
    add_host(builder, "n1", busy=0.1 * heard_of_node, available=0.5 * heard_of_node)
    builder.gauge(device.POWER, 300.0 * heard_of_device, node="n1", uuid="GPU-a", index="0")
    return list(TelemetryGap().detect(builder.build()).candidates)


def test_a_node_that_misses_scrapes_does_not_make_its_devices_vanish() -> None:
    heard = since(COLUMNS, 6, np.nan, 1.0)
    assert of_device(heard, heard) == []


def test_a_device_is_missed_only_for_as_long_as_its_node_speaks() -> None:
    assert of_device(since(COLUMNS, 4, np.nan, 1.0), since(COLUMNS, 7, np.nan, 1.0)) == []
    (found,) = of_device(since(COLUMNS, 2, np.nan, 1.0), since(COLUMNS, 8, np.nan, 1.0))
    assert found.scope.uuid == "GPU-a"


def test_all_devices_of_a_node_gone_at_once_are_their_exporter() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    builder.gauge(host.LOAD1, 1.0, node="n1")
    for index in range(2):
        heard = since(COLUMNS, 18, np.nan, 1.0)
        builder.gauge(device.POWER, 300.0 * heard, node="n1", uuid=f"GPU-{index}", index=str(index))
    (found,) = TelemetryGap().detect(builder.build()).candidates
    assert (found.scope.node, found.scope.uuid) == ("n1", None)
    assert found.summary == (
        "Nothing is heard of any of the 2 devices of n1 any more, while the node itself reports: more likely their"
        " exporter or driver than the devices."
    )


def after_an_outage(*, back: dict[str, int], outage: int = 12) -> list[Candidate]:
    """Six nodes with a device each, scraped each 30 s; `back`: for how many columns they have been heard again."""
    builder = FrameBuilder(columns=COLUMNS, step_seconds=30.0)
    for number in range(6):
        node = f"n{number}"
        heard = np.ones(COLUMNS)
        again = back.get(node, 0)
        heard[COLUMNS - outage - 1 : COLUMNS - again] = np.nan
        builder.gauge(host.LOAD1, heard, node=node)
        heard_of_device = np.where(np.arange(COLUMNS) < COLUMNS - outage - 1, 1.0, np.nan)
        builder.gauge(device.POWER, 300.0 * heard_of_device, node=node, uuid=f"GPU-{number}", index="0")
    return list(TelemetryGap().detect(builder.build()).candidates)


def test_after_an_outage_of_all_those_first_back_do_not_make_the_others_silent() -> None:
    assert after_an_outage(back={"n0": 1, "n1": 1, "n2": 1, "n3": 1}) == []


def test_who_is_not_back_long_after_an_outage_is_named_and_so_is_what_their_nodes_lack() -> None:
    found = after_an_outage(back=dict.fromkeys(["n0", "n1", "n2", "n3", "n4"], 9))
    assert [(one.scope.node, one.scope.uuid) for one in found] == [
        ("n5", None),
        *((f"n{number}", f"GPU-{number}") for number in range(5)),
    ]


def test_the_only_node_of_a_cluster_is_missed_by_those_of_others() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    add_host(builder, "n0", busy=0.1)
    builder.cluster = "another"
    heard = since(COLUMNS, 18, np.nan, 1.0)
    add_host(builder, "m0", busy=0.1 * heard, available=0.5 * heard)
    assert [one.scope.cluster for one in TelemetryGap().detect(builder.build()).candidates] == ["another"]


def test_a_device_that_was_replaced_long_ago_does_not_speak_for_its_node() -> None:
    builder = FrameBuilder(columns=COLUMNS, step_seconds=30.0)
    add_host(builder, "n0", busy=0.1)
    heard = since(COLUMNS, 10, np.nan, 1.0)
    add_host(builder, "n1", busy=0.1 * heard, available=0.5 * heard)
    builder.gauge(device.POWER, 300.0 * heard, node="n1", uuid="GPU-new", index="0")
    builder.gauge(device.POWER, np.nan, node="n1", uuid="GPU-old", index="0")
    assert [one.scope.uuid for one in TelemetryGap().detect(builder.build()).candidates] == [None]


def test_a_node_that_is_back_is_fine() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    heard = np.ones(COLUMNS)
    heard[20:50] = np.nan
    add_host(builder, "n0", busy=0.1 * heard, available=0.5 * heard)
    add_host(builder, "n1", busy=0.1)
    assert not TelemetryGap().detect(builder.build()).candidates


def test_most_of_a_fleet_silent_at_once_is_the_telemetry() -> None:
    (candidate,) = fleet({"n0": 18, "n1": 18, "n2": 18})
    assert (candidate.scope.cluster, candidate.scope.node) == ("test", None)
    assert "3 of 4 nodes of cluster test fell silent at once" in candidate.summary


def test_an_empty_frame_has_nothing_to_judge() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    assert TelemetryGap().detect(builder.build()).judged is None


def test_a_sound_fleet_is_silent() -> None:
    frame = Lockstep(columns=COLUMNS).frame()
    assert not TelemetryGap().detect(frame).candidates
    assert not DeviceState().detect(frame).candidates
