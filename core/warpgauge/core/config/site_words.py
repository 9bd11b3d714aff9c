"""Words that the sections about one site share: matchers, labels, durations, NAME=VALUE, each with an exact error."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["is_duration", "known", "label", "pairs", "selector"]

_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_DURATION: Final = re.compile(r"(\d+[smhdw])+")
_MATCHER: Final = r'[a-zA-Z_][a-zA-Z0-9_]*\s*(=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"'
_SELECTOR: Final = re.compile(rf"{_MATCHER}(\s*,\s*{_MATCHER})*")


def selector(text: str, key: str) -> str:
    """Matchers without braces, or nothing; `key` names the setting in the error."""
    if text and not _SELECTOR.fullmatch(text):
        msg = f'{key} must be matchers without braces such as env="prod",region="eu", got {text!r}'
        raise ConfigError(msg)
    return text


def label(name: str, key: str) -> str:
    """The name of a label."""
    if not _LABEL.fullmatch(name):
        msg = f"{key}: {name!r} cannot be the name of a label"
        raise ConfigError(msg)
    return name


def is_duration(text: str) -> bool:
    """Whether this is a duration as Prometheus and Grafana write it, such as 10m or 1h30m."""
    return bool(_DURATION.fullmatch(text))


def pairs(lines: Iterable[str], key: str, form: str) -> list[tuple[str, str]]:
    """Both sides of each NAME=VALUE; `form` says in the error how a line must look."""
    found = []
    for line in lines:
        name, equals, text = (part.strip() for part in line.partition("="))
        if not (name and equals and text):
            msg = f"{key}: {line!r} must be {form}"
            raise ConfigError(msg)
        found.append((name, text))
    return found


def known(name: str, names: Iterable[str], key: str, what: str) -> str:
    """A name that there is; the error suggests the nearest."""
    there = list(names)
    if name not in there:
        close = get_close_matches(name, there, n=1)
        msg = f"{key}: there is no {what} {name}{f'; did you mean {close[0]}?' if close else ''}"
        raise ConfigError(msg)
    return name
