"""`warpgauge detect` on long tables: one series of many, from CSV, Parquet and the folders of a history."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from warpgauge.analyzer.parquet import pieces_of
from warpgauge.core.errors import InputError

from .test_detect import SPIKE, series, typed

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "timestamp,metric,value,node,rank"
SICK, WELL = series(spike=40.0), series()


def table(folder: Path) -> Path:
    """Two nodes' power, row by row in turn, and one temperature of a rank."""
    path = folder / "t.csv"
    lines = [HEADER]
    for sick, well in zip(SICK, WELL, strict=True):
        for node, row in (("n1", sick), ("n2", well)):
            time, value = row.split(",")
            lines.append(f"{time},accel_power_watts,{value},{node},")
        lines.append(f"{time},accel_temperature_celsius,40,n1,0")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def as_parquet(path: Path, target: Path, *, rows: slice = slice(None)) -> Path:
    """The same table as Parquet, sorted by metric as a history is, in small groups."""
    with path.open(newline="") as stream:
        found = sorted(csv.DictReader(stream), key=lambda row: (row["metric"], row["node"], row["timestamp"]))
    times = [datetime.fromtimestamp(float(row["timestamp"]), UTC) for row in found]
    columns = {
        "timestamp": pa.array(times, type=pa.timestamp("us", tz="UTC")),
        "metric": [row["metric"] for row in found],
        "value": [float(row["value"]) for row in found],
        "node": [row["node"] for row in found],
        "rank": pa.array([row["rank"] or None for row in found], type=pa.string()),
    }
    whole = pa.table(columns)
    target.parent.mkdir(parents=True, exist_ok=True)
    kept = whole.take(np.arange(len(found))[rows])
    parquet.write_table(kept, target, row_group_size=100)
    return target


def test_one_series_of_a_table_is_scored_as_if_it_stood_alone(tmp_path):
    alone = tmp_path / "alone.csv"
    alone.write_text("\n".join(["timestamp,value", *SICK]) + "\n")
    assert typed(str(table(tmp_path)), "--metric", "accel_power_watts", "--label", "node=n1") == typed(str(alone))


def test_parquet_gives_the_same_scores_with_times_as_rfc_3339(tmp_path):
    path = table(tmp_path)
    asked = ("--metric", "accel_power_watts", "--label", "node=n1")
    _, expected, _ = typed(str(path), *asked)
    code, out, err = typed(str(as_parquet(path, tmp_path / "t.parquet")), *asked)
    assert (code, err) == (1, "")
    assert [row.split(",")[1:] for row in out.splitlines()] == [row.split(",")[1:] for row in expected.splitlines()]
    assert out.splitlines()[1 + SPIKE].startswith("2025-06-16T16:06:40.000Z,")


def test_a_directory_of_parquet_is_read_file_by_file_in_the_order_of_names(tmp_path):
    path = table(tmp_path)
    whole = as_parquet(path, tmp_path / "t.parquet")
    first = as_parquet(path, tmp_path / "history/date=2025-06-15/hour=15/1-1-00000000.parquet", rows=slice(0, 200))
    as_parquet(path, tmp_path / "history/date=2025-06-16/hour=15/2-1-00000000.parquet", rows=slice(200, None))
    asked = ("--metric", "accel_power_watts", "--label", "node=n1")
    assert typed(str(first.parents[2]), *asked) == typed(str(whole), *asked)


def test_an_empty_label_is_one_that_the_series_has_not(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"{HEADER}\n1,a,5,n1,\n1,a,6,n1,0\n")
    assert typed(str(path), "--label", "rank=")[1].splitlines()[1:] == ["1,0.0000,0"]


def test_a_table_of_a_single_series_needs_no_choice(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"{HEADER}\n1,a,5,n1,\n2,a,6,n1,\n")
    assert len(typed(str(path))[1].splitlines()) == 3


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ((), "more than one series that fits; choose one of them: --"),
        (("--metric", "accel_power_watts"), "choose one of them: --label node=n1 or --label node=n2"),
        (("--metric", "host_load1"), "holds no series host_load1"),
        (("--metric", "accel_power_watts", "--label", "node=n9"), 'no series accel_power_watts{node="n9"}'),
    ],
)
def test_what_fits_no_or_several_series_is_one_sentence_with_the_mend(tmp_path, suffix, asked, words):
    path = table(tmp_path)
    path = as_parquet(path, tmp_path / "t.parquet") if suffix == ".parquet" else path
    code, _, err = typed(str(path), *asked)
    assert (code, words in err, len(err.splitlines())) == (2, True, 1)


@pytest.mark.parametrize(
    ("lines", "asked", "words"),
    [
        (["timestamp,value", "1,2"], ("--metric", "a"), "has no column 'metric', so there is nothing to choose from"),
        ([HEADER, "1,a,2,n1,"], ("--label", "nod=n1"), "has no column 'nod'; it has node, rank"),
        ([HEADER, "1,a,2,n1"], (), "line 2: 4 fields, expected as many as the first line (5)"),
        ([HEADER, "1,b,x,n1,", "1,a,x,n1,"], ("--metric", "a"), "line 3: value 'x' must be a number"),
    ],
)
def test_a_malformed_table_is_one_sentence_with_its_place(tmp_path, lines, asked, words):
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    code, _, err = typed(str(path), *asked)
    assert (code, words in err, len(err.splitlines())) == (2, True, 1)


def test_groups_without_the_metric_are_not_even_read(tmp_path):
    """The last group is of another metric and damaged: nobody notices who does not ask for it."""
    path = as_parquet(table(tmp_path), tmp_path / "t.parquet")
    last = parquet.ParquetFile(path).metadata
    start = last.row_group(last.num_row_groups - 1).column(0).dictionary_page_offset or 0
    damaged = bytearray(path.read_bytes())
    damaged[start : start + 200] = b"\xff" * 200
    path.write_bytes(damaged)

    assert sum(len(values) for *_, values in pieces_of(path, metric="accel_power_watts")) >= 2 * len(SICK)
    with pytest.raises(InputError, match="Parquet"):
        list(pieces_of(path))
