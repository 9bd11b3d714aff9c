"""The layer over grafanalib: units, titles, layout, ids."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import ALL, Unit, device, host, training
from warpgauge.dashboards import grafana
from warpgauge.dashboards.grafana import GRAFANA_UNITS, Column, Levels, Section
from warpgauge.dashboards.grafana.layout import COLUMNS
from warpgauge.dashboards.grafana.parts import title_of


def shown(panel: grafana.Panel) -> dict:
    return json.loads(json.dumps(panel.to_json_data(), default=lambda one: one.to_json_data()))


def figure(title: str, width: int = 4, height: int = 4) -> grafana.Panel:
    return grafana.stat(device.POWER, "sum(accel_power_watts)", title=title, width=width, height=height)


def test_every_unit_of_the_catalog_has_a_grafana_unit():
    assert set(GRAFANA_UNITS) == set(Unit)


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_every_row_can_be_shown(row):
    assert grafana.unit_of(row)
    assert title_of(row)


@pytest.mark.parametrize(
    ("row", "unit"),
    [
        (device.POWER, "watt"),
        (device.ENERGY, "watt"),  # joules per second
        (device.UTILIZATION, "percentunit"),
        (host.DISK_READ, "binBps"),
        (host.CPU_SECONDS, "percentunit"),  # seconds per second
        (device.TEMPERATURE, "celsius"),
        (device.POWER_DISTRIBUTION, "watt"),  # its quantiles
        (training.STEP_SECONDS, "s"),
    ],
)
def test_the_unit_comes_from_the_row(row, unit: str):
    assert grafana.unit_of(row) == unit


def test_the_title_is_the_rows_name_in_words():
    assert title_of(device.MEMORY_USED) == "Memory used"


def test_a_ratio_is_drawn_from_zero_to_one():
    defaults = shown(grafana.graph(device.UTILIZATION, grafana.query("x")))["fieldConfig"]["defaults"]
    assert (defaults["min"], defaults["max"]) == (0, 1)


def test_a_temperature_axis_starts_where_the_values_are():
    assert "min" not in shown(grafana.graph(device.TEMPERATURE, grafana.query("x")))["fieldConfig"]["defaults"]


def test_queries_get_their_letters_in_order():
    panel = shown(grafana.graph(device.POWER, grafana.query("x"), grafana.query("y")))
    assert [target["refId"] for target in panel["targets"]] == ["A", "B"]


def test_a_value_without_levels_is_neither_good_nor_bad():
    assert Levels().steps() == [{"color": "blue", "value": None}]


def test_levels_turn_orange_then_red():
    assert [step["color"] for step in Levels(warning=1, critical=2).steps()] == ["green", "orange", "red"]


def test_state_numbers_are_shown_as_words():
    panel = shown(grafana.state_timeline(device.DEVICE_STATE, "x", "{{uuid}}"))
    (mapping,) = panel["fieldConfig"]["defaults"]["mappings"]
    shown_as = {one["text"]: one["color"] for one in mapping["options"].values()}
    assert list(shown_as) == ["ok", "degraded", "released", "denied", "lost", "needs reset", "hung"]
    assert (shown_as["ok"], shown_as["released"], shown_as["lost"]) == ("green", "blue", "red")


def test_a_hidden_column_is_left_out_of_the_table():
    column = Column(title="Inventory", expr="x", metric=device.DEVICE_INFO, hidden=True)
    panel = shown(grafana.table("T", (column,), keys={"uuid": "UUID"}, description="d."))
    assert panel["transformations"][1]["options"]["excludeByName"] == {
        "Time": True,
        "Value": True,
    }  # of one query alone Grafana adds no letter


def test_a_job_whose_name_is_a_number_stays_a_name():
    column = Column(title="Devices", expr="x", metric=device.WORKLOAD_INFO)
    (job, _) = shown(grafana.table("T", (column,), keys={"job_id": "Job"}, description="d."))["fieldConfig"][
        "overrides"
    ]
    assert {"id": "unit", "value": "string"} in job["properties"]


def test_an_id_survives_new_neighbors():
    alone = grafana.flow([Section("S", (figure("a"),))])
    later = grafana.flow([Section("S", (figure("new"), figure("a")))])
    assert alone[1].id == later[2].id


def test_two_panels_of_one_title_in_one_section_are_refused():
    with pytest.raises(ValueError, match="share id"):
        grafana.flow([Section("S", (figure("a"), figure("a")))])


sizes = st.lists(st.tuples(st.integers(1, COLUMNS), st.integers(1, 12)), min_size=1, max_size=30)


@given(sizes)
def test_flow_never_overlaps_and_never_leaves_the_grid(shapes):
    panels = tuple(figure(str(number), width, height) for number, (width, height) in enumerate(shapes))
    taken: set[tuple[int, int]] = set()
    for panel in grafana.flow([Section("S", panels)]):
        place = panel.gridPos
        cells = {(x, y) for x in range(place.x, place.x + place.w) for y in range(place.y, place.y + place.h)}
        assert place.x + place.w <= COLUMNS
        assert not cells & taken
        taken |= cells


@given(sizes)
def test_flow_keeps_the_reading_order(shapes):
    panels = tuple(figure(str(number), width, height) for number, (width, height) in enumerate(shapes))
    places = [(panel.gridPos.y, panel.gridPos.x) for panel in grafana.flow([Section("S", panels)])]
    assert places == sorted(places)
