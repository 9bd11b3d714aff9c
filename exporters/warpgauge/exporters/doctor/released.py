"""Whether the agent here was told to release its devices: then the doctor does not touch the driver either."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Final
from urllib.request import ProxyHandler, build_opener

from warpgauge.exporters.doctor.check import Check, Verdict
from warpgauge.web import ListenAddress

__all__ = ["released_check", "seconds_released"]

_PATIENCE_SECONDS: Final = 1.0
_MOST_BYTES: Final = 1 << 16
_EVERY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be asked, not listened on


def seconds_released(listen_address: str) -> float | None:
    """Seconds until the agent at this address takes its devices back; None if it holds them or does not answer."""
    address = ListenAddress.parse(listen_address)
    own = ListenAddress(_EVERY_ADDRESS.get(address.host, address.host), address.port)
    without_proxy = build_opener(ProxyHandler({}))
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):  # no agent, or something else
        with without_proxy.open(f"http://{own}/api/v1/release", timeout=_PATIENCE_SECONDS) as answer:
            document = json.loads(answer.read(_MOST_BYTES))
        return float(document["seconds_left"]) if document["state"] == "released" else None
    return None


def released_check(seconds: float) -> Check:
    """What the doctor says instead of asking the driver."""
    return Check(
        "NVIDIA driver",
        Verdict.WARN,
        f"not asked: the agent was told to release the devices, and takes them back in {seconds:.0f} s",
        "wait, or end the release with POST /-/acquire, then ask again",
    )
