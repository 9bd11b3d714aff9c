"""Calls are counted together, and none is lost however many come before anybody asks."""

from __future__ import annotations

import threading

import pytest

from warpgauge.core.catalog import own
from warpgauge.exporters.calls import CallTimes


def test_each_call_is_counted_once_in_its_bucket():
    calls = CallTimes()
    bounds = own.CALL_SECONDS.buckets
    for seconds in (bounds[0], bounds[1], 2 * bounds[-1]):
        calls.add("f", seconds)
    (counts, total) = calls.take()["f"]
    assert counts == [1, 1, *[0] * (len(bounds) - 2), 1]
    assert total == pytest.approx(bounds[0] + bounds[1] + 2 * bounds[-1])
    assert calls.take() == {}


def test_none_is_lost_where_several_threads_count_and_one_takes():
    calls, portions = CallTimes(), []
    threads = [threading.Thread(target=lambda: [calls.add("f", 0.0) for _ in range(2000)]) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        portions.append(calls.take())
    portions.append(calls.take())
    assert sum(sum(portion["f"][0]) for portion in portions if portion) == 6000
