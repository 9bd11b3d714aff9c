"""What is written into a file comes out of it again."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warpgauge.analyzer.history.book import Book
from warpgauge.analyzer.history.columns import LABELS
from warpgauge.analyzer.history.rows import Rows, sheets_of
from warpgauge.analyzer.parquet import encoded, pieces_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
SERIES = st.tuples(
    st.sampled_from(["accel_power_watts", "host_load1"]), st.dictionaries(st.sampled_from(LABELS), TEXT, max_size=5)
)
SAMPLE = st.tuples(SERIES, st.integers(0, 4_000_000_000_000), st.floats(allow_nan=False))


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(samples=st.lists(SAMPLE, min_size=1, max_size=30))
def test_every_row_that_was_written_is_read_with_its_labels(samples):
    book = Book(most_series=1000)
    numbers = np.array([book.number(name, labels) for (name, labels), _, _ in samples], dtype=np.int32)
    rows = Rows(book, numbers, np.array([time for _, time, _ in samples]), np.array([value for *_, value in samples]))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for sheet in sheets_of([rows]):
            path = Path(folder) / f"{sheet.hour}.parquet"
            path.write_bytes(encoded(sheet.rows))
            for series, of_row, times_ms, values in pieces_of(path):
                told = zip(of_row.tolist(), times_ms.tolist(), values.tolist(), strict=True)
                found += [(series[number][0], sorted(series[number][1].items()), *rest) for number, *rest in told]

    assert sorted(found) == sorted((name, sorted(labels.items()), *rest) for (name, labels), *rest in samples)
