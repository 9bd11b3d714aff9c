"""`warpgauge up`: agent, analyzer and console of one machine, in one process group, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.cli.planner import planner_of
from warpgauge.cli.verbs.up_executors import Executors, ended
from warpgauge.core.config import data_directory
from warpgauge.core.errors import ConfigError, WarpgaugeError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from warpgauge.analyzer.service.pool_reading import PoolCommand
    from warpgauge.core.config import Config

__all__ = ["add_arguments", "overrides", "run"]

_START_SECONDS: Final = 20.0
_LISTENS: Final = re.compile(r"listens on (https?://\S+)/metrics")
_ENDED_FIRST: Final = "the agent ended by itself, its log above says why; start again"
_GUARDED: Final = (
    "acting.executors starts executors that know no authority for certificates, and web.config_file guards the "
    "analyzer: start each by hand, warpgauge executor --core NAME --analyzer URL --ca-file FILE"
)
_STOPPED: Final = "warpgauge: stopped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `up`."""
    parser.add_argument(
        "--demo",
        choices=("never", "auto", "always"),
        help="simulated fleet: auto shows it where no accelerator is found",
    )
    parser.add_argument("--demo-seed", metavar="N", help="another seed moves the simulated faults elsewhere")
    parser.add_argument("--demo-faults", metavar="A,B", help="simulated faults, comma separated; empty for none")
    parser.add_argument("--web.listen-address", dest="console_address", metavar="ADDR", help="the console's address")
    parser.add_argument("--web.config.file", dest="web_config", metavar="FILE", help="web-config.yml: TLS and users")
    parser.add_argument("--agent.listen-address", dest="agent_address", metavar="ADDR", help="the agent's address")
    parser.add_argument("--data-directory", metavar="DIR", help="where state is kept")


def overrides(args: argparse.Namespace) -> dict[str, str]:
    """Settings that the flags stand for."""
    flags = {
        "demo.mode": args.demo,
        "demo.seed": args.demo_seed,
        "demo.faults": args.demo_faults,
        "analyzer.listen_address": args.console_address,
        "agent.listen_address": args.agent_address,
        "web.config_file": args.web_config,
        "analyzer.data_directory": args.data_directory,
    }
    return {key: value for key, value in flags.items() if value is not None}


def run(args: argparse.Namespace, config: Config) -> int:
    """Start the agent as a child, run the analyzer here, end both together."""
    command = [sys.executable, "-m", "warpgauge", "--log.level", args.log_level]
    if args.config is not None:
        command += ["--config", str(args.config)]
    planner = planner_of(args, config, may_be_simulated=True)
    return asyncio.run(_up(config, _agent_command(command, config), _executors(command, config), planner))


def _executors(command: list[str], config: Config) -> Executors:
    """Those that the settings name.

    Raises:
        ConfigError: they could not reach the analyzer.

    """
    if config.acting.executors and config.web.config_file:
        raise ConfigError(_GUARDED)
    return Executors(config.acting.executors, command, {**os.environ, **_environment(config)})


def _agent_command(command: list[str], config: Config) -> list[str]:
    return [
        *command,
        "agent",
        f"--web.listen-address={config.agent.listen_address}",
        *([] if _is_private(config) else [f"--web.config.file={config.web.config_file}"]),
        f"--demo={config.demo.mode}",
        f"--demo-seed={config.demo.seed}",
        f"--demo-faults={','.join(config.demo.faults)}",
    ]


async def _up(config: Config, agent_command: list[str], executors: Executors, planner: PoolCommand | None) -> int:
    from warpgauge.analyzer.service.running import run_service  # noqa: PLC0415 - numpy loads only for this verb
    from warpgauge.cli.folders import console_folder, runbooks_folder  # noqa: PLC0415
    from warpgauge.core.clock import SystemClock  # noqa: PLC0415
    from warpgauge.exporters.logs.findings import shipped_findings  # noqa: PLC0415
    from warpgauge.web import admission_of, install_stop_signals, scheme_of  # noqa: PLC0415

    admission = admission_of(config.web)
    data_directory(config, os.environ)  # one that cannot be used is said before anything runs
    stop = asyncio.Event()
    install_stop_signals(asyncio.get_running_loop(), stop)
    agent = await _start(agent_command, _environment(config))
    tasks: list[asyncio.Task[None]] = []

    def listening(host: str, port: int) -> None:
        url = f"{scheme_of(admission)}://{host}:{port}/"
        _say(_welcome(url, agent_url or ""))
        executors.start(url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:"))

    try:
        agent_url = await _first_line(agent, stop)
        if agent_url is None:
            _say(_STOPPED)
            return 0
        tasks += [asyncio.create_task(_stop_when_ended(agent, stop)), asyncio.create_task(_pass_on_log(agent))]
        with shipped_findings(config, os.environ, SystemClock()) as listener:
            await run_service(
                _with_agent(config, agent_url),
                stop=stop,
                static_dir=console_folder(),
                runbooks_dir=runbooks_folder(),
                on_listening=listening,
                admission=admission,
                listener=listener,
                planner=planner,
            )
        if agent.returncode is not None:
            raise WarpgaugeError(_ENDED_FIRST)
    finally:
        await executors.end()
        await ended(agent)
        for task in tasks:
            task.cancel()
    _say(_STOPPED)
    return 0


def _is_private(config: Config) -> bool:
    """Whether only this machine reaches the agent; then the console's door is the one that counts."""
    from warpgauge.web import ListenAddress  # noqa: PLC0415 - --help needs no web server

    return ListenAddress.parse(config.agent.listen_address).is_loopback


def _environment(config: Config) -> dict[str, str]:
    """What the agent's settings are besides its command line: it ends with us, and its token is where ours will be."""
    found = {"WARPGAUGE_EXIT_WITH_PARENT": "1"}
    if config.analyzer.data_directory:
        found["WARPGAUGE_ANALYZER_DATA_DIRECTORY"] = config.analyzer.data_directory
    if _is_private(config):
        found |= {"WARPGAUGE_WEB_CONFIG_FILE": "", "WARPGAUGE_WEB_OPERATORS": ""}
    return found


async def _start(command: list[str], environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """The agent in a session of its own, so that Ctrl-C reaches only us and we end it in order.

    It ends by itself when its standard input closes: a kill -9 of this process leaves no orphan.
    """
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        start_new_session=sys.platform != "win32",
    )


async def _first_line(agent: asyncio.subprocess.Process, stop: asyncio.Event) -> str | None:
    """Base URL from the agent's first line; None when we were told to stop before it came."""
    if agent.stdout is None:
        raise WarpgaugeError(_ENDED_FIRST)
    line = asyncio.create_task(agent.stdout.readline())
    stopped = asyncio.create_task(stop.wait())
    done, pending = await asyncio.wait({line, stopped}, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    if stopped in done:
        return None
    match = _LISTENS.search(line.result().decode(errors="replace")) if line in done else None
    if match is None:
        raise WarpgaugeError(await _last_words(agent))
    return match.group(1)


async def _last_words(agent: asyncio.subprocess.Process) -> str:
    """Why the agent did not start, in its own words with our names of the flags."""
    await ended(agent)
    said = (await agent.stderr.read() if agent.stderr else b"").decode(errors="replace").strip().splitlines()
    if not said:
        return f"the agent said nothing within {_START_SECONDS:.0f} s and was stopped"
    return said[-1].removeprefix("warpgauge: ").replace("--web.listen-address", "--agent.listen-address")


async def _pass_on_log(agent: asyncio.subprocess.Process) -> None:
    """The agent's log on our standard error, line by line."""
    while agent.stderr and (line := await agent.stderr.readline()):
        sys.stderr.write(line.decode(errors="replace"))
        sys.stderr.flush()


async def _stop_when_ended(agent: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
    await agent.wait()
    stop.set()


def _with_agent(config: Config, agent_url: str) -> Config:
    analyzer = replace(
        config.analyzer,
        targets=(*config.analyzer.targets, f"{agent_url}/metrics"),
        discovery=(*config.analyzer.discovery, f"{agent_url}/sd"),
    )
    return replace(config, analyzer=analyzer)


def _welcome(console_url: str, agent_url: str) -> str:
    return f"warpgauge is up: console {console_url}   metrics {agent_url}/metrics   (Ctrl-C stops it)"


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - the answer to the person who typed the command
