"""Counters in the frame: resets, wraps, gaps, restarts, late samples, scrapes faster and slower than a column."""

from __future__ import annotations

import numpy as np

from warpgauge.analyzer.frame import Frame
from warpgauge.core.catalog import device, host, training

START = 1_750_000_000.0
CPU = {"cluster": "c", "node": "n1", "cpu": "0", "mode": "user"}


class Feed:
    """One counter series of a frame, fed by (seconds after START, value)."""

    def __init__(self, frame: Frame | None = None, **labels: str) -> None:
        self.frame = frame or Frame(window_seconds=600)
        self.series = self.frame.series_id(host.CPU_SECONDS, CPU | labels)

    def add(self, *samples: tuple[float, float], hold_seconds: float = 25.0) -> Feed:
        times = np.array([round((START + seconds) * 1000) for seconds, _ in samples], dtype=np.int64)
        values = np.array([value for _, value in samples])
        self.taken = self.frame.ingest(
            np.full(len(samples), self.series, dtype=np.int64), times, values, hold_seconds=hold_seconds
        )
        return self

    def rates(self, columns: int) -> list[float | None]:
        newest = self.frame.values(host.CPU_SECONDS, "user", seconds=columns * 10)[0]
        return [None if np.isnan(rate) else round(float(rate), 4) for rate in newest]


def test_a_steady_counter_has_its_rate_in_every_column():
    feed = Feed().add(*((second, second * 0.5) for second in range(0, 60, 10)))

    assert feed.rates(6) == [None, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_a_reset_costs_one_rate_and_is_never_negative():
    feed = Feed().add((0, 100), (10, 105), (20, 2), (30, 7))

    assert feed.rates(4) == [None, 0.5, None, 0.5]


def test_a_wrap_of_a_32_bit_counter_costs_one_rate():
    feed = Feed().add((0, 2.0**32 - 10), (10, 2.0**32 - 5), (20, 3), (30, 8))

    assert feed.rates(4) == [None, 0.5, None, 0.5]


def test_a_missed_scrape_is_bridged_by_the_mean_of_what_passed():
    feed = Feed().add((0, 0), (10, 5), (30, 25), (40, 30))

    assert feed.rates(5) == [None, 0.5, 1.0, 1.0, 0.5]


def test_a_gap_longer_than_the_hold_time_stays_a_gap():
    feed = Feed().add((0, 0), (10, 5), (60, 55), (70, 60))

    assert feed.rates(8) == [None, 0.5, None, None, None, None, None, 0.5]


def test_scrapes_each_minute_leave_no_holes_when_that_is_their_interval():
    feed = Feed().add((0, 0), (60, 30), (120, 90), hold_seconds=150.0)

    assert feed.rates(13) == [None] + [0.5] * 6 + [1.0] * 6


def test_scrapes_each_second_give_the_mean_of_the_column():
    feed = Feed().add((9, 0), *((10 + second, second * 1.0 if second < 5 else 5.0) for second in range(10)))

    assert feed.rates(1) == [0.5]


def test_batches_within_a_column_add_up():
    feed = Feed().add((9, 0)).add((12, 3)).add((15, 3)).add((19, 5))

    assert feed.rates(1) == [0.5]


def test_a_late_sample_is_counted_and_changes_nothing():
    feed = Feed().add((0, 0), (10, 5), (20, 10))
    before = feed.rates(3)

    feed.add((5, 1000))

    assert feed.taken.late == 1
    assert feed.taken.kept == 0
    assert feed.rates(3) == before


def test_of_two_samples_of_one_moment_the_first_counts():
    feed = Feed().add((0, 0), (10, 5)).add((10, 9)).add((20, 10))

    assert feed.rates(2) == [0.5, 0.5]


def test_a_sample_older_than_the_window_is_late():
    frame = Frame(window_seconds=600)
    Feed(frame).add((0, 0), (10_000, 5))

    other = Feed(frame, cpu="1").add((100, 7))

    assert other.taken.late == 1


def test_a_sample_from_the_future_is_dropped_and_does_not_move_the_window():
    frame = Frame()
    series = frame.series_id(host.LOAD1, CPU)
    now_ms = round(START * 1000)

    taken = frame.ingest(
        np.array([series, series]), np.array([now_ms, now_ms + 10**9]), np.array([1.0, 2.0]), not_after=START + 60
    )

    assert (taken.kept, taken.late) == (1, 1)
    assert frame.newest_sample == START


def test_a_series_that_starts_again_after_a_long_silence_starts_with_a_gap():
    feed = Feed().add((0, 100), (10, 105)).add((300, 0), (310, 5))

    assert feed.rates(2) == [None, 0.5]


def test_cpus_of_a_node_are_summed():
    frame = Frame(window_seconds=600)
    ids = [frame.series_id(host.CPU_SECONDS, CPU | {"cpu": str(cpu)}) for cpu in range(4)]
    for second in (0, 10):
        times = np.full(4, round((START + second) * 1000), dtype=np.int64)
        frame.ingest(np.array(ids), times, np.array([second * 0.25] * 4))

    assert frame.values(host.CPU_SECONDS, "user")[0, -1] == 1.0


def test_two_exporters_on_one_node_are_not_added_up():
    frame = Frame(window_seconds=600)
    labels = {"cluster": "c", "node": "n1", "device": "eth0"}
    ids = [frame.series_id(host.NETWORK_RECEIVE, labels, origin=origin) for origin in ("agent", "node_exporter")]
    for second in (0, 10):
        for series in ids:
            frame.ingest(np.array([series]), np.array([round((START + second) * 1000)]), np.array([second * 100.0]))

    assert frame.values(host.NETWORK_RECEIVE)[0, -1] == 100.0


def test_a_sum_with_an_unknown_part_is_unknown():
    frame = Frame(window_seconds=600)
    ids = [frame.series_id(host.CPU_SECONDS, CPU | {"cpu": str(cpu)}) for cpu in range(2)]
    first, second = (round((START + at) * 1000) for at in (0, 10))
    frame.ingest(np.array(ids), np.array([first, first]), np.array([0.0, 100.0]))
    frame.ingest(np.array(ids), np.array([second, second]), np.array([5.0, 1.0]))

    assert np.isnan(frame.values(host.CPU_SECONDS, "user")[0, -1])


def test_the_mean_step_is_the_time_over_the_count_and_a_gap_without_steps():
    frame = Frame(window_seconds=600)
    labels = {"cluster": "c", "node": "n1", "job_id": "j", "rank": "0", "stage": ""}
    total = frame.series_id(training.STEP_SECONDS, labels, part="sum")
    count = frame.series_id(training.STEP_SECONDS, labels, part="count")
    for second, seconds, steps in ((0, 0.0, 0), (10, 10.0, 20), (20, 10.0, 20)):
        times = np.full(2, round((START + second) * 1000), dtype=np.int64)
        frame.ingest(np.array([total, count]), times, np.array([seconds, float(steps)]))

    mean = frame.values(training.STEP_SECONDS, "mean", seconds=20)[0]

    assert mean[0] == 0.5
    assert np.isnan(mean[1])
    assert frame.values(training.STEP_SECONDS, "count", seconds=20)[0].tolist() == [2.0, 0.0]


def test_a_bucket_of_a_histogram_has_no_place():
    labels = {"cluster": "c", "node": "n1", "job_id": "j", "rank": "0", "le": "1"}

    assert Frame().series_id(training.STEP_SECONDS, labels, part="bucket") < 0


def test_a_timestamp_is_kept_as_an_age_that_float32_can_hold():
    frame = Frame(window_seconds=600)
    series = frame.series_id(device.LAST_SAMPLE, {"cluster": "c", "node": "n1", "uuid": "GPU-1", "index": "0"})
    frame.ingest(np.array([series]), np.array([round((START + 7) * 1000)]), np.array([START + 4.5]))

    assert frame.latest(device.LAST_SAMPLE)[0] == 2.5


def test_the_instant_rate_is_that_of_the_last_two_scrapes():
    feed = Feed().add(*((second, 0.0) for second in range(10))).add((10, 2.0))

    assert feed.frame.instant(host.CPU_SECONDS, "user")[0] == 2.0
    assert feed.rates(1)[0] == 2.0


def test_the_instant_value_of_a_silent_series_is_unknown():
    feed = Feed().add((0, 0), (1, 1))
    Feed(feed.frame, cpu="1", node="n2").add((100, 0), (101, 1))

    assert np.isnan(feed.frame.instant(host.CPU_SECONDS, "user")[0])
    assert feed.frame.instant(host.CPU_SECONDS, "user")[1] == 1.0
