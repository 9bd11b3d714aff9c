"""What a note is."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Note"]


@dataclass(frozen=True, slots=True)
class Note:
    """Two sentences about a metric; NAME in them stands for its name."""

    reading: str  # one value and what it says
    misreading: str  # what people take it for and it is not
