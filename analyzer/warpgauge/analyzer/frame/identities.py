"""Which series is which, as a digest of its labels: so that one that is asked for again gets the id that it had.

Ids are asked for anew after a restart and after the frame forgot series; without this a counter would begin with a gap
and a job would seem to have just come.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.table import Ints

__all__ = ["DIGEST_BYTES", "Identities", "digest_of"]

DIGEST_BYTES: Final = 16


def digest_of(metric: str, labels: Mapping[str, str], part: str, origin: str) -> bytes:
    """What tells a series from all others."""
    pairs = [f"{name}\x1e{value}" for name, value in sorted(labels.items())]
    text = "\x1f".join((metric, part, origin, *pairs))
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=DIGEST_BYTES).digest()


class Identities:
    """Digests by series id, 16 bytes a series, and those that wait to be asked for again."""

    def __init__(self) -> None:
        self._digests = bytearray()
        self._waiting: dict[bytes, int] = {}

    def add(self, digest: bytes) -> None:
        """Note the digest of the next series."""
        self._digests += digest

    def claim(self, digest: bytes) -> int | None:
        """Id of the series if it was there before and nobody asked for it since, else None."""
        return self._waiting.pop(digest, None) if self._waiting else None

    def keep(self, kept: Ints) -> None:
        """Forget all series but these, numbered anew in this order; all of them may be asked for again."""
        self.fill(self.content()[kept])

    def content(self) -> NDArray[np.uint8]:
        """A copy of the digests, [series, byte]."""
        return np.frombuffer(bytes(self._digests), dtype=np.uint8).reshape(-1, DIGEST_BYTES)

    def fill(self, digests: NDArray[np.uint8]) -> None:
        """Take over what `content` gave; all of them may be asked for again."""
        self._digests = bytearray(digests.tobytes())
        self._wait()

    def _wait(self) -> None:
        raw = bytes(self._digests)
        ends = range(DIGEST_BYTES, len(raw) + 1, DIGEST_BYTES)
        self._waiting = {raw[end - DIGEST_BYTES : end]: number for number, end in enumerate(ends)}
