"""A column that is written at once holds what it would hold if its samples came entity by entity."""

from __future__ import annotations

import numpy as np

from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device, host, serving, training

START_MS = 1_750_000_000_000
NODES = 6


def series_of(frame: Frame, *, newcomers: bool = False) -> list[list[int]]:
    """Per node: CPUs that add up, a load that two exporters tell, and a device; newcomers are known from then on."""
    found = []
    for number in range(NODES):
        node = {"cluster": "c", "node": f"n{number}"}
        ids = [
            frame.series_id(host.CPU_SECONDS, {**node, "cpu": str(cpu), "mode": "user"}, origin="a") for cpu in (0, 1)
        ]
        ids += [frame.series_id(host.LOAD1, node, origin=origin) for origin in ("a", "b")]
        ids.append(frame.series_id(device.POWER, {**node, "uuid": f"GPU-{number}"}, origin="a"))
        if newcomers:
            ids.append(frame.series_id(device.POWER, {**node, "uuid": f"GPU-{number}"}, origin="b"))
            ids.append(frame.series_id(device.MEMORY_USED, {**node, "uuid": f"GPU-{number}"}, origin="a"))
        found.append(ids)
    return found


def known(*, newcomers: bool) -> tuple[Frame, list[list[int]]]:
    """A frame that has heard of the first series, and the ids of all."""
    frame = Frame(window_seconds=60.0)
    first = series_of(frame)
    feed(frame, [one for ids in first for one in ids], START_MS, np.random.default_rng(1))
    if not newcomers:
        return frame, first
    later = series_of(frame, newcomers=True)  # the first ones get other ids now, so all their places are shared
    return frame, [[*old, *new] for old, new in zip(first, later, strict=True)]


def feed(frame: Frame, ids: list[int], time_ms: int, random: np.random.Generator) -> None:
    ordered = np.array(sorted(ids))
    frame.ingest(ordered, np.full(len(ordered), time_ms), random.random(len(ordered)) * 1000.0)


def columns(frame: Frame) -> list[list[float | None]]:
    read = (
        frame.values(host.CPU_SECONDS, "user"),
        frame.values(host.LOAD1),
        frame.values(device.POWER),
        frame.values(device.MEMORY_USED),
    )
    return [[None if np.isnan(value) else float(value) for value in table.ravel()] for table in read]


def both_ways(*, newcomers: bool, steps: tuple[int, ...]) -> tuple[Frame, Frame]:
    """The same samples at once and node by node."""
    at_once, ids = known(newcomers=newcomers)
    one_by_one, same = known(newcomers=newcomers)
    assert ids == same
    for step in steps:
        time_ms = START_MS + step * 10_000
        order = sorted(one for node in ids for one in node)
        values = dict(zip(order, np.random.default_rng(step).random(len(order)) * 1000.0, strict=True))
        at_once.ingest(np.array(order), np.full(len(order), time_ms), np.array([values[one] for one in order]))
        for node in ids:
            told = np.array([values[one] for one in sorted(node)])
            one_by_one.ingest(np.array(sorted(node)), np.full(len(node), time_ms), told)
    return at_once, one_by_one


def test_what_shares_a_place_is_written_beside_what_stands_alone():
    at_once, one_by_one = both_ways(newcomers=False, steps=(1, 2, 3))

    assert columns(at_once) == columns(one_by_one)
    assert np.isfinite(at_once.values(host.LOAD1)[:, -1]).all()


def test_series_that_come_later_find_their_places_or_share_them():
    at_once, one_by_one = both_ways(newcomers=True, steps=(1, 2, 4))

    assert columns(at_once) == columns(one_by_one)
    assert np.isfinite(at_once.values(device.MEMORY_USED)[:, -1]).all()


def test_a_second_batch_for_a_column_takes_nothing_away_from_the_first():
    frame, ids = known(newcomers=False)
    order = np.array(sorted(one for node in ids for one in node))
    power = np.array([node[-1] for node in ids])
    time_ms = START_MS + 10_000
    frame.ingest(power, np.full(NODES, time_ms), np.full(NODES, 300.0))
    rest = np.setdiff1d(order, power)

    frame.ingest(rest, np.full(len(rest), time_ms), np.ones(len(rest)))

    assert frame.values(device.POWER)[:, -1].tolist() == [300.0] * NODES
    assert frame.values(host.LOAD1)[:, -1].tolist() == [1.0] * NODES


def test_series_keep_their_places_when_others_are_forgotten():
    frame = Frame(window_seconds=60.0)
    labels = [{"cluster": "c", "node": f"n{number}", "uuid": f"GPU-{number}"} for number in range(200)]
    ids = np.array([frame.series_id(device.POWER, one) for one in labels])
    frame.ingest(ids, np.full(200, START_MS), np.arange(200.0))
    for step in range(1, 8):
        frame.ingest(ids[100:], np.full(100, START_MS + step * 10_000), np.arange(100.0, 200.0))
    frame.expire()

    frame.ingest(np.arange(100), np.full(100, START_MS + 90_000), np.arange(100.0, 200.0))

    assert [one.uuid for one in frame.devices.entities] == [f"GPU-{number}" for number in range(100, 200)]
    assert frame.values(device.POWER)[:, -1].tolist() == np.arange(100.0, 200.0).tolist()


def test_a_batch_of_everything_tells_of_each_entity_of_each_kind_when_it_was_heard_of():
    frame, ids = Frame(), []
    for number in range(20):
        node = {"cluster": "c", "node": f"n{number}"}
        ids += [
            frame.series_id(device.POWER, {**node, "uuid": f"GPU-{number}"}),
            frame.series_id(host.LOAD1, node),
            frame.series_id(training.STEP_SECONDS, {**node, "job_id": "j", "rank": str(number)}, part="sum"),
            frame.series_id(serving.UP, {**node, "server": "vllm", "endpoint": "1"}),
        ]
    times = START_MS + np.arange(len(ids)) % 10 * 100

    frame.ingest(np.array(ids), times, np.ones(len(ids)))

    for at, kind in enumerate(TableName):
        table = next(one for one in (frame.devices, frame.nodes, frame.ranks, frame.servers) if one.name is kind)
        assert table.last_seen_ms[: len(table)].tolist() == times[at :: len(TableName)].tolist()
