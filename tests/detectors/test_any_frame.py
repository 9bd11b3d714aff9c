"""Laws that hold for every detector on every frame, however odd."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detectors.scenes import Lockstep
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.incidents import join
from warpgauge.analyzer.incidents.breaker import suspicions
from warpgauge.analyzer.incidents.engine import EngineState, analyze
from warpgauge.analyzer.recommend import Ledger, recommend
from warpgauge.analyzer.recommend.topology import topology_of
from warpgauge.core.catalog import ALL, Kind, Metric
from warpgauge.core.finding import finding_from_json
from warpgauge.core.recommendation import recommendation_from_event

if TYPE_CHECKING:
    from collections.abc import Mapping

AGE = re.compile(r"(?:\b(?:for|since)(?: more than)? [0-9]+ (?:s|min|h)\b)|(?:[0-9] (?:s|min|h) ago)")
COLUMNS = 40
KEPT = [row for row in ALL if row.name.startswith(("accel_", "host_", "training_")) and row.kind is not Kind.INFO]
LEVELS = st.sampled_from([0.0, 1.0, 0.5, 0.02, 1e9, 6e10, 1e-30])


def label(metric: Metric, name: str, number: int) -> str:
    known: Mapping[str, str] = {
        "uuid": f"GPU-{number % 6}",
        "index": str(number % 6),
        "job_id": f"job-{number % 2}",
        "rank": str(number % 6),
        "stage": "",
        "clock": "sm" if metric.name.startswith("accel_") else "device",
        "phase": ("input", "compute", "communication")[number % 3],
        "mode": ("user", "idle")[number % 2],
        "reason": ("sw_thermal", "hw_thermal")[number % 2],
        "scope": "full",
        "resource": "memory",
    }
    if name in known:
        return known[name]
    return metric.states[number % len(metric.states)] if name == metric.labels[-1] and metric.states else "x"


@st.composite
def frames(draw: Any) -> Frame:
    builder = FrameBuilder(columns=COLUMNS)
    for number in range(draw(st.integers(0, 6))):
        builder.device(f"n{number % 2}", f"GPU-{number}", index=number)
    builder.job("job-0", [(f"n{number % 2}", f"GPU-{number}") for number in range(draw(st.integers(0, 6)))])
    for metric in draw(st.lists(st.sampled_from(KEPT), max_size=25, unique=True)):
        for number in range(draw(st.integers(1, 12))):
            labels = {name: label(metric, name, number) for name in metric.labels}
            values = np.full(COLUMNS, draw(LEVELS))
            values[draw(st.integers(0, COLUMNS)) :] = draw(LEVELS)
            values[draw(st.integers(0, COLUMNS)) : draw(st.integers(0, COLUMNS))] = np.nan
            node = f"n{number % 2}"
            if metric.kind is Kind.HISTOGRAM:
                builder.rate(metric, values, part="sum", node=node, **labels)
                builder.rate(metric, values, part="count", node=node, **labels)
            elif metric.is_cumulative:
                builder.rate(metric, values, node=node, **labels)
            else:
                builder.gauge(metric, values, node=node, **labels)
    return builder.build()


def check(frame: Frame) -> None:
    result = analyze(frame, EngineState(), DETECTORS, join=join, suspect=suspicions)
    for finding in result.findings:
        text = json.dumps(finding.to_json(), allow_nan=False)
        assert finding_from_json(json.loads(text)) == finding
        assert 0 <= finding.confidence < 1
        assert finding.since <= frame.now
        assert finding.evidence
        assert "nan" not in finding.summary
        assert not AGE.search(finding.summary), "the age is told by since, and is another one once a window is full"
        lost = finding.impact.lost_device_seconds if finding.impact else None
        assert lost is None or (lost >= 0 and math.isfinite(lost))
    for one in recommend(result.findings, result.incidents, topology_of(frame), Ledger(), now=frame.now).fresh:
        assert recommendation_from_event(json.loads(json.dumps(one.to_event(), allow_nan=False)))


@settings(max_examples=60, deadline=None)
@given(frame=frames())
def test_odd_frames_give_sound_findings_or_none(frame: Frame) -> None:
    check(frame)


@settings(max_examples=25, deadline=None)
@given(
    ranks=st.integers(1, 9),
    gaps=st.sets(st.integers(0, COLUMNS - 1)),
    slow=st.dictionaries(st.integers(0, 8), st.floats(0.1, 20.0)),
    starved=st.dictionaries(st.integers(0, 8), st.floats(0.0, 20.0)),
    hot=st.dictionaries(st.integers(0, 8), st.floats(1e6, 2e9)),
    busy=st.floats(0.0, 1.0),
)
def test_jobs_with_any_mixture_of_faults_and_gaps_give_sound_findings(  # noqa: PLR0917 - drawn by name
    ranks: int, gaps: set[int], slow: dict[int, float], starved: dict[int, float], hot: dict[int, float], busy: float
) -> None:
    scene = Lockstep(
        ranks=ranks,
        columns=COLUMNS,
        gap=np.isin(np.arange(COLUMNS), sorted(gaps)),
        compute=slow,
        input=starved,
        sm_hertz=hot,
        throttled={rank: {"sw_thermal": 1.0} for rank in hot},
        cpu=busy,
    )
    check(scene.frame())


@pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
def test_an_empty_frame_is_neither_good_nor_bad(detector: Any) -> None:
    detection = detector.detect(Frame())
    assert not detection.candidates
    assert detection.judged is None


def test_every_detector_has_a_name_of_its_own() -> None:
    names = [detector.name for detector in DETECTORS]
    assert len(set(names)) == len(names)
