"""Names of containers, asked of a Docker engine over its unix socket; Podman's speaks the same.

One request, GET /containers/json of the Engine API, which every version since 1.18 answers alike in what is read here
(docs.docker.com/reference/api/engine). The socket is as good as root: nothing is asked unless `agent.docker_socket`
names one. Written against that page and tested on a double: no engine could be had.
"""

from __future__ import annotations

import io
import json
import socket
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.errors import WarpgaugeError
from warpgauge.exporters.attribution.containers import SHORT_ID
from warpgauge.exporters.attribution.workload import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DockerEngine", "DockerError", "container_names"]

_REQUEST: Final = b"GET /containers/json HTTP/1.0\r\nHost: docker\r\nAccept: application/json\r\n\r\n"
_TIMEOUT_SECONDS: Final = 1.0  # for all of it
_MOST_BYTES: Final = 8 << 20  # a container is some 2 KiB
_MOST_CONTAINERS: Final = 4096
_CHUNK_BYTES: Final = 1 << 16
_OK: Final = 200


class DockerError(WarpgaugeError):
    """The engine did not say; the message tells why."""


class DockerEngine:
    """Asks one engine, a connection each time."""

    def __init__(
        self, path: str | Path, *, timeout_seconds: float = _TIMEOUT_SECONDS, clock: Clock | None = None
    ) -> None:
        self._path = Path(path)
        self._timeout_seconds = timeout_seconds
        self._clock = clock or SystemClock()

    def names(self) -> dict[str, str]:
        """Name of each running container by the short form of its id.

        Raises:
            DockerError: the engine is not there, keeps us out, is silent for a second or talks nonsense.

        """
        try:
            answer = _Heard(self._heard())
            response = HTTPResponse(cast("socket.socket", answer))
            response.begin()
            body = response.read(_MOST_BYTES + 1)
        except (OSError, HTTPException) as error:
            msg = f"{self._path}: {error or type(error).__name__}"
            raise DockerError(msg) from error
        if response.status != _OK:
            msg = f"{self._path}: status {response.status}"
            raise DockerError(msg)
        try:
            return dict(container_names(json.loads(body)))
        except (ValueError, RecursionError) as error:
            msg = f"{self._path}: {str(error)[:100]}"
            raise DockerError(msg) from error

    def _heard(self) -> bytes:
        """All that the engine says until it hangs up."""
        until = self._clock.monotonic() + self._timeout_seconds
        heard = bytearray()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout_seconds)
            connection.connect(str(self._path))
            connection.sendall(_REQUEST)
            while chunk := connection.recv(_CHUNK_BYTES):
                heard += chunk
                left = until - self._clock.monotonic()
                if left <= 0 or len(heard) > _MOST_BYTES:
                    msg = "no whole answer in time" if left <= 0 else f"more than {_MOST_BYTES >> 20} MiB"
                    raise OSError(msg)
                connection.settimeout(left)
        return bytes(heard)


class _Heard:
    """As much of a socket as HTTPResponse wants."""

    def __init__(self, heard: bytes) -> None:
        self._heard = heard

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._heard)


def container_names(listed: Any) -> Iterable[tuple[str, str]]:  # noqa: ANN401 - somebody else's JSON
    """Short id and name of each entry that has both; names begin with a slash, and links to others have more.

    Raises:
        ValueError: it is no list.

    """
    if not isinstance(listed, list):
        msg = "expected a list of containers"
        raise ValueError(msg)  # noqa: TRY004 - wrong bytes of others, not a wrong call
    for one in listed[:_MOST_CONTAINERS]:
        full, names = (one.get("Id"), one.get("Names")) if isinstance(one, dict) else (None, None)
        if not isinstance(full, str) or not isinstance(names, list):
            continue
        own = [name for name in names if isinstance(name, str) and name.count("/") == 1 and name.startswith("/")]
        if own and (name := plain(own[0].removeprefix("/"))):
            yield full[:SHORT_ID], name
