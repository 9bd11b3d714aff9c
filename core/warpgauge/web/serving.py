"""Listening on an address until told to stop."""

from __future__ import annotations

import errno
import logging
import signal
import socket
from typing import TYPE_CHECKING, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from warpgauge.core.errors import AddressInUseError, ConfigError
from warpgauge.core.open_files import allow_open_files
from warpgauge.core.stop_signals import stop_signals
from warpgauge.web.bounded import ARRIVALS, Arrivals, BoundedSite
from warpgauge.web.guard import ADMISSION, LISTENS_ON, ONLY_LOOPBACK_NAMES

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from warpgauge.web.address import ListenAddress
    from warpgauge.web.webconfig import Admission

__all__ = ["install_stop_signals", "serve"]

_GRACE_SECONDS: Final = 2.0  # how long open answers may take once we stop
_IDLE_SECONDS: Final = 300.0  # that a connection is kept for the next request: longer than scrapes are apart


async def serve(
    app: web.Application,
    address: ListenAddress,
    *,
    on_listening: Callable[[str, int], None],
    stop: asyncio.Event,
    admission: Admission | None = None,
) -> None:
    """Answer requests until `stop` is set; `on_listening` gets the host and the port really taken.

    With an `admission` the door is as its web-config says: TLS, client certificates, users.

    Raises:
        AddressInUseError: another process listens there.
        ConfigError: the address is not one of this machine's, or its port needs privileges.

    """
    allow_open_files()
    app[ONLY_LOOPBACK_NAMES] = address.is_loopback
    app[LISTENS_ON] = address.host
    if admission is not None:
        app[ADMISSION] = admission
    app[ARRIVALS] = arrivals = Arrivals()
    runner = web.AppRunner(
        app,
        access_log=None,
        handle_signals=False,
        keepalive_timeout=_IDLE_SECONDS,
        shutdown_timeout=_GRACE_SECONDS,
        logger=_protocol_log(),
    )
    await runner.setup()
    try:
        await _listen(BoundedSite(runner, address, admission.file.context() if admission else None, arrivals), address)
        on_listening(address.host, _port(runner))
        await stop.wait()
    finally:
        await runner.cleanup()


async def _listen(site: BoundedSite, address: ListenAddress) -> None:
    try:
        await site.start()
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: a name that cannot even be asked for, as "a..b"
        msg = f"cannot listen on {address}: {address.host!r} is no address of this machine"
        raise ConfigError(msg) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            msg = (
                f"{address} is taken by another process; stop it or pass "
                f"--web.listen-address={address.with_port('PORT')}"
            )
            raise AddressInUseError(msg) from error
        reasons = {
            errno.EACCES: "ports below 1024 need privileges",
            errno.EADDRNOTAVAIL: "it is no address of this machine",
        }
        msg = f"cannot listen on {address}: {reasons.get(error.errno or 0, error.strerror)}"
        raise ConfigError(msg) from error


def _protocol_log() -> logging.Logger:
    """Where aiohttp says that something was no HTTP, without the bytes: there may be a token among them."""
    log = logging.getLogger("warpgauge.web.http")
    if not log.filters:
        log.addFilter(_without_request)
    return log


def _without_request(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], HttpProcessingError):
        record.exc_info = None
    return True


def _port(runner: web.AppRunner) -> int:
    port: int = runner.addresses[0][1]
    return port


def install_stop_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """SIGINT, SIGTERM and SIGHUP set `stop`."""
    for number in stop_signals():
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows has no signal handlers on its event loop
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
