"""HELO, PING, PONG: both sides prove that they know the shared key, and the sender who it is, without telling either.

The receiver begins, so whoever has a key to prove waits for it. Digests are SHA-512 in hex over salt, own host name,
the receiver's nonce and the key.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from warpgauge.core.errors import InputError

__all__ = ["Credentials", "Helo", "check_pong", "helo_of", "ping"]

_HELO_WORDS: Final = 2
_PONG_WORDS: Final = 5
_SHOWN: Final = 200  # characters of the receiver's reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What proves us to a receiver; an empty key stands for a receiver that asks for none."""

    hostname: str
    shared_key: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Helo:
    """What the receiver opens with."""

    nonce: bytes
    auth_salt: bytes  # empty: it asks for no user


def helo_of(message: object) -> Helo | None:
    """The opening, None if this is another message.

    Raises:
        InputError: it says HELO and is malformed.

    """
    if not isinstance(message, list) or not message or message[0] != "HELO":
        return None
    options = message[1] if len(message) == _HELO_WORDS else None
    if not isinstance(options, dict) or "nonce" not in options:
        msg = "the receiver's HELO has no nonce"
        raise InputError(msg)
    return Helo(_bytes(options["nonce"]), _bytes(options.get("auth", "")))


def ping(helo: Helo, credentials: Credentials, salt: str) -> list[str]:
    """Our answer to a HELO."""
    key = _digest(salt.encode(), credentials.hostname, helo.nonce, credentials.shared_key)
    password = ""
    if helo.auth_salt:
        secret = helo.auth_salt + credentials.username.encode() + credentials.password.encode()
        password = hashlib.sha512(secret).hexdigest()
    user = credentials.username if helo.auth_salt else ""
    return ["PING", credentials.hostname, salt, key, user, password]


def check_pong(message: object, helo: Helo, credentials: Credentials, salt: str) -> None:
    """Return if the receiver took our proof and gave its own.

    Raises:
        InputError: it did not; says which.

    """
    if not isinstance(message, list) or len(message) != _PONG_WORDS or message[0] != "PONG":
        msg = "the receiver answered our PING with something else than a PONG"
        raise InputError(msg)
    _, is_accepted, reason, hostname, digest = message
    if is_accepted is not True:
        msg = f"the receiver refused our shared key or user: {str(reason)[:_SHOWN]!r}"
        raise InputError(msg)
    if hostname == credentials.hostname:
        msg = f"the receiver calls itself {credentials.hostname!r} as we do: its proof may be ours, reflected"
        raise InputError(msg)
    expected = _digest(salt.encode(), str(hostname), helo.nonce, credentials.shared_key)
    if not isinstance(digest, str) or not hmac.compare_digest(digest.encode("utf-8", "replace"), expected.encode()):
        msg = "the receiver did not prove that it knows the shared key"
        raise InputError(msg)


def _digest(salt: bytes, hostname: str, nonce: bytes, key: str) -> str:
    host = hostname.encode("utf-8", "surrogateescape")
    return hashlib.sha512(salt + host + nonce + key.encode()).hexdigest()


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    msg = f"the receiver's HELO holds {type(value).__name__} where bytes belong"
    raise InputError(msg)
