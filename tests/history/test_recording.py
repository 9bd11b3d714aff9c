"""What comes into the history, in which words, and what does not."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from tests.history.conftest import START, UUIDS, page
from warpgauge.analyzer.sources import Points, Ranges, Target


def rows(kept, columns: str, where: str = "true") -> list[tuple]:
    """As DuckDB reads the folder."""
    kept.writer.flush()
    return sorted(duckdb.read_parquet(f"{kept.folder}/**/*.parquet").filter(where).project(columns).fetchall())


def test_a_sample_stands_with_its_time_its_labels_and_its_place(kept):
    history = kept()
    history.scrape(0.5, page(1))

    found = rows(history, "epoch(timestamp), value, cluster, node, uuid, index, job, instance", "uuid = 'GPU-1'")

    assert (START + 0.5, 301.0, "local", "n1", "GPU-1", "1", None, "n1:9837") in found


def test_what_no_detector_reads_and_what_only_describes_is_kept_too(kept):
    history = kept()
    history.scrape(0, page(1))

    names = {name for (name,) in rows(history, "metric")}

    assert names >= {"accel_fan_speed_ratio", "accel_device_info", "host_info", "warpgauge_agent_scrapes_total"}
    assert set(rows(history, "rack", "metric = 'accel_device_info'")) == {("r7",)}


def test_foreign_names_and_units_stand_as_the_catalog_has_them(kept):
    history = kept()
    who = 'gpu="0",UUID="GPU-0",device="nvidia0",modelName="H100",Hostname="n1"'
    history.scrape(0, f"DCGM_FI_DEV_POWER_USAGE{{{who}}} 321.5\nDCGM_FI_DEV_GPU_UTIL{{{who}}} 50\nunheard_of 1\n")

    found = dict(rows(history, "metric, value"))

    assert found["accel_power_watts"] == 321.5
    assert 0.5 in found.values()
    assert not any(name.startswith(("DCGM", "unheard")) for name in found)


def test_counters_are_kept_as_they_were_read(kept):
    history = kept()
    for step in range(3):
        history.scrape(10.0 * step, page(step))

    found = rows(history, "value", "metric = 'accel_energy_joules_total' and uuid = 'GPU-0'")

    assert [value for (value,) in found] == [0.0, 3000.0, 6000.0]


def test_simulated_nodes_are_left_out_even_if_that_is_said_late(kept):
    history = kept()
    history.scrape(0, 'host_info{nodename="n1"} 1\nhost_load1 1\n')
    history.scrape(10, page(1, simulated="true"))
    history.scrape(10, 'host_info{nodename="n2"} 1\nhost_load1 2\n', target="http://n2:9837/metrics")

    assert set(rows(history, "node")) == {("n2",)}


def test_samples_closer_than_the_resolution_are_thinned_out(kept):
    history = kept(resolution_seconds=10.0)
    for second in range(41):
        history.scrape(second, "host_load1 1\n")

    assert len(rows(history, "timestamp")) == 5


def test_without_a_resolution_every_sample_is_kept_once(kept):
    history = kept(resolution_seconds=0.0)
    for second in (0, 1, 2, 2, 1):
        history.scrape(second, "host_load1 1\n")

    assert len(rows(history, "timestamp")) == 3


def test_what_a_poll_reads_again_is_not_written_again(kept):
    history = kept(resolution_seconds=0.0)
    for first in (0, 3):
        times_ms = np.array([int(START * 1000) + 1000 * second for second in range(first, first + 6)])
        points = Points(name="host_load1", labels={"node": "n1"}, times_ms=times_ms, values=np.arange(6.0))
        history.intake.take(Ranges(target=Target(name="p"), points=[points], interval_seconds=1.0))
    history.clock.advance(60)

    assert len(rows(history, "timestamp")) == 9


def test_a_series_that_ended_leaves_no_value(kept):
    history = kept()
    history.scrape(0, "host_load1 NaN\n")
    history.scrape(10, "host_load1 2\n")

    assert rows(history, "value") == [(2.0,)]


def test_a_new_generation_of_the_frame_goes_on_without_repeating(kept):
    history = kept()
    history.scrape(0, page(0))
    history.intake.frame.generation += 1
    history.scrape(0, page(0))
    history.scrape(10, page(1))

    found = rows(history, "epoch(timestamp), uuid, value", "metric = 'accel_power_watts'")

    assert found == [(START + at, uuid, 300.0 + at / 10) for at in (0, 10) for uuid in UUIDS]


def test_samples_dated_in_the_future_are_dropped_and_counted(kept):
    history = kept()
    history.scrape(0, "host_load1 1\n")
    history.clock.seconds = START - 3600
    history.writer.flush()

    assert history.writer.stats().dropped["time"] == 1
    assert history.files() == []


def test_series_beyond_the_most_are_counted(kept):
    history = kept()
    history.recorder._most_series = 3
    history.recorder.begin()
    history.scrape(0, page(0))

    assert len(set(rows(history, "metric, concat(uuid, fan, job_id)"))) <= 3
    assert history.writer.stats().dropped["series"] > 0


@pytest.mark.parametrize("reader", ["duckdb", "pyarrow.dataset"])
def test_others_read_the_folder_with_its_partitions(kept, reader):
    history = kept()
    for step in range(3):
        history.scrape(1800.0 * step, page(step))
    history.writer.flush()

    if reader == "duckdb":
        table = duckdb.read_parquet(f"{history.folder}/**/*.parquet", hive_partitioning=True)
        (found,) = table.aggregate("count(*), min(date)::text, count(distinct hour)").fetchall()
    else:
        from pyarrow import dataset  # noqa: PLC0415 - an import that takes a while

        table = dataset.dataset(history.folder, partitioning="hive").to_table(columns=["date", "hour"])
        found = (table.num_rows, min(table["date"].to_pylist()), len(table["hour"].unique()))

    assert found == (36, "2025-06-15", 2)
