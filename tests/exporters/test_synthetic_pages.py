from __future__ import annotations

import subprocess
from itertools import groupby
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from warpgauge.core.catalog import (
    BY_NAME,
    Metric,
    Tier,
    cycles,
    detail,
    device,
    host,
    infiniband,
    link,
    linux,
    process,
    runtime,
    training,
    vendor,
)
from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import InputError
from warpgauge.core.exposition import Format, labels_of, parse
from warpgauge.exporters.synthetic import FAULTS, Fleet, SimulatedPages

if TYPE_CHECKING:
    from pathlib import Path

START = 1_750_000_000.0


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture(scope="module")
def pages(clock) -> SimulatedPages:
    made = SimulatedPages(Fleet(42, FAULTS, start=START), clock)
    made.prepare()
    return made


@pytest.fixture(scope="module")
def past(pages) -> str:
    return b"".join(pages.backfill("sim-node-0")).decode()


@pytest.fixture(scope="module")
def lines(past) -> list:
    return list(parse(past, place="backfill", openmetrics=True))


def fresh() -> tuple[SimulatedPages, ManualClock]:
    clock = ManualClock(START)
    return SimulatedPages(Fleet(42, gpus_per_node=4, start=START), clock), clock


def value_of(page: bytes, name: str) -> float:
    return sum(line.value for line in parse(page.decode(), place="page") if line.name == name)


# ---- the page of a node


@pytest.mark.parametrize("fmt", Format)
def test_both_parsers_read_the_page_and_agree(pages, fmt):
    text = pages.metrics("sim-node-3", fmt).decode()
    theirs = parse_text(text) if fmt is Format.TEXT else parse_openmetrics(text)
    expected = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in theirs
        for sample in family.samples
    }
    ours = {
        (line.name, tuple(sorted(labels_of(line.labels).items()))): line.value
        for line in parse(text, place="page", openmetrics=fmt is Format.OPENMETRICS)
    }
    assert ours == expected
    assert len(ours) > 1000


# What the model cannot tell sensibly: no source says what a real driver's cycle counters add up, it has no power by
# part and no base clocks; and what would cost every step of every board, while nothing reads it.
NOT_SIMULATED = {
    cycles.COMPUTE_CYCLES,
    cycles.COMPUTE_ACTIVE_CYCLES,
    cycles.PIPE_ACTIVE_CYCLES,
    detail.MEMORY_POWER,
    detail.CLOCKS_BELOW_BASE,
    detail.ACTIVITY_DISTRIBUTION,
}
# What such a board does not have, or has only once something happened or was asked for.
ELSEWHERE = {
    link.LINK_BIT_ERRORS,
    link.C2C_LINK_ACTIVE,
    link.C2C_LINK_SPEED,
    link.C2C_LINK_ERRORS,
    link.FABRIC_HEALTH,
    link.FABRIC_FAULT,
    detail.ENGINE_ACTIVE,
    device.FAN_SPEED,
    device.INSTANCE_INFO,
    device.PAGES_RETIRED,
    device.PAGE_RETIREMENT_PENDING,
    device.XID_LAST,
    device.DEVICE_EVENTS,
    device.SXID_EVENTS,
    vendor.PARTITION_INFO,
    vendor.VIOLATION,
    runtime.RUNTIME_UP,
    runtime.IDLE_SECONDS,
    runtime.QUEUED_PROGRAMS,
    runtime.PROGRAM_SECONDS,
    runtime.TRANSFER_SECONDS,
    training.STEP_SECONDS,
    training.PHASE_SECONDS,
    *(row for row in vars(process).values() if isinstance(row, Metric)),
    *(row for row in vars(linux).values() if isinstance(row, Metric)),
    *(row for row in vars(infiniband).values() if isinstance(row, Metric)),
}


def test_the_page_holds_every_family_that_a_node_with_such_devices_has(pages):
    text = pages.metrics("sim-node-0", Format.TEXT).decode()
    found = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    parts = (device, detail, cycles, link, process, runtime, vendor, host, linux, infiniband, training)
    rows = [row for part in parts for row in vars(part).values() if isinstance(row, Metric)]
    missing = {row.name for row in rows if row.tier is not Tier.ON_DEMAND and row.name not in found}
    assert missing <= {row.name for row in NOT_SIMULATED | ELSEWHERE}
    assert not found & {row.name for row in NOT_SIMULATED}  # the table must not outlive its reason


def test_every_page_says_that_its_devices_are_simulated(pages):
    for number in range(8):
        text = pages.metrics(f"sim-node-{number}", Format.TEXT).decode()
        rows = [line for line in text.splitlines() if line.startswith("accel_device_info{")]
        assert len(rows) == 8
        assert all('simulated="true"' in row for row in rows)


def test_the_page_moves_with_the_clock(pages, clock):
    first = value_of(pages.metrics("sim-node-0", Format.TEXT), "accel_energy_joules_total")
    clock.advance(5.0)
    then = value_of(pages.metrics("sim-node-0", Format.TEXT), "accel_energy_joules_total")
    assert 8 * 70.0 * 5.0 * 0.9 < then - first < 8 * 700.0 * 5.0 * 1.1


def test_scrapes_within_a_second_see_the_same_reading(pages, clock):
    clock.advance(2.0)
    first = pages.metrics("sim-node-0", Format.TEXT)
    clock.advance(0.4)
    assert pages.metrics("sim-node-0", Format.TEXT) == first


@pytest.mark.slow
def test_who_scrapes_which_node_first_makes_no_difference():
    (one, clock), (other, twin) = fresh(), fresh()
    clock.advance(3.0)
    twin.advance(3.0)
    names = [f"sim-node-{number}" for number in range(8)]
    forth = {name: one.metrics(name, Format.TEXT) for name in names}
    back = {name: other.metrics(name, Format.TEXT) for name in reversed(names)}
    assert forth == back


def test_an_unknown_node_is_named_in_the_error(pages):
    with pytest.raises(InputError, match="no simulated node 'db-1'; there are sim-node-0 to sim-node-7"):
        pages.metrics("db-1", Format.TEXT)
    with pytest.raises(InputError, match="no simulated node 'db-1'"):
        pages.backfill("db-1")


@pytest.mark.real
def test_promtool_has_no_complaint_about_a_page(promtool: Path, pages):
    done = subprocess.run(
        [promtool, "check", "metrics"],
        input=pages.metrics("sim-node-4", Format.TEXT),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr.decode()) == (0, "")


# ---- the past


def test_the_past_is_openmetrics_that_prometheus_client_reads(past):
    # No histogram here: its parser takes the second moment's buckets for duplicates of the first's (0.26.0).
    keep = ("accel_power_watts", "accel_device_state", "accel_energy_joules", "accel_workload", "host_load1")
    families = {family.name: family for family in parse_openmetrics(only(past, keep))}
    assert set(keep) == set(families)


def test_every_moment_of_a_histogram_holds_all_its_buckets_count_and_sum(lines):
    moments: dict[tuple[float, str], list] = {}
    for line in lines:
        if line.name.startswith("training_step_seconds"):
            labels = {name: value for name, value in labels_of(line.labels).items() if name != "le"}
            moments.setdefault((line.timestamp, str(sorted(labels.items()))), []).append(line)
    assert moments
    for points in moments.values():
        *buckets, count, total = points
        assert [line.value for line in buckets] == sorted(line.value for line in buckets)
        assert (buckets[-1].value, count.name[-6:], total.name[-4:]) == (count.value, "_count", "_sum")


def only(text: str, families: tuple[str, ...]) -> str:
    """The page cut down to some families: the other parser needs 10 us a line."""
    kept = []
    wanted = False
    for line in text.splitlines(keepends=True):
        if line.startswith("# HELP"):
            wanted = line.split()[2] in families
        if wanted or line == "# EOF\n":
            kept.append(line)
    return "".join(kept)


def test_every_family_of_the_page_is_in_the_past(pages, past):
    page = pages.metrics("sim-node-0", Format.OPENMETRICS).decode()
    assert {line for line in past.splitlines() if line.startswith("# ")} == {
        line for line in page.splitlines() if line.startswith("# ")
    }


def test_families_are_contiguous_and_series_in_time_order(lines):
    names = [name for name, _ in groupby(lines, key=lambda line: family_of(line.name))]
    assert len(names) == len(set(names))
    newest: dict[tuple[str, str], float] = {}
    for line in lines:
        assert line.timestamp > newest.get((line.name, line.labels), 0.0)
        newest[line.name, line.labels] = line.timestamp


def family_of(name: str) -> str:
    for suffix in ("_bucket", "_count", "_sum"):
        if BY_NAME.get(name) is None and name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def test_points_of_one_series_stand_together(lines):
    plain = [line for line in lines if family_of(line.name) == line.name]
    runs = [key for key, _ in groupby(plain, key=lambda line: (line.name, line.labels))]
    assert len(runs) == len(set(runs))


def test_the_past_covers_the_hour_before_the_start_every_ten_seconds(lines):
    times = sorted({line.timestamp for line in lines if line.name == "accel_power_watts"})
    assert times == [START - 3600.0 + 10.0 * step for step in range(361)]


def test_what_hardly_moves_stands_there_once_a_minute(lines):
    times = sorted({line.timestamp for line in lines if line.name == "accel_power_limit_watts"})
    assert times == [START - 3600.0 + 60.0 * step for step in range(61)]


def test_counters_of_the_past_never_fall(lines):
    newest: dict[tuple[str, str], float] = {}
    for line in lines:
        if line.name.endswith(("_total", "_bucket", "_count", "_sum")):
            key = (line.name, line.labels)
            assert line.value >= newest.get(key, 0.0), key
            newest[key] = line.value


def test_the_past_runs_into_the_present_without_a_jump(pages, clock, lines):
    past = [line for line in lines if line.name == "accel_energy_joules_total" and line.timestamp == START]
    clock.advance(2.0)
    now = value_of(pages.metrics("sim-node-0", Format.TEXT), "accel_energy_joules_total")
    assert 0.0 < now - sum(line.value for line in past) < 8 * 700.0 * 1.01 * (clock.now() - START)


def test_the_past_comes_in_chunks_and_can_be_asked_for_again(pages):
    first, second = list(pages.backfill("sim-node-1")), list(pages.backfill("sim-node-1"))
    assert len(first) > 10
    assert b"".join(first) == b"".join(second)
    assert first[-1].endswith(b"# EOF\n")


def test_all_devices_of_the_past_say_that_they_are_simulated(past):
    rows = [line for line in past.splitlines() if line.startswith("accel_device_info{")]
    assert rows
    assert all('simulated="true"' in row for row in rows)


# ---- discovery and truth


def test_service_discovery_lists_every_node_with_its_pages(pages):
    groups = pages.service_discovery("http://127.0.0.1:9837")
    assert len(groups) == 8
    assert groups[2] == {
        "targets": ["127.0.0.1:9837"],
        "labels": {
            "__scheme__": "http",
            "__metrics_path__": "/sim/sim-node-2/metrics",
            "__meta_warpgauge_backfill": "/sim/sim-node-2/backfill",
            "cluster": "demo",
            "node": "sim-node-2",
        },
    }


def test_the_truth_stands_beside_the_pages_and_never_on_them(pages):
    assert {fault["kind"] for fault in pages.truth()["faults"]} == set(FAULTS)
    text = pages.metrics("sim-node-0", Format.TEXT).decode()
    assert not any(word in text for word in ("straggler", "idle_allocated", "input_bound", "thermal_limited"))
