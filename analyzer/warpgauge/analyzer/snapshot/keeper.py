"""Where the snapshot is, when it is written, and what happens to one that cannot be used: a line in the log."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.snapshot.container import open_container, write_container
from warpgauge.analyzer.snapshot.frame_content import Interrupted
from warpgauge.analyzer.snapshot.memory import Memory
from warpgauge.core.errors import InputError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from warpgauge.analyzer.snapshot.memory import Saved

__all__ = ["SNAPSHOT_FILE", "Keeper"]

SNAPSHOT_FILE: Final = "analyzer.snapshot"
_LOG: Final = logging.getLogger(__name__)
_LEAST_REST: Final = 20.0  # times what writing took: a large fleet is written less often


class Keeper:
    """Writes and reads one file; its methods block on the disk."""

    def __init__(self, directory: Path, *, interval_seconds: float) -> None:
        self.path = directory / SNAPSHOT_FILE
        self.rest_seconds = interval_seconds  # until the next one
        self._interval_seconds = interval_seconds
        self._failure = ""  # of the last write
        self._lock = threading.Lock()  # guards both: at the end a write on schedule may still be under way

    def save(self, saved: Saved) -> None:
        """Replace the file; a failure leaves the old one and is logged until it changes."""
        began = time.monotonic()
        with self._lock:
            try:
                write_container(self.path, saved.document(), saved.stored())
            except (StorageError, Interrupted) as error:
                if str(error) != self._failure:
                    self._failure = str(error)
                    _LOG.warning("snapshot not written", extra={"error": self._failure})
            else:
                if self._failure:
                    self._failure = ""
                    _LOG.info("snapshot is written again", extra={"path": str(self.path)})
        took = time.monotonic() - began
        self.rest_seconds = max(self._interval_seconds, _LEAST_REST * took)

    def load(self, *, window_seconds: float, cluster: str, now: float) -> Memory | None:
        """What the file holds; None without one, and with one that cannot be used, which is logged."""
        try:
            with open_container(self.path) as reader:
                memory = Memory.of(reader, window_seconds=window_seconds, cluster=cluster, now=now)
        except FileNotFoundError:
            return None
        except InputError as error:
            _LOG.warning("snapshot not used, starting empty", extra={"error": str(error), "path": str(self.path)})
            return None
        event = "snapshot restored" if memory.has_samples else "snapshot restored without its samples: another catalog"
        _LOG.info(event, extra={"path": str(self.path), "findings": len(memory.state.open)})
        return memory
