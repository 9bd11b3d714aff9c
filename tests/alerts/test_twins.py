"""Every kind of finding names the rule that tells the same, and the rules are really so."""

from __future__ import annotations

import pytest

from warpgauge.alerts.groups import alerts
from warpgauge.core.finding import FindingKind, Severity
from warpgauge.core.twins import TWINS, WITHOUT_TWIN, Twin, alert_name, twin_of

RULES = {rule.alert: rule for rule in alerts()}
PLACES = {"device": "uuid", "fabric": "uuid", "node": "node", "job": "job_id"}


@pytest.mark.parametrize("twin", [twin for twins in TWINS.values() for twin in twins], ids=lambda twin: twin.alert)
def test_a_twin_is_a_rule_of_that_severity_and_scope(twin: Twin):
    rule = RULES[twin.alert]
    assert (rule.severity, rule.scope) == (twin.severity, twin.scope)


@pytest.mark.parametrize("twin", [twin for twins in TWINS.values() for twin in twins], ids=lambda twin: twin.alert)
def test_the_rule_names_the_place_by_which_the_two_are_told_to_be_one(twin: Twin):
    assert PLACES[twin.scope] in RULES[twin.alert].labels


def test_a_finding_goes_by_the_twin_of_its_own_severity():
    assert alert_name(FindingKind.XID, Severity.CRITICAL) == "DeviceXidCritical"
    assert alert_name(FindingKind.XID, Severity.WARNING) == "DeviceXidWarning"
    assert alert_name(FindingKind.STRAGGLER, Severity.CRITICAL) == "JobStraggler"


def test_a_kind_that_no_rule_can_tell_has_a_name_of_its_own():
    assert twin_of(FindingKind.LEVEL_SHIFT, Severity.WARNING) is None
    assert alert_name(FindingKind.LEVEL_SHIFT, Severity.WARNING) == "FindingLevelShift"
    assert {alert_name(kind, Severity.WARNING) for kind in WITHOUT_TWIN}.isdisjoint(RULES)
