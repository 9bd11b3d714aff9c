"""The section about the history: what the analyzer keeps of what it took in."""

from __future__ import annotations

from dataclasses import dataclass

from warpgauge.core.config.settings import setting

__all__ = ["HistoryConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryConfig:
    """What the analyzer takes in and finds, as Parquet files."""

    enabled: bool = setting(default=False, help="Keep a history; needs the extra history.")
    directory: str = setting("", help="Where; empty means the folder history in the data directory.")
    resolution_seconds: float = setting(
        10.0, help="Of samples of a series closer than this one is kept; 0 keeps all.", unit="seconds", at_least=0
    )
    flush_interval_seconds: float = setting(
        300.0, help="Time between two files; what is younger is lost when the analyzer is killed.",
        unit="seconds", above=0,
    )  # fmt: skip
    max_age_seconds: float = setting(
        2_592_000.0, help="How long samples are kept; older hours are removed and counted.", unit="seconds", above=0
    )
    max_bytes: int = setting(
        10 << 30, help="Size of all files; beyond it the oldest are removed and counted.",
        unit="bytes", at_least=1_000_000,
    )  # fmt: skip
