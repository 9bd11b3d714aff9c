"""Agents scraped directly: a list of pages and http_sd documents that list more.

Each target has a task of its own, so a slow one delays nobody. A target that is seen for the first time and offers
its past is read from there first. Agents read their machine each second by a clock of their own: where ours strikes
at the same moment, we see each reading twice or not at all, so who finds an unchanged page moves on by a quarter.
All targets of a fleet are listed at one moment, so their second scrapes are spread over an interval, each at the place
that its URL gives it: else a thousand pages come at once, and nothing in between.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypedDict
from urllib.parse import urlsplit

from warpgauge.analyzer.sources.access import Terms
from warpgauge.analyzer.sources.batch import Page, SourceStatus, Target
from warpgauge.analyzer.sources.discovery import Discovered, read_groups
from warpgauge.analyzer.sources.fetch import Answer, get, json_of
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.errors import ConfigError, InputError, SourceError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    import aiohttp

    Deliver = Callable[[Page], Awaitable[None]]

__all__ = ["AgentSource", "Intervals", "read_page"]

_LOG: Final = logging.getLogger(__name__)
_ACCEPT: Final = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
_PAGE_BYTES: Final = 64 << 20
_BACKFILL_BYTES: Final = 512 << 20
_DISCOVERY_BYTES: Final = 16 << 20
_BACKFILL_SECONDS: Final = 60.0
_BACKFILL_INTERVAL_SECONDS: Final = 10.0
_AGAIN_SHARE: Final = 0.25  # of the interval: so much later a page that has not changed is asked for again
_LEAST_TIMEOUT_SECONDS: Final = 2.0
_MOST_TIMEOUT_SECONDS: Final = 10.0
_AT_ONCE: Final = 512  # requests that wait for an answer: that many dead targets do not delay the living
_LOOPBACK: Final = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Seconds between scrapes."""

    local: float = 1.0  # agents on this machine that were named, not discovered
    remote: float = 10.0
    discovery: float = 10.0

    def of(self, target: Discovered, *, is_static: bool) -> float:
        """The interval for a target."""
        is_local = is_static and urlsplit(target.url).hostname in _LOOPBACK
        return min(self.local, self.remote) if is_local else self.remote


@dataclass(slots=True)
class _Scraped:
    """A target's task and how it does."""

    target: Discovered
    status: SourceStatus
    is_settled: bool = False  # its past and its first page were read, or failed to be
    newest: int | None = None  # hash of the newest page's text
    is_put_aside: bool = False  # the newest page, for it had not changed
    task: asyncio.Task[None] | None = field(default=None)


class _Asked(TypedDict):
    """The terms of one request."""

    headers: Mapping[str, str]
    tls: ssl.SSLContext | bool


class AgentSource:
    """Scrapes until stopped and hands each page to `deliver`, which raises InputError for a malformed one."""

    def __init__(  # noqa: PLR0913 - what it needs from outside
        self,
        session: aiohttp.ClientSession,
        deliver: Deliver,
        *,
        targets: Sequence[str],
        discovery: Sequence[str] = (),
        intervals: Intervals | None = None,
        clock: Clock | None = None,
        forget: Callable[[str], Awaitable[None]],
        terms: Terms | None = None,
    ) -> None:
        self._session = session
        self._deliver = deliver
        self._intervals = intervals or Intervals()
        self._clock = clock or SystemClock()
        self._forget = forget
        self._terms = terms or Terms()
        self._discovery = {url: SourceStatus(name="discovery", target=url, up=False) for url in discovery}
        self._listed: dict[str, set[str]] = {url: set() for url in discovery}
        self._scraped: dict[str, _Scraped] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._static = [_static_target(url) for url in targets]
        self._is_started = False

    async def run(self) -> None:
        """Scrape until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for target in self._static:
                    self._start(tasks, target, is_static=True)
                self._is_started = True
                for url in self._discovery:
                    tasks.create_task(self._discover(tasks, url))
        finally:
            self._scraped.clear()

    def statuses(self) -> list[SourceStatus]:
        """How each target and each discovery document does."""
        return [scraped.status for scraped in self._scraped.values()] + list(self._discovery.values())

    @property
    def is_settled(self) -> bool:
        """Whether every document and every target known by now has answered or failed once."""
        is_listed = all(status.up or status.error is not None for status in self._discovery.values())
        is_started = self._is_started or not self._static
        return is_listed and is_started and all(scraped.is_settled for scraped in self._scraped.values())

    async def _discover(self, tasks: asyncio.TaskGroup, url: str) -> None:
        while True:
            status = self._discovery[url]
            try:
                answer = await get(
                    self._session, url, limit_bytes=_DISCOVERY_BYTES, timeout_seconds=5.0, **self._terms_now()
                )
                found = {target.url: target for target in read_groups(json_of(answer, url), url)}
            except SourceError as error:
                self._discovery[url] = _failed(status, str(error))
            else:
                await self._follow(tasks, url, found)
                self._discovery[url] = self._succeeded(status)
            await asyncio.sleep(self._intervals.discovery)

    async def _follow(self, tasks: asyncio.TaskGroup, url: str, found: dict[str, Discovered]) -> None:
        """Start what is new on the list, stop what is gone from it."""
        for gone in self._listed[url] - found.keys():
            await self._stop(gone)
        self._listed[url] = set(found)
        for target in found.values():
            known = self._scraped.get(target.url)
            if known is not None and known.target != target:
                await self._stop(target.url)
            if target.url not in self._scraped:
                self._start(tasks, target, is_static=False)

    def _start(self, tasks: asyncio.TaskGroup, target: Discovered, *, is_static: bool) -> None:
        scraped = _Scraped(target, SourceStatus(name="agent", target=target.url, up=False))
        self._scraped[target.url] = scraped
        interval = self._intervals.of(target, is_static=is_static)
        scraped.task = tasks.create_task(self._scrape_for_ever(scraped, interval))

    async def _stop(self, url: str) -> None:
        scraped = self._scraped.pop(url, None)
        if scraped is not None and scraped.task is not None:
            scraped.task.cancel()
        await self._forget(url)

    async def _scrape_for_ever(self, scraped: _Scraped, interval_seconds: float) -> None:
        if scraped.target.backfill_url is not None:
            await self._noting(scraped, self._backfill(scraped.target))
        due = self._clock.monotonic()
        while True:
            await self._noting(scraped, self._scrape(scraped, interval_seconds))
            share = _AGAIN_SHARE if scraped.is_put_aside else 1.0 if scraped.is_settled else _first_share(scraped)
            scraped.is_settled = True
            due = max(due + interval_seconds * share, self._clock.monotonic())
            await asyncio.sleep(due - self._clock.monotonic())

    async def _noting(self, scraped: _Scraped, reading: Awaitable[None]) -> None:
        try:
            await reading
        except (SourceError, InputError) as error:
            if scraped.status.up or scraped.status.error is None:
                _LOG.warning("target failed", extra={"target": scraped.target.url, "error": str(error)})
            scraped.status = _failed(scraped.status, str(error))
        else:
            if scraped.status.error is not None:
                _LOG.info("target is back", extra={"target": scraped.target.url})
            scraped.status = self._succeeded(scraped.status)

    async def _scrape(self, scraped: _Scraped, interval_seconds: float) -> None:
        """Deliver the page; one that has not changed only if it has not a little later either.

        Taken for news it would say that nothing happened in one interval and twice as much in the next.
        """
        was_put_aside, scraped.is_put_aside = scraped.is_put_aside, False
        async with self._slots:  # before the page's time is taken and its patience begins
            page = await _scrape(self._session, scraped.target, interval_seconds, self._clock, **self._terms_now())
        before, scraped.newest = scraped.newest, hash(page.text)
        scraped.is_put_aside = scraped.newest == before and not was_put_aside
        if not scraped.is_put_aside:
            await self._deliver(page)

    def _terms_now(self) -> _Asked:
        """Raises SourceError when a file of secrets cannot be read now."""
        try:
            return {"headers": self._terms.headers(), "tls": self._terms.tls}
        except ConfigError as error:
            raise SourceError(str(error)) from error

    async def _backfill(self, target: Discovered) -> None:
        terms = self._terms_now()
        async with self._slots:
            answer = await get(
                self._session,
                target.backfill_url or target.url,
                limit_bytes=_BACKFILL_BYTES,
                timeout_seconds=_BACKFILL_SECONDS,
                headers={"Accept": _ACCEPT, **terms["headers"]},
                tls=terms["tls"],
            )
        await self._deliver(_page(target, answer, time=None, interval_seconds=_BACKFILL_INTERVAL_SECONDS))

    def _succeeded(self, status: SourceStatus) -> SourceStatus:
        return replace(status, up=True, last_success=self._clock.now(), error=None)


async def read_page(  # noqa: PLR0913 - the knobs of a request
    session: aiohttp.ClientSession,
    url: str,
    interval_seconds: float,
    clock: Clock,
    *,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | bool = True,
) -> Page:
    """One scrape of a page by its URL.

    Raises:
        SourceError: it cannot be had.
        InputError: it is not text.

    """
    return await _scrape(session, _static_target(url), interval_seconds, clock, headers, tls=tls)


async def _scrape(  # noqa: PLR0913 - as above
    session: aiohttp.ClientSession,
    target: Discovered,
    interval_seconds: float,
    clock: Clock,
    headers: Mapping[str, str] | None = None,
    *,
    tls: ssl.SSLContext | bool = True,
) -> Page:
    began = clock.now()
    timeout = max(_LEAST_TIMEOUT_SECONDS, min(interval_seconds, _MOST_TIMEOUT_SECONDS))
    answer = await get(
        session,
        target.url,
        limit_bytes=_PAGE_BYTES,
        timeout_seconds=timeout,
        headers={"Accept": _ACCEPT, "X-Prometheus-Scrape-Timeout-Seconds": f"{timeout:g}", **(headers or {})},
        tls=tls,
    )
    return _page(target, answer, time=began, interval_seconds=interval_seconds)


def _first_share(scraped: _Scraped) -> float:
    """Of the interval, between a target's first and second scrape: 0.5 to 1.5, evenly over targets."""
    return 0.5 + zlib.crc32(scraped.target.url.encode()) / 2**32


def _failed(status: SourceStatus, error: str) -> SourceStatus:
    return replace(status, up=False, error=error)


def _static_target(url: str) -> Discovered:
    return Discovered(url=url, labels=(("instance", urlsplit(url).netloc.rpartition("@")[2]),))


def _page(target: Discovered, answer: Answer, *, time: float | None, interval_seconds: float) -> Page:
    try:
        text = answer.body.decode()
    except UnicodeDecodeError as error:
        msg = f"{target.url} is not UTF-8: byte {error.start} is {answer.body[error.start]:#04x}"
        raise InputError(msg) from error
    return Page(
        target=Target(name=target.url, labels=dict(target.labels)),
        text=text,
        is_openmetrics=answer.content_type.lower().startswith("application/openmetrics-text"),
        time=time,
        interval_seconds=interval_seconds,
    )
