"""`warpgauge config show|check`: the settings in force and where each came from."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from warpgauge.core.config import origins
from warpgauge.core.errors import ConfigError
from warpgauge.core.table import table
from warpgauge.web.address import ListenAddress

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config, Origin

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own flags."""
    parser.add_argument("action", choices=("show", "check"), help="show every setting, or only check them")
    parser.add_argument("--json", action="store_true", help="one JSON object per setting and line")


def run(args: argparse.Namespace, config: Config) -> int:
    """Loading has checked keys, types and ranges; `check` asks the parts about the rest.

    A wrong setting is a ConfigError.
    """
    for key, address in {
        "agent.listen_address": config.agent.listen_address,
        "analyzer.listen_address": config.analyzer.listen_address,
    }.items():
        _check_address(address, key, config.origins.get(key, "default"))
    if args.action == "check":
        _check_parts(config)
        sys.stdout.write(f"{args.config or 'the configuration'} is fine\n")
    else:
        sys.stdout.write(_shown_as_json(config) if args.json else _shown(config))
    return 0


def _check_address(address: str, key: str, origin: str) -> None:
    try:
        ListenAddress.parse(address)
    except ConfigError as error:
        msg = f"{key}: {error} ({origin})"
        raise ConfigError(msg) from error


def _check_parts(config: Config) -> None:
    """What an agent, an analyzer or `generate` would refuse; for sections that nobody set nothing is loaded."""
    from warpgauge.core.xid import with_overrides  # noqa: PLC0415 - for a check only, as all below
    from warpgauge.exporters.collectors import enabled  # noqa: PLC0415
    from warpgauge.exporters.logs.shipping import log_sinks  # noqa: PLC0415
    from warpgauge.exporters.push.pusher import metric_sinks  # noqa: PLC0415
    from warpgauge.web import admission_of  # noqa: PLC0415

    admission_of(config.web)
    enabled(config.agent.disabled_collectors)
    with_overrides(config.analyzer.xid_overrides)
    for metrics in metric_sinks(config, os.environ):
        metrics.close()
    for logs in log_sinks(config, os.environ):
        logs.close()
    sections = {key.partition(".")[0] for key in config.origins}
    if {"analyzer", "acting"} & sections and find_spec("numpy"):  # one file for all nodes: most run no analyzer
        from warpgauge.analyzer.service.settings_check import check_settings  # noqa: PLC0415

        check_settings(config)
    if "alerts" in sections:
        from warpgauge.alerts.settings import site_of  # noqa: PLC0415

        site_of(config.alerts)
    if "dashboards" in sections:
        from warpgauge.dashboards.settings import site_of as dashboards_of  # noqa: PLC0415

        dashboards_of(config)


def _shown(config: Config) -> str:
    rows = [(o.setting.key, _text(o), o.setting.unit, o.origin, o.setting.help) for o in origins(config)]
    return table(("KEY", "VALUE", "UNIT", "FROM", "MEANING"), rows) + "\n"


def _text(origin: Origin) -> str:
    """The value as it would stand in the TOML file."""
    value = list(origin.value) if isinstance(origin.value, tuple) else origin.value
    return json.dumps(value, ensure_ascii=False)


def _shown_as_json(config: Config) -> str:
    documents = (
        {
            "key": origin.setting.key,
            "value": origin.value,
            "default": origin.setting.default,
            "unit": origin.setting.unit,
            "from": origin.origin,
            "help": origin.setting.help,
        }
        for origin in origins(config)
    )
    return "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
