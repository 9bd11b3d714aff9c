"""`warpgauge config show|check`: the settings in force and where each came from."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from warpgauge.core.config import origins
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
    """Loading has checked keys, types and ranges; addresses and the web-config are checked here.

    A wrong setting is a ConfigError.
    """
    for section in (config.agent, config.analyzer):
        ListenAddress.parse(section.listen_address)
    if args.action == "check":
        from warpgauge.web import admission_of  # noqa: PLC0415 - the server loads only for this

        admission_of(config.web)
    if args.action == "show":
        sys.stdout.write(_shown_as_json(config) if args.json else _shown(config))
    else:
        sys.stdout.write(f"{args.config or 'the configuration'} is fine\n")
    return 0


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
