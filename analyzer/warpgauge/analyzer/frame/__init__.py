"""The frame: samples of a fleet as arrays, and the entities that they tell of."""

from __future__ import annotations

from warpgauge.analyzer.frame.entities import DeviceEntity, Job, JobKey, NodeEntity, RankEntity, ServerEntity
from warpgauge.analyzer.frame.frame import Frame, channel
from warpgauge.analyzer.frame.samples import DESCRIPTION, NOT_KEPT, FrameParts, Ingested
from warpgauge.analyzer.frame.states import Doubles
from warpgauge.analyzer.frame.table import Floats, Ints

__all__ = [
    "DESCRIPTION",
    "NOT_KEPT",
    "DeviceEntity",
    "Doubles",
    "Floats",
    "Frame",
    "FrameParts",
    "Ingested",
    "Ints",
    "Job",
    "JobKey",
    "NodeEntity",
    "RankEntity",
    "ServerEntity",
    "channel",
]
