"""The folder of the history: `date=YYYY-MM-DD/hour=HH/NAME.parquet` (UTC), and what has to go from it.

A file appears under its name only once it is whole and on the disk. Its name says how many rows it has, so that what
goes can be counted without a look inside; files of other names are never touched.
"""

from __future__ import annotations

import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from warpgauge.core.atomic import force_directory, write_atomically
from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Folder", "Stored", "hour_of"]

_NAME: Final = re.compile(r"(?P<first>\d{1,15})-(?P<rows>\d{1,12})-[0-9a-f]{8}\.parquet")
_LEFTOVER: Final = re.compile(r"\.\d{1,15}-\d{1,12}-[0-9a-f]{8}\.parquet\..*\.tmp")
_HOUR: Final = re.compile(r"date=(\d{4}-\d{2}-\d{2})/hour=(\d{2})")
_HOUR_SECONDS: Final = 3600
_MODE: Final = 0o640


@dataclass(frozen=True, slots=True)
class Stored:
    """One file; `hour` since the epoch."""

    hour: int
    path: Path
    rows: int
    bytes: int


class Folder:
    """Files of the history; for one thread of one process."""

    def __init__(self, path: Path, *, sync: Callable[[int], None] | None = None) -> None:
        """`sync` replaces fsync in tests.

        Raises:
            StorageError: the folder cannot be made or listed.

        """
        self.path = path
        self._sync: Mapping[str, Callable[[int], None]] = {} if sync is None else {"sync": sync}
        try:
            path.mkdir(mode=0o750, parents=True, exist_ok=True)
            for leftover in self._walk(_LEFTOVER):
                leftover.unlink(missing_ok=True)  # of a process that was killed while it wrote
            self.files = sorted(self._stored(), key=lambda file: (file.hour, file.path.name))
        except OSError as error:
            msg = f"cannot use the history folder {path}: {error.strerror or error}"
            raise StorageError(msg) from error

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def oldest(self) -> float | None:
        """When the oldest hour began, in seconds since the epoch."""
        return float(self.files[0].hour * _HOUR_SECONDS) if self.files else None

    def add(self, hour: int, first_ms: int, rows: int, content: memoryview) -> None:
        """Write one file; it is whole and on the disk once this returns.

        Raises:
            StorageError: the disk does not take it; nothing of it is visible.

        """
        moment = datetime.fromtimestamp(hour * _HOUR_SECONDS, tz=UTC)
        folder = self.path / f"date={moment:%Y-%m-%d}" / f"hour={moment:%H}"
        path = folder / f"{first_ms}-{rows}-{secrets.token_hex(4)}.parquet"
        try:
            if not folder.is_dir():
                folder.mkdir(mode=0o750, parents=True, exist_ok=True)
                force_directory(folder.parent, **self._sync)
                force_directory(self.path, **self._sync)
        except OSError as error:
            msg = f"cannot make {folder}: {error.strerror or error}"
            raise StorageError(msg) from error
        write_atomically(path, [content], mode=_MODE, **self._sync)
        self.files.append(Stored(hour, path, rows, len(content)))
        self.files.sort(key=lambda file: (file.hour, file.path.name))

    def drop_older(self, than: float) -> int:
        """Remove the files of hours that ended before a time in seconds since the epoch; gives their rows."""
        return self._drop(sum((file.hour + 1) * _HOUR_SECONDS <= than for file in self.files))

    def drop_beyond(self, most_bytes: int) -> int:
        """Remove the oldest files until the others are no larger than this; gives their rows."""
        excess, count = self.bytes - most_bytes, 0
        while excess > 0 and count < len(self.files):
            excess -= self.files[count].bytes
            count += 1
        return self._drop(count)

    def _drop(self, count: int) -> int:
        """Remove the oldest files; one that cannot be removed stays and is tried again."""
        gone, kept = 0, self.files[count:]
        for file in self.files[:count]:
            try:
                file.path.unlink(missing_ok=True)
            except OSError:
                kept.insert(0, file)
                continue
            gone += file.rows
            with suppress(OSError):  # not empty, mostly
                file.path.parent.rmdir()
                file.path.parent.parent.rmdir()
        self.files = sorted(kept, key=lambda file: (file.hour, file.path.name))
        return gone

    def _stored(self) -> Iterator[Stored]:
        for path in self._walk(_NAME):
            hour, found = hour_of(path), _NAME.fullmatch(path.name)
            if hour is not None and found is not None:
                yield Stored(hour, path, int(found["rows"]), path.stat().st_size)

    def _walk(self, name: re.Pattern[str]) -> Iterator[Path]:
        return (path for path in self.path.glob("date=*/hour=*/*") if name.fullmatch(path.name))


def hour_of(path: Path) -> int | None:
    """Hours since the epoch of the partition that a file stands in; None if it stands in none."""
    found = _HOUR.fullmatch("/".join(path.parts[-3:-1]))
    if found is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}:00:00+00:00")
    except ValueError:
        return None
    return int(moment.timestamp()) // _HOUR_SECONDS
