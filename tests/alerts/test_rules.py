"""The rules as data: every expression, label and address holds together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.promql_lint import Lint, row_of
from warpgauge.alerts import slo, xid
from warpgauge.alerts.alertmanager import RECEIVERS, configuration
from warpgauge.alerts.generate import FIRST_LINE, files
from warpgauge.alerts.groups import GROUPS, alerts
from warpgauge.alerts.rule import Group, RecordingRule, Rule
from warpgauge.alerts.site import Site
from warpgauge.core.finding import FindingKind
from warpgauge.core.promql import TARGET_LABELS

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "alerts/generated"
RUNBOOKS = ROOT / "alerts/runbooks"
RULES = [rule for group in GROUPS for rule in group.rules]
RECORDS = [rule for rule in RULES if isinstance(rule, RecordingRule)]
LINT = Lint({rule.record: rule.expr for rule in RECORDS})
SITE = Site()
WRITTEN = files()
CHAPTERS = ("Meaning", "First look", "Mend", "When to silence", "How it was tested")


def seconds(duration: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([smhd])", duration).groups()
    return int(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]


def name_of(rule: Rule | RecordingRule) -> str:
    return rule.alert if isinstance(rule, Rule) else rule.record


every_rule = pytest.mark.parametrize("rule", RULES, ids=name_of)
every_alert = pytest.mark.parametrize("rule", alerts(), ids=name_of)


@every_rule
def test_every_expression_keeps_to_the_catalog(rule: Rule | RecordingRule):
    assert LINT.complaints(rule.expression(SITE)) == []


@every_alert
def test_an_alert_carries_exactly_the_labels_it_declares(rule: Rule):
    assert LINT.labels_of(rule.expression(SITE)) == set(rule.labels)


@every_alert
def test_annotations_use_only_labels_of_the_alert(rule: Rule):
    text = f"{rule.summary} {rule.description}"
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= set(rule.labels)


@every_alert
def test_a_summary_is_one_line_and_a_description_says_where_to_look(rule: Rule):
    assert "\n" not in rule.summary
    assert re.search(r"First\s+look|Drain", rule.description)


@pytest.mark.parametrize("rule", RECORDS, ids=name_of)
def test_a_record_is_named_level_metric_operations(rule: RecordingRule):
    assert re.fullmatch(r"(node|job|cluster):[a-z0-9_]+:[a-z0-9_]+", rule.record)


@pytest.mark.parametrize("rule", RECORDS, ids=name_of)
def test_a_record_keeps_its_level_as_a_label(rule: RecordingRule):
    level = rule.record.partition(":")[0]
    assert {"cluster", {"job": "job_id"}.get(level, level)} <= LINT.labels_of(rule.expr)


def test_names_are_given_once():
    names = [name_of(rule) for rule in RULES]
    assert len(names) == len(set(names))


@every_alert
def test_every_alert_has_a_runbook_with_all_chapters(rule: Rule):
    text = (RUNBOOKS / f"{rule.alert}.md").read_text()
    assert text.startswith(f"# {rule.alert}\n")
    assert tuple(re.findall(r"^## (.+)$", text, re.MULTILINE)) == CHAPTERS


def test_every_runbook_belongs_to_an_alert_or_a_kind_of_finding():
    pages = {path.stem for path in RUNBOOKS.glob("*.md")}
    assert pages - set(FindingKind) == {rule.alert for rule in alerts()}


@pytest.fixture(scope="module")
def cases() -> set[tuple[str, bool]]:
    """Alerts with whether a case of the unit tests has them firing."""
    return {
        (case["alertname"], bool(case.get("exp_alerts")))
        for path in (ROOT / "alerts/unit").glob("*.yaml")
        for test in yaml.safe_load(path.read_text())["tests"]
        for case in test.get("alert_rule_test", ())
    }


@every_alert
def test_every_alert_has_a_firing_and_a_silent_case(rule: Rule, cases: set[tuple[str, bool]]):
    assert {(rule.alert, True), (rule.alert, False)} <= cases


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_group_is_evaluated_as_often_as_its_holds_and_its_cases_suppose(group: Group):
    interval = seconds(group.interval)
    assert [rule.alert for rule in group.alerts if seconds(rule.hold) % interval] == []
    cases = yaml.safe_load((ROOT / f"alerts/unit/{group.name}.yaml").read_text())
    assert seconds(cases["evaluation_interval"]) >= interval  # promtool ignores the interval of the group


def test_links_of_a_whole_fleet_are_added_up_once_a_minute():
    """250 nodes of 8 GPUs have 960,000 series; of the CPU of one round of all rules LinkErrors took more than half."""
    document = yaml.safe_load(WRITTEN["fabric.yml"])
    assert [(group["name"], group["interval"]) for group in document["groups"]] == [("warpgauge-fabric", "1m")]


def test_the_committed_files_are_what_the_generator_writes():
    committed = {str(path.relative_to(GENERATED)): path.read_text() for path in GENERATED.rglob("*") if path.is_file()}
    assert committed == WRITTEN


@pytest.mark.parametrize("name", [name for name in WRITTEN if name.endswith(".yml")])
def test_the_first_line_says_that_the_file_is_generated(name: str):
    assert WRITTEN[name].splitlines()[0] == FIRST_LINE


def test_a_site_sets_the_addresses():
    site = Site(runbooks_url="https://gauge.test", grafana_url="https://grafana.test", webhook_url="https://hook.test")
    text = "".join(files(site).values())
    assert "https://gauge.test/runbooks/AgentDown" in text
    assert "https://grafana.test/d/warpgauge-host/host?var-cluster=" in text
    assert "url: https://hook.test" in text
    assert "127.0.0.1" not in text


def test_without_a_webhook_nobody_is_told():
    assert all(set(receiver) == {"name"} for receiver in configuration(Site())["receivers"])


def test_every_receiver_of_a_route_exists():
    document = configuration(Site())
    routes = [document["route"], *document["route"]["routes"]]
    assert {route["receiver"] for route in routes} == {"nobody", *RECEIVERS}


@pytest.mark.parametrize(
    "inhibition", configuration(Site())["inhibit_rules"], ids=lambda rule: rule["source_matchers"][0]
)
def test_an_inhibition_never_rests_on_labels_that_nobody_carries(inhibition: dict[str, list[str]]):
    asked = {matcher.partition("!=")[0] for matcher in inhibition["source_matchers"] if matcher.endswith('!=""')}
    assert set(inhibition["equal"]) - {"cluster", "alertname"} <= asked


@pytest.mark.parametrize(
    "inhibition", configuration(Site())["inhibit_rules"], ids=lambda rule: rule["source_matchers"][0]
)
def test_what_is_wrong_at_one_place_silences_nothing_at_another(inhibition: dict[str, list[str]]):
    named = {matcher.partition("!=")[0] for matcher in inhibition["source_matchers"] if matcher.endswith('!=""')}
    assert named | {"cluster"} <= set(inhibition["equal"])


def test_every_alert_that_a_lost_node_silences_names_its_node():
    silenced = [rule for rule in alerts() if rule.scope in {"device", "node", "job"}]
    assert all({"cluster", "node"} <= set(rule.labels) for rule in silenced)


@every_rule
def test_no_rule_rests_on_a_label_that_prometheus_may_rename(rule: Rule | RecordingRule):
    """With honor_labels: false a page's own namespace, say, becomes exported_namespace where the target has one."""
    renamed = {"namespace", "pod", "container", *TARGET_LABELS}
    read = [row_of(one.name) for one in LINT.selectors(rule.expression(SITE)) if row_of(one.name)]
    own = {label for row in read for label in row.labels}
    assert own & renamed & LINT.labels_of(rule.expression(SITE)) == set()


@every_alert
def test_an_alert_compares_with_something(rule: Rule):
    """An expression that is true whenever there is data fires for ever (pint's alerts/comparison)."""
    assert re.search(r"[<>=!]=? (bool )?[-\d(a-z]|absent\(|unless|0 \* ", rule.expression(SITE))


@every_alert
def test_absence_must_last_longer_than_a_missed_scrape(rule: Rule):
    if "absent(" in rule.expression(SITE):
        assert rule.hold.endswith("m")
        assert int(rule.hold.removesuffix("m")) >= 2


def test_no_xid_is_both_critical_and_a_warning_and_none_of_an_application_pages():
    assert not set(xid.CRITICAL) & set(xid.WARNING)
    assert not set(xid.APPLICATION) & {*xid.CRITICAL, *xid.WARNING}
    assert {"48", "79", "95", "119"} <= set(xid.CRITICAL)
    assert {"13", "31", "43"} <= set(xid.APPLICATION)


def test_every_threshold_is_a_number_that_the_expression_uses():
    for rule in alerts():
        assert ("$threshold" in rule.expr) == (rule.threshold is not None), rule.alert


def test_the_two_burn_rates_share_their_records_with_the_rules_that_read_them():
    recorded = {rule.record for rule in RECORDS}
    read = {one.name for rule in slo.GROUP.alerts for one in LINT.selectors(rule.expression(SITE))}
    assert read <= recorded
