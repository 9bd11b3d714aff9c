"""What every detector works with: its contract, windows over the frame, words and evidence."""

from __future__ import annotations

from warpgauge.analyzer.detection.detection import (
    Candidate,
    Detection,
    Detector,
    Explainer,
    Judgement,
    NotJudged,
    ProcessReading,
    Strength,
)

__all__ = ["Candidate", "Detection", "Detector", "Explainer", "Judgement", "NotJudged", "ProcessReading", "Strength"]
