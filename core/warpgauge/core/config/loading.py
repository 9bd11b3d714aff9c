"""Flags > environment > file > defaults; every value is checked with its place in the message."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.config.in_force import Config
from warpgauge.core.config.settings import Setting, Value, settings_of
from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["load"]

_CLASSES: Final[dict[str, Any]] = {section: type(getattr(Config(), section)) for section in Config.sections()}
_PREFIX: Final = "WARPGAUGE_"
_MAX_BYTES: Final = 1 << 20

_Found = tuple[str, Value, str]
"""Key, checked value, where it came from."""


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, str]) -> Config:
    """Settings in force; `overrides` are the command line's, keyed "section.key".

    Raises:
        ConfigError: a file cannot be read, a key is unknown or a value is wrong; the message names the place.

    """
    rows = {row.key: row for section, cls in _CLASSES.items() for row in settings_of(section, cls).values()}
    found = [
        *(_from_file(path, rows) if path else ()),
        *_from_environment(environ, rows),
        *((key, _row(rows, key, "command line").read_text(text, "command line"), "command line")
          for key, text in overrides.items()),
    ]  # fmt: skip
    values: dict[str, dict[str, Value]] = {section: {} for section in _CLASSES}
    for key, value, _ in found:
        section, _, name = key.partition(".")
        values[section][name] = value
    built = {section: cls(**values[section]) for section, cls in _CLASSES.items()}
    return Config(**built, origins={key: origin for key, _, origin in found})


def _from_file(path: Path, rows: Mapping[str, Setting]) -> Iterator[_Found]:
    for section, table in _document(path).items():
        if section not in _CLASSES:
            known = [*_CLASSES, *rows]
            msg = f"there is no section [{section}]{_suggestion(section, known)} ({path})"
            raise ConfigError(msg)
        if not isinstance(table, dict):
            msg = f"{section} must be a section [{section}], got {table!r} ({path})"
            raise ConfigError(msg)
        for name, raw in table.items():
            key = f"{section}.{name}"
            yield key, _row(rows, key, str(path)).read(raw, str(path)), str(path)


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            msg = f"{path} is larger than {_MAX_BYTES} bytes, this is no configuration file"
            raise ConfigError(msg)
        return tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        msg = f"cannot read the configuration {path}: {error.strerror or error}"
        raise ConfigError(msg) from error
    except UnicodeDecodeError as error:
        msg = f"{path} is not UTF-8 text (byte {error.start})"
        raise ConfigError(msg) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        msg = f"{path} is not valid TOML: {error}"
        raise ConfigError(msg) from error


def _from_environment(environ: Mapping[str, str], rows: Mapping[str, Setting]) -> Iterator[_Found]:
    """Values of our variables; others that start with a section's prefix are errors, all else is not ours."""
    names = {_PREFIX + key.upper().replace(".", "_"): key for key in rows}
    prefixes = tuple(f"{_PREFIX}{section.upper()}_" for section in _CLASSES)
    for variable, text in environ.items():
        if not variable.startswith(prefixes):
            continue
        key = names.get(variable)
        if key is None:
            msg = f"there is no setting for the environment variable {variable}{_suggestion(variable, names)}"
            raise ConfigError(msg)
        place = f"environment variable {variable}"
        yield key, rows[key].read_text(text, place), place


def _row(rows: Mapping[str, Setting], key: str, place: str) -> Setting:
    row = rows.get(key)
    if row is None:
        msg = f"there is no setting {key}{_suggested_setting(key, rows)} ({place})"
        raise ConfigError(msg)
    return row


def _suggested_setting(key: str, rows: Mapping[str, Setting]) -> str:
    """By the name first: next to a long name of a section every other one of it looks close."""
    section, _, name = key.partition(".")
    names = [row.partition(".")[2] for row in rows if row.startswith(f"{section}.")]
    close = get_close_matches(name, names, n=1) or [row for row in rows if row.endswith(f".{name}")]
    if not close:
        return "; warpgauge config show lists all"
    return f"; did you mean {close[0] if '.' in close[0] else f'{section}.{close[0]}'}?"


def _suggestion(word: str, known: Mapping[str, Any] | list[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""
