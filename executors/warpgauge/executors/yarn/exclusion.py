"""The file of hosts that YARN is to do without (`yarn.resourcemanager.nodes.exclude-path`), in its plain form.

One host a line, and what follows `#` is a comment: there stands for which recommendation a host was put in, so that we
know our own lines and never touch another's. YARN reads the file when told to refresh its nodes.
"""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING, Final

from warpgauge.core.atomic import write_atomically
from warpgauge.core.errors import ConfigError, InputError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Exclusion", "host_name", "mark_of"]

_HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
_ID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{7,63}")
_MOST_BYTES: Final = 16 * 2**20  # a hundred thousand hosts with comments
_MARK: Final = "warpgauge "


def host_name(text: str) -> str:
    """`text`, if it is the name of one host; InputError if it is not plainly that."""
    if not _HOST.fullmatch(text):
        msg = f"{text[:80]!r} is not the name of one host"
        raise InputError(msg)
    return text


def mark_of(advice_id: str) -> str:
    """The comment that says for which recommendation a host is excluded."""
    if not _ID.fullmatch(advice_id):
        msg = f"{advice_id[:80]!r} is not the id of a recommendation"
        raise InputError(msg)
    return f"{_MARK}{advice_id}"


class Exclusion:
    """The file; each change replaces it whole, so that YARN never reads a part."""

    def __init__(self, path: Path) -> None:
        """ConfigError for the XML form, in which no comment tells whose line it is."""
        if path.suffix == ".xml":
            msg = f"yarn.exclude_file must be a plain list of hosts, not XML: {path}"
            raise ConfigError(msg)
        self.path = path

    def hosts(self) -> dict[str, str]:
        """Each excluded host with its comment, "" without one; StorageError if the file cannot be read."""
        found: dict[str, str] = {}
        for line in self._lines():
            names, _, comment = line.partition("#")
            found |= dict.fromkeys(names.split(), comment.strip())
        return found

    def add(self, host: str, mark: str) -> None:
        """Exclude a host, with a comment; errors as for `hosts`, or as the file cannot be written."""
        self._write([*self._lines(), f"{host_name(host)} # {mark}"])

    def remove(self, host: str) -> None:
        """Let a host in again that stands on a line of ours; other lines stay as they are."""
        self._write([line for line in self._lines() if not _is_ours(line, host)])

    def _lines(self) -> list[str]:
        try:
            with self.path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except OSError as error:
            msg = f"cannot read {self.path}: {error.strerror or error}"
            raise StorageError(msg) from error
        if len(data) > _MOST_BYTES:
            msg = f"{self.path} is longer than {_MOST_BYTES} bytes"
            raise StorageError(msg)
        try:
            return data.decode().splitlines()
        except UnicodeDecodeError as error:
            msg = f"{self.path} is not text: {error}"
            raise StorageError(msg) from error

    def _write(self, lines: list[str]) -> None:
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode)  # YARN, another account, goes on reading it
        except OSError as error:
            msg = f"cannot read {self.path}: {error.strerror or error}"
            raise StorageError(msg) from error
        write_atomically(self.path, "".join(f"{line}\n" for line in lines).encode(), mode=mode)


def _is_ours(line: str, host: str) -> bool:
    name, _, comment = line.partition("#")
    return name.split() == [host] and comment.strip().startswith(_MARK)
