"""A recording as OpenMetrics text with a time on each line: for `analyze`, or to fill a Prometheus with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.core.exposition import Format

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.exporters.recording.playback import Playback

__all__ = ["openmetrics"]

_Series = dict[bytes, list[bytes]]
"""Name and labels of a series -> its lines in the order of time."""


def openmetrics(playback: Playback, until: float | None = None) -> Iterator[bytes]:
    """Every page of a run, once per second of the recording: families together, each series in order, `# EOF` last."""
    families: dict[bytes, _Series] = {}
    previous: float | None = None
    for time in playback.moments(until):
        if previous is not None and int(time) != int(previous):
            _keep(families, playback.page(Format.OPENMETRICS), previous)
        previous = time
    if previous is not None:
        _keep(families, playback.page(Format.OPENMETRICS), previous)
    for header, series in families.items():
        yield header + b"".join(line for lines in series.values() for line in lines)
    yield b"# EOF\n"


def _keep(families: dict[bytes, _Series], page: bytes, time: float) -> None:
    """Add the lines of a page of ours; each family begins with its comments."""
    header, stamp = b"", b" %.3f\n" % time
    series: _Series = {}
    for line in page.splitlines(keepends=True):
        if line == b"# EOF\n":
            return
        if line.startswith(b"# HELP"):
            header = line
        elif line.startswith(b"#"):
            series = families.setdefault(header + line, {})
        else:
            series.setdefault(line.rpartition(b" ")[0], []).append(line.rstrip(b"\n") + stamp)
