"""Silence and dismiss, from the command line through the guarded door to what is told."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession, web

from tests.analyzer.http_stub import serving
from tests.analyzer.test_service import Full, Machine, advisor, config, get
from warpgauge.analyzer.incidents.muting_book import MutingBook
from warpgauge.analyzer.service.api import make_api
from warpgauge.analyzer.service.service import Service
from warpgauge.analyzer.sources.agent import read_page
from warpgauge.analyzer.sources.fetch import new_session
from warpgauge.cli.main import main
from warpgauge.core.audit import AUDIT_FILE, AuditLog, verify
from warpgauge.core.clock import SystemClock
from warpgauge.web import ListenAddress, TokenFile, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def analyzer(folder: Path) -> AsyncIterator[tuple[str, Service]]:
    """A service that read one full machine and ticked once; its address."""
    stop, listening = asyncio.Event(), asyncio.get_running_loop().create_future()
    token = TokenFile(lambda: folder)
    token.ensure()
    async with serving(Machine().routes()) as target, new_session() as session:
        book = MutingBook(folder, SystemClock(), AuditLog(folder / AUDIT_FILE, SystemClock()))
        running = Service(config(), session, advisor(folder), detectors=[Full()], book=book)
        await running.watch.take(await read_page(session, f"{target}/metrics", 10.0, SystemClock()))
        await running.tick()
        app = make_api(running, static_dir=None, runbooks_dir=None, operator=token)
        address = ListenAddress("127.0.0.1", 0)
        server = asyncio.create_task(
            serve(
                app, address, on_listening=lambda host, port: listening.set_result(f"http://{host}:{port}"), stop=stop
            )
        )
        try:
            yield await asyncio.wait_for(listening, 5), running
        finally:
            stop.set()
            await server
            running.close()


async def ordered(folder: Path, url: str, *words: str) -> int:
    """Run a verb in a thread, as a person at the terminal would."""
    argv = [words[0], "--analyzer", url, "--token-file", str(folder / "operator.token"), *words[1:]]
    return await asyncio.to_thread(main, argv, {})


def test_a_silenced_finding_is_shown_but_neither_counted_nor_recommended_on(tmp_path: Path, capsys):
    async def run() -> tuple[list[Any], str, Service]:
        async with analyzer(tmp_path) as (url, running), ClientSession() as session:
            assert await ordered(tmp_path, url, "silence", "--node", "box", "--for", "1h", "--reason", "fans") == 0
            shown = (await get(session, f"{url}/api/v1/findings"))["findings"]
            await running.tick()
            async with session.get(f"{url}/metrics") as page:
                return shown, await page.text(), running

    shown, metrics, running = asyncio.run(run())

    assert shown
    assert {(finding["muted"]["by"], finding["muted"]["reason"]) for finding in shown} == {("silence", "fans")}
    assert "warpgauge_finding_active{" not in metrics
    assert f'warpgauge_findings_muted{{by="silence"}} {len(shown)}' in metrics
    assert running.recommendations() == []
    assert [incident.muted for incident in running.result.incidents] == [True]
    assert "silenced: node=box until" in capsys.readouterr().out
    assert verify(tmp_path / AUDIT_FILE).lines == 1


def test_what_was_silenced_still_is_after_a_restart_until_somebody_ends_it(tmp_path: Path, capsys):
    async def run() -> list[bool]:
        muted = []
        async with analyzer(tmp_path) as (url, _):
            await ordered(tmp_path, url, "silence", "--node", "box", "--reason", "fans")
        async with analyzer(tmp_path) as (url, running):
            muted.append(running.result.findings[0].muted is not None)
            await ordered(tmp_path, url, "silence", "--list", "--json")
            (silence,) = json.loads(capsys.readouterr().out.splitlines()[-1])["silences"]
            await ordered(tmp_path, url, "silence", "--end", silence["id"])
            muted.append(running.result.findings[0].muted is not None)
        return muted

    assert asyncio.run(run()) == [True, False]


def test_a_finding_is_dismissed_by_its_id_and_heard_again_on_order(tmp_path: Path):
    async def run() -> list[Any]:
        seen = []
        async with analyzer(tmp_path) as (url, running):
            id_ = running.result.findings[0].id
            assert await ordered(tmp_path, url, "dismiss", id_, "--reason", "known") == 0
            seen.append(running.result.findings[0].muted.by)
            assert await ordered(tmp_path, url, "dismiss", id_, "--undo") == 0
            seen.append(running.result.findings[0].muted)
        return seen

    assert asyncio.run(run()) == ["dismissal", None]


def test_wrong_orders_end_in_one_line_and_change_nothing(tmp_path: Path, capsys):
    async def run() -> list[int]:
        async with analyzer(tmp_path) as (url, running):
            codes = [
                await ordered(tmp_path, url, "dismiss", "0123456789abcdef", "--reason", "known"),
                await ordered(tmp_path, url, "silence", "--kind", "bad_luck", "--reason", "known"),
                await ordered(tmp_path, url, "silence", "--end", "abc"),
                await ordered(tmp_path, url, "silence", "--node", "box"),
                await ordered(tmp_path, "http://127.0.0.1:9", "silence", "--list"),
            ]
            assert running.result.findings[0].muted is None
            return codes

    assert asyncio.run(run()) == [2] * 5
    said = capsys.readouterr().err
    for words in (
        "no such finding",
        "no kind of finding 'bad_luck'",
        "none of this id",
        "--reason",
        "no answer from the analyzer",
    ):
        assert words in said
    assert not (tmp_path / AUDIT_FILE).exists()


def test_the_door_asks_for_the_token(tmp_path: Path):
    async def run() -> list[int]:
        async with analyzer(tmp_path) as (url, _), ClientSession() as session:
            answers = []
            wish = {"node": "box", "seconds": 60, "reason": "fans"}
            for method, path in (
                ("POST", "/api/v1/silences"), ("POST", "/api/v1/findings/x/dismiss"),
                ("DELETE", "/api/v1/silences/x"), ("DELETE", "/api/v1/dismissals/x"),
            ):  # fmt: skip
                async with session.request(method, f"{url}{path}", json=wish) as answer:
                    answers.append(answer.status)
            return answers

    assert asyncio.run(run()) == [web.HTTPUnauthorized.status_code] * 4
    assert not (tmp_path / AUDIT_FILE).exists()
