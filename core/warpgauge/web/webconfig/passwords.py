"""Whether a password is the one of a bcrypt hash; the only file that imports bcrypt.

One comparison takes about 60 ms of a core by design. So they run one after the other in a thread, and their outcome is
remembered for as long as user, hash and password stay the same, as Prometheus' exporters do it.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import MissingExtraError

try:
    import bcrypt
except ImportError as error:
    raise MissingExtraError(what="A web-config with basic_auth_users", package="bcrypt", extra="web-config") from error

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Passwords"]

_REMEMBERED: Final = 100
_WAITING: Final = 32  # comparisons that may queue; whoever comes then is told to come again
_LONGEST_BYTES: Final = 72  # all that bcrypt looks at; the library refuses more
_NOBODY: Final = b"$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"  # compared for unknown names


class Passwords:
    """Compares, one at a time."""

    def __init__(self) -> None:
        self._outcomes: OrderedDict[bytes, bool] = OrderedDict()
        self._salt = secrets.token_bytes(32)
        self._one_at_a_time = asyncio.Lock()
        self._waiting = 0

    @property
    def is_busy(self) -> bool:
        """Whether so many comparisons wait that another would only make it worse."""
        return self._waiting >= _WAITING

    async def match(self, users: Mapping[str, str], name: str, password: str) -> bool:
        """Whether this is the user's password; an unknown user takes as long as a known one."""
        known = users.get(name)
        hashed = known.encode() if known is not None else _NOBODY
        key = self._key(name, hashed, password)
        if (outcome := self._outcomes.get(key)) is None:
            self._waiting += 1
            try:
                async with self._one_at_a_time:
                    outcome = await asyncio.to_thread(_compare, password, hashed)
            finally:
                self._waiting -= 1
            self._outcomes[key] = outcome
            while len(self._outcomes) > _REMEMBERED:
                self._outcomes.popitem(last=False)
        return outcome and known is not None

    def _key(self, name: str, hashed: bytes, password: str) -> bytes:
        """What names a comparison without holding the password."""
        parts = (name.encode(errors="surrogateescape"), hashed, password.encode(errors="surrogateescape"))
        joined = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hashlib.blake2b(joined, key=self._salt).digest()


def _compare(password: str, hashed: bytes) -> bool:
    return bcrypt.checkpw(password.encode(errors="surrogateescape")[:_LONGEST_BYTES], hashed)
