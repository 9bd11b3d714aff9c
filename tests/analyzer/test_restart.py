"""The service stops and starts again: nobody who reads its findings can tell."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.analyzer.http_stub import serving
from tests.analyzer.test_service import Full, Machine, advisor, config, get, service
from warpgauge.analyzer.service.service import Service
from warpgauge.analyzer.snapshot import Keeper
from warpgauge.analyzer.sources.agent import read_page
from warpgauge.analyzer.sources.fetch import new_session
from warpgauge.core.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

    from aiohttp import ClientSession


async def one_run(folder: Path, url: str, session: ClientSession) -> Service:
    """A service that goes on from what is in the folder, reads the machine, ticks and saves."""
    keeper = Keeper(folder, interval_seconds=60)
    running = Service(config(), session, advisor(folder), detectors=[Full()], keeper=keeper)
    await running.resume()
    await running.watch.take(await read_page(session, f"{url}/metrics", 10.0, SystemClock()))
    await running.tick()
    await running.save()
    running.close()
    return running


def test_findings_keep_their_ids_and_onsets_and_series_are_not_doubled(tmp_path: Path):
    async def run() -> tuple[Service, Service]:
        async with serving(Machine().routes()) as url, new_session() as session:
            return await one_run(tmp_path, url, session), await one_run(tmp_path, url, session)

    before, after = asyncio.run(run())

    assert before.result is not None
    assert after.result is not None
    (first,), (second,) = before.result.findings, after.result.findings
    assert (second.id, second.since, second.confirmed) == (first.id, first.since, first.confirmed)
    assert after.watch.census.series == before.watch.census.series


def test_a_snapshot_is_written_at_the_end_and_read_at_the_start(tmp_path: Path, caplog):
    async def run() -> None:
        async with service(Machine(), tmp_path):
            pass
        assert Keeper(tmp_path, interval_seconds=60).path.exists()
        async with service(Machine(), tmp_path) as (url, session):
            assert (await get(session, f"{url}/api/v1/status"))["nodes"] >= 1

    caplog.set_level("INFO")
    asyncio.run(run())

    assert "snapshot restored" in caplog.text


@pytest.mark.parametrize("content", [b"", b"rubbish"])
def test_a_damaged_snapshot_costs_a_line_in_the_log_and_not_the_service(tmp_path: Path, content: bytes, caplog):
    Keeper(tmp_path, interval_seconds=60).path.write_bytes(content)

    async def run() -> None:
        async with service(Machine(), tmp_path) as (url, session):
            assert (await get(session, f"{url}/api/v1/status"))["nodes"] == 1

    asyncio.run(run())

    assert "snapshot not used" in caplog.text


def test_an_interval_of_zero_keeps_none(tmp_path: Path):
    async def run() -> None:
        async with service(Machine(), tmp_path, snapshot_interval_seconds=0.0):
            pass

    asyncio.run(run())

    assert not Keeper(tmp_path, interval_seconds=60).path.exists()
