"""What the analyzer keeps over a restart: the frame, the findings that hold, and what was recommended."""

from __future__ import annotations

from warpgauge.analyzer.snapshot.container import MAX_BYTES, open_container, write_container
from warpgauge.analyzer.snapshot.frame_content import FrameContent, content_of, frame_of
from warpgauge.analyzer.snapshot.keeper import SNAPSHOT_FILE, Keeper
from warpgauge.analyzer.snapshot.memory import Memory, Saved

__all__ = [
    "MAX_BYTES",
    "SNAPSHOT_FILE",
    "FrameContent",
    "Keeper",
    "Memory",
    "Saved",
    "content_of",
    "frame_of",
    "open_container",
    "write_container",
]
