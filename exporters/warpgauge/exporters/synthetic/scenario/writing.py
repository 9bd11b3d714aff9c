"""A scenario's samples as files: OpenMetrics with timestamps, or the long table as CSV; and the truth beside them."""

from __future__ import annotations

import csv
import io
import json
from array import array
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.atomic import write_atomically
from warpgauge.core.catalog import ALL
from warpgauge.core.errors import InputError
from warpgauge.core.exposition import FamilyText, Format, page
from warpgauge.core.sample import Histogram
from warpgauge.exporters.synthetic.past import line_starts
from warpgauge.exporters.synthetic.scenario.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from warpgauge.exporters.synthetic.one_series import Series
    from warpgauge.exporters.synthetic.scenario.telemetry import Scrape
    from warpgauge.exporters.synthetic.scenario.world import World

__all__ = ["SUFFIXES", "write"]

SUFFIXES: Final = (".om", ".csv")
_TRUTH: Final = "truth.json"
_ORDER: Final = {metric: position for position, metric in enumerate(ALL)}
_END: Final = b"# EOF\n"
_SELDOM_SECONDS: Final = 60.0  # what never moves stands once a minute, as in the demo's past
_RARELY_SECONDS: Final = 300.0  # and the many that never do (states of links), every five


def write(world: World, out: Path) -> tuple[Path, Path, int]:
    """Live the scenario and write it: to a file (`.om`, `.csv`) with the truth beside it, or into a directory.

    Returns the paths of samples and truth and how many samples there are.

    Raises:
        InputError: the name ends in something else.
        StorageError: the place cannot be written.

    """
    if out.suffix:
        if out.suffix not in SUFFIXES:
            msg = f"--out {out} must end in {' or '.join(SUFFIXES)}, or be a directory"
            raise InputError(msg)
        samples, truth = out, out.with_suffix(".truth.json")
    else:
        out.mkdir(parents=True, exist_ok=True)
        samples, truth = out / "telemetry.om", out / _TRUTH
    history = _History(world)
    text = history.openmetrics() if samples.suffix == ".om" else history.long_table()
    write_atomically(samples, text)
    write_atomically(truth, f"{json.dumps(world.truth(), indent=1)}\n".encode())
    return samples, truth, history.samples


class _History:
    """All that was ever scraped: per series the times and the numbers."""

    def __init__(self, world: World) -> None:
        self._world = world
        telemetry = Telemetry(world)
        self._channels = telemetry.channels
        self._times = [array("d") for _ in self._channels]
        self._numbers = [array("d") for _ in self._channels]
        self.samples = 0
        for scrapes in telemetry.scrapes():
            for scrape in scrapes:
                self._keep(scrape)

    def _keep(self, scrape: Scrape) -> None:
        for channel, value in zip(scrape.channels, scrape.values, strict=True):
            times = self._times[channel.number]
            if times and scrape.time - times[-1] < _distance(channel.series) - 1.0:
                continue
            times.append(scrape.time)
            self.samples += 1
            if isinstance(value, Histogram):
                self._numbers[channel.number].extend((*value.counts, value.counts[-1], value.sum))
            else:
                self._numbers[channel.number].append(value)

    def openmetrics(self) -> Iterator[bytes]:
        """Families together, series together and in time order, `# EOF` last."""
        told = [channel for channel in self._channels if self._times[channel.number]]
        told.sort(key=lambda channel: _ORDER[channel.series.metric])
        for metric, channels in groupby(told, key=lambda channel: channel.series.metric):
            yield page([{metric: FamilyText(b"", b"")}], Format.OPENMETRICS).removesuffix(_END)
            for channel in channels:
                starts = [self._placed(start, channel.node) for start in line_starts(channel.series)]
                yield self._lines(starts, channel.number).encode()
        yield _END

    def _placed(self, start: str, node: str) -> str:
        """Where the target stands, as a scraper's target labels say it."""
        cluster = f'cluster="{self._world.cluster}",node="{node}"'
        name, brace, labels = start.partition("{")
        return f"{name}{{{cluster},{labels}" if brace else f"{start.rstrip()}{{{cluster}}} "

    def _lines(self, starts: list[str], number: int) -> str:
        width = len(starts)
        numbers, lines = self._numbers[number], []
        for at, time in enumerate(self._times[number]):
            for start, value in zip(starts, numbers[at * width : (at + 1) * width], strict=True):
                text = f"{value:.0f}" if width > 1 and start is not starts[-1] else repr(value)
                lines.append(f"{start}{text} {time!r}\n")
        return "".join(lines)

    def long_table(self) -> Iterator[bytes]:
        """`timestamp,metric,value` and a column per label; a histogram as the samples it has on a page."""
        names = sorted({label for channel in self._channels for label in channel.series.metric.labels} | {"le"})
        names = ["cluster", "node", *(name for name in names if name not in {"cluster", "node"})]
        yield _row(["timestamp", "metric", "value", *names])
        for channel in self._channels:
            starts = [_parts(start) for start in line_starts(channel.series)]
            place = {"cluster": self._world.cluster, "node": channel.node}
            width = len(starts)
            rows = [(name, [(place | labels).get(label, "") for label in names]) for name, labels in starts]
            numbers = self._numbers[channel.number]
            for at, time in enumerate(self._times[channel.number]):
                for (name, labels), value in zip(rows, numbers[at * width : (at + 1) * width], strict=True):
                    yield _row([f"{time:.3f}", name, repr(value), *labels])


def _distance(series: Series) -> float:
    if not series.is_constant:
        return 0.0
    return _RARELY_SECONDS if series.is_rare else _SELDOM_SECONDS


def _parts(start: str) -> tuple[str, dict[str, str]]:
    """Name and labels of the beginning of a line; our own labels hold no quote, brace or comma."""
    name, _, labels = start.strip().partition("{")
    pairs = (pair.partition("=") for pair in labels.removesuffix("}").split(",") if pair)
    return name, {key: value.strip('"') for key, _, value in pairs}


def _row(fields: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue().encode()
