"""Long tables of any maker as sources: Parquet and CSV say the same, and a bad one is named with its place."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from warpgauge.analyzer.sources.files import batches_of, files_of
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

START = 1_750_000_000
CSV = f"timestamp,metric,value,node,cpu\n{START},host_load1,1.5,n1,\n{START + 30},host_load1,2.5,n1,\n"


def content(path: Path, **span) -> list[tuple]:
    """(name, labels, times in seconds, values, interval) of each series."""
    return [
        (one.name, dict(one.labels), (one.times_ms / 1000).tolist(), one.values.tolist(), batch.interval_seconds)
        for batch in batches_of(path, **span)
        for one in batch.points
    ]


def as_parquet(path: Path, csv: str) -> Path:
    """The table as DuckDB writes it, whose types are nobody's wish."""
    path.with_suffix(".csv").write_text(csv)
    table = duckdb.read_csv(str(path.with_suffix(".csv")), dtype={"cpu": "varchar"})
    table.project("to_timestamp(timestamp) as timestamp, * exclude (timestamp)").write_parquet(str(path))
    return path


def test_csv_and_parquet_say_the_same(tmp_path):
    path = as_parquet(tmp_path / "t.parquet", CSV)

    found = content(path)

    assert found == [("host_load1", {"node": "n1"}, [START, START + 30.0], [1.5, 2.5], 30.0)]
    assert found == content(path.with_suffix(".csv"))


def test_the_two_halves_of_an_ha_pair_are_one_series_and_one_fills_the_gap_of_the_other(tmp_path):
    path, halves = tmp_path / "t.csv", {"a": (0, 30, 60, 90, 120), "b": (10, 40, 160, 190, 220, 250)}
    rows = [f"{START + at},c_total,{at},n1,{half}" for half, times in halves.items() for at in times]
    path.write_text("\n".join(["timestamp,metric,value,node,prometheus_replica", *rows]))

    (merged,) = content(path)
    pair = content(path, replica_labels=())

    assert merged[1] == {"node": "n1"}
    assert merged[2] == [START + at for at in (10, 40, 60, 90, 120, 160, 190, 220, 250)]
    assert [one[1]["prometheus_replica"] for one in pair] == ["a", "b"]


def test_times_of_any_form_are_the_same_times(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "metric,timestamp,value\nhost_load1,2025-06-15T15:06:40Z,1\nhost_load1,2025-06-15T15:06:50,2\n"
        "host_load1,2025-06-15T17:07:00+02:00,3\nhost_load1,1750000030.0,4\n"
    )

    assert content(path)[0][2] == [START, START + 10.0, START + 20.0, START + 30.0]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_parquet_times_of_any_unit_and_zone_are_the_same_times(tmp_path, unit, zone):
    times = pa.array([datetime.fromtimestamp(START, tz=UTC)]).cast(pa.timestamp(unit, tz="UTC"))
    times = times.cast(pa.timestamp(unit, tz=zone)) if zone else times.cast(pa.int64()).cast(pa.timestamp(unit))
    parquet.write_table(pa.table({"timestamp": times, "metric": ["a"], "value": [1.0]}), tmp_path / "t.parquet")

    assert content(tmp_path / "t.parquet")[0][2] == [START]


def test_what_was_not_measured_is_no_sample(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("timestamp,metric,value\n1,a,\n2,a,NaN\n3,a,null\n4,a,5\n")

    assert content(path)[0][2:4] == ([4.0], [5.0])


def test_each_series_has_an_interval_of_its_own(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"{at},fast,1" for at in range(0, 300, 10)] + [f"{at},slow,1" for at in range(0, 300, 60)]
    path.write_text("\n".join(["timestamp,metric,value", *rows]))

    assert {name: interval for name, *_, interval in content(path)} == {"fast": 10.0, "slow": 60.0}


def test_a_span_leaves_out_what_is_not_in_it(tmp_path):
    path = as_parquet(tmp_path / "t.parquet", CSV)

    for one in (path, path.with_suffix(".csv")):
        assert content(one, span=(START + 10, START + 40))[0][2] == [START + 30.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"t\.csv is empty"),
        ("timestamp,value\n1,2\n", r"t\.csv has no column 'metric'"),
        ("timestamp,metric,value,a,a\n", r"t\.csv has two columns 'a'"),
        ("timestamp,metric,value,a-b\n", r"column 'a-b' is no name of a label.*rename it"),
        ("timestamp,metric,value\n1,a,2\nsoon,a,2\n", r"t\.csv line 3: timestamp 'soon' must be seconds"),
        ("timestamp,metric,value\n1,a,many\n", r"t\.csv line 2: value 'many' must be a number"),
        ("timestamp,metric,value\n1,a\n", r"t\.csv line 2: 2 fields, expected as many as the first line \(3\)"),
        ("timestamp,metric,value\n1,a b,1\n", r"t\.csv line 2: metric 'a b' is no name of a metric"),
        ('timestamp,metric,value\n1,"a,1\n', r"t\.csv line \d+: "),
    ],
)
def test_a_bad_csv_is_named_with_its_line(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)

    with pytest.raises(InputError, match=message):
        content(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"timestamp": [1.0]}, r"column 'timestamp' is of type double; cast it to timestamp\[us, UTC\]"),
        ({"value": ["1"]}, "column 'value' is of type string; cast it to double"),
        ({"rank": [1]}, "column 'rank' is of type int64; cast it to string, or drop it"),
        ({"metric": [None]}, "row 0: metric is null"),
        ({"metric": ["a b"]}, "metric 'a b' is no name of a metric"),
    ],
)
def test_a_bad_parquet_table_is_named_with_column_and_mend(tmp_path, columns, message):
    good = {"timestamp": [datetime.fromtimestamp(START, tz=UTC)], "metric": ["a"], "value": [1.0]}
    table = pa.table(good | columns)
    if columns.get("metric") == [None]:
        table = table.set_column(1, "metric", pa.array([None], type=pa.string()))
    parquet.write_table(table, tmp_path / "t.parquet")

    with pytest.raises(InputError, match=message):
        content(tmp_path / "t.parquet")


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(cut=0, flips=[(258, 128)])  # a column's name that is no text
@given(cut=st.integers(0, 2000), flips=st.lists(st.tuples(st.integers(0, 1999), st.integers(0, 255)), max_size=4))
def test_a_damaged_file_is_refused_or_read_and_nothing_else(tmp_path, cut, flips):
    path = as_parquet(tmp_path / "t.parquet", CSV) if not (tmp_path / "t.parquet").exists() else tmp_path / "t.parquet"
    damaged = bytearray(path.read_bytes()[: cut or None])
    for place, byte in flips:
        if place < len(damaged):
            damaged[place] = byte
    (tmp_path / "damaged.parquet").write_bytes(damaged)

    with suppress(InputError):
        content(tmp_path / "damaged.parquet")


def test_a_directory_gives_its_parquet_files_and_leaves_csv_files_of_any_sort_alone(tmp_path):
    for name in ("b.parquet", "topology.csv", ".c.parquet.x.tmp"):
        (tmp_path / name).write_text("")

    assert [path.name for path in files_of(tmp_path)] == ["b.parquet"]


def test_a_large_csv_is_read_in_pieces(tmp_path):
    path = tmp_path / "t.csv"
    with path.open("w") as file:
        file.write("timestamp,metric,value,node\n")
        file.writelines(f"{at},host_load1,{at % 7},n{at % 3}\n" for at in range(70_000))

    found = content(path)

    assert [len(times) for _, _, times, *_ in found] == [23_334, 23_333, 23_333]
    assert np.array(found[0][2])[:2].tolist() == [0.0, 3.0]
