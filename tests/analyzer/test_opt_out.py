"""A scrape target that says `warpgauge_opt_out="true"`: its node is left alone for as long as it says so."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.analyzer.fleets import dcgm
from tests.analyzer.prompb import message
from tests.detectors.test_recommend import finding
from warpgauge.analyzer.recommend import Ledger, recommend
from warpgauge.analyzer.recommend.topology import topology_of
from warpgauge.analyzer.service.watch import Watch
from warpgauge.analyzer.snapshot import Keeper
from warpgauge.analyzer.sources.batch import Page, Points, Ranges, Target
from warpgauge.core.clock import ManualClock
from warpgauge.core.config.sections import AnalyzerConfig
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_750_000_000.0


def page(node: str, **labels: str) -> Page:
    target = Target(name=f"http://{node}:9837/metrics", labels={"cluster": "prod", "node": node, **labels})
    return Page(target=target, text="host_load1 1\n", is_openmetrics=False, time=NOW, interval_seconds=10)


def watch(clock: ManualClock | None = None) -> Watch:
    return Watch(AnalyzerConfig(cluster="prod"), clock or ManualClock(NOW), ())


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


def polled(one: Watch, *series: tuple[dict[str, str], float]) -> None:
    """What a Prometheus says of series of host_info, each with the time of its newest sample."""
    points = tuple(
        Points(
            name="host_info",
            labels={"cluster": "prod", "job": "agent", **labels},
            times_ms=np.array([round((NOW + at) * 1000)], dtype=np.int64),
            values=np.array([1.0]),
        )
        for labels, at in series
    )
    asyncio.run(one.take(Ranges(target=Target(name="http://prometheus"), points=points, interval_seconds=10)))


N1, N2 = {"node": "n1", "nodename": "n1"}, {"node": "n2", "nodename": "n2"}
LEFT_ALONE = {"warpgauge_opt_out": "true"}


def test_a_prometheus_gives_the_label_on_the_nodes_own_series() -> None:
    one = watch()
    polled(one, (N1 | LEFT_ALONE, 0), (N2, 0))
    assert one.opted_out == {("prod", "n1")}
    one.close()


def test_of_what_a_target_said_within_one_poll_the_newest_holds() -> None:
    one = watch()
    polled(one, (N1, 10), (N1 | LEFT_ALONE, 0), (N2 | LEFT_ALONE, 10), (N2, 0))
    assert one.opted_out == {("prod", "n2")}
    one.close()


class Writer:
    """A Prometheus that writes to us, each minute what its targets said then."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.watch = watch(self.clock)

    def write(self, *series: dict[str, str]) -> None:
        time_ms = round(self.clock.now() * 1000)
        asyncio.run(self.watch.write(message([(labels, [(time_ms, 1.0)]) for labels in series])))
        self.clock.advance(100)
        asyncio.run(self.watch.judge({}))

    def says(self, job: str = "node", **labels: str) -> dict[str, str]:
        return {"__name__": "node_uname_info", "nodename": "n1", "job": job, "instance": "10.0.0.1:9100", **labels}


def test_a_prometheus_that_writes_to_us_gives_the_label_until_its_target_has_it_no_more() -> None:
    writer = Writer()
    writer.write(writer.says(**LEFT_ALONE), writer.says(nodename="n2", instance="10.0.0.2:9100"))
    assert writer.watch.opted_out == {("prod", "n1")}
    writer.write(writer.says())
    assert writer.watch.opted_out == frozenset()
    writer.write(writer.says(**LEFT_ALONE, rack="r1"))
    assert writer.watch.opted_out == {("prod", "n1")}
    writer.watch.close()


def test_one_of_a_nodes_targets_is_enough() -> None:
    writer = Writer()
    gpu = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "job": "dcgm", "instance": "10.0.0.1:9400", **dcgm(host="n1")}
    writer.write(writer.says(), gpu | LEFT_ALONE)
    writer.write(writer.says(), gpu | LEFT_ALONE)
    assert writer.watch.opted_out == {("prod", "n1")}
    writer.watch.close()


def test_both_of_a_highly_available_pair_speak_of_one_target() -> None:
    writer = Writer()
    writer.write(*(writer.says(prometheus_replica=name, **LEFT_ALONE) for name in "ab"))
    assert writer.watch.opted_out == {("prod", "n1")}
    writer.write(*(writer.says(prometheus_replica=name) for name in "ab"))
    assert writer.watch.opted_out == frozenset()
    writer.watch.close()


def withheld(one: Watch) -> list[str]:
    """Why nobody is disturbed for an idle job on n1, by what the frame holds."""

    def answer(frame: Any) -> Any:
        topology = topology_of(frame, opted_out=one.opted_out)
        return recommend([finding(FindingKind.IDLE_ALLOCATED)], (), topology, Ledger(), now=NOW, mode="approve")

    return [row.reason for row in asyncio.run(one.ask(answer)).withheld]


@pytest.mark.parametrize("label", ["true", "false"])
def test_nobody_is_disturbed_on_a_node_that_was_written_to_be_left_alone(label: str) -> None:
    writer = Writer()
    gpu = {"__name__": "DCGM_FI_DEV_GPU_UTIL", "job": "dcgm", "instance": "10.0.0.1:9400", **dcgm(host="n1")}
    writer.write(writer.says(warpgauge_opt_out=label), gpu)
    assert ("node n1 is left alone (its target says so)" in withheld(writer.watch)) == (label == "true")
    writer.watch.close()


def test_after_a_restart_it_holds_until_every_target_could_be_heard(tmp_path: Path) -> None:
    writer, keeper = Writer(), Keeper(tmp_path, interval_seconds=60)
    writer.write(writer.says(**LEFT_ALONE))
    keeper.save(asyncio.run(writer.watch.save(Ledger())))
    writer.watch.close()
    memory = keeper.load(window_seconds=3600, cluster="prod", now=writer.clock.now())
    assert memory is not None
    again = watch(writer.clock)
    asyncio.run(again.resume(memory))
    assert again.opted_out == {("prod", "n1")}
    writer.clock.advance(300)
    assert again.opted_out == frozenset()
    again.close()
