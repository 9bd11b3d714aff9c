"""`warpgauge analyze SOURCE...`: read sources once, judge what they hold."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.detection.usage import Usage
from warpgauge.analyzer.detectors import detectors_with
from warpgauge.analyzer.frame.layout import Layout
from warpgauge.analyzer.incidents.muting import NOTHING_MUTED, Muting
from warpgauge.analyzer.replay import Replay
from warpgauge.analyzer.sources.access import Access
from warpgauge.analyzer.sources.agent import read_page
from warpgauge.analyzer.sources.fetch import new_session
from warpgauge.analyzer.sources.files import batches_of, files_of
from warpgauge.analyzer.sources.prometheus import Prometheus
from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    import aiohttp

    from warpgauge.analyzer.replay import Report
    from warpgauge.analyzer.sources.prometheus import Span
    from warpgauge.core.clock import Clock

__all__ = ["Look", "analyze_once", "read_once"]

_PAGE_STEP_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How to read the sources."""

    span: Span  # of a Prometheus
    headers: Callable[[], Mapping[str, str]]
    tls: ssl.SSLContext | bool
    page_seconds: float  # how long a page is scraped: it has no history
    window_seconds: float
    cluster: str
    xid_overrides: tuple[str, ...] = ()
    layout: Layout = field(default_factory=Layout)  # of the topology file
    muting: Muting = NOTHING_MUTED
    file_span: tuple[float, float] | None = None  # of files, seconds since the epoch; None is all of it


async def analyze_once(sources: Sequence[str], look: Look, *, clock: Clock, say: Callable[[str], None]) -> Report:
    """Read every source and judge all of it together; arguments and errors as of `read_once`."""
    return (await read_once(sources, look, clock=clock, say=say)).report()


async def read_once(sources: Sequence[str], look: Look, *, clock: Clock, say: Callable[[str], None]) -> Replay:
    """Read every source (base URL of a Prometheus, URL of a page, file, directory), to be judged together.

    `say` gets a line before anything that takes long.

    Raises:
        ConfigError: the look has what only a Prometheus can be asked for, and a source is none.
        InputError: a file or page is malformed or cannot be read.
        SourceError: a server cannot be reached, refuses us or answers something else.

    """
    _must_fit(sources, look)
    detectors = detectors_with(look.xid_overrides, usage=Usage())
    replay = Replay(window_seconds=look.window_seconds, cluster=look.cluster, detectors=detectors, muting=look.muting)
    replay.frame.layout.take_over(look.layout)
    for path in [file for source in sources if not _is_url(source) for file in files_of(Path(source))]:
        for batch in batches_of(path, span=look.file_span, replica_labels=look.span.replica_labels):
            replay.add(batch)
    async with new_session() as session:
        pages = [source for source in sources if _is_url(source) and _is_page(source)]
        for source in sources:
            if _is_url(source) and source not in pages:
                await _read_prometheus(replay, session, source, look, say)
        if pages:
            say(f"scraping {', '.join(pages)} for {look.page_seconds:g} s: a page has no history")
            await asyncio.gather(*(_read_page(replay, session, url, look, clock) for url in pages))
    return replay


def _must_fit(sources: Sequence[str], look: Look) -> None:
    """A selector that is passed over would give a verdict about what nobody asked for."""
    others = [source for source in sources if not _is_url(source) or _is_page(source)]
    for flag, value in (("--match", look.span.match), ("--step", look.span.step_seconds)):
        if others and value is not None:
            msg = f"{flag} is for a Prometheus; {others[0]} is none and is read as it is: leave it out"
            raise ConfigError(msg)


def _is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def _is_page(url: str) -> bool:
    return url.partition("?")[0].rstrip("/").endswith("/metrics")


async def _read_prometheus(
    replay: Replay, session: aiohttp.ClientSession, url: str, look: Look, say: Callable[[str], None]
) -> None:
    server = Prometheus(session, Access(url=url, headers=look.headers, tls=look.tls))
    budget = await server.budget(look.span)
    say(f"{url}: {budget.words()}")
    async for ranges in server.read(look.span, budget):
        replay.add(ranges)


async def _read_page(replay: Replay, session: aiohttp.ClientSession, url: str, look: Look, clock: Clock) -> None:
    end = clock.monotonic() + look.page_seconds
    due = clock.monotonic()
    while True:
        replay.add(await read_page(session, url, _PAGE_STEP_SECONDS, clock, headers=look.headers(), tls=look.tls))
        due += _PAGE_STEP_SECONDS
        if due > end:
            return
        await asyncio.sleep(max(0.0, due - clock.monotonic()))
