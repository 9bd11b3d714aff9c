"""From remote write into the frame: whole scrapes, HA pairs, stale markers, intervals, names of nodes."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.analyzer.fleets import EXPORTER_POD, OPERATOR_TARGET, UUIDS, WORKLOAD, dcgm, pod_info, renamed
from tests.analyzer.prompb import message
from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.intake import Intake
from warpgauge.analyzer.intake.replica_election import FAILOVER_SECONDS
from warpgauge.analyzer.intake.written import FIRST_SETTLE_SECONDS, LEAST_SWEEP, SETTLE_SECONDS, WrittenSamples
from warpgauge.analyzer.sources.replicas import REPLICA_LABELS
from warpgauge.core.catalog import device, host
from warpgauge.core.errors import InputError

T0 = 1_750_000_000.0
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
NODE = {"instance": "10.0.0.1:9100", "job": "node"}


class Writer:
    """A Prometheus that writes to us; monotonic time is the time of the scrape."""

    def __init__(self, least_sweep: int = LEAST_SWEEP) -> None:
        self.intake = Intake(Frame(step_seconds=10.0, window_seconds=1800.0), NodeNames("local"))
        self.samples = WrittenSamples(self.intake, REPLICA_LABELS, least_sweep)

    @property
    def frame(self) -> Frame:
        return self.intake.frame

    def write(self, at: float, *series: tuple[dict[str, str], float]) -> None:
        time_ms = round((T0 + at) * 1000)
        self.samples.take(message([(labels, [(time_ms, value)]) for labels, value in series]), at)

    def flush(self, at: float) -> None:
        self.samples.flush(at)

    def settle(self) -> None:
        self.flush(1e6)


def named(name: str, **labels: str) -> dict[str, str]:
    return {"__name__": name, **labels}


def test_the_first_samples_wait_until_every_target_was_scraped_once():
    writer = Writer()
    writer.write(0, (named("node_load1", **NODE), 1.0))
    writer.flush(FIRST_SETTLE_SECONDS - 1)
    assert writer.frame.series == 0

    writer.flush(FIRST_SETTLE_SECONDS)
    assert writer.frame.instant(host.LOAD1)[0] == 1.0


def test_a_name_that_comes_last_still_names_the_first_samples_node():
    writer = Writer()
    writer.write(0, (named("node_load1", **NODE), 1.0))
    writer.write(30, (named("node_uname_info", nodename="gpu-node-1", **NODE), 1.0))
    writer.settle()

    assert [node.node for node in writer.frame.nodes.entities] == ["gpu-node-1"]


def test_the_cpus_of_a_node_are_summed_although_they_come_in_several_requests():
    writer = Writer()
    for step in range(20):
        for cpu in range(4):
            labels = named("node_cpu_seconds_total", cpu=str(cpu), mode="user", **NODE)
            writer.write(15.0 * step, (labels, 15.0 * step * 0.5))
        writer.flush(15.0 * step)
    writer.settle()

    busy = writer.frame.values(host.CPU_SECONDS, "user")
    assert np.nanmax(busy) == pytest.approx(2.0)
    assert np.nanmin(busy) == pytest.approx(2.0)


def test_after_the_start_samples_wait_for_the_senders_last_request_only():
    writer = Writer()
    writer.write(0, (named("node_load1", **NODE), 1.0))
    writer.settle()
    writer.write(100, (named("node_load1", **NODE), 2.0))
    writer.flush(100 + SETTLE_SECONDS - 0.1)
    assert writer.frame.instant(host.LOAD1)[0] == 1.0

    writer.flush(100 + SETTLE_SECONDS)
    assert writer.frame.instant(host.LOAD1)[0] == 2.0


def test_a_stale_marker_ends_an_allocation_at_once():
    writer = Writer()
    held = named("DCGM_FI_DEV_GPU_UTIL", **dcgm(0, instance="gpu1:9400", **WORKLOAD))
    for step in range(8):
        writer.write(15.0 * step, (held, 50.0))
    writer.settle()
    assert writer.frame.device_job == [("local", "ml/train-0")]

    writer.write(130, (held, STALE))
    writer.settle()
    assert writer.frame.device_job == [None]


@pytest.mark.parametrize("interval", [15.0, 30.0, 60.0])
def test_values_are_known_between_samples_at_the_series_own_interval(interval: float):
    writer = Writer()
    at = 0.0
    while at <= 1500:
        writer.write(at, (named("node_load1", **NODE), 1.0))
        writer.flush(at)
        at += interval
    writer.settle()

    recent = writer.frame.values(host.LOAD1, seconds=900)[0]
    assert np.isfinite(recent).all()


def pair(replica: str, value: float) -> tuple[dict[str, str], float]:
    return named("node_load1", prometheus="monitoring/k8s", prometheus_replica=replica, **NODE), value


def test_of_an_ha_pair_one_is_taken_and_the_other_counted():
    writer = Writer()
    for step in range(10):
        writer.write(15.0 * step, pair("k8s-0", 1.0))
        writer.write(15.0 * step + 7, pair("k8s-1", 2.0))
    writer.settle()

    values = writer.frame.values(host.LOAD1)
    assert set(np.unique(values[np.isfinite(values)])) == {1.0}
    assert writer.intake.counts.duplicate == 10
    assert len(writer.frame.nodes) == 1


def test_when_one_of_a_pair_falls_silent_the_other_takes_over_in_the_same_series():
    writer = Writer()
    for step in range(10):
        if step < 5:
            writer.write(15.0 * step, pair("k8s-0", 1.0))
        writer.write(15.0 * step + 7, pair("k8s-1", 2.0))
    writer.settle()

    assert writer.frame.instant(host.LOAD1)[0] == 2.0
    assert writer.frame.series == 1
    assert FAILOVER_SECONDS == 30.0


def test_a_kubernetes_fleet_that_writes_is_named_like_one_that_is_read():
    writer = Writer()
    target = OPERATOR_TARGET | EXPORTER_POD
    info = pod_info(EXPORTER_POD, "gpu-node-1", "10.244.3.17")
    for step in range(6):
        writer.write(
            15.0 * step,
            (named("DCGM_FI_DEV_GPU_UTIL", **renamed(dcgm(0, **WORKLOAD), target)), 0.0),
            (named("kube_pod_info", **info), 1.0),
        )
    writer.settle()

    (entity,) = writer.frame.devices.entities
    assert (entity.node, entity.uuid) == ("gpu-node-1", UUIDS[0])
    assert writer.frame.device_job == [("local", "ml/train-0")]


def test_a_malformed_request_costs_itself_only():
    writer = Writer()
    writer.write(0, (named("node_load1", **NODE), 1.0))
    good_then_bad = message([(named("node_load5", **NODE), [(round(T0 * 1000), 5.0)])]) + b"\x0a\xff"
    with pytest.raises(InputError):
        writer.samples.take(good_then_bad, 1.0)
    writer.settle()

    assert writer.frame.instant(host.LOAD1)[0] == 1.0


def test_samples_of_the_past_are_late_and_counted():
    writer = Writer()
    writer.write(300, (named("node_load1", **NODE), 2.0))
    writer.settle()
    writer.write(200, (named("node_load1", **NODE), 1.0))
    writer.settle()

    assert writer.intake.counts.late == 1


def test_what_no_dialect_knows_takes_no_place_in_the_frame():
    writer = Writer()
    writer.write(0, (named("http_requests_total", code="200", **NODE), 1.0), (named("accel_power_watts"), 1.0))
    writer.settle()

    assert writer.intake.counts.foreign == 1
    assert device.POWER.name == "accel_power_watts"


def test_series_that_vanished_are_forgotten_once_they_are_many():
    writer = Writer(least_sweep=50)
    stays = named("node_load1", **NODE)
    for step in range(6):
        pods = [(named("node_load5", instance=f"pod-{step}-{n}:9100"), 1.0) for n in range(20)]
        writer.write(3000.0 * step, (stays, float(step)), *pods)
        writer.settle()
    writer.write(18_000, (stays, 6.0))
    writer.settle()

    assert len(writer.samples._book) < 100
    row = [node.node for node in writer.frame.nodes.entities].index("10.0.0.1")
    assert writer.frame.instant(host.LOAD1)[row] == 6.0
