"""The table of driver errors: what it says of the ones that matter, and how a site decides otherwise."""

from __future__ import annotations

import pytest

from warpgauge.core.errors import ConfigError
from warpgauge.core.finding import Severity
from warpgauge.core.xid import CATALOG, STICKY, Action, Blame, entry_of, with_overrides


@pytest.mark.parametrize("number", sorted(CATALOG))
def test_every_entry_stands_under_its_number_with_a_meaning_and_a_source(number: int):
    entry = CATALOG[number]
    assert entry.number == number
    assert entry.meaning
    assert entry.source


@pytest.mark.parametrize("number", [13, 31, 43, 68, 69, 98, 127])
def test_what_an_application_did_is_information_and_asks_for_a_restart_of_it(number: int):
    entry = CATALOG[number]
    assert (entry.blame, entry.action, entry.severity) == (
        Blame.APPLICATION, Action.RESTART_APPLICATION, Severity.INFO,
    )  # fmt: skip


@pytest.mark.parametrize("number", [62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158])
def test_what_only_a_reset_mends_is_critical(number: int):
    assert (CATALOG[number].action, CATALOG[number].severity) == (Action.RESET_DEVICE, Severity.CRITICAL)


def test_a_device_off_the_bus_needs_its_node_restarted():
    assert CATALOG[79].action is Action.RESTART_NODE


@pytest.mark.parametrize("number", range(144, 151))
def test_errors_of_the_fifth_nvlink_are_to_be_inspected(number: int):
    assert (CATALOG[number].action, CATALOG[number].blame) == (Action.INSPECT, Blame.HARDWARE)


@pytest.mark.parametrize("number", [44, 63, 92, 121, 137, 141, 152, 153, 157, 160, 161])
def test_what_may_be_ignored_is_information(number: int):
    assert (CATALOG[number].action, CATALOG[number].severity) == (Action.IGNORE, Severity.INFO)


@pytest.mark.parametrize("number", [32, 38, 44, 63, 68, 69, 94, 109, 121, 160])
def test_where_the_public_tables_disagree_the_entry_says_so(number: int):
    assert CATALOG[number].disagreement


def test_every_sticky_number_is_the_hardwares():
    assert {CATALOG[number].blame for number in STICKY} == {Blame.HARDWARE}


def test_a_number_that_nobody_knows_is_told_as_such():
    entry = entry_of(999)
    assert (entry.number, entry.blame) == (999, Blame.UNKNOWN)
    assert "unknown" in entry.meaning


def test_a_site_decides_otherwise_and_the_rest_stays():
    changed = with_overrides(["94=reset_device", " 79 = ignore "])
    assert (changed[94].action, changed[94].severity) == (Action.RESET_DEVICE, Severity.CRITICAL)
    assert (changed[79].action, changed[79].severity) == (Action.IGNORE, Severity.INFO)
    assert changed[94].source == "analyzer.xid_overrides"
    assert {number: entry for number, entry in changed.items() if number not in {79, 94}} == {
        number: entry for number, entry in CATALOG.items() if number not in {79, 94}
    }


@pytest.mark.parametrize("line", ["94", "94=burn", "x=ignore", "=ignore", "-3=ignore"])
def test_a_malformed_override_is_one_sentence(line: str):
    with pytest.raises(ConfigError, match="NUMBER=ACTION"):
        with_overrides([line])
