"""Inference servers of this node: reads their own metrics pages, each in a thread of its own.

A server that hangs, lies or goes away costs its own series; it is asked again at the next tick. Nothing is asked
unless `agent.serving_urls` names it or `agent.serving_discovery` allows to look at the usual ports.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.error import URLError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from warpgauge.core.catalog import Tier, serving
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.errors import InputError
from warpgauge.core.sample import ReadError, Sample
from warpgauge.exporters.collectors.serving_pages import to_samples
from warpgauge.exporters.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.core.device import Device

__all__ = ["ServingCollector", "fetch", "listening_ports"]

USUAL_PORTS: Final = (8000, 8002, 8080, 3000, 30000)  # vLLM, Triton, TGI (two), SGLang
_SOCKET_SECONDS: Final = 0.8
_PATIENCE_SECONDS: Final = 1.0  # for all of them together, within the deadline of a reading
_MOST_BYTES: Final = 8 << 20
_MOST_ENDPOINTS: Final = 32
_LISTEN: Final = "0A"  # TCP_LISTEN, include/net/tcp_states.h


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """A metrics page that sends us elsewhere is none."""


def fetch(url: str) -> str:
    """A page of this node, without proxies and redirects, at most 8 MiB.

    Raises:
        OSError: it cannot be had, or is too large.
        ValueError: it is not UTF-8, or the address is none.

    """
    opener = build_opener(ProxyHandler({}), _NoRedirect())
    with opener.open(Request(url, headers={"Accept": "text/plain"}), timeout=_SOCKET_SECONDS) as response:  # noqa: S310 - http or https, as the settings check
        body: bytes = response.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        msg = f"{url}: the page is larger than {_MOST_BYTES >> 20} MiB"
        raise OSError(msg)
    return body.decode()


@dataclass(slots=True)
class _Endpoint:
    """One page; the result is written by its lane and taken by the reader once the lane is idle."""

    url: str
    lane: Lane
    is_named: bool  # by the settings, so that its absence is worth a word
    server: str = ""  # as it was last known
    result: tuple[list[Sample], ReadError | None] = ((), None)  # type: ignore[assignment]


class ServingCollector:
    """Reads every inference server that was named or found."""

    name = "serving"
    isolated = False

    def __init__(
        self,
        *,
        urls: Sequence[str] = (),
        discovers: bool = False,
        proc_root: str | Path = "/proc",
        get: Callable[[str], str] = fetch,
        clock: Clock | None = None,
    ) -> None:
        self._lanes: dict[str, Lane] = {}  # a thread never ends, so that a server that comes back gets its old one
        self._endpoints = {url: self._endpoint(url, is_named=True) for url in urls[:_MOST_ENDPOINTS]}
        self._discovers = discovers
        self._proc_root = Path(proc_root)
        self._get = get
        self._clock = clock or SystemClock()

    def check(self) -> str | None:
        """None if there is something to ask."""
        if self._endpoints or self._discovers:
            return None
        return "agent.serving_urls names no server and agent.serving_discovery is off"

    def devices(self) -> Sequence[Device]:
        """None: servers are no devices."""
        return ()

    def read(self, tier: Tier, device: Device | None = None) -> tuple[list[Sample], list[ReadError]]:  # noqa: ARG002 - the protocol's shape
        """Every server's series at each normal tick; the usual ports are looked at once a minute."""
        if tier is Tier.SLOW and self._discovers:
            self._discover()
        if tier is not Tier.NORMAL:
            return [], []
        asked = [one for one in self._endpoints.values() if one.lane.start(lambda one=one: self._ask(one))]  # type: ignore[misc]  # mypy: a default is no parameter of the job
        until = self._clock.monotonic() + _PATIENCE_SECONDS
        done = [one for one in asked if one.lane.wait(max(until - self._clock.monotonic(), 0.0))]
        samples: list[Sample] = []
        errors: list[ReadError] = []
        for one in self._endpoints.values():
            found, error = one.result if one in done else _silent(one)
            samples += found
            errors += [error] if error is not None else []
        return samples, errors

    def close(self) -> None:
        """Threads that still ask end with the process."""

    def _endpoint(self, url: str, *, is_named: bool) -> _Endpoint:
        lane = self._lanes.get(url) or Lane(f"serving {url}")
        self._lanes[url] = lane
        return _Endpoint(url, lane, is_named)

    def _ask(self, one: _Endpoint) -> None:
        one.result = self._page(one)

    def _page(self, one: _Endpoint) -> tuple[list[Sample], ReadError | None]:
        try:
            samples = to_samples(self._get(one.url), one.url)
        except InputError as error:
            return _down(one, "malformed", str(error))
        except UnicodeDecodeError as error:
            return _down(one, "malformed", f"{one.url}: {error.reason}")
        except (URLError, OSError, ValueError) as error:
            return _down(one, "timeout" if "timed out" in str(error) else "unreachable", f"{one.url}: {error}"[:200])
        if not samples:
            return _down(one, "unknown_server", f"{one.url}: neither vLLM, SGLang, Triton nor TGI")
        one.server = samples[0].labels[0]
        return samples, None

    def _discover(self) -> None:
        urls = {f"http://127.0.0.1:{port}/metrics" for port in listening_ports(self._proc_root) if port in USUAL_PORTS}
        for url in sorted(urls - self._endpoints.keys()):
            if len(self._endpoints) < _MOST_ENDPOINTS:
                self._endpoints[url] = self._endpoint(url, is_named=False)
        for url in [url for url, one in self._endpoints.items() if not one.is_named and url not in urls]:
            del self._endpoints[url]


def listening_ports(proc_root: Path) -> set[int]:
    """TCP ports that somebody listens on in our network namespace (man 5 proc, /proc/net/tcp)."""
    found = set()
    for name in ("tcp", "tcp6"):
        try:
            lines = (proc_root / "net" / name).read_text(encoding="ascii").splitlines()[1:]
        except (OSError, ValueError):
            continue
        for line in lines:
            words = line.split()
            if len(words) > 3 and words[3] == _LISTEN:  # noqa: PLR2004 - sl, local, remote, state
                found.add(int(words[1].rpartition(":")[2], 16))
    return found


def _silent(one: _Endpoint) -> tuple[list[Sample], ReadError | None]:
    return _down(one, "timeout", f"{one.url}: no answer within {_PATIENCE_SECONDS} s")


def _down(one: _Endpoint, reason: str, detail: str) -> tuple[list[Sample], ReadError | None]:
    """A server that was found by its port and never was one we know is nobody's loss."""
    if not one.is_named and not one.server:
        return [], None
    return [Sample(serving.UP, (one.server, one.url), 0.0)], ReadError(reason, detail)
