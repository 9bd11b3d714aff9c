"""The kernel's ring buffer as it grows: /dev/kmsg, read by the event loop, never waited for.

Format: Documentation/ABI/testing/dev-kmsg in the kernel's sources: `priority,sequence,microseconds,flags;message`,
continued by lines that start with a blank. One read gives one record.
"""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["KernelLog", "message_of"]

_LOG: Final = logging.getLogger(__name__)
_RECORD_BYTES: Final = 8192  # the kernel's CONSOLE_EXT_LOG_MAX: a smaller buffer would be refused with EINVAL
_RECORDS_AT_ONCE: Final = 256  # then others have their turn


def message_of(record: str) -> str:
    """The message of a record; a line without the kernel's prefix is taken as it is."""
    prefix, separator, message = record.partition(";")
    return message if separator and prefix.count(",") >= 3 else record  # noqa: PLR2004 - the four words of the format


class KernelLog:
    """Passes on each message that is written from now on."""

    def __init__(self, path: str | Path, heard: Callable[[str], None]) -> None:
        self._path = path
        self._heard = heard
        self._descriptor: int | None = None

    def open(self) -> bool:
        """Begin to listen; False, and one line in our log, where the kernel log cannot be read."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            return self._give_up(error)
        with suppress(OSError):  # not every file has an end to go to
            os.lseek(descriptor, 0, os.SEEK_END)
        self._descriptor = descriptor
        try:
            asyncio.get_running_loop().add_reader(descriptor, self._look)
        except OSError as error:  # a regular file: nothing tells when it grows
            self.close()
            return self._give_up(error)
        return True

    def close(self) -> None:
        """Stop listening."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _look(self) -> None:
        for _ in range(_RECORDS_AT_ONCE):
            if self._descriptor is None:
                return
            try:
                record = os.read(self._descriptor, _RECORD_BYTES)
            except BlockingIOError:
                return
            except BrokenPipeError:  # the buffer ran over before we came: the next read goes on with what is left
                continue
            except OSError as error:
                self.close()
                self._give_up(error)
                return
            if not record:
                self.close()
                return
            for line in record.decode(errors="replace").splitlines():
                if not line.startswith(" "):
                    self._heard(message_of(line))

    def _give_up(self, error: OSError) -> bool:
        _LOG.warning("kernel log not readable", extra={"path": str(self._path), "why": error.strerror})
        return False
