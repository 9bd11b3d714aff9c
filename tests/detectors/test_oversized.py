"""A week of a job on one device: what is kept of it, which instance would do, and the advice that comes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.bottlenecks.oversized import Oversized
from warpgauge.analyzer.detection import Detection
from warpgauge.analyzer.detection.usage import BINS, Usage
from warpgauge.analyzer.detectors import detectors_with
from warpgauge.analyzer.incidents.engine import EngineState, analyze
from warpgauge.analyzer.planning.mig_profiles import profiles_of
from warpgauge.analyzer.recommend import Ledger, Limits, recommend
from warpgauge.analyzer.recommend.site_rules import SiteRules
from warpgauge.analyzer.recommend.topology import topology_of
from warpgauge.analyzer.replay import Replay
from warpgauge.analyzer.sources import Points, Ranges, Target
from warpgauge.core.catalog import device
from warpgauge.core.errors import InputError
from warpgauge.core.finding import Severity
from warpgauge.core.recommendation import RecommendationKind

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame

GIB = 2.0**30
BOARD = 79.6 * GIB  # what an H100 of 80 GB tells
DAY = 86_400.0
START = 1_750_000_000.0
STEP = 600.0  # of a column: a day of the job is a small frame


def day(
    number: int,
    *,
    memory: float = 12 * GIB,
    active: float = 0.12,
    model: str = "NVIDIA H100 80GB HBM3",
    measured: float = 1.0,
    devices: int = 1,
    sharing: bool = False,
    simulated: bool = False,
) -> Frame:
    """One day of a job that holds a device, and nobody else does; `measured` is the share of it with samples."""
    columns = round(DAY / STEP)
    builder = FrameBuilder(columns=columns, step_seconds=STEP, start=START + number * DAY)
    known = np.where(np.arange(columns) < columns * measured, 1.0, np.nan)
    known[-1] = 1.0
    for index in range(devices):
        where = {"node": "n1", "uuid": f"GPU-{index}", "index": str(index)}
        builder.device("n1", f"GPU-{index}", index=index, model=model, simulated=simulated)
        builder.gauge(device.MEMORY_TOTAL, BOARD, **where)
        builder.gauge(device.MEMORY_USED, memory * known, **where)
        builder.gauge(device.COMPUTE_ACTIVE, active * known, **where)
    held = [("n1", f"GPU-{index}") for index in range(devices)]
    builder.job("ml/notebook", held, scheduler="kubernetes")
    if sharing:
        builder.job("ml/guest", held[:1])
    return builder.build()


def after(days: int, usage: Usage | None = None, **like: Any) -> tuple[Detection, Frame]:
    """What the detector says after so many days, each read once."""
    detector = Oversized(usage or Usage())
    detection = Detection()
    for number in range(days):
        frame = day(number, **like)
        detection = detector.detect(frame)
    return detection, frame


def test_after_nine_days_a_job_of_a_sixth_of_a_board_fits_two_of_its_slices() -> None:
    detection, _ = after(9)
    (found,) = detection.candidates
    assert found.severity is Severity.INFO
    assert (found.scope.job_id, found.scope.node, found.scope.uuid) == ("ml/notebook", "n1", "GPU-0")
    assert found.remedy == (
        "Give job ml/notebook a 2g.20gb instance in place of the whole n1/gpu0: it has 18.9 GiB and 29 % of the SMs."
    )


def test_the_words_and_the_evidence_say_over_how_long() -> None:
    detection, _ = after(9)
    (found,) = detection.candidates
    assert found.summary == (
        "Job ml/notebook used at most 12.0 GiB of 79.6 GiB of n1/gpu0 in the last 9 days, and at most 15 % of its"
        " SMs for 95 % of that time."
    )
    memory, activity = found.evidence
    assert (memory.metric, memory.value) == (device.MEMORY_USED.name, pytest.approx(12 * GIB))
    assert memory.window_seconds == pytest.approx(9 * DAY, abs=2 * STEP)
    assert (activity.metric, activity.value) == (device.COMPUTE_ACTIVE.name, pytest.approx(0.15))
    assert memory.samples == activity.samples > 1000


def test_less_than_a_week_is_not_judged_and_says_so() -> None:
    detection, _ = after(6)
    assert (detection.candidates, detection.judged) == ((), None)
    assert [one.why for one in detection.not_judged] == ["measured for less than 7 days"]


def test_one_hour_of_more_memory_in_nine_days_is_what_counts() -> None:
    usage = Usage()
    after(4, usage)
    detector = Oversized(usage)
    detector.detect(day(4, memory=60 * GIB))
    for number in range(5, 9):
        detection = detector.detect(day(number))
    assert detection.candidates == ()
    assert detection.judged is not None


@pytest.mark.parametrize(
    ("like", "why"),
    [
        ({"active": 0.9}, "busy"),
        ({"memory": 70 * GIB}, "full"),
        ({"model": "NVIDIA L40S"}, "a board without MIG"),
        ({"devices": 2}, "a job of two devices"),
        ({"sharing": True}, "a device that two jobs hold"),
        ({"measured": 0.6}, "two fifths of the time nobody looked"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_it_says_nothing_of(like: dict[str, Any], why: str) -> None:
    assert after(9, **like)[0].candidates == (), why


def test_the_smallest_instance_that_holds_both_is_named() -> None:
    def named(**like: Any) -> str:
        (found,) = after(9, **like)[0].candidates
        return found.remedy.split()[4]

    assert named(memory=5 * GIB, active=0.02) == "1g.10gb"
    assert named(memory=12 * GIB, active=0.02) == "1g.20gb"
    assert named(memory=5 * GIB, active=0.2) == "2g.20gb"
    assert named(memory=30 * GIB, active=0.2) == "3g.40gb"


def test_nothing_is_counted_twice_however_often_the_same_frame_is_read() -> None:
    usage = Usage()
    frame = day(0)
    for _ in range(5):
        usage.take(frame)
    (used,) = usage.by_key.values()
    assert used.seconds == pytest.approx(DAY - STEP, abs=STEP)


def test_a_job_that_is_gone_for_a_day_is_forgotten() -> None:
    usage = Usage()
    usage.take(day(0))
    builder = FrameBuilder(columns=144, step_seconds=STEP, start=START + 2 * DAY)
    builder.device("n1", "GPU-0")
    builder.gauge(device.MEMORY_USED, 0.0, node="n1", uuid="GPU-0", index="0")
    usage.take(builder.build())
    assert usage.by_key == {}


def test_a_restart_goes_on_where_it_was() -> None:
    usage, again = Usage(), Usage()
    after(4, usage)
    again.resume(json.loads(json.dumps(usage.to_json())))
    detector = Oversized(again)
    for number in range(4, 9):
        detection = detector.detect(day(number))
    assert len(detection.candidates) == 1
    assert detection.candidates == after(9)[0].candidates


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {"format": "warpgauge.usage/v1"},
        {"format": "warpgauge.usage/v1", "until_ms": 1, "entries": [["c", "n", "u", "j", 0, 1, 2, [1.0]]]},
        {"format": "warpgauge.usage/v1", "until_ms": 1, "entries": [["c", "n", "u", "j", 0, 1, 2, [-1.0] * BINS]]},
        {"format": "warpgauge.usage/v1", "until_ms": 1, "entries": [["c", "n", "u", "j", "x", 1, 2, [1.0] * BINS]]},
    ],
)
def test_what_is_no_usage_is_not_taken_over(broken: Any) -> None:
    usage = Usage()
    with pytest.raises(InputError, match="not what jobs used of devices"):
        usage.resume(broken)
    assert usage.by_key == {}


def test_without_a_memory_beside_the_frame_nothing_is_said() -> None:
    assert Oversized().detect(day(0)).candidates == ()


def advised(days: int = 10, limits: Limits | None = None, **like: Any) -> Any:
    usage, state = Usage(), EngineState()
    detectors = [one for one in detectors_with((), usage=usage) if isinstance(one, Oversized)]
    for number in range(days):
        frame = day(number, **like)
        result = analyze(frame, state, detectors)
        state = result.state
    topology = topology_of(frame)
    return recommend(result.findings, (), topology, Ledger(), now=frame.now, limits=limits or Limits())


def test_the_advice_is_for_a_person_to_agree_to_and_says_its_window() -> None:
    (made,) = advised(memory=5 * GIB, active=0.05).fresh
    assert made.kind is RecommendationKind.MIG_REPROFILE
    assert (made.target[0].name, made.target[0].gpu_uuid, made.target[0].platform) == (
        "ml/notebook", "GPU-0", "kubernetes",
    )  # fmt: skip
    assert made.text.summary.startswith("Give job ml/notebook a 1g.10gb instance in place of the whole n1/gpu0")
    assert "in the last 10 days" in made.text.detail
    assert (made.approval.required, made.undo is not None) == (True, True)
    assert {one.check for one in made.preconditions} >= {"ownerTold", "checkpoint", "deviceUnused"}
    assert made.expected_gain is None  # nobody computed one


def test_the_rails_hold_for_it_too() -> None:
    plan = advised(memory=5 * GIB, active=0.05, limits=Limits(rules=SiteRules(jobs=("ml/*",))))
    assert [one.reason for one in plan.withheld] == ["job ml/notebook is left alone (ml/*)"]


def test_what_fits_only_just_is_told_and_not_advised() -> None:
    plan = advised(days=8, memory=15 * GIB, active=0.1)
    assert plan.fresh == ()
    assert [one.reason for one in plan.withheld] == ["confidence is below 0.7"]


def test_advice_from_a_simulated_fleet_says_so() -> None:
    (made,) = advised(memory=5 * GIB, active=0.05, simulated=True).fresh
    assert made.simulated


@pytest.mark.parametrize(
    ("model", "gigabytes", "names"),
    [
        ("NVIDIA A30", 24, ["1g.6gb", "2g.12gb"]),
        ("NVIDIA A100-SXM4-40GB", 40, ["1g.5gb", "1g.10gb", "2g.10gb", "3g.20gb", "4g.20gb"]),
        ("NVIDIA A100-SXM4-80GB", 80, ["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb"]),
        ("NVIDIA H100 PCIe", 80, ["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb"]),
        ("NVIDIA H200", 141, ["1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "4g.71gb"]),
        ("NVIDIA H100 NVL", 94, []),
        ("NVIDIA A10", 24, []),
        ("NVIDIA A100X", 80, []),
        ("Tesla T4", 16, []),
    ],
)
def test_only_boards_of_the_table_are_cut(model: str, gigabytes: int, names: list[str]) -> None:
    assert [one.name for one in profiles_of(model, gigabytes * 1e9)] == names


def test_an_instance_has_no_more_than_the_driver_gives_one() -> None:
    sizes = {one.name: one.memory_bytes / GIB for one in profiles_of("NVIDIA H100 80GB HBM3", BOARD)}
    told = {"1g.10gb": 9.75, "1g.20gb": 19.62, "2g.20gb": 19.62, "3g.40gb": 39.5}  # nvidia-smi mig -lgip
    assert all(0.95 * told[name] < sizes[name] <= told[name] for name in told)


def test_a_replay_of_a_history_of_nine_days_says_the_same() -> None:
    usage = Usage()
    oversized = [one for one in detectors_with((), usage=usage) if isinstance(one, Oversized)]
    replay = Replay(window_seconds=3600.0, cluster="c", detectors=oversized)
    interval = 300.0
    times = np.arange(round(START * 1000), round((START + 9 * DAY) * 1000), round(interval * 1000), dtype=np.int64)
    own = {"cluster": "c", "node": "n1", "uuid": "GPU-0", "index": "0"}
    series = (
        (device.DEVICE_INFO.name, {"model": "NVIDIA H100 80GB HBM3", "vendor": "nvidia", "kind": "gpu"}, 1.0),
        (device.WORKLOAD_INFO.name, {"job_id": "notebook", "scheduler": "slurm"}, 1.0),
        (device.MEMORY_TOTAL.name, {}, BOARD),
        (device.MEMORY_USED.name, {}, 5 * GIB),
        (device.COMPUTE_ACTIVE.name, {}, 0.08),
    )
    points = tuple(
        Points(name=name, labels=own | more, times_ms=times, values=np.full(len(times), value))
        for name, more, value in series
    )
    replay.add(Ranges(target=Target(name="history"), points=points, interval_seconds=interval))
    (found,) = replay.report().findings
    assert found.remedy.startswith("Give job notebook a 1g.10gb instance")
    assert found.evidence[0].window_seconds == pytest.approx(9 * DAY, rel=0.01)
