"""Prometheus remote write 1.0 as a sink: what a scrape would have read, at the times it was read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.push.http import Poster, headers_of_file, judged, words_of
from warpgauge.exporters.push.reading import Choice, external_labels
from warpgauge.exporters.push.sink import Acked, Dead, Retry
from warpgauge.exporters.push.write_request import EMPTY, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.config import Config
    from warpgauge.exporters.push.reading import Reading
    from warpgauge.exporters.push.sink import Outcome

__all__ = ["RemoteWrite"]

_HEADERS: Final = dict(
    line.split(": ")
    for line in (
        "Content-Type: application/x-protobuf",
        "Content-Encoding: snappy",
        "X-Prometheus-Remote-Write-Version: 0.1.0",
    )
)
# Prometheus 2.42 answers "too old sample" with 500, other versions and kinds with 400: no repetition changes that.
_NEVER: Final = re.compile(
    rb"too old sample|out of order sample|out of bounds|duplicate sample for timestamp|too far into the future"
)


class RemoteWrite:
    """Sends readings as remote-write messages."""

    name = "remote_write"

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        """Take the address, labels and choice from the settings.

        Raises:
            ConfigError: a setting or a file that it names is unfit.

        """
        del environ  # headers come from a file here
        settings = config.remote_write
        self._poster = Poster(settings, headers_of_file(settings.headers_file))
        choice = Choice(config.push.keep, config.push.drop)
        self._writer = Writer(
            external_labels(config.push), choice.takes, has_native_histograms=settings.native_histograms
        )

    def encode(self, batch: Reading) -> bytes:
        """One compressed message."""
        return self._writer.message(batch)

    def send(self, body: bytes) -> Outcome:
        """Post one message: 2xx is the acknowledgement."""
        answer = self._poster.post(body, _HEADERS)
        if isinstance(answer, Retry):
            return answer
        if answer.is_ok:
            return Acked()
        if _NEVER.search(answer.body):
            return Dead(f"HTTP {answer.status} {words_of(answer)}")
        return judged(answer)

    def check(self) -> str:
        """What the receiver says to a message without series.

        Raises:
            OSError: it does not take even that.

        """
        outcome = self.send(EMPTY)
        if not isinstance(outcome, Acked):
            raise OSError(outcome.reason)
        return f"{self._poster.url} took an empty write"

    def close(self) -> None:
        """Nothing is kept open."""
