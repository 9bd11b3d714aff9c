"""What a scenario tells, as columns: the fleet model plays it once, the analyzer is run over it as often as wanted.

What the model makes is the same whatever the detectors are. `recorded` therefore keeps it in a directory, under a name
that holds a digest of all code that makes it: a recording that an older model made is never read.
"""

from __future__ import annotations

import hashlib
import pickle
import zlib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import warpgauge.core.catalog as catalog_package
from warpgauge.analyzer.frame import schema
from warpgauge.core.atomic import write_atomically
from warpgauge.core.catalog import Kind
from warpgauge.core.sample import Histogram
from warpgauge.exporters import synthetic
from warpgauge.exporters.synthetic.scenario import Telemetry, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.synthetic.scenario import Scenario, Scrape

__all__ = ["Page", "Recording", "Told", "record", "recorded", "streamed"]

_FASTEST: Final = 1  # of zlib: most of it is series that never move


@dataclass(frozen=True, slots=True)
class Page:
    """The series of a page while the same ones stand on it: their numbers, and the places of histograms among them."""

    numbers: NDArray[np.int64]
    histograms: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Told:
    """One scrape: a value per series of the page, of a histogram its sum; the histograms' counts stand apart."""

    node: str
    time: float
    page: int
    values: NDArray[np.float64]
    counts: NDArray[np.float64]


@dataclass(slots=True)
class Recording:
    """All that a scenario told, round by round, and what was true of it.

    Of a `streamed` one the rounds can be gone through once, and the truth is there after the last.
    """

    cluster: str
    channels: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)  # node, metric, label values
    pages: list[Page] = field(default_factory=list)
    rounds: Iterable[tuple[float, list[Told]]] = ()  # when it was, what came
    truth: dict[str, Any] = field(default_factory=dict)


def recorded(scenario: Scenario, directory: Path | None = None) -> Recording:
    """What a scenario tells: made by the model, or found in a directory where it was made before."""
    if directory is None:
        return record(scenario)
    path = directory / f"{scenario.name}-{_digest(repr(scenario))}.samples"
    if path.exists():
        found: Recording = pickle.loads(zlib.decompress(path.read_bytes()))  # noqa: S301 - our own file, as the help says
        return found
    made = record(scenario)
    write_atomically(path, zlib.compress(pickle.dumps(made), _FASTEST))
    return made


def record(scenario: Scenario) -> Recording:
    """Let the fleet model play a scenario, and keep all of it."""
    made = streamed(scenario)
    made.rounds = list(made.rounds)
    return made


def streamed(scenario: Scenario) -> Recording:
    """Let the fleet model play a scenario while its rounds are asked for: of a large fleet no memory holds them all."""
    world = World(scenario)
    telemetry = Telemetry(world, _is_read)
    made = Recording(world.cluster)
    made.channels = [(one.node, one.series.metric.name, one.series.labels) for one in telemetry.channels]
    made.rounds = _rounds(made, world, telemetry)
    return made


def _rounds(made: Recording, world: World, telemetry: Telemetry) -> Iterator[tuple[float, list[Told]]]:
    known: dict[int, int] = {}  # the tuple of a page's channels, which stays the same object -> the page's number
    for scrapes in telemetry.scrapes():
        yield world.time, [_told(made, known, scrape) for scrape in scrapes]
    made.truth = world.truth()  # what was felt of some faults is known at the end only


def _is_read(metric: Metric) -> bool:
    return metric.name in schema.PLACES or metric.kind is Kind.INFO


def _told(made: Recording, known: dict[int, int], scrape: Scrape) -> Told:
    page = known.get(id(scrape.channels))
    if page is None:
        page = known[id(scrape.channels)] = len(made.pages)
        numbers = np.array([channel.number for channel in scrape.channels], dtype=np.int64)
        places = [at for at, value in enumerate(scrape.values) if isinstance(value, Histogram)]
        made.pages.append(Page(numbers, np.array(places, dtype=np.int64)))
    values, counts = scrape.values, []
    for at in made.pages[page].histograms.tolist():
        value = values[at]
        if isinstance(value, Histogram):
            counts.append(value.counts[-1])
            values[at] = value.sum
    return Told(scrape.node, scrape.time, page, np.array(values), np.array(counts, dtype=np.float64))


def _digest(scenario: str) -> str:
    return hashlib.sha256(f"{_digest_of_code()}{scenario}".encode()).hexdigest()[:16]


@cache
def _digest_of_code() -> str:
    """Of everything that has a say in what a scenario tells."""
    folders = [Path(package.__path__[0]) for package in (synthetic, catalog_package)]
    files = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    files += [Path(str(schema.__file__)), Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
