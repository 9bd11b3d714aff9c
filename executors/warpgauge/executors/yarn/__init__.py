"""The executor for YARN: moves and ranks applications, decommissions, labels and empties nodes."""

from __future__ import annotations

from warpgauge.executors.yarn.admin import Admin
from warpgauge.executors.yarn.exclusion import Exclusion
from warpgauge.executors.yarn.executor import YarnExecutor

__all__ = ["Admin", "Exclusion", "YarnExecutor"]
