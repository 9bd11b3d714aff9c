"""`warpgauge agent`: read this machine's devices and serve them, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import os
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Final

from warpgauge.core.config import data_directory
from warpgauge.core.errors import StorageError
from warpgauge.exporters.collectors import COLLECTORS

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config
    from warpgauge.exporters.agent import Agent
    from warpgauge.web import TokenFile

__all__ = ["add_arguments", "overrides", "run"]

_LOG: Final = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `agent`."""
    parser.add_argument("--web.listen-address", dest="listen_address", metavar="ADDR", help="address of the pages")
    parser.add_argument("--web.config.file", dest="web_config", metavar="FILE", help="web-config.yml: TLS and users")
    for name, entry in COLLECTORS.items():
        choice = parser.add_mutually_exclusive_group()
        here = f"collector_{name}"
        choice.add_argument(f"--collector.{name}", dest=here, action="store_true", default=None, help=entry.help)
        choice.add_argument(f"--no-collector.{name}", dest=here, action="store_false", default=None, help="without it")
    parser.add_argument(
        "--demo",
        choices=("never", "auto", "always"),
        help="simulated fleet on pages of its own: auto shows it where no accelerator is found",
    )
    parser.add_argument("--demo-seed", metavar="N", help="another seed moves the simulated faults elsewhere")
    parser.add_argument("--demo-faults", metavar="A,B", help="simulated faults, comma separated; empty for none")


def overrides(args: argparse.Namespace) -> dict[str, str]:
    """Settings that the flags stand for."""
    flags = {
        "agent.listen_address": args.listen_address,
        "web.config_file": args.web_config,
        "demo.mode": args.demo,
        "demo.seed": args.demo_seed,
        "demo.faults": args.demo_faults,
    }
    return {key: value for key, value in flags.items() if value is not None}


def run(args: argparse.Namespace, config: Config) -> int:
    """Serve until told to stop."""
    disabled = set(config.agent.disabled_collectors)
    for name in COLLECTORS:
        is_wanted = getattr(args, f"collector_{name}")
        if is_wanted is not None:
            disabled = disabled - {name} if is_wanted else disabled | {name}
    agent = replace(config.agent, disabled_collectors=tuple(sorted(disabled)))
    asyncio.run(_serve(replace(config, agent=agent)))
    return 0


async def _serve(config: Config) -> None:
    from warpgauge.exporters.agent import Agent, stop_with_parent  # noqa: PLC0415 - --help needs none of it

    stop = asyncio.Event()
    stop_with_parent(stop)
    agent = Agent(config)
    reading = asyncio.create_task(agent.run())
    reading.add_done_callback(lambda _: stop.set())
    try:
        await asyncio.to_thread(import_module, "warpgauge.exporters.routes")  # the web server loads beside the children
        await _answer(config, agent, stop)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    if not reading.cancelled():
        reading.result()  # reading ended by itself: say why
    print("warpgauge agent stopped", flush=True)  # noqa: T201 - the answer to the person who typed the command


async def _answer(config: Config, agent: Agent, stop: asyncio.Event) -> None:
    from warpgauge.exporters.routes import application  # noqa: PLC0415 - see _serve
    from warpgauge.web import (  # noqa: PLC0415 - see _serve
        ListenAddress,
        TokenFile,
        admission_of,
        install_stop_signals,
        scheme_of,
        serve,
    )

    install_stop_signals(asyncio.get_running_loop(), stop)
    address = ListenAddress.parse(config.agent.listen_address)
    admission = admission_of(config.web)
    operator = TokenFile(lambda: data_directory(config, os.environ))
    _prepare(operator)
    tell = partial(_tell, scheme_of(admission))
    await serve(application(agent, operator), address, on_listening=tell, stop=stop, admission=admission)


def _prepare(operator: TokenFile) -> None:
    """A token that cannot be made or trusted costs the orders, not the readings: each order is told the mend."""
    try:
        operator.ensure()
    except StorageError as error:
        _LOG.warning("no orders are taken", extra={"why": str(error)})


def _tell(scheme: str, host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host or "0.0.0.0"  # noqa: S104 - only told, where somebody chose it
    print(f"warpgauge agent listens on {scheme}://{shown}:{port}/metrics", flush=True)  # noqa: T201 - as above
