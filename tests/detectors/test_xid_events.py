"""XIDs: bursts, consequences, what is whose fault, and what is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.detectors import DETECTORS, detectors_with
from warpgauge.analyzer.health.xid import XidEvents
from warpgauge.core.catalog import device
from warpgauge.core.errors import ConfigError
from warpgauge.core.finding import FindingKind, Severity
from warpgauge.core.xid import with_overrides

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.analyzer.detection import Candidate

COLUMNS = 360
START = 1_750_000_000.0
END = START + COLUMNS * 10.0


def seen(events: Mapping[int, Sequence[int]], *, overrides: Sequence[str] = ()) -> tuple[Candidate, ...]:
    """What is said of a device with these XIDs at these columns, as our agent tells of them."""
    builder = FrameBuilder(columns=COLUMNS)
    builder.device("n1", "GPU-0", index=3)
    labels = {"node": "n1", "uuid": "GPU-0", "index": "3"}
    for number, columns in events.items():
        rates = np.zeros(COLUMNS)
        rates[list(columns)] = 0.1
        first = min(columns, default=COLUMNS)
        # A number that nobody waits for has no series until it happened.
        builder.rate(device.XID_EVENTS, rates if number in {48, 79, 95} else np.where(
            np.arange(COLUMNS) > first, rates, np.nan), xid=str(number), **labels)  # fmt: skip
        last = np.full(COLUMNS, np.nan)
        for column in sorted(columns):
            last[column:] = START + column * 10.0 + 5.0
        builder.gauge(device.XID_LAST, last, xid=str(number), **labels)
    return XidEvents(with_overrides(overrides)).detect(builder.build()).candidates


def test_a_device_off_the_bus_is_critical_and_asks_for_a_restart_of_the_node() -> None:
    (found,) = seen({79: [300]})
    assert (found.kind, found.severity) == (FindingKind.XID, Severity.CRITICAL)
    assert "fallen off the bus" in found.summary
    assert "Drain the node and restart it" in found.remedy
    assert found.since == pytest.approx(START + 3005.0, abs=10.0)


def test_the_first_event_of_a_number_counts_though_its_series_began_with_it() -> None:
    (found,) = seen({119: [300]})
    assert found.evidence[0].value == 1.0


@pytest.mark.parametrize("number", [13, 31, 43, 98])
def test_what_an_application_did_is_information_without_hardware_advice(number: int) -> None:
    (found,) = seen({number: [100, 200, 250, 300, 340]})
    assert found.severity is Severity.INFO
    assert "application" in found.summary
    assert not any(word in found.remedy for word in ("reset", "support.", "Drain", "replace"))


def test_events_within_three_minutes_are_one_burst() -> None:
    (found,) = seen({48: [300, 305, 310, 318]})
    assert found.evidence[0].samples == 1
    assert ", at 15:59 UTC" in found.summary
    assert found.since == pytest.approx(START + 3005.0, abs=10.0)


def test_five_bursts_are_a_case_for_support() -> None:
    (found,) = seen({48: [100, 150, 200, 250, 300]})
    assert "contact support" in found.remedy
    assert ", 5 bursts, the last at 15:56 UTC" in found.summary
    assert found.evidence[0].samples == 5


def test_four_bursts_are_not_yet() -> None:
    (found,) = seen({48: [150, 200, 250, 300]})
    assert "contact support" not in found.remedy


def test_a_sticky_number_stays_one_burst_over_the_hour() -> None:
    (found,) = seen({95: [20, 100, 180, 260, 340]})
    assert found.evidence[0].samples == 1
    assert "contact support" not in found.remedy
    assert found.since == pytest.approx(START + 205.0, abs=10.0)


def test_a_45_after_another_number_is_not_told() -> None:
    (found,) = seen({13: [300], 45: [301]})
    assert [row.metric for row in found.evidence] == ['accel_xid_events_total{xid="13"}']


def test_a_45_alone_is_information_about_the_fabric_manager() -> None:
    (found,) = seen({45: [300]})
    assert found.severity is Severity.INFO
    assert "fabric manager" in found.remedy


def test_a_45_long_after_another_number_is_told_too() -> None:
    (found,) = seen({13: [200], 45: [300]})
    assert len(found.evidence) == 2


def test_a_162_cancels_the_163_before_it() -> None:
    (found,) = seen({163: [300], 162: [310]})
    assert found.severity is Severity.INFO
    assert len(found.evidence) == 1


def test_a_163_after_the_162_stands() -> None:
    (found,) = seen({162: [300], 163: [310]})
    assert "XID 163" in found.summary
    assert found.severity is Severity.CRITICAL


def test_the_worst_of_several_numbers_leads_and_the_others_are_named() -> None:
    (found,) = seen({13: [340], 79: [300], 48: [310]})
    assert "XID 48" in found.summary or "XID 79" in found.summary
    assert found.severity is Severity.CRITICAL
    assert len(found.evidence) == 3


def test_an_event_half_an_hour_ago_is_no_longer_told() -> None:
    assert seen({79: [100]}) == ()


def test_a_counter_that_stands_at_nought_is_judged_and_silent() -> None:
    builder = FrameBuilder(columns=COLUMNS)
    builder.device("n1", "GPU-0")
    builder.rate(device.XID_EVENTS, 0.0, xid="79", node="n1", uuid="GPU-0", index="0")
    detection = XidEvents().detect(builder.build())
    assert detection.candidates == ()
    assert detection.judged is not None
    assert detection.judged.entities == 1


def test_a_site_that_ignores_a_number_gets_information() -> None:
    (found,) = seen({79: [300]}, overrides=["79=ignore"])
    assert found.severity is Severity.INFO


def test_overrides_reach_the_table_of_detectors() -> None:
    assert detectors_with(()) == DETECTORS
    assert len(detectors_with(["79=ignore"])) == len(DETECTORS)
    with pytest.raises(ConfigError):
        detectors_with(["79=explode"])
