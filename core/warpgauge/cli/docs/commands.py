"""Every verb with its flags, read from the parsers themselves."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from warpgauge.cli.docs.markdown import code, page_of, rows
from warpgauge.cli.main import top_parser, verb_parser
from warpgauge.cli.verbs import available

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warpgauge.cli.verbs import Verb

__all__ = ["page"]

_INTRO: Final = """
`warpgauge VERB`, or `python -m warpgauge VERB`. Text for people goes to stdout, with `--json` JSON Lines for
machines; logs go to stderr. Exit status: 0 fine, 1 found something, 2 wrong use or bad input. A verb whose extra is
not installed says which one in one line. The flags of the first table may stand before or after the verb.
"""


def page() -> str:
    """The page of all verbs that this installation has."""
    verbs = available()
    shared = _flags(top_parser(verbs))
    table = rows(("Flag", "Default", "Meaning"), shared.values())
    return page_of("Commands", _INTRO, table, *(_verb(verb, shared) for verb in verbs.values()))


def _verb(verb: Verb, shared: dict[str, tuple[str, ...]]) -> str:
    parser = verb_parser(verb)
    verb.load().add_arguments(parser)
    flags = {name: cells for name, cells in _flags(parser).items() if name not in shared}
    words = [_word(action) for action in _arguments(parser) if not action.option_strings]
    usage = " ".join(["warpgauge", verb.name, *words, *(["[FLAGS]"] if flags else [])])
    positional = [(code(_word(action)), _meaning(action)) for action in _arguments(parser) if not action.option_strings]
    blocks = [
        f"## {verb.name}\n\n`{usage}`",
        f"{verb.help[0].upper()}{verb.help[1:]}.",
        rows(("Argument", "Meaning"), positional),
        rows(("Flag", "Default", "Meaning"), flags.values()),
    ]
    return "\n\n".join(block for block in blocks if block)


def _arguments(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    """Every argument that has a line in the help; argparse has no public list of them."""
    actions = parser._actions  # noqa: SLF001 - format_help() differs between Python versions, this list does not
    return [action for action in actions if action.help is not argparse.SUPPRESS and action.dest != "help"]


def _flags(parser: argparse.ArgumentParser) -> dict[str, tuple[str, ...]]:
    flags = [action for action in _arguments(parser) if action.option_strings]
    return {action.option_strings[-1]: (_flag(action), _default(action), _meaning(action)) for action in flags}


def _flag(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {_value(action)}"
    return ", ".join(code(f"{name}{value}") for name in action.option_strings)


def _word(action: argparse.Action) -> str:
    value = _value(action)
    return {"?": f"[{value}]", "*": f"[{value} ...]", "+": f"{value} ..."}.get(str(action.nargs), value)


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(map(str, action.choices)) if action.choices else action.dest.upper()


def _default(action: argparse.Action) -> str:
    default: Any = action.default
    is_empty = default is None or default is False or default is argparse.SUPPRESS or default in ([], ())
    return "" if is_empty else code(default)


def _meaning(action: argparse.Action) -> str:
    text = action.help or "show the version and exit"
    return f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
