"""Which of several analyzers may recommend: the one that locks the data directory, or holds a lease in a shared file.

The file is SQLite, on a file system with working locks. Who holds the lease renews it at every tick; whoever finds it
run out takes it. Times are compared on the machines' own clocks, so a lease is long against their difference.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from warpgauge.core.clock import Clock

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["LEASE_SECONDS", "DirectoryLock", "Lease"]

LEASE_SECONDS: Final = 30.0
_RENEW_AFTER_SECONDS: Final = 5.0
_BUSY_SECONDS: Final = 1.0


class DirectoryLock:
    """The lease of analyzers that share a data directory on one machine: a lock that ends with the process."""

    def __init__(self, directory: Path) -> None:
        """Make the file if there is none.

        Raises:
            StorageError: it cannot be made.

        """
        path = directory / "acting.lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            msg = f"cannot use the lock {path}: {error.strerror or error}"
            raise StorageError(msg) from error
        self.is_held = False

    def hold(self) -> bool:
        """Take it if it is free; whether it is ours."""
        if not self.is_held:
            self.is_held = _lock(self._descriptor)
        return self.is_held

    def release(self) -> None:
        """Let the next one have it."""
        self.is_held = False
        os.close(self._descriptor)


def _lock(descriptor: int) -> bool:
    if fcntl is None:  # Windows: one analyzer per data directory is the user's business there
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Lease:
    """One analyzer's share in the lease."""

    def __init__(self, path: Path, clock: Clock, *, holder: str = "") -> None:
        """Make the file if there is none.

        Raises:
            StorageError: it cannot be used.

        """
        self._path = path
        self._clock = clock
        self.holder = holder or f"{platform.node()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        self._until = float("-inf")  # on our own monotonic clock: until then it is surely ours
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS lease (one INTEGER PRIMARY KEY, holder TEXT, until REAL)"
            )
        except (OSError, sqlite3.DatabaseError) as error:
            msg = f"cannot use the lease file {path}: {error}"
            raise StorageError(msg) from error

    @property
    def is_held(self) -> bool:
        """Whether it is ours right now; asks nobody, so it can be asked right before each act."""
        return self._clock.monotonic() < self._until

    def hold(self) -> bool:
        """Take or renew it; whether it is ours. Where the file cannot be used it is ours until it runs out."""
        if self._until - self._clock.monotonic() > LEASE_SECONDS - _RENEW_AFTER_SECONDS:
            return True
        asked = self._clock.monotonic()
        try:
            if self._renew():
                self._until = asked + LEASE_SECONDS
        except sqlite3.DatabaseError:
            pass
        return self.is_held

    def _renew(self) -> bool:
        now = self._clock.now()
        cursor = self._connection.execute(
            "INSERT INTO lease VALUES (1, ?1, ?2) ON CONFLICT (one) DO UPDATE SET holder = ?1, until = ?2"
            " WHERE holder = ?1 OR until <= ?3",
            (self.holder, now + LEASE_SECONDS, now),
        )
        if cursor.rowcount == 0:
            self._until = float("-inf")
        return cursor.rowcount > 0

    def release(self) -> None:
        """Let the next one have it at once."""
        with suppress(sqlite3.DatabaseError):  # it runs out by itself
            self._connection.execute("DELETE FROM lease WHERE holder = ?", (self.holder,))
        self._until = float("-inf")
        self._connection.close()
