"""Series that fold into one value do so wherever in a batch they stand."""

from __future__ import annotations

import numpy as np

from warpgauge.analyzer.frame.cells import Cells, fold
from warpgauge.analyzer.frame.schema import Reduce
from warpgauge.analyzer.frame.states import ColumnValues

COLUMN = 7


def test_series_of_one_cell_add_up_across_the_parts_of_a_batch():
    cells = Cells()
    for row in (0, 0, 1):  # two CPUs of one node, the only one of another
        cells.add(0, Reduce.SUM, 0, row, 0)
    parts = [
        ColumnValues(np.array([0, 2]), COLUMN, np.array([1.0, 4.0])),
        ColumnValues(np.array([1]), np.array([COLUMN]), np.array([2.0])),
    ]

    found = [(one.ids.tolist(), one.values.tolist()) for one in fold(cells, parts)]

    assert [one for one in found if one[0]] == [([2], [4.0]), ([0], [3.0])]
