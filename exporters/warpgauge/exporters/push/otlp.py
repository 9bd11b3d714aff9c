"""OTLP metrics over HTTP as a sink. Specification: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

from __future__ import annotations

import gzip
from time import time
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.push.http import Poster, headers_of_file, headers_of_variable, judged
from warpgauge.exporters.push.otlp_request import Translation, refusals_of
from warpgauge.exporters.push.reading import Choice, external_labels
from warpgauge.exporters.push.sink import Acked, Retry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.config import Config
    from warpgauge.exporters.push.reading import Reading
    from warpgauge.exporters.push.sink import Outcome

__all__ = ["Otlp"]

_VARIABLE: Final = "OTEL_EXPORTER_OTLP_HEADERS"
_TYPE: Final = {"Content-Type": "application/x-protobuf"}
_GZIP_MAGIC: Final = b"\x1f\x8b"  # no message of ours begins so: what waited keeps its form when the setting changes


class Otlp:
    """Sends readings as OTLP requests."""

    name = "otlp"

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        """Take the address, labels and choice from the settings, headers from a file or the environment.

        Raises:
            ConfigError: a setting or a file that it names is unfit.

        """
        settings = config.otlp
        headers = headers_of_file(settings.headers_file)
        if not settings.headers_file:
            headers = headers_of_variable(environ.get(_VARIABLE, ""), _VARIABLE)
        self._poster = Poster(settings, headers)
        choice = Choice(config.push.keep, config.push.drop)
        self._translation = Translation(external_labels(config.push), choice.takes, started=time())
        self._is_compressed = settings.compression == "gzip"

    def encode(self, batch: Reading) -> bytes:
        """One request, compressed if the settings say so."""
        body = self._translation.request(batch)
        return gzip.compress(body, compresslevel=1, mtime=0) if self._is_compressed else body

    def send(self, body: bytes) -> Outcome:
        """Post one request: 200 is the acknowledgement, and says how many points were refused."""
        encoding = {"Content-Encoding": "gzip"} if body.startswith(_GZIP_MAGIC) else {}
        answer = self._poster.post(body, _TYPE | encoding)
        if isinstance(answer, Retry):
            return answer
        if not answer.is_ok:
            return judged(answer)
        try:
            return Acked(*refusals_of(answer.body))
        except ValueError as error:
            return Retry(f"HTTP {answer.status} with an answer that is not OTLP's: {error}")

    def check(self) -> str:
        """What the receiver says to a request without metrics.

        Raises:
            OSError: it does not take even that.

        """
        outcome = self.send(b"")
        if not isinstance(outcome, Acked):
            raise OSError(outcome.reason)
        return f"{self._poster.url} took an empty request"

    def close(self) -> None:
        """Nothing is kept open."""
