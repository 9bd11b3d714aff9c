"""Agents scraped directly: pages, discovery, backfill, and everything that can go wrong on the way."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.analyzer.http_stub import answer, serving
from warpgauge.analyzer.sources.agent import AgentSource, Intervals, read_page
from warpgauge.analyzer.sources.discovery import read_groups
from warpgauge.analyzer.sources.fetch import get, new_session
from warpgauge.core.clock import SystemClock
from warpgauge.core.errors import InputError, SourceError

if TYPE_CHECKING:
    from warpgauge.analyzer.sources import Page

OPENMETRICS = "application/openmetrics-text"
QUICK = Intervals(local=0.02, remote=0.02, discovery=0.02)


class Inbox:
    """Takes pages and refuses what holds the word malformed."""

    def __init__(self) -> None:
        self.pages: list[Page] = []
        self.forgotten: list[str] = []

    async def deliver(self, page: Page) -> None:
        if "malformed" in page.text:
            message = f"{page.target.name}:1: malformed"
            raise InputError(message)
        self.pages.append(page)

    async def forget(self, target: str) -> None:
        self.forgotten.append(target)


async def until(claim, seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not claim():  # noqa: ASYNC110 - a test has no event to wait for
            await asyncio.sleep(0.005)


async def scraping(inbox: Inbox, claim, *, targets=(), discovery=(), intervals=QUICK) -> AgentSource:
    """Run a source until the claim about it holds."""
    async with new_session() as session:
        source = AgentSource(
            session, inbox.deliver, targets=targets, discovery=discovery, intervals=intervals, forget=inbox.forget
        )
        run = asyncio.create_task(source.run())
        try:
            await until(lambda: claim(source))
            statuses = source.statuses()
        finally:
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run
    source.last = statuses
    return source


def test_a_page_is_delivered_with_its_target_and_format():
    async def run() -> None:
        inbox = Inbox()
        page = answer("host_load1 1\n# EOF\n", content_type="application/openmetrics-text; version=1.0.0")
        async with serving({"/metrics": page}) as url:
            source = await scraping(inbox, lambda _: inbox.pages, targets=[f"{url}/metrics"])

        first = inbox.pages[0]
        assert first.target.name == f"{url}/metrics"
        assert first.target.labels == {"instance": url.removeprefix("http://")}
        assert first.is_openmetrics
        assert first.time is not None
        assert source.last[0].up

    asyncio.run(run())


def test_a_page_that_has_not_changed_is_asked_for_again_soon_and_delivered_once():
    """The agent reads its machine at the very moment at which it is asked."""

    async def run() -> None:
        inbox, asked = Inbox(), []

        async def metrics(_: web.Request) -> web.Response:
            asked.append(asyncio.get_running_loop().time())
            return web.Response(text=f"host_load1 {(len(asked) - 1) // 2}\n")

        async with serving({"/metrics": metrics}) as url:
            unhurried = Intervals(local=0.2, remote=0.2)
            await scraping(inbox, lambda _: len(inbox.pages) >= 4, targets=[f"{url}/metrics"], intervals=unhurried)

        assert [page.text.split()[1] for page in inbox.pages[:4]] == ["0", "1", "2", "3"]
        assert min(later - again for again, later in zip(asked[1::2], asked[2::2], strict=False)) < 0.15

    asyncio.run(run())


def test_a_page_that_never_changes_is_believed():
    async def run() -> None:
        inbox = Inbox()
        async with serving({"/metrics": answer("host_load1 1\n")}) as url:
            await scraping(inbox, lambda _: len(inbox.pages) >= 3, targets=[f"{url}/metrics"])

    asyncio.run(run())


def test_a_page_that_is_zipped_is_read():
    async def run() -> None:
        inbox = Inbox()
        body = gzip.compress(b"host_load1 1\n")
        page = answer(body, content_type="text/plain; version=0.0.4", **{"Content-Encoding": "gzip"})
        async with serving({"/metrics": page}) as url:
            await scraping(inbox, lambda _: inbox.pages, targets=[f"{url}/metrics"])

        assert inbox.pages[0].text == "host_load1 1\n"
        assert not inbox.pages[0].is_openmetrics

    asyncio.run(run())


def test_a_target_that_is_down_says_so_and_the_others_go_on():
    async def run() -> None:
        inbox = Inbox()
        async with serving({"/metrics": answer("host_load1 1\n"), "/broken": answer("no", status=500)}) as url:
            source = await scraping(
                inbox,
                lambda source: inbox.pages and source.is_settled,
                targets=[f"{url}/broken", f"{url}/metrics", "http://127.0.0.1:9/metrics"],
            )

        by_target = {status.target: status for status in source.last}
        assert by_target[f"{url}/metrics"].up
        assert by_target[f"{url}/broken"].error == f"{url}/broken answers with status 500"
        assert "Connection refused" in by_target["http://127.0.0.1:9/metrics"].error

    asyncio.run(run())


def test_a_malformed_page_makes_its_target_fail_until_it_is_well_again():
    async def run() -> None:
        inbox = Inbox()
        bodies = ["malformed\n", "host_load1 1\n"]

        async def page(_: web.Request) -> web.Response:
            return web.Response(text=bodies[0])

        async with serving({"/metrics": page}) as url:
            failing = await scraping(inbox, lambda source: source.is_settled, targets=[f"{url}/metrics"])
            bodies.pop(0)
            healed = await scraping(inbox, lambda _: inbox.pages, targets=[f"{url}/metrics"])

        assert failing.last[0].error == f"{url}/metrics:1: malformed"
        assert healed.last[0].error is None

    asyncio.run(run())


def test_discovered_targets_come_with_their_labels_and_past_first():
    async def run() -> None:
        inbox = Inbox()
        groups: list[dict[str, Any]] = []
        routes = {
            "/sd": None,
            "/sim/a/metrics": answer("host_load1 2\n"),
            "/sim/a/backfill": answer(
                "host_load1 1 1750000000.0\n# EOF\n", content_type="application/openmetrics-text"
            ),
        }

        async def discovery(_: web.Request) -> web.Response:
            return web.json_response(groups)

        routes["/sd"] = discovery
        async with serving(routes) as url:
            address = url.removeprefix("http://")
            labels = {
                "__metrics_path__": "/sim/a/metrics",
                "__meta_warpgauge_backfill": "/sim/a/backfill",
                "cluster": "demo",
                "node": "a",
            }
            groups.append({"targets": [address], "labels": labels})
            await scraping(inbox, lambda _: len(inbox.pages) >= 2, discovery=[f"{url}/sd"])

        past, present = inbox.pages[:2]
        assert (past.time, "1750000000.0" in past.text) == (None, True)
        assert present.target.labels == {"instance": address, "cluster": "demo", "node": "a"}
        assert present.time is not None

    asyncio.run(run())


def test_a_target_that_leaves_the_list_is_left_alone_and_forgotten():
    async def run() -> None:
        inbox = Inbox()
        groups: list[dict[str, Any]] = []

        async def discovery(_: web.Request) -> web.Response:
            listed = groups[:]
            if inbox.pages:
                groups.clear()
            return web.json_response(listed)

        async with serving({"/sd": discovery, "/metrics": answer("host_load1 1\n")}) as url:
            groups.append({"targets": [url.removeprefix("http://")], "labels": {}})
            source = await scraping(inbox, lambda _: inbox.forgotten, discovery=[f"{url}/sd"])

        assert inbox.forgotten == [f"{url}/metrics"]
        assert [status.name for status in source.last] == ["discovery"]

    asyncio.run(run())


def test_a_broken_discovery_document_is_an_error_of_that_document():
    async def run() -> None:
        async with serving({"/sd": answer("<html>login</html>")}) as url:
            source = await scraping(Inbox(), lambda source: source.is_settled, discovery=[f"{url}/sd"])

        assert "does not answer with JSON" in source.last[0].error

    asyncio.run(run())


def test_an_answer_beyond_the_limit_is_refused_even_if_it_comes_zipped():
    async def run() -> None:
        bomb = gzip.compress(b"a" * 5_000_000)
        async with serving({"/": answer(bomb, **{"Content-Encoding": "gzip"})}) as url, new_session() as session:
            with pytest.raises(SourceError, match="more than 1,000,000 bytes"):
                await get(session, url, limit_bytes=1_000_000, timeout_seconds=5)

    asyncio.run(run())


def test_an_answer_that_does_not_come_is_given_up():
    async def run() -> None:
        async def never(_: web.Request) -> web.Response:
            await asyncio.sleep(60)
            return web.Response()

        async with serving({"/": never}) as url, new_session() as session:
            with pytest.raises(SourceError, match=r"did not answer within 0\.05 s"):
                await get(session, url, limit_bytes=1000, timeout_seconds=0.05)

    asyncio.run(run())


def test_a_redirect_is_not_followed():
    async def run() -> None:
        async with (
            serving({"/": answer("", status=302, Location="http://127.0.0.1:9/")}) as url,
            new_session() as session,
        ):
            with pytest.raises(SourceError, match="redirects"):
                await get(session, url, limit_bytes=1000, timeout_seconds=5)

    asyncio.run(run())


def test_a_page_that_is_not_text_is_refused():
    async def run() -> None:
        async with serving({"/metrics": answer(b"host_load1 \xff\n")}) as url, new_session() as session:
            with pytest.raises(InputError, match="not UTF-8: byte 11 is 0xff"):
                await read_page(session, f"{url}/metrics", 2.0, SystemClock())

    asyncio.run(run())


def test_many_targets_that_are_listed_at_one_moment_are_all_asked_before_any_answers():
    """A pool of a hundred connections would let the others' patience run out before they were asked."""

    async def run() -> None:
        inbox, asked, all_asked = Inbox(), set(), asyncio.Event()
        paths = [f"/{number}/metrics" for number in range(150)]

        async def metrics(request: web.Request) -> web.Response:
            asked.add(request.path)
            if len(asked) == len(paths):
                all_asked.set()
            await all_asked.wait()
            return web.Response(text="host_load1 1\n")

        async with serving(dict.fromkeys(paths, metrics)) as url:
            targets = [f"{url}{path}" for path in paths]
            patient = Intervals(local=10.0, remote=10.0)  # longer than this test is
            await scraping(inbox, lambda _: len(inbox.pages) == len(paths), targets=targets, intervals=patient)

    asyncio.run(run())


def test_targets_that_are_listed_at_one_moment_are_asked_again_spread_over_the_interval():
    async def run() -> None:
        asked: dict[str, list[float]] = {f"/{number}/metrics": [] for number in range(40)}

        async def metrics(request: web.Request) -> web.Response:
            asked[request.path].append(asyncio.get_running_loop().time())
            return web.Response(text=f"host_load1 {len(asked[request.path])}\n")

        async with serving(dict.fromkeys(asked, metrics)) as url:
            await scraping(
                Inbox(),
                lambda _: all(len(times) >= 2 for times in asked.values()),
                targets=[f"{url}{path}" for path in asked],
                intervals=Intervals(local=0.5, remote=0.5),
            )
        second = sorted(times[1] for times in asked.values())
        assert second[-1] - second[0] > 0.25  # of an interval of 0.5 s

    asyncio.run(run())


def test_agents_of_this_machine_are_read_more_often_than_others():
    intervals = Intervals()
    near, far = (
        read_groups([{"targets": [address]}], "sd")[0] for address in ("127.0.0.1:9837", "node-7.example:9837")
    )

    assert intervals.of(near, is_static=True) == 1.0
    assert intervals.of(near, is_static=False) == 10.0
    assert intervals.of(far, is_static=True) == 10.0


@pytest.mark.parametrize(
    "document",
    [
        {},
        [1],
        [{"targets": "a"}],
        [{"targets": [1]}],
        [{"targets": ["a b"]}],
        [{"targets": ["a:1/path"]}],
        [{"targets": ["a"], "labels": {"bad name": "x"}}],
        [{"targets": ["a"], "labels": {"x": 1}}],
        [{"targets": ["a"], "labels": {"__scheme__": "file"}}],
        [{"targets": ["a"], "labels": {"__metrics_path__": "@evil/"}}],
        [{"targets": ["a"], "labels": {"__meta_warpgauge_backfill": "http://evil/"}}],
    ],
)
def test_a_malformed_group_is_refused_by_place(document):
    with pytest.raises(SourceError, match="http://x/sd"):
        read_groups(document, "http://x/sd")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["targets", "labels", "x"]), inner),
    max_leaves=15,
)


@given(json_values)
def test_any_json_is_a_list_of_targets_or_a_source_error(document):
    with suppress(SourceError):
        for target in read_groups(json.loads(json.dumps(document)), "sd"):
            assert target.url.startswith("http")
