"""What jobs gave up a moment ago: windows still tell of the time before, and say nothing about how things are now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from warpgauge.analyzer.detection.windows import Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job
    from warpgauge.analyzer.frame.workloads import Holding

__all__ = ["has_shrunk", "were_left"]


def were_left(frame: Frame, seconds: float) -> Mask:
    """[device], whether a job let go of it within the last seconds, or it fell silent and its job with it."""
    mask: Mask = np.zeros(len(frame.devices), dtype=bool)
    mask[[holding.device for holding in _left_lately(frame, seconds)]] = True
    return mask


def has_shrunk(frame: Frame, job: Job, seconds: float) -> bool:
    """Whether a job had more devices within the last seconds: then each did a part of what the rest do now."""
    key = (job.cluster, job.job_id)
    return any(one.job == key and one.device not in job.devices for one in _left_lately(frame, seconds))


def _left_lately(frame: Frame, seconds: float) -> list[Holding]:
    return frame.once(("left lately", seconds), lambda: frame.left_lately(seconds))
