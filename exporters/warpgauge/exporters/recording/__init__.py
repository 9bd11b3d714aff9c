"""What a driver said, call by call: recorded below pynvml, replayed to the same collector."""

from __future__ import annotations

from warpgauge.exporters.recording.capture import Capture, capture
from warpgauge.exporters.recording.lines import Header
from warpgauge.exporters.recording.plan import Plan
from warpgauge.exporters.recording.playback import Playback
from warpgauge.exporters.recording.replay import ReplayLibrary
from warpgauge.exporters.recording.storage import Recording, read_recording
from warpgauge.exporters.recording.summary import Summary, summarize

__all__ = [
    "Capture",
    "Header",
    "Plan",
    "Playback",
    "Recording",
    "ReplayLibrary",
    "Summary",
    "capture",
    "read_recording",
    "summarize",
]
