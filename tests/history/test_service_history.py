"""The service with a history: what its agents say is in files when it ends, and its page tells of them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import duckdb
from aiohttp import ClientSession

from tests.analyzer.http_stub import serving
from tests.analyzer.test_service import Machine, config, until_ready
from warpgauge.analyzer.service.running import run_service
from warpgauge.core.config import HistoryConfig


def lived(folder, history: HistoryConfig) -> str:
    """Run the service until its first tick; its own page."""

    async def run() -> str:
        stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
        async with serving(Machine().routes()) as target, ClientSession() as session:
            settings = config(f"{target}/metrics", listen_address="127.0.0.1:0", data_directory=str(folder))
            task = asyncio.create_task(
                run_service(
                    replace(settings, history=history),
                    stop=stop,
                    static_dir=None,
                    runbooks_dir=None,
                    on_listening=lambda host, port: listening.set_result(f"http://{host}:{port}"),
                )
            )
            url = await asyncio.wait_for(asyncio.shield(listening), 10)
            await until_ready(session, url)
            async with session.get(f"{url}/metrics") as answer:
                text = await answer.text()
            stop.set()
            await task
            return text

    return asyncio.run(run())


def test_what_agents_say_is_in_the_files_when_the_service_ends(tmp_path):
    text = lived(tmp_path, HistoryConfig(enabled=True))

    table = duckdb.read_parquet(f"{tmp_path}/history/**/*.parquet").filter("node = 'box'")
    found = table.project("metric, value").fetchall()

    assert ("accel_power_watts", 321.0) in found
    assert re.search(r'^warpgauge_history_dropped_rows_total\{reason="queue"\} 0(\.0)?$', text, re.MULTILINE)
    assert "warpgauge_history_waiting_rows" in text


def test_without_the_setting_there_is_no_history_and_no_word_of_it(tmp_path):
    text = lived(tmp_path, HistoryConfig())

    assert "warpgauge_history" not in text
    assert not list(tmp_path.rglob("*.parquet"))
