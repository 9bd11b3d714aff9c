"""`warpgauge detect`: CSV in, CSV out, one row per row, and one sentence per error."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import numpy as np
import pytest

from warpgauge.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 400
SPIKE = 300


def typed(*argv: str) -> tuple[int, str, str]:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = main(["detect", *argv], {})
    return code, out.getvalue(), err.getvalue()


def series(*, spike: float = 0.0) -> list[str]:
    values = np.random.default_rng(0).normal(50, 1, ROWS)
    values[SPIKE] += spike
    return [f"{1_750_000_000 + 300 * row},{value:.3f}" for row, value in enumerate(values)]


def written(folder: Path, *lines: str) -> str:
    path = folder / "series.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_every_row_comes_out_in_order_with_its_timestamp_as_written(tmp_path):
    rows = series(spike=40.0)
    code, out, err = typed(written(tmp_path, "timestamp,value", *rows))
    header, *lines = out.splitlines()
    fields = [line.split(",") for line in lines]
    assert (code, err, header) == (1, "", "timestamp,score,alarm")
    assert [field[0] for field in fields] == [row.split(",")[0] for row in rows]
    assert [row for row, field in enumerate(fields) if field[2] == "1"] == [SPIKE]
    assert all(0 <= float(field[1]) <= 1 for field in fields)


def test_without_an_alarm_it_exits_0(tmp_path):
    code, _, _ = typed(written(tmp_path, "timestamp,value", *series()))
    assert code == 0


def test_out_writes_the_same_to_a_file_and_nothing_to_stdout(tmp_path):
    source = written(tmp_path, "timestamp,value", *series(spike=40.0))
    _, expected, _ = typed(source)
    code, out, _ = typed(source, "--out", str(tmp_path / "scores.csv"))
    assert (code, out) == (1, "")
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8") == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "series.csv"]


def test_a_dash_reads_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("timestamp,value\n1,2\n"))
    assert typed("-") == (0, "timestamp,score,alarm\n1,0.0000,0\n", "")


@pytest.mark.parametrize(
    "times",
    [
        ("2014-02-14 14:30:00", "2014-02-14 14:35:00"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5+01:00"),
        ("1750000000", "1750000000.25"),
        ("5", "5"),
        ("10", "4"),
    ],
)
def test_timestamps_of_every_form_order_and_distance_are_copied(tmp_path, times):
    _, out, _ = typed(written(tmp_path, "timestamp,value", *(f"{time},1" for time in times)))
    assert [line.split(",")[0] for line in out.splitlines()[1:]] == list(times)


@pytest.mark.parametrize("missing", ["", "NaN", "nan", "null", "inf", "-Inf", "1e400"])
def test_a_value_that_is_not_there_scores_0(tmp_path, missing):
    code, out, _ = typed(written(tmp_path, "timestamp,value", "1,2.5", f"2,{missing}", "3,2.5"))
    assert (code, out.splitlines()[2]) == (0, "2,0.0000,0")


def test_a_header_names_the_columns_wherever_they_stand(tmp_path):
    _, out, _ = typed(written(tmp_path, "host,Value,timestamp", "n1,7,100", "n1,8,200"))
    assert out.splitlines()[1:] == ["100,0.0000,0", "200,0.0000,0"]


def test_without_a_header_the_first_row_counts(tmp_path):
    _, out, _ = typed(written(tmp_path, "100,7", "200,8"))
    assert len(out.splitlines()) == 3


def test_a_header_alone_gives_a_header(tmp_path):
    assert typed(written(tmp_path, "timestamp,value")) == (0, "timestamp,score,alarm\n", "")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("timestamp,value", "1,2", "2,fast"), "line 3: value 'fast' must be a number, empty or NaN"),
        (("timestamp,value", "1,2", "yesterday,2"), "line 3: timestamp 'yesterday' must be"),
        (("timestamp,value", "1,2", "nan,2"), "line 3: timestamp 'nan' must be"),
        (("timestamp,value", "1,2", "2024-13-01T00:00:00Z,2"), "line 3: timestamp"),
        (("timestamp,value", "1"), "line 2: expected timestamp,value, got '1'"),
        (("1,1_000", "2,3"), "line 1: value '1_000'"),
        (("timestamp,value", "", "1,x"), "line 3: value 'x'"),
        (("timestamp,value", "1," + "9" * 70_000), "line 2: longer than"),
    ],
)
def test_a_malformed_row_is_one_sentence_with_its_line(tmp_path, lines, words):
    code, _, err = typed(written(tmp_path, *lines))
    assert code == 2
    assert words in err
    assert len(err.splitlines()) == 1


def test_a_malformed_row_leaves_the_old_output_file(tmp_path):
    target = tmp_path / "scores.csv"
    target.write_text("old")
    code, _, _ = typed(written(tmp_path, "timestamp,value", "1,x"), "--out", str(target))
    assert (code, target.read_text()) == (2, "old")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scores.csv", "series.csv"]


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path):
    path = tmp_path / "series.csv"
    path.write_bytes(b"timestamp,value\n1,2\n2,\xff\xfe\n")
    code, _, err = typed(str(path))
    assert (code, "not UTF-8" in err) == (2, True)


@pytest.mark.parametrize(
    ("name", "words"),
    [("nothing.csv", "cannot read"), ("nothing.parquet", "is gone"), (".", "holds no file that ends in .parquet")],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, words):
    code, _, err = typed(str(tmp_path / name))
    assert (code, words in err, len(err.splitlines())) == (2, True, 1)


def test_an_empty_file_is_no_series(tmp_path):
    path = tmp_path / "series.csv"
    path.write_bytes(b"")
    code, _, err = typed(str(path))
    assert (code, "is empty" in err) == (2, True)


def test_where_nothing_can_be_written_the_place_is_named(tmp_path):
    code, _, err = typed(written(tmp_path, "1,2"), "--out", str(tmp_path / "none" / "out.csv"))
    assert (code, "cannot write" in err) == (2, True)
