"""What detectors read: entities, jobs, allocations, windows; and what the frame forgets."""

from __future__ import annotations

import numpy as np
import pytest

from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.frame import DESCRIPTION, NOT_KEPT, Frame
from warpgauge.analyzer.frame.table import CHANNELS_PER_METRIC
from warpgauge.core.catalog import device, host, own, training

START = 1_750_000_000.0
GPU = {"cluster": "c", "node": "n1", "uuid": "GPU-1", "index": "3"}


def test_a_device_is_described_by_its_info_series():
    builder = FrameBuilder(columns=6)
    builder.gauge(device.POWER, 300.0, node="n1", uuid="GPU-1", index="3")
    builder.device("n1", "GPU-1", index=3, model="H200")
    frame = builder.build()

    (entity,) = frame.devices.entities

    assert (entity.cluster, entity.node, entity.uuid) == ("test", "n1", "GPU-1")
    assert (entity.index, entity.model, entity.vendor) == (3, "H200", "nvidia")
    assert entity.simulated is False


def test_a_simulated_device_makes_its_node_and_ranks_simulated_whatever_came_first():
    builder = FrameBuilder(columns=6)
    builder.gauge(host.LOAD1, 1.0, node="n1")
    builder.gauge(host.LOAD1, 1.0, node="n2")
    builder.steps("job", rank=0, node="n1", seconds=0.5)
    builder.device("n1", "GPU-1", simulated=True)
    frame = builder.build()

    assert [node.simulated for node in frame.nodes.entities] == [True, False]
    assert frame.ranks.entities[0].simulated is True
    assert frame.devices.entities[0].simulated is True


def test_two_mig_instances_of_one_device_are_two_entities():
    builder = FrameBuilder(columns=6)
    for instance in ("1", "2"):
        builder.gauge(device.POWER, 100.0, node="n1", uuid="GPU-1", instance_id=instance)

    assert [entity.instance_id for entity in builder.build().devices.entities] == ["1", "2"]


def test_a_job_knows_its_devices_and_ranks_and_since_when_it_holds_them():
    held = np.where(np.arange(12) >= 4, 1.0, np.nan)
    builder = FrameBuilder(columns=12, start=START)
    builder.job("train", [("n1", "GPU-1"), ("n1", "GPU-2")], held=held)
    builder.steps("train", rank=1, node="n1", seconds=0.5)
    builder.steps("train", rank=0, node="n1", seconds=0.5)
    frame = builder.build()

    job = frame.jobs[("test", "train")]

    assert [frame.devices.entities[row].uuid for row in job.devices] == ["GPU-1", "GPU-2"]
    assert [frame.ranks.entities[row].rank for row in job.ranks] == [0, 1]
    assert [frame.ranks.entities[row].uuid for row in job.ranks] == ["GPU-1", "GPU-2"]
    assert frame.device_job == [("test", "train")] * 2
    assert frame.allocated_since.tolist() == [START + 45.0] * 2
    assert (job.scheduler, job.user) == ("slurm", "someone")


def test_a_job_that_ended_holds_nothing():
    builder = FrameBuilder(columns=12)
    builder.gauge(device.POWER, 100.0, node="n1", uuid="GPU-1")
    builder.job("train", [("n1", "GPU-1")], held=np.where(np.arange(12) < 6, 1.0, np.nan))
    frame = builder.build()

    assert frame.jobs == {}
    assert frame.device_job == [None]
    assert np.isnan(frame.allocated_since[0])


@pytest.mark.parametrize(("missed", "since"), [(4, 5.0), (5, 115.0)], ids=["four scrapes", "five"])
def test_a_few_missed_scrapes_do_not_end_what_a_job_holds_and_more_do(missed: int, since: float):
    known = np.ones(24, dtype=bool)
    known[11 - missed : 11] = False
    builder = FrameBuilder(columns=24, start=START)
    builder.job("train", [("n1", "GPU-1")], held=np.where(known, 1.0, np.nan))

    assert builder.build().allocated_since.tolist() == [START + since]


def test_a_device_that_changes_hands_belongs_to_the_newcomer():
    builder = FrameBuilder(columns=12)
    builder.job("old", [("n1", "GPU-1")], held=np.where(np.arange(12) < 10, 1.0, np.nan))
    builder.job("new", [("n1", "GPU-1")], held=np.where(np.arange(12) >= 10, 1.0, np.nan))

    assert builder.build().device_job == [("test", "new")]


def test_a_pod_without_a_job_id_is_a_job_of_its_own():
    builder = FrameBuilder(columns=6)
    builder.gauge(device.WORKLOAD_INFO, 1.0, node="n1", uuid="GPU-1", namespace="ml", pod="notebook-0")

    assert list(builder.build().jobs) == [("test", "ml/notebook-0")]


def test_a_device_clock_is_told_apart_from_a_host_clock():
    builder = FrameBuilder(columns=6)
    builder.phases("job", rank=0, node="n1", shares={"input": 0.2}, clock="host")
    builder.phases("job", rank=1, node="n1", shares={"compute": 0.2}, clock="device")

    assert builder.build().has_device_clock.tolist() == [False, True]


def test_phases_of_both_clocks_are_summed():
    builder = FrameBuilder(columns=6)
    builder.phases("job", rank=0, node="n1", shares={"compute": 0.2}, clock="host")
    builder.phases("job", rank=0, node="n1", shares={"compute": 0.3}, clock="device")

    assert builder.build().latest(training.PHASE_SECONDS, "compute")[0] == np.float32(0.5)


def test_a_rank_that_starts_again_on_another_node_moves():
    builder = FrameBuilder(columns=6)
    builder.steps("job", rank=0, node="n1", seconds=0.5)
    builder.steps("job", rank=0, node="n2", seconds=0.5)

    assert [rank.node for rank in builder.build().ranks.entities] == ["n2"]


def test_a_channel_that_never_appeared_is_all_gap():
    builder = FrameBuilder(columns=6)
    builder.gauge(device.POWER, 100.0, node="n1", uuid="GPU-1")
    frame = builder.build()

    assert frame.has(device.POWER)
    assert not frame.has(device.TEMPERATURE, "core")
    assert frame.values(device.TEMPERATURE, "core").shape == (1, 6)
    assert np.isnan(frame.values(device.TEMPERATURE, "core")).all()


def test_columns_are_dated_at_their_ends():
    builder = FrameBuilder(columns=6, start=START)
    builder.gauge(host.LOAD1, np.arange(6.0), node="n1")
    frame = builder.build()

    assert frame.time_ms.tolist() == [round((START + 10 * (k + 1)) * 1000) for k in range(6)]
    assert frame.now == START + 60
    assert frame.newest_sample == START + 55


def test_the_newest_value_is_not_older_than_a_minute():
    builder = FrameBuilder(columns=12)
    builder.gauge(host.LOAD1, np.where(np.arange(12) < 6, 5.0, np.nan), node="silent")
    builder.gauge(host.LOAD1, np.where(np.arange(12) < 8, 6.0, np.nan), node="late")
    builder.gauge(host.LOAD1, 7.0, node="fresh")
    frame = builder.build()

    silent, late, fresh = frame.latest(host.LOAD1)

    assert np.isnan(silent)
    assert (late, fresh) == (6.0, 7.0)


def test_views_cannot_be_written():
    builder = FrameBuilder(columns=6)
    builder.gauge(host.LOAD1, 1.0, node="n1")

    with pytest.raises(ValueError, match="read-only"):
        builder.build().values(host.LOAD1)[0, 0] = 2.0


def test_the_window_slides_and_keeps_its_length():
    frame = Frame(window_seconds=60)
    series = frame.series_id(host.LOAD1, {"cluster": "c", "node": "n1"})
    for step in range(100):
        time_ms = round((START + 10 * step) * 1000)
        frame.ingest(np.array([series]), np.array([time_ms]), np.array([float(step)]))

        seen = frame.values(host.LOAD1)[0]

        known = seen[~np.isnan(seen)]
        assert known.tolist() == [float(value) for value in range(max(0, step - 5), step + 1)]


def test_a_jump_over_the_whole_window_leaves_nothing_old():
    frame = Frame(window_seconds=60)
    series = frame.series_id(host.LOAD1, {"cluster": "c", "node": "n1"})
    for seconds in (0, 10, 100_000):
        frame.ingest(np.array([series]), np.array([round((START + seconds) * 1000)]), np.array([1.0]))

    assert np.count_nonzero(~np.isnan(frame.values(host.LOAD1))) == 1


def test_a_metric_with_endless_label_values_costs_its_overflow_only():
    frame = Frame()
    place = {"cluster": "c", "node": "n1"}
    ids = [frame.series_id(host.DISK_IO_TIME, place | {"device": f"d{n}"}) for n in range(CHANNELS_PER_METRIC + 5)]

    assert ids.count(NOT_KEPT) == 5


def test_what_has_no_place_gets_no_series():
    frame = Frame()

    assert frame.series_id(own.SERIES, {"cluster": "c", "node": "n1"}) == NOT_KEPT
    assert frame.series_id(device.DEVICE_INFO, GPU) == DESCRIPTION
    with pytest.raises(KeyError, match="warpgauge_analyzer_series"):
        frame.values(own.SERIES)


def grown_and_shrunk() -> tuple[Frame, int]:
    """A frame in which 300 devices came and went and one stayed; and the one's series id at the end."""
    frame = Frame(window_seconds=600)
    for number in range(300):
        series = frame.series_id(device.POWER, GPU | {"uuid": f"gone-{number}"})
        frame.ingest(np.array([series]), np.array([round(START * 1000)]), np.array([1.0]))
    labels = GPU | {"uuid": "stays"}
    power, workload = (
        frame.series_id(device.POWER, labels),
        frame.series_id(device.WORKLOAD_INFO, labels | {"job_id": "j"}),
    )
    for seconds in (0, 5000):
        now_ms = round((START + seconds) * 1000)
        frame.ingest(np.array([power, workload]), np.array([now_ms, now_ms]), np.array([300.0 + seconds, 1.0]))
    frame.expire()
    return frame, frame.series_id(device.POWER, labels)


def test_series_and_devices_that_are_gone_for_a_window_are_forgotten():
    frame, _ = grown_and_shrunk()

    assert [entity.uuid for entity in frame.devices.entities] == ["stays"]
    assert frame.series == 2
    assert frame.generation == 1


def test_what_stays_keeps_its_values_and_its_job():
    frame, series = grown_and_shrunk()

    frame.ingest(np.array([series]), np.array([round((START + 5010) * 1000)]), np.array([7.0]))

    assert frame.values(device.POWER, seconds=20)[0].tolist() == [5300.0, 7.0]
    assert frame.device_job == [("c", "j")]


def test_silence_shows_once_time_passes():
    built = FrameBuilder(columns=12, start=START)
    built.gauge(host.LOAD1, 1.0, node="n1")
    built.job("job", [("n1", "GPU-1")])
    frame = built.build()

    frame.advance(START + 120 + 65)

    assert np.isnan(frame.latest(host.LOAD1)[0])
    assert np.isnan(frame.instant(host.LOAD1)[0])
    assert frame.jobs == {}
    assert frame.now == START + 190


@pytest.mark.parametrize("is_whole", [True, False], ids=["in one batch", "one after the other"])
def test_a_device_was_last_heard_of_when_the_newest_of_its_series_was(*, is_whole: bool):
    frame = Frame()
    ids = [frame.series_id(metric, GPU) for metric in (device.POWER, device.MEMORY_USED)]
    times = [1_750_000_600_000, 1_750_000_000_000]  # what is told last fell silent ten minutes before
    batches = [(ids, times)] if is_whole else [([one], [time]) for one, time in zip(ids, times, strict=True)]
    for series, moments in batches:
        frame.ingest(np.array(series), np.array(moments), np.full(len(series), 1.0))

    assert frame.devices.last_seen_ms[0] == times[0]


def test_time_does_not_go_back_and_an_empty_frame_has_none():
    built = FrameBuilder(columns=12, start=START)
    built.gauge(host.LOAD1, 1.0, node="n1")
    frame, empty = built.build(), Frame()

    frame.advance(START)
    empty.advance(START)

    assert frame.now == START + 120
    assert empty.now == 0.0
