"""A scrape target that says `warpgauge_opt_out="true"`: its node is left alone for as long as it says so."""

from __future__ import annotations

import asyncio

import numpy as np

from warpgauge.analyzer.sources.batch import Page, Points, Ranges, Target
from warpgauge.analyzer.watch import Watch
from warpgauge.core.clock import ManualClock
from warpgauge.core.config.sections import AnalyzerConfig

NOW = 1_750_000_000.0


def page(node: str, **labels: str) -> Page:
    target = Target(name=f"http://{node}:9837/metrics", labels={"cluster": "prod", "node": node, **labels})
    return Page(target=target, text="host_load1 1\n", is_openmetrics=False, time=NOW, interval_seconds=10)


def watch() -> Watch:
    return Watch(AnalyzerConfig(), ManualClock(NOW), ())


def test_its_node_is_left_alone_until_it_says_so_no_more() -> None:
    one = watch()
    asyncio.run(one.take(page("n1", warpgauge_opt_out="true")))
    asyncio.run(one.take(page("n2")))
    assert one.opted_out == {("prod", "n1")}
    asyncio.run(one.take(page("n1")))
    assert one.opted_out == frozenset()
    one.close()


def test_any_other_word_is_no_opt_out() -> None:
    one = watch()
    asyncio.run(one.take(page("n1", warpgauge_opt_out="false")))
    assert one.opted_out == frozenset()
    one.close()


def test_a_prometheus_gives_the_label_on_the_nodes_own_series() -> None:
    one = watch()
    labels = {"cluster": "prod", "node": "n1", "nodename": "n1", "warpgauge_opt_out": "true"}
    other = {"cluster": "prod", "node": "n2", "nodename": "n2"}
    times, values = np.array([round(NOW * 1000)], dtype=np.int64), np.array([1.0])
    points = tuple(Points(name="host_info", labels=said, times_ms=times, values=values) for said in (labels, other))
    asyncio.run(one.take(Ranges(target=Target(name="http://prometheus"), points=points, interval_seconds=10)))
    assert one.opted_out == {("prod", "n1")}
    one.close()
