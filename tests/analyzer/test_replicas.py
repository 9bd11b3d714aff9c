"""Two Prometheus of an HA pair: every series counts once, and one stands in for the other where it has a gap."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.analyzer.sources import Points
from warpgauge.analyzer.sources.replicas import REPLICA_LABELS, merge_replicas

SCRAPE_MS = 15_000


def replica(name: str, times_s: list[float], base: float = 0.0, **labels: str) -> Points:
    times = np.array([round(second * 1000) for second in times_s], dtype=np.int64)
    return Points(
        name="node_load1",
        labels={"instance": "a:9100", **labels, "prometheus_replica": name},
        times_ms=times,
        values=base + np.arange(len(times), dtype=np.float64),
    )


def every(start: float, stop: float, step: float = 15.0) -> list[float]:
    return list(np.arange(start, stop, step))


def merged(*series: Points) -> list[Points]:
    return list(merge_replicas(series, REPLICA_LABELS))


def test_series_that_differ_in_the_replica_only_become_one_without_that_label():
    (one,) = merged(replica("prom-0", every(0, 300)), replica("prom-1", every(7, 300)))

    assert one.labels == {"instance": "a:9100"}
    assert list(one.times_ms) == [round(1000 * second) for second in every(0, 300)]


def test_a_gap_of_one_is_filled_by_the_other():
    broken = every(0, 120) + every(240, 600)
    (one,) = merged(replica("prom-0", broken), replica("prom-1", every(7, 300), base=1000.0))

    from_other = one.times_ms[one.values >= 1000]
    assert from_other.min() > 105_000
    assert from_other.max() < 240_000
    assert np.diff(one.times_ms).max() <= 2.5 * SCRAPE_MS
    assert (np.diff(one.times_ms) > 0).all()


def test_one_missed_scrape_is_no_gap():
    times = every(0, 600)
    times.remove(300.0)
    (one,) = merged(replica("prom-0", times), replica("prom-1", every(7, 200), base=1000.0))

    assert (one.values < 1000).all()


def test_a_replica_that_came_first_or_stayed_longer_gives_the_ends():
    (one,) = merged(replica("prom-0", every(300, 900)), replica("prom-1", every(7, 400)))

    assert one.times_ms[0] == 7_000
    assert one.times_ms[-1] == 885_000


def test_different_series_stay_apart():
    two = merged(replica("prom-0", every(0, 60), cpu="0"), replica("prom-0", every(0, 60), cpu="1"))

    assert len(two) == 2


def test_series_without_such_a_label_are_left_as_they_are():
    series = [Points(name="a", labels={"replica_of": "x"}, times_ms=np.array([1]), values=np.array([1.0]))]

    assert merge_replicas(series, REPLICA_LABELS) is series


seconds = st.lists(st.integers(0, 2000), max_size=40, unique=True).map(sorted)


@given(seconds, seconds)
def test_whatever_the_two_saw_the_result_is_ordered_and_theirs(first: list[float], second: list[float]):
    both = merged(replica("a", first), replica("b", second, base=1e6))

    times = both[0].times_ms
    assert (np.diff(times) > 0).all()
    assert set(times.tolist()) <= {1000 * at for at in (*first, *second)}
    assert set(times.tolist()) >= {1000 * at for at in (first if len(first) >= len(second) else second)}
