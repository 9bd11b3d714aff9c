"""`warpgauge VERB`: exit 0 fine, 1 found something, 2 wrong use or bad input."""

from __future__ import annotations

import argparse
import os
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from warpgauge.cli.logs import LEVELS, start_logging
from warpgauge.cli.verbs import available, missing_extra
from warpgauge.core.config import load
from warpgauge.core.errors import ConfigError, WarpgaugeError
from warpgauge.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.cli.verbs import Verb

__all__ = ["main", "top_parser", "verb_parser"]

_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells have it
_WAYS_IN: Final = (
    ("up", "ML engineer", "warpgauge up", "read in the console why a job is slow (--demo auto adds a simulated fleet)"),
    ("agent", "SRE", "warpgauge agent", "serve this machine's devices to Prometheus"),
    ("analyze", "platform engineer", "warpgauge analyze URL", "findings from the Prometheus you already run"),
)


class _Parser(argparse.ArgumentParser):
    """Wrong use ends in one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the help is; exit 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run one verb; the exit code."""
    try:
        return _run(sys.argv[1:] if argv is None else argv, environ)
    except WarpgaugeError as error:
        print(f"warpgauge: {error}", file=sys.stderr)  # noqa: T201 - the one place where errors meet the terminal
        return 2
    except KeyboardInterrupt:
        print("warpgauge: stopped", file=sys.stderr)  # noqa: T201 - as above
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output went away (`| head`): keep the interpreter's own flush at exit from complaining.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    verbs = available()
    top = top_parser(verbs).parse_args(argv)
    if top.verb is None:
        _say(_ways_in(verbs))
        return 0
    verb = verbs.get(top.verb)
    if verb is None:
        raise ConfigError(_no_such_verb(top.verb, verbs))
    module = verb.load()
    parser = verb_parser(verb)
    module.add_arguments(parser)
    args = parser.parse_args(top.rest, namespace=argparse.Namespace(config=top.config, log_level=top.log_level))
    start_logging(args.log_level)
    overrides: dict[str, str] = module.overrides(args) if hasattr(module, "overrides") else {}
    config = load(args.config, environ, overrides)
    try:
        code = module.run(args, config)
        sys.stdout.flush()  # here, where a closed pipe is still ours to answer
    except ModuleNotFoundError as error:
        raise missing_extra(verb.name, error) from error
    return code


def top_parser(verbs: Mapping[str, Verb]) -> argparse.ArgumentParser:
    """Parser of everything before the verb's own flags."""
    width = max(map(len, verbs))
    lines = "\n".join(f"  {verb.name:<{width}}  {verb.help}" for verb in verbs.values())
    parser = _Parser(
        prog="warpgauge",
        description="GPU-native telemetry: what every accelerator does, what holds each job back, what to do about it.",
        epilog=f"verbs:\n{lines}\n\nwarpgauge VERB --help tells a verb's own flags. "
        "Exit 0 fine, 1 found something, 2 wrong use or bad input.",
        usage="warpgauge [--config FILE] [--log.level LEVEL] VERB ...",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"warpgauge {VERSION}")
    _add_global_flags(parser, None, "info")
    parser.add_argument("verb", nargs="?", metavar="VERB", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def verb_parser(verb: Verb) -> argparse.ArgumentParser:
    """Parser of a verb, still without the verb's own flags; global flags may stand on either side of the verb."""
    parser = _Parser(
        prog=f"warpgauge {verb.name}", description=f"{verb.help[0].upper()}{verb.help[1:]}.", allow_abbrev=False
    )
    _add_global_flags(parser, argparse.SUPPRESS, argparse.SUPPRESS)
    return parser


def _add_global_flags(parser: argparse.ArgumentParser, config: str | None, level: str) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", default=config, help="settings in TOML")
    parser.add_argument(
        "--log.level", dest="log_level", choices=LEVELS, metavar="LEVEL", default=level,
        help=f"least important events to log: {', '.join(LEVELS)} (default info)",
    )  # fmt: skip


def _no_such_verb(name: str, verbs: Mapping[str, Verb]) -> str:
    close = get_close_matches(name, verbs, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(verbs)}"
    return f"there is no verb {name!r}; {hint}"


def _ways_in(verbs: Mapping[str, Verb]) -> str:
    ways = [(who, command, what) for verb, who, command, what in _WAYS_IN if verb in verbs]
    who_width, command_width = (max((len(way[column]) for way in ways), default=0) for column in (0, 1))
    lines = [f"  {who:<{who_width}}  {command:<{command_width}}  {what}" for who, command, what in ways]
    return "\n".join(
        [
            "warpgauge tells the truth about every accelerator. Three ways in:",
            "",
            *lines,
            "",
            "warpgauge --help lists all verbs.",
        ]
    )


def _say(text: str) -> None:
    print(text)  # noqa: T201 - the answer to the person who typed the command
