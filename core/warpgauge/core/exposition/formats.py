"""The two wire formats and which one a client gets."""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["Format", "negotiate"]


class Format(Enum):
    """A wire format; the value is its content type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

    @property
    def content_type(self) -> str:
        """What stands in the Content-Type header."""
        return self.value


_OPENMETRICS_VERSIONS: Final = {"", "0.0.1", "1.0.0"}
_TEXT_VERSIONS: Final = {"", "0.0.4"}


def negotiate(accept: str | None) -> Format:
    """Format for an Accept header (RFC 9110, 12.5.1); OpenMetrics only when asked for at least as much as text."""
    best = {Format.TEXT: 0.0, Format.OPENMETRICS: 0.0}
    for entry in (accept or "").split(","):
        media, *parameters = (part.strip().lower() for part in entry.split(";"))
        values = dict(part.partition("=")[::2] for part in parameters)
        fmt = _format_of(media, values.get("version", "").strip('"'))
        if fmt is not None:
            best[fmt] = max(best[fmt], _quality(values.get("q", "1")))
    wanted = best[Format.OPENMETRICS]
    return Format.OPENMETRICS if wanted > 0 and wanted >= best[Format.TEXT] else Format.TEXT


def _format_of(media: str, version: str) -> Format | None:
    if media == "application/openmetrics-text" and version in _OPENMETRICS_VERSIONS:
        return Format.OPENMETRICS
    if media in {"text/*", "*/*"} or (media == "text/plain" and version in _TEXT_VERSIONS):
        return Format.TEXT
    return None


def _quality(text: str) -> float:
    """The q-value; one that is no number between 0 and 1 counts as "not wanted"."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0.0 <= value <= 1.0 else 0.0
