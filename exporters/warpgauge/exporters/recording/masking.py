"""What is hidden in a recording, and how: the same input gets the same mask within one recording, and none leads back.

Hidden, because it names one machine, one board or one user:
  UUIDs of GPUs, MIG instances, vGPUs and NVLink clusters; serial numbers; GUIDs and chassis numbers of the platform;
  the host name; process ids and names (the numbers are handed out anew, in the order they appear).
Kept, because it names a kind of thing or a place that every machine of its model has:
  board part numbers, VBIOS and inforom versions, PCI addresses, slots, minor numbers, board ids (made of the PCI
  address), fabric cliques; and without it a recording explains nothing.
Masks are HMACs under a random key that is nowhere stored. They have the form of what they replace, and go into the raw
bytes, by the name of the function or of the member of the struct, and wherever else a UUID or a hidden serial stands.
"""

from __future__ import annotations

import ctypes
import hmac
import re
import secrets
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple

__all__ = ["MEMBERS", "Masking", "Rule"]

_UUID: Final = re.compile(rb"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_NO_PID: Final = {0, 0xFFFFFFFF}  # none, and "not available"
_FIRST_PID: Final = 100_001
_PID_BYTES: Final = 4


class Rule(Enum):
    """How one thing is hidden."""

    TEXT = "text"  # letters and digits, in place
    BYTES = "bytes"  # a binary identity; becomes ASCII, because pynvml reads some as text
    PID = "pid"


MEMBERS: Final = {
    "uuid": Rule.TEXT,
    "serial": Rule.TEXT,
    "chassisSerialNumber": Rule.TEXT,
    "processName": Rule.TEXT,
    "hostname": Rule.TEXT,
    "nameSpace": Rule.TEXT,
    "clusterUuid": Rule.BYTES,
    "ibGuid": Rule.BYTES,
    "rackGuid": Rule.BYTES,
    "hostId": Rule.BYTES,
    "pid": Rule.PID,
    "subProcessPid": Rule.PID,
}
"""Members of structs that are hidden, whatever the function."""

_OUTPUTS: Final = {
    "nvmlDeviceGetUUID": Rule.TEXT,
    "nvmlDeviceGetSerial": Rule.TEXT,
    "nvmlDeviceGetHostname_v1": Rule.TEXT,
    "nvmlDeviceGetPdi": Rule.BYTES,
    "nvmlSystemGetProcessName": Rule.TEXT,
    "nvmlVgpuInstanceGetUUID": Rule.TEXT,
    "nvmlVgpuInstanceGetVmID": Rule.TEXT,
    "nvmlVgpuInstanceGetMdevUUID": Rule.TEXT,
}
"""Functions that write nothing but an identity, into their first buffer."""

_PID_ARGUMENTS: Final = {"nvmlSystemGetProcessName": 0, "nvmlDeviceGetAccountingStats": 1}
_PID_LISTS: Final = {"nvmlDeviceGetAccountingPids": 2, "nvmlVgpuInstanceGetAccountingPids": 2}
_GIVEN_TEXTS: Final = {"nvmlDeviceGetHandleBySerial", "nvmlDeviceGetHandleByUUID", "nvmlDeviceSetHostname_v1"}


class _Spot(NamedTuple):
    """Something to hide inside a type."""

    offset: int
    size: int
    rule: Rule


class Masking:
    """The masks of one recording."""

    def __init__(self, key: bytes | None = None) -> None:
        """The key is random unless a test gives one."""
        self._key = key or secrets.token_bytes(32)
        self._pids: dict[int, int] = {}
        self._masks: set[bytes] = set()  # UUIDs of our own making
        self._secrets: dict[bytes, bytes] = {}  # hidden texts without a form of their own, wherever they stand

    def host(self, name: str) -> str:
        """What stands for a host name."""
        return f"host-{self._digest(name.encode()).hex()[:8]}"

    def number(self, function: str, place: int, value: int) -> int:
        """A number that a function is given."""
        return self.pid(value) if _PID_ARGUMENTS.get(function) == place else value

    def text(self, function: str, text: str) -> str:
        """A text that a function is given or that it points to."""
        raw = text.encode()
        hidden = self._text(raw) if function in _GIVEN_TEXTS else self._anywhere(raw)
        return hidden.decode(errors="replace")

    def memory(self, function: str, place: int, kind: Any, content: bytes, *, is_first: bool) -> bytes:  # noqa: ANN401 - a ctypes type
        """The content of a buffer; as long as before."""
        raw = bytearray(content)
        for spot in self._spots(function, place, kind, len(raw), is_first=is_first):
            part = bytes(raw[spot.offset : spot.offset + spot.size])
            raw[spot.offset : spot.offset + spot.size] = self._hidden(part, spot.rule)
        return self._anywhere(bytes(raw))

    def pid(self, value: int) -> int:
        """A number handed out anew; 0 and "not available" say nothing and stay."""
        if value in _NO_PID:
            return value
        return self._pids.setdefault(value, _FIRST_PID + len(self._pids))

    def _spots(self, function: str, place: int, kind: Any, size: int, *, is_first: bool) -> list[_Spot]:  # noqa: ANN401
        spots = list(_spots_in(kind))
        if is_first and function in _OUTPUTS:
            spots.append(_Spot(0, size, _OUTPUTS[function]))
        if _PID_LISTS.get(function) == place:
            spots += [_Spot(offset, _PID_BYTES, Rule.PID) for offset in range(0, size, _PID_BYTES)]
        return spots

    def _hidden(self, part: bytes, rule: Rule) -> bytes:
        if rule is Rule.PID:
            return self.pid(int.from_bytes(part, "little")).to_bytes(len(part), "little")
        if rule is Rule.BYTES:
            return self._digest(part).hex().encode()[: len(part)].ljust(len(part), b"0") if any(part) else part
        text, end, rest = part.partition(b"\0")
        return self._text(text) + end + rest

    def _text(self, text: bytes) -> bytes:
        """Letters and digits become others; a UUID keeps its form, and what stands around it is what kind it is."""
        if not text or _UUID.search(text):
            return self._anywhere(text)
        if text not in self._secrets:
            noise = self._digest(text) * (len(text) // 32 + 1)
            self._secrets[text] = bytes(_other(old, new) for old, new in zip(text, noise, strict=False))
        return self._secrets[text]

    def _anywhere(self, raw: bytes) -> bytes:
        raw = _UUID.sub(self._uuid, raw)
        for secret, mask in self._secrets.items():
            if len(secret) >= _SHORTEST_SECRET:
                raw = raw.replace(secret, mask)
        return raw

    def _uuid(self, match: re.Match[bytes]) -> bytes:
        if match[0] in self._masks:  # has been through here
            return match[0]
        digits = self._digest(match[0].lower()).hex()[:32].encode()
        mask = b"-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        self._masks.add(mask)
        return mask

    def _digest(self, data: bytes) -> bytes:
        return hmac.digest(self._key, data, "sha256")


_SHORTEST_SECRET: Final = 8  # a shorter text may be part of something else by chance


def _other(old: int, noise: int) -> int:
    """A character of the same sort."""
    if chr(old).isdecimal():
        return ord("0") + noise % 10
    return ord("a") + noise % 26 if chr(old).isalpha() else old


@lru_cache(maxsize=1024)
def _spots_in(kind: Any) -> tuple[_Spot, ...]:  # noqa: ANN401 - any ctypes type
    """What is to hide inside a type, by the names of its members."""
    if issubclass(kind, ctypes.Array):
        size, inner = ctypes.sizeof(kind._type_), _spots_in(kind._type_)
        places = range(kind._length_ if inner else 0)
        return tuple(spot._replace(offset=place * size + spot.offset) for place in places for spot in inner)
    if not issubclass(kind, ctypes.Structure | ctypes.Union):
        return ()
    found = []
    for name, member, *_ in getattr(kind, "_fields_", ()):
        start = getattr(kind, name).offset
        if name in MEMBERS:
            found.append(_Spot(start, ctypes.sizeof(member), MEMBERS[name]))
        else:
            found += [spot._replace(offset=start + spot.offset) for spot in _spots_in(member)]
    return tuple(found)
