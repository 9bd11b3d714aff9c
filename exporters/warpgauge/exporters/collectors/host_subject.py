"""A subject: one source of figures about the host and the catalog rows that come out of it."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import host
from warpgauge.core.errors import InputError
from warpgauge.core.sample import ReadError, Sample, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.core.catalog import Metric, Tier

__all__ = ["DISK", "FILESYSTEM", "LOAD", "MEMORY", "NETWORK", "SWAP_TRAFFIC", "Reading", "Subject", "why"]

LOAD: Final = (host.LOAD1, host.LOAD5, host.LOAD15)
MEMORY: Final = (host.MEMORY_TOTAL, host.MEMORY_AVAILABLE, host.MEMORY_FREE, host.SWAP_TOTAL, host.SWAP_FREE)
SWAP_TRAFFIC: Final = (host.SWAP_IN, host.SWAP_OUT)
DISK: Final = (host.DISK_READ, host.DISK_WRITTEN, host.DISK_READS, host.DISK_WRITES, host.DISK_IO_TIME)
NETWORK: Final = (
    host.NETWORK_RECEIVE,
    host.NETWORK_TRANSMIT,
    host.NETWORK_RECEIVE_ERRORS,
    host.NETWORK_TRANSMIT_ERRORS,
)
FILESYSTEM: Final = (host.FILESYSTEM_SIZE, host.FILESYSTEM_AVAILABLE)

# Not a failure: this kernel, or the way it was booted, does not have that source.
_NOT_THERE: Final = frozenset({errno.ENOENT, errno.EOPNOTSUPP, errno.ENODEV, errno.ENOTDIR})

Reading = tuple[list[Sample], list[ReadError]]


@dataclass(frozen=True, slots=True)
class Subject:
    """One source, the rows it fills, and how to read it; whatever goes wrong costs these rows only."""

    name: str
    rows: tuple[Metric, ...]
    read: Callable[[], list[Sample]]
    failures: tuple[type[Exception], ...] = (InputError,)  # what its reading raises beside OSError

    def due(self, tier: Tier) -> Reading:
        """The rows of that tier; nothing at all when none of this subject's rows is due."""
        if all(row.tier is not tier for row in self.rows):
            return [], []
        samples, errors = self._attempt()
        return [sample for sample in samples if sample.metric.tier is tier], errors

    def _attempt(self) -> Reading:
        try:
            return self.read(), []
        except OSError as error:
            if error.errno in _NOT_THERE:
                return self._without(why(error)), []
            reason = "permission" if isinstance(error, PermissionError) else "unreadable"
            return self._without(why(error)), [ReadError(reason, f"{self.name}: {why(error)}")]
        except self.failures as error:
            return self._without(str(error)), [ReadError("malformed", f"{self.name}: {error}")]

    def _without(self, reason: str) -> list[Sample]:
        """Every row Unavailable; labels that nobody could read are empty."""
        return [Sample(row, ("",) * len(row.labels), Unavailable(reason)) for row in self.rows]


def why(error: OSError) -> str:
    """The reason as a person reads it: `/proc/pressure/io: No such file or directory`."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
