"""`warpgauge analyzer` from its start to its end: what the service is made of, its loops, and its pages."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.history import keeping
from warpgauge.analyzer.incidents.muting_book import MutingBook
from warpgauge.analyzer.recommend.book import Book
from warpgauge.analyzer.recommend.desk import Desk
from warpgauge.analyzer.recommend.lease import DirectoryLock, Lease
from warpgauge.analyzer.service.advisor import BOOK_FILE, Advisor, make_outbox
from warpgauge.analyzer.service.api import make_api
from warpgauge.analyzer.service.service import Service
from warpgauge.analyzer.snapshot import Keeper
from warpgauge.analyzer.sources.fetch import new_session
from warpgauge.core.audit import AUDIT_FILE, AuditLog
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.config import data_directory
from warpgauge.core.errors import StorageError
from warpgauge.web import ListenAddress, TokenFile, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from warpgauge.analyzer.service.listener import Listener
    from warpgauge.analyzer.service.pool_reading import PoolCommand
    from warpgauge.core.config import Config
    from warpgauge.web import Admission

__all__ = ["run_service"]

_LOG: Final = logging.getLogger(__name__)


async def run_service(  # noqa: PLR0913 - what a service is handed
    config: Config,
    *,
    stop: asyncio.Event,
    static_dir: Path | None,
    runbooks_dir: Path | None,
    on_listening: Callable[[str, int], None],
    admission: Admission | None = None,
    listener: Listener | None = None,
    planner: PoolCommand | None = None,
) -> None:
    """Run until `stop` is set; `admission` is the door as a web-config describes it.

    `listener` hears all findings that hold or ended lately whenever they may have changed. `planner` is the program
    that reads and plans a scheduling core's pool.

    Raises:
        AddressInUseError: the port is taken.
        ConfigError: the listen address is malformed, or a file that the settings name cannot be used.
        StorageError: the data directory cannot be used.

    """
    address = ListenAddress.parse(config.analyzer.listen_address)
    clock = SystemClock()
    directory = data_directory(config, os.environ)
    audit = AuditLog(directory / AUDIT_FILE, clock)
    with (
        closing(_advisor(config, directory, clock, audit)) as advisor,
        keeping(config.history, directory, clock) as history,
    ):
        async with new_session() as session:
            service = Service(
                config,
                session,
                advisor,
                clock,
                keeper=_keeper(config, directory),
                book=MutingBook(directory, clock, audit),
                listener=listener,
                history=history,
                planner=planner,
            )
            async with _looping(service, stop):
                app = make_api(service, static_dir=static_dir, runbooks_dir=runbooks_dir, operator=_operator(directory))
                await serve(app, address, on_listening=on_listening, stop=stop, admission=admission)


def _keeper(config: Config, directory: Path) -> Keeper | None:
    """Who writes snapshots, None where the settings want none."""
    interval_seconds = config.analyzer.snapshot_interval_seconds
    return Keeper(directory, interval_seconds=interval_seconds) if interval_seconds else None


def _operator(directory: Path) -> TokenFile:
    """A token that cannot be made or trusted costs the orders, not the findings: each order is told the mend."""
    operator = TokenFile(lambda: directory)
    try:
        operator.ensure()
    except StorageError as error:
        _LOG.warning("no orders are taken", extra={"why": str(error)})
    return operator


def _advisor(config: Config, directory: Path, clock: Clock, audit: AuditLog) -> Advisor:
    acting, mode = config.acting, config.analyzer.mode
    lease = Lease(Path(acting.lease_file), clock) if acting.lease_file else DirectoryLock(directory)
    lease.hold()
    desk = Desk(Book(directory / BOOK_FILE), clock, mode=mode, audit=audit)
    outbox = make_outbox(directory, clock, acting)
    return Advisor(
        outbox,
        mode=mode,
        clock=clock,
        desk=desk,
        lease=lease,
        site_rules_file=acting.site_rules_file,
        scheduler=acting.scheduler,
    )


@asynccontextmanager
async def _looping(service: Service, stop: asyncio.Event) -> AsyncIterator[None]:
    """The service's loops; they end with the block, and a loop that fails ends the service."""
    loops = asyncio.create_task(service.run())
    loops.add_done_callback(lambda _: stop.set())
    try:
        yield
    finally:
        loops.cancel()
        with suppress(asyncio.CancelledError):
            await loops
        await service.end()
