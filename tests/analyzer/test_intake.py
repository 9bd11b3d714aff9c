"""From pages and ranges to the frame."""

from __future__ import annotations

import numpy as np
import pytest

from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.intake import Intake
from warpgauge.analyzer.sources import Page, Points, Ranges, Target
from warpgauge.core.catalog import device, host
from warpgauge.core.errors import InputError

NOW = 1_750_000_000.0
AGENT = Target(name="http://10.0.0.1:9837/metrics", labels={"instance": "10.0.0.1:9837"})


def intake() -> Intake:
    return Intake(Frame(), NodeNames("local"))


def page(text: str, *, target: Target = AGENT, time: float | None = NOW, interval: float = 10.0) -> Page:
    return Page(target=target, text=text, is_openmetrics=False, time=time, interval_seconds=interval)


def test_a_page_stands_at_the_time_of_its_scrape():
    taking = intake()
    taking.take(page("host_load1 2.5\n"))

    assert taking.frame.newest_sample == NOW
    assert taking.frame.latest(host.LOAD1).tolist() == [2.5]


def test_the_node_is_named_by_the_page_itself_wherever_that_line_stands():
    taking = intake()
    taking.take(page('host_load1 1\nhost_info{nodename="node-a",sysname="Linux"} 1\n'))

    assert [node.node for node in taking.frame.nodes.entities] == ["node-a"]
    assert taking.frame.nodes.entities[0].cluster == "local"


def test_a_target_that_learns_its_name_late_goes_on_under_that_name():
    taking = intake()
    taking.take(page("host_load1 1\n"))
    taking.take(page('host_load1 2\nhost_info{nodename="node-a"} 1\n', time=NOW + 10))

    latest = taking.frame.latest(host.LOAD1, seconds=10)
    assert [node.node for node in taking.frame.nodes.entities] == ["10.0.0.1", "node-a"]
    assert np.isnan(latest[0])
    assert latest[1] == 2.0


def test_labels_of_the_target_win_over_those_of_the_page():
    target = Target(name="t", labels={"cluster": "demo", "node": "sim-node-0"})
    taking = intake()
    taking.take(page('host_load1{node="liar"} 1\n', target=target))

    assert (taking.frame.nodes.entities[0].cluster, taking.frame.nodes.entities[0].node) == ("demo", "sim-node-0")


def test_defaults_of_the_target_stand_back_behind_those_of_the_page():
    target = Target(name="t", defaults={"instance": "file"})
    taking = intake()
    taking.take(page('host_load1{instance="10.0.0.9:9100"} 1\nhost_load5 1\n', target=target))

    assert [node.node for node in taking.frame.nodes.entities] == ["10.0.0.9", "file"]


def test_samples_are_counted_by_what_became_of_them():
    taking = intake()
    lines = ["host_load1 1", "warpgauge_agent_scrapes_total 4", "http_requests_total 5"]
    taking.take(page("".join(f"{line}\n" for line in lines)))
    taking.take(page("host_load1 1\n", time=NOW - 10))

    counts = taking.counts
    assert (counts.mapped, counts.unused, counts.foreign, counts.late) == (1, 1, 1, 1)


def test_a_malformed_page_is_refused_whole_with_its_line():
    taking = intake()

    with pytest.raises(InputError, match=r"http://10\.0\.0\.1:9837/metrics:2: "):
        taking.take(page("host_load1 1\nhost_load5{ 2\n"))

    assert len(taking.frame.nodes) == 0


def test_foreign_units_are_converted():
    taking = intake()
    for second, pages in ((0, 0), (10, 50)):
        taking.take(page(f"node_vmstat_pswpin {pages}\n", time=NOW + second))

    assert taking.frame.latest(host.SWAP_IN).tolist() == [50 * 4096 / 10]


def test_a_slow_target_is_bridged_and_a_fast_one_is_not():
    slow, fast = intake(), intake()
    for taking, interval in ((slow, 60.0), (fast, 10.0)):
        for second, ticks in ((0, 0), (60, 30)):
            taking.take(page(f'host_cpu_seconds_total{{cpu="0",mode="user"}} {ticks}\n', time=NOW + second,
                             interval=interval))  # fmt: skip

    assert slow.frame.latest(host.CPU_SECONDS, "user").tolist() == [0.5]
    assert np.isnan(fast.frame.latest(host.CPU_SECONDS, "user")).all()


def test_a_device_without_a_node_is_kept_under_no_name():
    taking = intake()
    taking.take(page('accel_power_watts{uuid="GPU-1",index="0"} 300\n', target=Target(name="t")))

    assert [entity.node for entity in taking.frame.devices.entities] == [""]


def ranges(name: str, *series: tuple[dict[str, str], list[tuple[float, float]]]) -> Ranges:
    points = [
        Points(
            name=name,
            labels=labels,
            times_ms=np.array([round((NOW + second) * 1000) for second, _ in samples], dtype=np.int64),
            values=np.array([value for _, value in samples]),
        )
        for labels, samples in series
    ]
    return Ranges(target=Target(name="prometheus"), points=points, interval_seconds=10.0)


def test_series_of_a_prometheus_are_named_by_uname_read_before():
    taking = intake()
    place = {"instance": "10.0.0.1:9100", "job": "node"}
    taking.take(ranges("node_uname_info", ({**place, "nodename": "node-a"}, [(0, 1.0)])))
    taking.take(ranges("node_load1", (place, [(0, 1.0), (10, 2.0)])))

    assert [node.node for node in taking.frame.nodes.entities] == ["node-a"]
    assert taking.frame.values(host.LOAD1, seconds=20)[0].tolist() == [1.0, 2.0]


def test_overlapping_ranges_of_a_poll_are_taken_once():
    taking = intake()
    place = {"instance": "a:1", "cpu": "0", "mode": "user"}
    taking.take(ranges("node_cpu_seconds_total", (place, [(0, 0.0), (10, 5.0)])))
    taking.take(ranges("node_cpu_seconds_total", (place, [(0, 0.0), (10, 5.0), (20, 10.0)])))

    assert taking.frame.values(host.CPU_SECONDS, "user", seconds=20)[0].tolist() == [0.5, 0.5]
    assert taking.counts.late == 0


def test_exported_labels_name_the_workload():
    taking = intake()
    labels = {"uuid": "GPU-1", "node": "n", "pod": "agent-x", "exported_pod": "train-0", "exported_namespace": "ml"}
    taking.take(ranges(device.WORKLOAD_INFO.name, (labels, [(0, 1.0)])))

    assert list(taking.frame.jobs) == [("local", "ml/train-0")]


def test_an_empty_answer_is_nothing():
    assert intake().take(ranges("node_load1")) == 0


def test_series_are_found_again_after_the_frame_forgot_others():
    taking = intake()
    taking.take(page("".join(f'accel_power_watts{{uuid="GPU-{n}"}} 1\n' for n in range(200))))
    taking.take(page("host_load1 1\n", time=NOW + 10_000))
    taking.frame.expire()
    taking.take(page("host_load1 7\n", time=NOW + 10_010))

    assert taking.frame.generation == 1
    assert taking.frame.latest(host.LOAD1).tolist() == [7.0]
