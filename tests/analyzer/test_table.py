"""The storage of the frame: windows slide through their blocks, and what grows is looked after."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.frame.schema import TableName
from warpgauge.analyzer.frame.table import Table
from warpgauge.analyzer.service.watch import Watch
from warpgauge.core.catalog import device
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import AnalyzerConfig

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame

HOUR = 360  # columns


def moves(table: Table) -> dict[int, set[int]]:
    """At which steps of so many each channel's window went back to the front."""
    found: dict[int, set[int]] = {}
    for step in range(HOUR):
        before = table._first.copy()
        table.advance(1)
        for channel in np.flatnonzero(table._first < before).tolist():
            found.setdefault(step, set()).add(channel)
    return found


def test_windows_of_many_channels_hardly_move_in_one_step():
    tables = [Table(name, HOUR) for name in (TableName.DEVICES, TableName.RANKS)]
    for table, channels in zip(tables, (20, 5), strict=True):
        for channel in range(channels):
            table.channel(f"metric {channel}", ())

    of_devices, of_ranks = (moves(table) for table in tables)

    assert max(len(channels) for channels in of_devices.values()) == 1
    assert set.union(*of_devices.values()) == set(range(20))
    assert len(of_devices.keys() & of_ranks.keys()) < len(of_ranks) / 2


def test_a_window_that_goes_back_to_the_front_takes_its_values_along():
    table = Table(TableName.NODES, 8)
    for name in ("load", "power"):
        table.channel(name, ())
    for key in range(3):
        table.row(key, lambda: None)
    rows, written = np.arange(3), []

    for step in range(40):
        table.advance(1)
        written.append(np.float32(100 * step) + rows)
        for channel in (0, 1):
            table.write(np.full(3, channel), 7, rows, written[-1].astype(np.float32))
        for name in ("load", "power"):
            newest = table.window(name, ()).T[-len(written) :]
            assert newest.tolist() == np.array(written[-8:]).tolist()


def tell(frame: Frame, devices: int) -> None:
    """Let so many devices draw a watt each."""
    places = ({"cluster": "c", "node": "n", "uuid": f"GPU-{number}"} for number in range(devices))
    ids = np.array([frame.series_id(device.POWER, labels) for labels in places])
    frame.ingest(ids, np.full(devices, 1_000), np.ones(devices))


def test_what_lives_long_is_kept_from_the_garbage_collector_and_only_once():
    watch = Watch(AnalyzerConfig(), ManualClock(seconds=1.0), ())
    others: list[list[int]] = []

    async def frozen(devices: int) -> int:
        others.extend([] for _ in range(1_000))
        await watch.ask(lambda frame: tell(frame, devices))
        await watch.accept(await watch.judge({}))
        return gc.get_freeze_count()

    async def counts() -> list[int]:
        return [await frozen(devices) for devices in (1, 20_000, 1)]

    try:
        few, many, with_one_more = asyncio.run(counts())
    finally:
        watch.close()

    assert few < many >= with_one_more
