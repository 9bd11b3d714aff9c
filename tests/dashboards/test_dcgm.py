"""Our dashboards over dcgm-exporter's series: the same panels through one mapping, without what it cannot tell."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from warpgauge.core.catalog import device, host
from warpgauge.core.promql import Matches, increase, over_time, rate, select, state_code
from warpgauge.dashboards import fleet
from warpgauge.dashboards.dcgm import DCGM_DASHBOARDS, NOT_GIVEN
from warpgauge.dashboards.dcgm.words import expression, legend
from warpgauge.dashboards.generate import DASHBOARDS, files

NODE = {"node": Matches("$node")}


def document(name: str) -> dict[str, Any]:
    return json.loads(files()[f"{name}.json"])


def panel(name: str, title: str) -> dict[str, Any]:
    (found,) = [one for one in document(name)["panels"] if one["title"] == title]
    return found


def test_every_dashboard_has_a_variant_or_says_why_it_cannot():
    given = {name.removeprefix("dcgm-") for name in DCGM_DASHBOARDS}
    assert not given & NOT_GIVEN.keys()
    assert given | NOT_GIVEN.keys() == DASHBOARDS.keys()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (select(device.POWER, **NODE), 'DCGM_FI_DEV_POWER_USAGE{Hostname=~"$node"}'),
        (select(device.UTILIZATION, engine="compute"), "(DCGM_FI_DEV_GPU_UTIL / 100)"),
        (select(device.CLOCK, clock="memory"), "(DCGM_FI_DEV_MEM_CLOCK * 1000000)"),
        (select(device.MEMORY_USED), "(DCGM_FI_DEV_FB_USED * 1048576)"),
        (increase(device.ENERGY, "1h"), "(increase(DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION[1h]) / 1000)"),
        (rate(device.PCIE_RECEIVE, "5m"), "DCGM_FI_PROF_PCIE_RX_BYTES"),  # per second already
        (
            over_time("max", device.ROWS_REMAPPED, "5m", cause="corrected"),
            "max_over_time(DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS[5m])",
        ),
    ],
)
def test_a_row_is_said_in_the_exporters_field_and_our_unit(ours: str, theirs: str):
    assert expression(ours) == theirs


def test_labels_go_by_their_other_names_and_strings_stay():
    ours = f'max by (cluster, node, index, uuid) (label_replace({select(device.POWER)}, "node", "$1", "uuid", "(.+)"))'
    assert expression(ours) == (
        'max by (cluster, Hostname, gpu, UUID) (label_replace(DCGM_FI_DEV_POWER_USAGE, "node", "$1", "UUID", "(.+)"))'
    )
    assert legend("{{cluster}} {{node}}/gpu{{index}} node") == "{{cluster}} {{Hostname}}/gpu{{gpu}} node"


def test_fields_that_are_one_row_of_ours_are_told_apart_by_its_label():
    told = expression(f"max by (sensor) ({select(device.TEMPERATURE)})") or ""
    labeled = dict(re.findall(r'label_replace\((\w+), "sensor", "(\w+)"', told))
    assert labeled == {"DCGM_FI_DEV_GPU_TEMP": "core", "DCGM_FI_DEV_MEMORY_TEMP": "memory"}


@pytest.mark.parametrize(
    "ours",
    [
        select(host.MEMORY_TOTAL),
        select(device.CLOCK, clock="graphics"),  # DCGM has that of the SMs
        select(device.POWER_LIMIT, limit="enforced"),  # in none of the exporter's lists
        increase(device.PCIE_RECEIVE, "1h"),  # of a rate there is no increase
        state_code(device.DEVICE_STATE, by=("uuid",)),
        f"{select(device.POWER)} / {select(device.POWER_LIMIT)}",
    ],
)
def test_what_the_exporter_cannot_tell_is_not_asked(ours: str):
    assert expression(ours) is None


def test_clocks_count_as_held_down_after_a_tenth_of_the_time():
    told = expression(select(device.THROTTLE_ACTIVE, reason=("sw_thermal", "hw_thermal"))) or ""
    assert "rate(DCGM_FI_DEV_THERMAL_VIOLATION[$__rate_interval]) / 1000000000" in told
    assert told.endswith("> bool 0.1)")


def test_a_panel_keeps_title_unit_and_place_and_names_its_fields():
    ours = next(one for one in fleet.dashboard().panels if one.title == "Power now")
    theirs = panel("dcgm-fleet", "Power now")
    assert theirs["fieldConfig"]["defaults"]["unit"] == ours.defaults["unit"] == "watt"
    assert theirs["description"].endswith("From DCGM_FI_DEV_POWER_USAGE.")


def test_a_field_that_must_be_switched_on_is_named():
    text = panel("dcgm-device", "NVLink traffic")["description"]
    assert text.endswith("Off in the exporter's own list: DCGM_FI_PROF_NVLINK_RX_BYTES, DCGM_FI_PROF_NVLINK_TX_BYTES.")


def test_columns_that_are_gone_leave_nothing_behind():
    table = panel("dcgm-reliability", "Spare rows")
    assert [target["refId"] for target in table["targets"]] == ["A", "B"]
    names = table["transformations"][1]["options"]["renameByName"]
    shown = {"Cluster", "Node", "Index", "UUID", "Rows, corrected", "Rows, uncorrected"}
    assert set(names.values()) == shown
    assert {one["matcher"]["options"] for one in table["fieldConfig"]["overrides"]} <= shown


def test_links_lead_to_variants_and_to_none_that_there_is_not():
    text = json.dumps([document(name) for name in DCGM_DASHBOARDS])
    paths = set(re.findall(r'"url": "(/d/[^?]+)\?', text))
    assert paths == {"/d/warpgauge-dcgm-node/dcgm-node", "/d/warpgauge-dcgm-device/dcgm-device"}
    assert "var-cluster" not in text  # none of them chooses by it


def test_no_series_of_our_own_agent_is_read():
    text = json.dumps([document(name)["panels"] for name in DCGM_DASHBOARDS])
    assert re.findall(r"\b(?:accel|host|training|serving|warpgauge)_\w+", text) == []
