"""Hosts without CPU or memory to spare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.detectors.scenes import add_host, since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.anomalies.host import HostSaturated, MemoryPressure
from warpgauge.analyzer.detection import Candidate, ProcessReading, Strength
from warpgauge.analyzer.incidents.engine import EngineState, analyze
from warpgauge.cli.report import evidence_line
from warpgauge.core.catalog import host
from warpgauge.core.finding import Severity, Whose

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from warpgauge.analyzer.frame import Frame

COLUMNS = 60


def machine(busy: ArrayLike = 0.1, available: ArrayLike = 0.6, stalled: ArrayLike | None = None) -> Frame:
    builder = FrameBuilder(columns=COLUMNS)
    add_host(builder, "build-7", busy=busy, available=available)
    if stalled is not None:
        builder.rate(host.PRESSURE_SECONDS, stalled, node="build-7", resource="memory", scope="full")
        builder.rate(host.PRESSURE_SECONDS, stalled, node="build-7", resource="cpu", scope="some")
    return builder.build()


def strengths(candidates: tuple[Candidate, ...]) -> list[Strength]:
    return [candidate.strength for candidate in candidates]


def saturated(busy: ArrayLike) -> tuple[Candidate, ...]:
    return HostSaturated().detect(machine(busy)).candidates


def test_a_hog_on_all_cpus_is_raised_within_fifty_seconds() -> None:
    assert strengths(saturated(since(COLUMNS, 4, 1.0, 0.05))) == [Strength.RAISE]


def test_a_hog_of_a_minute_is_found_and_the_finding_ends_within_forty_seconds() -> None:
    state, open_at = EngineState(), []
    for seconds in range(10, 200, 10):
        busy = np.full(COLUMNS, 0.05)
        ended_columns = max(0, seconds - 60) // 10
        busy[COLUMNS - seconds // 10 : COLUMNS - ended_columns] = 1.0
        builder = FrameBuilder(columns=COLUMNS, start=1_750_000_000.0 + seconds)
        add_host(builder, "build-7", busy=busy)
        result = analyze(builder.build(), state, [HostSaturated()])
        state = result.state
        open_at += [seconds] if result.findings else []
    assert open_at == [40, 50, 60, 70, 80]


def test_thirty_seconds_are_a_burst() -> None:
    assert Strength.RAISE not in strengths(saturated(since(COLUMNS, 3, 1.0, 0.05)))


def test_one_full_core_of_two_raises_nothing() -> None:
    assert not saturated(since(COLUMNS, 30, 0.5, 0.02))


def test_it_goes_twenty_seconds_after_the_hog() -> None:
    ended = np.full(COLUMNS, 1.0)
    ended[-1:] = 0.05
    assert strengths(saturated(ended)) == [Strength.RAISE]
    ended[-2:] = 0.05
    assert not saturated(ended)


def test_waiting_for_disks_is_not_cpu_work() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    for mode, share in (("user", 0.1), ("idle", 0.1), ("iowait", 0.8)):
        builder.rate(host.CPU_SECONDS, share, node="n", cpu="0", mode=mode)
    assert not HostSaturated().detect(builder.build()).candidates


def test_guest_time_is_part_of_user_and_not_counted_twice() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    for mode, share in (("user", 0.78), ("guest", 0.78), ("idle", 0.22)):
        builder.rate(host.CPU_SECONDS, share, node="n", cpu="0", mode=mode)
    assert not HostSaturated().detect(builder.build()).candidates


def test_a_machine_without_cpu_times_is_not_judged() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    builder.gauge(host.LOAD1, 9.0, node="n")
    detection = HostSaturated().detect(builder.build())
    assert detection.judged is None
    assert detection.not_judged[0].missing == ("host_cpu_seconds_total",)


def test_the_words_give_cpus_share_window_and_who_waits() -> None:
    (candidate,) = HostSaturated().detect(machine(since(COLUMNS, 12, 1.0, 0.05), stalled=0.4)).candidates
    assert candidate.summary == (
        "build-7: all 2 CPUs were 100 % busy in the last 50 s; tasks waited for a CPU 40 % of that time."
    )
    assert candidate.severity is Severity.WARNING
    assert candidate.needs_processes


def test_the_busiest_processes_are_named_with_their_share() -> None:
    (candidate,) = saturated(since(COLUMNS, 12, 1.0, 0.05))
    explained = HostSaturated().explain(
        candidate,
        [
            ProcessReading(pid=7, command="sshd", cpu_ratio=0.001, memory_bytes=5e6),
            ProcessReading(pid=4711, command="hog", cpu_ratio=0.96, memory_bytes=1e6, user="bob"),
        ],
    )
    assert explained.summary.endswith("hog (pid 4711, user bob) uses 96 % of all CPUs.")
    assert explained.key == candidate.key
    row = explained.evidence[-1]
    assert (row.metric, row.value, row.whose) == ('host_process_cpu_ratio{pid="4711", command="hog"}', 0.96, None)


@pytest.mark.parametrize(("detector", "reading"), [(HostSaturated(), "cpu"), (MemoryPressure(), "memory")])
def test_the_job_of_a_process_stands_in_words_and_evidence_where_the_agent_tells_it(detector, reading) -> None:
    full = {"cpu": {"busy": since(COLUMNS, 12, 1.0, 0.05)}, "memory": {"available": since(COLUMNS, 6, 0.03, 0.6)}}
    (candidate,) = detector.detect(machine(**full[reading])).candidates
    trainer = ProcessReading(
        pid=9, command="python3", cpu_ratio=0.9, memory_bytes=13 * 2.0**30, user="ann", job="78", scheduler="slurm"
    )
    loader = ProcessReading(pid=10, command="loader", cpu_ratio=0.8, memory_bytes=9 * 2.0**30, job="")

    explained = detector.explain(candidate, [trainer, loader])

    assert "python3 (pid 9, user ann, job 78) uses" in explained.summary
    assert "loader (pid 10) uses" in explained.summary
    assert [row.whose for row in explained.evidence[-2:]] == [
        Whose(job_id="78", scheduler="slurm", user="ann"), None,
    ]  # fmt: skip
    assert evidence_line(explained.evidence[-2]).startswith(f"host_process_{reading}_")
    assert '{pid="9", command="python3"} of job 78 ' in evidence_line(explained.evidence[-2])


def test_without_a_culprit_nothing_is_added() -> None:
    (candidate,) = saturated(since(COLUMNS, 12, 1.0, 0.05))
    assert HostSaturated().explain(candidate, []) == candidate
    idle = ProcessReading(pid=7, command="sshd", cpu_ratio=0.001, memory_bytes=5e6)
    assert HostSaturated().explain(candidate, [idle]) == candidate


def test_memory_that_runs_out_is_raised_and_the_largest_process_named() -> None:
    detector = MemoryPressure()
    (candidate,) = detector.detect(machine(available=since(COLUMNS, 6, 0.03, 0.6))).candidates
    assert candidate.strength is Strength.RAISE
    assert candidate.summary.startswith("build-7 runs out of memory: 3.0 % of 16.0 GiB left")
    reading = ProcessReading(pid=9, command="python3", cpu_ratio=0.0, memory_bytes=13 * 2.0**30)
    assert detector.explain(candidate, [reading]).summary.endswith("python3 (pid 9) uses 13.0 GiB.")


def test_one_percent_left_is_critical() -> None:
    (candidate,) = MemoryPressure().detect(machine(available=since(COLUMNS, 6, 0.01, 0.6))).candidates
    assert candidate.severity is Severity.CRITICAL


def test_stalls_alone_are_memory_pressure() -> None:
    (candidate,) = MemoryPressure().detect(machine(available=0.2, stalled=since(COLUMNS, 6, 0.3))).candidates
    assert "all tasks waited for memory 30 % of the time" in candidate.summary


def test_swapping_in_counts_only_when_little_memory_is_left() -> None:
    for available, expected in ((0.10, [Strength.RAISE]), (0.5, [])):
        builder = FrameBuilder(columns=COLUMNS)
        add_host(builder, "n", busy=0.1, available=available)
        builder.rate(host.SWAP_IN, since(COLUMNS, 6, 64 * 2.0**20), node="n")
        assert strengths(MemoryPressure().detect(builder.build()).candidates) == expected


def test_a_full_page_cache_is_no_pressure() -> None:
    assert not MemoryPressure().detect(machine(available=0.3)).candidates


def test_seven_percent_holds_but_does_not_raise() -> None:
    assert strengths(MemoryPressure().detect(machine(available=0.07)).candidates) == [Strength.HOLD]


def test_a_gap_is_neither_busy_nor_idle() -> None:
    busy = since(COLUMNS, 12, 1.0, 0.05)
    busy[-3:] = np.nan
    detection = HostSaturated().detect(machine(busy))
    assert not detection.candidates
    assert detection.not_judged[0].missing == ("host_cpu_seconds_total",)


def test_the_onset_is_the_first_busy_column() -> None:
    frame = machine(since(COLUMNS, 12, 1.0, 0.05))
    (candidate,) = HostSaturated().detect(frame).candidates
    assert candidate.since == pytest.approx(frame.now - 120, abs=10)
