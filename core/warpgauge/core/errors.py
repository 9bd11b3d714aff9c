"""Every error that warpgauge raises on purpose.

WarpgaugeError            one sentence that names the place and the mend; the cli prints it and exits 2
├── ConfigError           a key, flag or environment variable holds something it must not
├── InputError            bytes from outside (a file, a page, an answer) are not what they claim to be
├── SourceError           a source of metrics cannot be reached or answers nonsense
├── MissingExtraError     a verb needs an optional dependency that is not installed
├── StorageError          a directory or database of ours cannot be read or written
└── AddressInUseError     the port we were told to listen on is taken
"""

from __future__ import annotations

__all__ = [
    "AddressInUseError",
    "ConfigError",
    "InputError",
    "MissingExtraError",
    "SourceError",
    "StorageError",
    "WarpgaugeError",
]


class WarpgaugeError(Exception):
    """An error with a message for the person at the terminal: what, where, how to mend it."""


class ConfigError(WarpgaugeError):
    """A setting is unknown, has the wrong type or is out of range."""


class InputError(WarpgaugeError):
    """Bytes from outside do not parse; the message holds the file or URL and the line."""


class SourceError(WarpgaugeError):
    """A metrics source cannot be reached, refuses us or answers something else."""


class MissingExtraError(WarpgaugeError):
    """An optional dependency is missing; the message holds the command that installs it."""

    def __init__(self, *, what: str, package: str, extra: str) -> None:
        """Name the part that needs it, the missing package and the extra that brings it."""
        super().__init__(f"{what} needs {package}: pip install '.[{extra}]' in the checkout")


class StorageError(WarpgaugeError):
    """A file, directory or database of ours cannot be used; nothing stored was changed."""


class AddressInUseError(WarpgaugeError):
    """Another process listens on the address we were given."""
