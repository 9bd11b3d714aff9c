"""OTLP metrics as a sink, over HTTP or gRPC."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.push.otlp_exchange import stored
from warpgauge.exporters.push.otlp_request import Translation, refusals_of
from warpgauge.exporters.push.otlp_transport import transport_of
from warpgauge.exporters.push.reading import Choice, external_labels
from warpgauge.exporters.push.sink import Acked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.config import Config
    from warpgauge.exporters.push.otlp_transport import Transport
    from warpgauge.exporters.push.reading import Reading
    from warpgauge.exporters.push.sink import Outcome

__all__ = ["Otlp", "checked"]

_METHOD: Final = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


class Otlp:
    """Sends readings as OTLP requests."""

    name = "otlp"

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        """Take the address, labels and choice from the settings, headers from a file or the environment.

        Raises:
            ConfigError: a setting or a file that it names is unfit.
            ModuleNotFoundError: the library of an extra is not installed.

        """
        self._settings = config.otlp
        self._transport = transport_of(config.otlp, environ, _METHOD, refusals_of)
        choice = Choice(config.push.keep, config.push.drop)
        self._translation = Translation(
            external_labels(config.push),
            choice.takes,
            started=time(),
            has_exponential_histograms=config.otlp.exponential_histograms,
        )

    def encode(self, batch: Reading) -> bytes:
        """One request, compressed if the settings say so."""
        return stored(self._translation.request(batch), self._settings)

    def send(self, body: bytes) -> Outcome:
        """Send one request; success is the acknowledgement, and says how many points were refused."""
        return self._transport.send(body)

    def check(self) -> str:
        """What the receiver says to a request without metrics.

        Raises:
            OSError: it does not take even that.

        """
        return checked(self._transport)

    def close(self) -> None:
        """Let go of connections."""
        self._transport.close()


def checked(transport: Transport) -> str:
    """What the receiver says to a request without anything in it.

    Raises:
        OSError: it does not take even that.

    """
    outcome = transport.send(b"")
    if not isinstance(outcome, Acked):
        raise OSError(outcome.reason)
    return f"{transport.target} took an empty request"
