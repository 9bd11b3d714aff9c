"""What an exporter's page holds about each GPU, and how much of it moves."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from warpgauge.core.catalog import BY_NAME, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)\{(.*)\} (\S+)$")
GPU = re.compile(r'(?:^|,)(?:uuid|gpu_uuid)="(GPU-[^"]*)"')
LINK = re.compile(r'(?:^|,)link="(\d+)"')
UNCOUNTED_ENDINGS = ("_bucket", "_timestamp_seconds")
LINK_STATE = "accel_link_state"


@dataclass
class Series:
    """The values that each series of each GPU had, over several looks at one page."""

    values: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))

    def look(self, page: str) -> None:
        """Take in one scrape of a Prometheus page."""
        for line in page.splitlines():
            match = LINE.match(line)
            gpu = GPU.search(match[2]) if match else None
            if match and gpu:
                self.values[gpu[1]][f"{match[1]}{{{match[2]}}}"].add(match[3])

    def put(self, gpu: str, values: Mapping[str, object]) -> None:
        """Take in what a pushing exporter said of one GPU."""
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self.values[gpu][f"{name}{{}}"].add(str(value))

    @property
    def names(self) -> int:
        """Metric names of the GPU that has most."""
        return max((len({key.partition("{")[0] for key in gpu}) for gpu in self.values.values()), default=0)

    @property
    def samples(self) -> int:
        """Samples of the GPU that has most."""
        return max((len(gpu) for gpu in self.values.values()), default=0)

    @property
    def moving(self) -> int:
        """Series that moved, of the GPU that has fewest."""
        return min((len(_moving(gpu)) for gpu in self.values.values()), default=0)


def _moving(gpu: Mapping[str, set[str]]) -> list[str]:
    unused = _unused_links(gpu)
    return [key for key, values in gpu.items() if len(values) > 1 and _counts(key, unused)]


def _counts(key: str, unused: set[str]) -> bool:
    """Not the buckets of a histogram, the values of a state, the time of a sample, nor anything of an unused link.

    An XID that never happened stays at zero, so it does not move.
    """
    name = key.partition("{")[0]
    row = BY_NAME.get(name)
    if name.endswith(UNCOUNTED_ENDINGS) or (row is not None and row.kind in {Kind.STATE, Kind.INFO}):
        return False
    link = LINK.search(key)
    return link is None or link[1] not in unused


def _unused_links(gpu: Mapping[str, set[str]]) -> set[str]:
    """Links that were never active; a page that does not tell states has none that count as unused."""
    states = [key for key in gpu if key.startswith(LINK_STATE) and 'state="active' in key]
    active = {LINK.search(key)[1] for key in states if gpu[key] != {"0.0"}}  # type: ignore[index]  # a link has one
    return {LINK.search(key)[1] for key in states} - active  # type: ignore[index]  # as above


def watch(page: Callable[[], str], seconds: float) -> Series:
    """Scrape a page once a second for some time."""
    series, end = Series(), time.perf_counter() + seconds
    while time.perf_counter() < end:
        series.look(page())
        time.sleep(1.0)
    return series
