"""History: what the analyzer takes in, as Parquet files that any tool reads and `warpgauge analyze` judges again."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.analyzer.history.writer import HistoryWriter
    from warpgauge.core.clock import Clock
    from warpgauge.core.config import HistoryConfig

__all__ = ["keeping"]


@contextmanager
def keeping(settings: HistoryConfig, data_directory: Path, clock: Clock) -> Iterator[HistoryWriter | None]:
    """A history that is written while the block runs, its rest at the end; None where the settings want none.

    Raises:
        MissingExtraError: pyarrow is not installed.
        StorageError: the folder cannot be used.

    """
    if not settings.enabled:
        yield None
        return
    from warpgauge.analyzer.history.writer import HistoryWriter  # noqa: PLC0415 - an extra brings what it needs
    from warpgauge.analyzer.parquet import encoded, encoded_told  # noqa: PLC0415 - as above

    path = Path(settings.directory).expanduser() if settings.directory else data_directory / "history"
    writer = HistoryWriter(settings, path, clock, encoded, encoded_told)
    writer.start()
    try:
        yield writer
    finally:
        writer.close()
