"""The bytes that scrapes get: made ahead for everybody who asks in a rhythm, as every Prometheus does.

A page that nobody is about to ask for is not made at all: with a scrape every 15 s and a reading every second that is
most of the agent's work. Who comes unannounced, the first time or by hand, waits the few milliseconds that it takes.
Nobody ever waits for a driver.
"""

from __future__ import annotations

import zlib
from collections import deque
from itertools import combinations
from typing import TYPE_CHECKING, Final

from warpgauge.core.exposition import Format, page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.core.clock import Clock
    from warpgauge.core.exposition import FamilyText
    from warpgauge.exporters.readings import Readings

__all__ = ["Pages", "packed"]

_REMEMBERED_SECONDS: Final = 150.0  # two scrapes a minute apart, and then some: that is how often anybody should scrape
_LATE_SECONDS: Final = 0.1  # how late the next one of a rhythm may come and still find its page ready
_ASKS_KEPT: Final = 24
_GZIP_LEVEL: Final = 1  # a page is repetitive: more effort saves little
_GZIP_WINDOW: Final = 31  # zlib: 15 bits and a gzip header

_Form = tuple[Format, bool]
"""Format, and whether it is compressed."""


def packed(plain: bytes) -> bytes:
    """The same, compressed; it leaves other threads the interpreter."""
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return packer.compress(plain) + packer.flush()


def _at_once(plain: bytes, take: Callable[[bytes], None]) -> None:
    take(packed(plain))


class Pages:
    """The page in every form that is asked for, as of the last `publish`."""

    def __init__(
        self,
        readings: Readings,
        clock: Clock,
        *,
        ahead_seconds: float = 1.2,
        pack: Callable[[bytes, Callable[[bytes], None]], None] = _at_once,
    ) -> None:
        """Prepare what is expected to be asked for within `ahead_seconds`; `pack` compresses, maybe in a thread."""
        self._readings = readings
        self._clock = clock
        self._ahead_seconds = ahead_seconds
        self._pack = pack
        self._families: list[Mapping[Metric, FamilyText]] = []
        self._bodies: dict[_Form, bytes] = {}
        self._before: dict[_Form, bytes] = {}  # of the last version, for whoever asks while this one is packed
        self._asked: dict[_Form, deque[float]] = {}  # monotonic seconds
        self.is_stale = False  # readings changed since the last `publish`
        self.version = 0  # rises with each `publish`

    def is_wanted(self) -> bool:
        """Whether somebody is about to ask, so that readings should be offered; else it is noted that they changed."""
        if self._expected():
            return True
        self.is_stale = True
        return False

    def offer(self) -> Iterator[None]:
        """Publish the readings if somebody is about to ask, else remember that they changed.

        The work comes in portions, so that a scrape never waits for all of it.
        """
        if self.is_wanted():
            yield from self._readings.freshen()
            yield from self._publish()

    def publish(self) -> None:
        """Take over the readings as they are now, and make what is expected to be asked for."""
        for _ in self._publish():
            pass

    def _publish(self) -> Iterator[None]:
        """A portion for each page; nobody sees any of them before all are made."""
        families, expected, version = self._readings.families(), self._expected(), self.version
        plain: dict[_Form, bytes] = {}
        for fmt in dict(expected):
            yield
            plain[fmt, False] = page(families, fmt)
        if version != self.version:
            return  # somebody else has published meanwhile, and later readings than these
        last = {} if self.is_stale else self._bodies
        self._families, self._bodies, self.is_stale = families, plain, False
        self.version += 1
        compressed = [form for form in expected if form[1]]
        self._before = {form: last[form] for form in compressed if form in last}
        for fmt, _ in compressed:
            self._prepare(fmt, plain[fmt, False])

    def refresh(self) -> None:
        """Publish if readings changed since."""
        if self.is_stale:
            self.publish()

    def body(self, fmt: Format, *, is_compressed: bool) -> bytes:
        """The page in one form."""
        form = (fmt, is_compressed)
        self._asked.setdefault(form, deque(maxlen=_ASKS_KEPT)).append(self._clock.monotonic())
        self.refresh()
        return self._bodies.get(form) or self._before.get(form) or self._make(form)

    def _expected(self) -> list[_Form]:
        """Forms that somebody is about to ask for again after a pause that there was before."""
        now = self._clock.monotonic()
        self._asked = {form: asks for form, asks in self._asked.items() if now - asks[-1] <= _REMEMBERED_SECONDS}
        return [form for form, asks in self._asked.items() if self._is_expected(asks, now)]

    def _is_expected(self, asks: deque[float], now: float) -> bool:
        first, last = now - _LATE_SECONDS, now + self._ahead_seconds
        return any(first <= 2 * later - earlier <= last for earlier, later in combinations(asks, 2))

    def _prepare(self, fmt: Format, plain: bytes) -> None:
        version = self.version

        def take(body: bytes) -> None:
            if version == self.version:
                self._bodies[fmt, True] = body

        self._pack(plain, take)

    def _make(self, form: _Form) -> bytes:
        fmt, is_compressed = form
        if is_compressed:
            body = packed(self._bodies.get((fmt, False)) or page(self._families, fmt))
        else:
            body = page(self._families, fmt)
        self._bodies[form] = body
        return body
