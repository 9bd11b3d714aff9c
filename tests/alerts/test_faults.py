"""The table of faults against the rules."""

from __future__ import annotations

from tests.alerts.faults import DEVICE_FAULTS, HOST_FAULTS, NOT_INJECTED
from warpgauge.alerts.groups import alerts


def test_every_alert_is_fired_by_its_fault_or_listed_with_a_reason():
    fired = {fault.alert for fault in DEVICE_FAULTS} | set(HOST_FAULTS)
    assert fired.isdisjoint(NOT_INJECTED)
    assert fired | NOT_INJECTED.keys() == {rule.alert for rule in alerts()}
