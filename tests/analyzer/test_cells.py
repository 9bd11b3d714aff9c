"""Series that fold into one value do so wherever in a batch they stand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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


def test_a_series_that_comes_later_joins_the_one_of_its_cell_and_no_other():
    cells = Cells()
    cells.add(0, Reduce.SUM, 0, 0, 0)
    cells.add(0, Reduce.SUM, 0, 1, 0)
    cells.add(0, Reduce.SUM, 0, 1, 0)
    before = cells.groups.tolist()
    cells.add(0, Reduce.LAST, 1, 0, 0)
    cells.add(0, Reduce.SUM, 0, 0, 0)

    alone, one, other, apart, late = cells.groups.tolist()

    assert before == [-1, one, other] == [-1, one, one]
    assert apart == -1
    assert alone == late != -1
    assert late != one


@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from(list(Reduce)), *[st.integers(0, 2)] * 3), max_size=30),
    st.data(),
)
def test_groups_do_not_depend_on_when_they_were_asked_for(
    places: list[tuple[int, Reduce, int, int, int]], data: st.DataObject
):
    asked, whole = Cells(), Cells()
    for place in places:
        asked.add(*place)
        whole.add(*place)
        if data.draw(st.booleans()):
            assert len(asked.groups) == asked.size

    one, other = asked.groups.tolist(), whole.groups.tolist()

    assert [at < 0 for at in one] == [at < 0 for at in other]
    pairs = {(a, b) for a, b in zip(one, other, strict=True) if a >= 0}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@given(st.lists(st.one_of(st.integers(0, 2), st.just("ask"), st.just("forget")), max_size=30))
def test_the_series_of_a_table_are_found_whenever_they_came_and_whichever_were_forgotten(
    story: list[int | str],
):
    cells, placed = Cells(), []
    for what in story:
        if what == "forget":
            placed = placed[1::2]
            cells.keep(np.arange(1, cells.size, 2))
        elif what != "ask":
            cells.add(what, Reduce.LAST, 0, 0, 0)
            placed.append(what)
        if what in {"ask", "forget"}:
            assert cells.in_table(1).tolist() == [number for number, table in enumerate(placed) if table == 1]

    assert cells.in_table(1).tolist() == [number for number, table in enumerate(placed) if table == 1]
