"""A node under watch: a real agent in a thread of its own over doubles, with its page for Prometheus."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.live_pages import serve
from warpgauge.core.config import Config
from warpgauge.core.exposition import Format
from warpgauge.core.retry import Backoff
from warpgauge.exporters.agent import Agent
from warpgauge.exporters.collectors import COLLECTORS
from warpgauge.exporters.link import Program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Node", "child"]

TICK_SECONDS: Final = 1.0
FOREVER: Final = Backoff(first_seconds=30.0, factor=2.0, max_seconds=60.0)


def child(program: Path, *arguments: object, retries: Backoff = FOREVER) -> Program:
    """A collector's child process over a double."""
    return Program(
        command=[sys.executable, str(program), *map(str, arguments)],
        environment=dict(os.environ),
        deadline_seconds=60.0,  # nothing hangs here: a busy machine must not look like it
        start_seconds=60.0,
        retries=retries,
    )


@dataclass
class Node:
    """An agent; `settings` are of its section [agent], `sections` whole other ones."""

    name: str
    collectors: tuple[str, ...]
    first_word: str  # a series on its page once it reads
    script: Path = Path()
    programs: Mapping[str, Program] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    sections: Mapping[str, Any] = field(default_factory=dict)
    cluster: str = "test"
    address: str = ""
    is_down: bool = False
    agent: Agent | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def page(self) -> bytes:
        if self.agent is None or self.is_down:
            raise KeyError(self.name)  # a 503
        return self.agent.pages.body(Format.TEXT, is_compressed=False)

    @property
    def reads(self) -> bool:
        return self.agent is not None and self.first_word.encode() in self.page()

    async def live(self) -> None:
        config = replace(Config(), **self.sections)
        settings = replace(
            config.agent,
            **{
                "fast_interval_seconds": TICK_SECONDS,
                "normal_interval_seconds": TICK_SECONDS,
                "slow_interval_seconds": TICK_SECONDS * 2,
                "disabled_collectors": tuple(name for name in COLLECTORS if name not in self.collectors),
                "kernel_log": "",
                **self.settings,
            },
        )
        self.agent = Agent(replace(config, agent=settings), programs=self.programs)
        await self.agent.run()

    @contextlib.contextmanager
    def running(self) -> Iterator[Node]:
        main = self.loop.create_task(self.live())

        def run() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                self.loop.run_until_complete(main)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            with serve({"/metrics": self.page}) as self.address:
                yield self
        finally:
            self.loop.call_soon_threadsafe(main.cancel)
            thread.join()
            self.loop.close()

    def target(self) -> dict[str, Any]:
        return {"targets": [self.address], "labels": {"cluster": self.cluster, "node": self.name}}
