"""The bytes that scrapes get: made when readings change, never while a scraper waits."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from warpgauge.core.exposition import Format, page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.core.clock import Clock
    from warpgauge.core.exposition import FamilyText
    from warpgauge.exporters.readings import Readings

__all__ = ["Pages"]

_REMEMBERED_SECONDS: Final = 60.0  # a form that nobody asked for in this time is not kept ready any longer
_GZIP_LEVEL: Final = 1  # a page is repetitive: more effort saves little
_GZIP_WINDOW: Final = 31  # zlib: 15 bits and a gzip header

_Form = tuple[Format, bool]
"""Format, and whether it is compressed."""


class Pages:
    """The page in every form that was asked for lately, as of the last `publish`."""

    def __init__(self, readings: Readings, clock: Clock) -> None:
        self._readings = readings
        self._clock = clock
        self._families: list[Mapping[Metric, FamilyText]] = []
        self._bodies: dict[_Form, bytes] = {}
        self._asked: dict[_Form, float] = {}  # monotonic seconds
        self.version = 0  # rises with each `publish`

    def publish(self) -> None:
        """Take over the readings as they are now."""
        self._families = self._readings.families()
        self.version += 1
        self._bodies.clear()
        oldest = self._clock.monotonic() - _REMEMBERED_SECONDS
        self._asked = {form: asked for form, asked in self._asked.items() if asked >= oldest}
        for form in sorted(self._asked, key=lambda form: form[1]):  # plain first, compressed is made from it
            self._make(form)

    def body(self, fmt: Format, *, is_compressed: bool) -> bytes:
        """The page in one form."""
        form = (fmt, is_compressed)
        self._asked[form] = self._clock.monotonic()
        return self._bodies.get(form) or self._make(form)

    def _make(self, form: _Form) -> bytes:
        fmt, is_compressed = form
        if is_compressed:
            packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
            plain = self._bodies.get((fmt, False)) or page(self._families, fmt)
            body = packer.compress(plain) + packer.flush()
        else:
            body = page(self._families, fmt)
        self._bodies[form] = body
        return body
