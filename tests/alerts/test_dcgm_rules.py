"""The rules over dcgm-exporter's series: every series is one it has, every alert is there or says why not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.dcgm_series import DCGM_SERIES
from tests.promql_lint import Lint
from warpgauge.alerts.dcgm import GROUP, NOT_GIVEN
from warpgauge.alerts.groups import alerts
from warpgauge.alerts.rule import RecordingRule
from warpgauge.alerts.site import Site

SITE: Final = Site()
UNIT: Final = [
    test
    for path in (Path(__file__).parents[2] / "alerts/unit").glob("dcgm*.yaml")
    for test in yaml.safe_load(path.read_text())["tests"]
]
LINT: Final = Lint(
    {rule.record: rule.expr for rule in GROUP.rules if isinstance(rule, RecordingRule)},
    foreign=DCGM_SERIES,
)
OURS: Final = {rule.alert: rule for rule in alerts()}

every_alert = pytest.mark.parametrize("rule", GROUP.alerts, ids=lambda rule: rule.alert)


@pytest.mark.parametrize("rule", GROUP.rules, ids=lambda rule: getattr(rule, "alert", "") or rule.record)
def test_every_series_is_one_that_dcgm_exporter_has(rule):
    assert LINT.complaints(rule.expression(SITE)) == []


def test_every_alert_is_given_or_says_why_it_cannot_be():
    given = {rule.alert for rule in GROUP.alerts}
    assert not given & NOT_GIVEN.keys()
    assert given | NOT_GIVEN.keys() == OURS.keys()


@every_alert
def test_an_alert_has_the_labels_and_the_urgency_of_its_twin_over_our_series(rule):
    assert LINT.labels_of(rule.expression(SITE)) == set(OURS[rule.alert].labels)
    assert rule.labels_at(SITE) == OURS[rule.alert].labels_at(SITE)


@every_alert
def test_its_text_never_sends_anyone_to_an_agent_that_is_not_there(rule):
    assert "warpgauge-agent" not in f"{rule.summary} {rule.description}"


@every_alert
def test_every_alert_has_a_firing_and_a_silent_case(rule):
    cases = [
        bool(case["exp_alerts"]) for test in UNIT for case in test["alert_rule_test"] if case["alertname"] == rule.alert
    ]
    assert set(cases) == {True, False}
