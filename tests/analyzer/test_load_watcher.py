"""The load of nodes as Trimaran's load watcher gives it out, read back as its own client reads it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.service.load_watcher import load_document
from warpgauge.core.catalog import device, host

STEP = 10.0


def fleet(columns: int = 120) -> FrameBuilder:
    """Two nodes, two devices each, with one CPU in use of two and three quarters of memory."""
    builder = FrameBuilder(columns=columns, cluster="prod")
    for name in ("a", "b"):
        builder.rate(host.CPU_SECONDS, 1.0, node=name, cpu="all", mode="user")
        builder.rate(host.CPU_SECONDS, 1.0, node=name, cpu="all", mode="idle")
        builder.gauge(host.MEMORY_TOTAL, 1000.0, node=name)
        builder.gauge(host.MEMORY_AVAILABLE, 250.0, node=name)
        for index in range(2):
            builder.device(name, f"{name}-{index}", index=index)
            builder.gauge(device.COMPUTE_ACTIVE, 0.2 + 0.4 * index, node=name, uuid=f"{name}-{index}", index=str(index))
    return builder


def as_trimaran_reads(document: dict[str, Any] | None) -> dict[str, dict[tuple[str, str], float]]:
    """(type, operator) -> value by node, from the fields that watcher_json.go reads, of the types it reads them as."""
    assert document is not None
    text = json.loads(json.dumps(document, allow_nan=False))
    assert isinstance(text["timestamp"], int)
    assert isinstance(text["source"], str)
    window = text["window"]
    assert (isinstance(window["duration"], str), isinstance(window["start"], int), isinstance(window["end"], int)) == (
        True, True, True,
    )  # fmt: skip
    nodes = text["data"]["NodeMetricsMap"]
    for node in nodes.values():
        for entry in node["metrics"]:
            assert all(isinstance(entry[name], str) for name in ("name", "type", "operator", "rollup"))
    return {
        name: {(one["type"], one["operator"]): float(one["value"]) for one in node["metrics"]}
        for name, node in nodes.items()
    }


def test_each_node_has_its_mean_load_in_percent() -> None:
    read = as_trimaran_reads(load_document(fleet().build(), "prod"))
    assert set(read) == {"a", "b"}
    assert read["a"] == {
        ("CPU", "AVG"): pytest.approx(50.0), ("CPU", "STD"): pytest.approx(0.0, abs=1e-3),
        ("Memory", "AVG"): pytest.approx(75.0), ("Memory", "STD"): pytest.approx(0.0, abs=1e-3),
        ("GPU", "AVG"): pytest.approx(40.0), ("GPU", "STD"): pytest.approx(0.0, abs=1e-3),
    }  # fmt: skip


def test_only_the_last_quarter_of_an_hour_counts() -> None:
    document = load_document(fleet().build(), "prod")
    assert document is not None
    window = document["window"]
    assert (window["duration"], window["end"] - window["start"]) == ("15m", 900)

    builder = FrameBuilder(columns=120, cluster="prod")
    load = np.where(np.arange(120) < 30, 1.0, 0.1)  # 1,200 s in all: the first 300 s are too old
    builder.device("a", "a-0")
    builder.gauge(device.COMPUTE_ACTIVE, load, node="a", uuid="a-0", index="0")
    assert as_trimaran_reads(load_document(builder.build(), "prod"))["a"]["GPU", "AVG"] == pytest.approx(10.0)


def test_the_deviation_stands_before_the_mean_for_clients_that_know_no_operator() -> None:
    document = load_document(fleet().build(), "prod")
    assert document is not None
    entries = document["data"]["NodeMetricsMap"]["a"]["metrics"]
    assert [one["operator"] for one in entries if one["type"] == "CPU"] == ["STD", "AVG"]


def test_a_load_that_comes_and_goes_has_its_deviation() -> None:
    builder = FrameBuilder(columns=90, cluster="prod")
    builder.device("a", "a-0")
    builder.gauge(device.COMPUTE_ACTIVE, np.tile([0.0, 1.0], 45), node="a", uuid="a-0", index="0")
    read = as_trimaran_reads(load_document(builder.build(), "prod"))["a"]
    assert (read["GPU", "AVG"], read["GPU", "STD"]) == (pytest.approx(50.0), pytest.approx(50.0))


def test_of_a_partitioned_device_the_busiest_instance_counts_once() -> None:
    builder = FrameBuilder(columns=90, cluster="prod")
    for instance, busy in (("1", 0.9), ("2", 0.1)):
        builder.gauge(device.COMPUTE_ACTIVE, busy, node="a", uuid="a-0", index="0", instance_id=instance)
    builder.gauge(device.COMPUTE_ACTIVE, 0.1, node="a", uuid="a-1", index="1")
    read = as_trimaran_reads(load_document(builder.build(), "prod"))["a"]
    assert read["GPU", "AVG"] == pytest.approx(50.0)


def test_where_cores_are_not_measured_utilization_stands_for_them() -> None:
    builder = FrameBuilder(columns=90, cluster="prod")
    builder.gauge(device.UTILIZATION, 0.3, node="a", uuid="a-0", index="0", engine="compute")
    assert as_trimaran_reads(load_document(builder.build(), "prod"))["a"]["GPU", "AVG"] == pytest.approx(30.0)


def test_what_was_not_measured_is_absent_and_not_zero() -> None:
    builder = fleet()
    builder.device("c", "c-0")
    builder.gauge(device.POWER, 300.0, node="c", uuid="c-0", index="0")
    builder.gauge(host.MEMORY_TOTAL, 1000.0, node="d")
    assert set(as_trimaran_reads(load_document(builder.build(), "prod"))) == {"a", "b"}


def test_a_scheduler_is_told_nothing_of_simulated_nodes() -> None:
    builder = fleet()
    builder.device("made-up", "x-0", simulated=True)
    builder.gauge(device.COMPUTE_ACTIVE, 0.5, node="made-up", uuid="x-0", index="0")
    assert set(as_trimaran_reads(load_document(builder.build(), "prod"))) == {"a", "b"}


def test_another_clusters_nodes_are_not_mixed_in() -> None:
    builder = fleet()
    builder.rate(host.CPU_SECONDS, 1.0, cluster="other", node="a", cpu="all", mode="user")
    builder.rate(host.CPU_SECONDS, 0.0, cluster="other", node="a", cpu="all", mode="idle")
    frame = builder.build()
    assert as_trimaran_reads(load_document(frame, "other"))["a"]["CPU", "AVG"] == pytest.approx(100.0)
    assert as_trimaran_reads(load_document(frame, "prod"))["a"]["CPU", "AVG"] == pytest.approx(50.0)
    assert load_document(frame, "none") is None
