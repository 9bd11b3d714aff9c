"""`warpgauge analyzer`: watches agents or a Prometheus and serves console, API and findings until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from warpgauge.cli.planner import planner_of

if TYPE_CHECKING:
    import argparse

    from warpgauge.analyzer.service.pool_reading import PoolCommand
    from warpgauge.core.config import Config

__all__ = ["add_arguments", "overrides", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `analyzer`."""
    parser.add_argument("--web.listen-address", dest="listen_address", metavar="ADDR", help="host:port of the console")
    parser.add_argument("--web.config.file", dest="web_config", metavar="FILE", help="web-config.yml: TLS and users")
    parser.add_argument("--targets", metavar="URL,URL", help="agents' metrics pages")
    parser.add_argument("--discovery", metavar="URL,URL", help="http_sd documents that list agents' pages")
    parser.add_argument("--prometheus-url", metavar="URL", help="Prometheus to read instead of agents")
    parser.add_argument("--remote-write", action="store_const", const="true",
                        help="take what Prometheus writes to /api/v1/write")  # fmt: skip
    parser.add_argument("--cluster", metavar="NAME", help="cluster of agents whose targets do not name one")
    parser.add_argument("--data-directory", metavar="DIR", help="where history and the outbox are kept")
    parser.add_argument("--mode", choices=("observe", "propose", "approve", "auto"),
                        help="observe finds only, propose recommends, approve and auto let executors act")  # fmt: skip


def overrides(args: argparse.Namespace) -> dict[str, str]:
    """Settings that the flags stand for."""
    names = (
        "listen_address", "targets", "discovery", "prometheus_url", "remote_write", "cluster", "data_directory", "mode"
    )  # fmt: skip
    given = {f"analyzer.{name}": getattr(args, name) for name in names} | {"web.config_file": args.web_config}
    return {key: value for key, value in given.items() if value is not None}


def run(args: argparse.Namespace, config: Config) -> int:
    """Serve until told to stop."""
    asyncio.run(_serve(config, planner_of(args, config)))
    return 0


async def _serve(config: Config, planner: PoolCommand | None) -> None:
    from warpgauge.analyzer.service.running import run_service  # noqa: PLC0415 - numpy loads only for this verb
    from warpgauge.cli.folders import console_folder, runbooks_folder  # noqa: PLC0415
    from warpgauge.core.clock import SystemClock  # noqa: PLC0415
    from warpgauge.exporters.logs.findings import shipped_findings  # noqa: PLC0415
    from warpgauge.web import admission_of, install_stop_signals, scheme_of  # noqa: PLC0415

    admission = admission_of(config.web)
    scheme = scheme_of(admission)
    stop = asyncio.Event()
    install_stop_signals(asyncio.get_running_loop(), stop)
    with shipped_findings(config, os.environ, SystemClock()) as listener:
        await run_service(
            config,
            stop=stop,
            static_dir=console_folder(),
            runbooks_dir=runbooks_folder(),
            on_listening=lambda host, port: _say(
                f"warpgauge analyzer listens on {scheme}://{host}:{port}/ (Ctrl-C stops it)"
            ),
            admission=admission,
            listener=listener,
            planner=planner,
        )
    _say("warpgauge: stopped")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the answer to the person who typed the command
