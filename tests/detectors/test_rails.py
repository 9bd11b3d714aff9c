"""The rails that need to know the site: opt-outs, freezes, racks, owners, ages, and what went wrong before."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.detectors.test_recommend import NOW, finding, fleet
from warpgauge.analyzer.recommend import Ledger, Limits, Plan, recommend
from warpgauge.analyzer.recommend.site_rules import Freeze, SiteRules, read_site_rules
from warpgauge.core.errors import ConfigError
from warpgauge.core.finding import FindingKind
from warpgauge.core.withdrawal import WithdrawalReason

if TYPE_CHECKING:
    from pathlib import Path

    from warpgauge.core.finding import Finding


def plan(
    *findings: Finding, topology: Any = None, now: float = NOW, ledger: Ledger | None = None, **limits: Any
) -> Plan:
    topology = topology or fleet(nodes=100)
    return recommend(findings, (), topology, ledger or Ledger(), now=now, limits=Limits(**limits))


def reasons(outcome: Plan) -> list[str]:
    return [item.reason for item in outcome.withheld]


def two_jobs() -> tuple[Finding, Finding]:
    return finding(number=1, job="a"), finding(number=2, job="b")


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        (SiteRules(nodes=("n1",)), "node n1 is left alone (n1)"),
        (SiteRules(nodes=("n[0-3]",)), "node n1 is left alone (n[0-3])"),
        (SiteRules(jobs=("tr*",)), "job train is left alone (tr*)"),
        (SiteRules(users=("ann",)), "user ann is left alone (ann)"),
    ],
)
def test_who_opted_out_is_left_alone(rules: SiteRules, reason: str) -> None:
    topology = replace(fleet(), users={("prod", "train"): "ann"})
    assert reasons(plan(finding(), topology=topology, rules=rules)) == [reason]


def test_a_target_can_say_so_itself() -> None:
    topology = replace(fleet(), opted_out=frozenset({("prod", "n1")}))
    assert reasons(plan(finding(), topology=topology)) == ["node n1 is left alone (its target says so)"]


def test_a_gang_is_left_alone_if_any_of_its_nodes_is() -> None:
    topology = replace(fleet(), job_nodes={("prod", "train"): frozenset({"n1", "n7"})})
    assert reasons(plan(finding(), topology=topology, rules=SiteRules(nodes=("n7",)))) == ["node n7 is left alone (n7)"]


def test_harmless_advice_is_given_to_all() -> None:
    rules = SiteRules(nodes=("*",), freezes=(Freeze(since=0, until=2 * NOW),))
    assert plan(finding(FindingKind.THERMAL_LIMITED), rules=rules).fresh


def test_nothing_is_disturbed_while_changes_are_frozen() -> None:
    rules = SiteRules(freezes=(Freeze(since=NOW - 1, until=NOW + 1),))
    assert reasons(plan(finding(), rules=rules)) == ["changes are frozen now"]
    assert plan(finding(), rules=rules, now=NOW + 1).fresh


def test_a_rack_is_disturbed_once_at_a_time() -> None:
    first, second = two_jobs()
    together = SiteRules(racks={"n1": "r1", "n2": "r1"})
    outcome = plan(first, second, rules=together)
    assert len(outcome.fresh) == 1
    assert reasons(outcome) == ["rack r1 has a disruptive recommendation open already"]
    assert len(plan(first, second, rules=SiteRules(racks={"n1": "r1", "n2": "r2"})).fresh) == 2


def test_a_node_has_one_owner() -> None:
    first, second = two_jobs()
    topology = replace(fleet(nodes=100), job_nodes={("prod", "b"): frozenset({"n1", "n2"})})
    outcome = plan(first, second, topology=topology)
    assert len(outcome.fresh) == 1
    assert reasons(outcome) == [f"node n1 has an owner: recommendation {outcome.fresh[0].id}"]


def test_a_young_condition_disturbs_nobody() -> None:
    young = replace(finding(), since=NOW - 119)
    assert reasons(plan(young)) == ["it is younger than 120 s"]
    assert plan(young, now=NOW + 1).fresh


def test_old_samples_disturb_nobody() -> None:
    assert reasons(plan(finding(), topology=replace(fleet(), age_seconds=61.0))) == ["the newest sample is 61 s old"]
    assert plan(finding(), topology=replace(fleet(), age_seconds=60.0)).fresh


@pytest.mark.parametrize(("worse", "improved", "is_silenced"), [(1, 0, False), (2, 0, True), (2, 2, False)])
def test_a_detector_that_made_things_worse_is_not_listened_to(worse: int, improved: int, is_silenced: bool) -> None:  # noqa: FBT001
    verdicts = {("straggler", "worse"): worse, ("straggler", "improved"): improved, ("xid", "worse"): 9}
    assert bool(reasons(plan(finding(), verdicts=verdicts))) is is_silenced


def test_while_held_nothing_new_is_issued_and_what_stands_stays() -> None:
    before = plan(finding(number=1, job="a"))
    after = plan(*two_jobs(), ledger=before.ledger, now=NOW + 10, hold="paused by ann")
    assert tuple(after.ledger.open.values()) == before.fresh
    assert (after.fresh, after.withdrawn, reasons(after)) == ((), (), ["paused by ann"])


@pytest.mark.parametrize(
    ("now", "findings", "mode", "limits", "reason"),
    [
        (10, 0, "propose", {}, WithdrawalReason.FINDING_ENDED),
        (3600, 1, "propose", {}, WithdrawalReason.EXPIRED),
        (10, 1, "observe", {}, WithdrawalReason.MODE_CHANGED),
    ],
)
def test_what_ends_before_anybody_acted_is_withdrawn(
    now: float, findings: int, mode: str, limits: dict[str, Any], reason: WithdrawalReason
) -> None:
    (made,) = (before := plan(finding())).fresh
    after = recommend(
        [finding()][:findings], (), fleet(), before.ledger, now=NOW + now, mode=mode, limits=Limits(**limits)
    )
    assert [(one.recommendation_id, one.reason) for one in after.withdrawn] == [(made.id, reason)]


@pytest.mark.parametrize(
    ("topology", "rules"),
    [
        (replace(fleet(nodes=100), opted_out=frozenset({("prod", "n1")})), SiteRules()),
        (fleet(nodes=100), SiteRules(jobs=("train",))),
        (replace(fleet(nodes=100), job_nodes={("prod", "train"): frozenset({"n1", "n7"})}), SiteRules(nodes=("n7",))),
    ],
)
def test_who_opts_out_later_is_left_alone_too(topology: Any, rules: SiteRules) -> None:
    (made,) = (before := plan(finding())).fresh
    after = plan(finding(), topology=topology, ledger=before.ledger, now=NOW + 10, rules=rules)
    assert [(one.recommendation_id, one.reason) for one in after.withdrawn] == [(made.id, WithdrawalReason.OPTED_OUT)]
    assert not after.ledger.open


def test_harmless_advice_stands_when_its_node_opts_out() -> None:
    harmless = finding(kind=FindingKind.THERMAL_LIMITED)
    before = plan(harmless)
    topology = replace(fleet(nodes=100), opted_out=frozenset({("prod", "n1")}))
    after = plan(harmless, topology=topology, ledger=before.ledger, now=NOW + 10)
    assert before.fresh
    assert (after.withdrawn, after.ledger.open) == ((), before.ledger.open)


def test_what_a_person_refused_is_withdrawn_and_waits_for_the_cooldown() -> None:
    (made,) = (before := plan(finding())).fresh
    after = plan(finding(), ledger=before.ledger, now=NOW + 10, rejected=frozenset({made.id}))
    assert [one.reason for one in after.withdrawn] == [WithdrawalReason.REJECTED]
    assert "got a recommendation 10 s ago" in reasons(after)[0]


def test_what_was_acted_on_is_not_withdrawn() -> None:
    (made,) = (before := plan(finding())).fresh
    after = plan(ledger=before.ledger, now=NOW + 10, acted_on=frozenset({made.id}))
    assert not after.withdrawn
    assert not after.ledger.open


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


RULES = """
[racks]
r1 = ["n1", "n2"]
[opt_out]
nodes = ["login-*"]
[[freeze]]
days = ["fri"]
start = "18:00"
end = "08:00"
[[freeze]]
since = 2026-12-20T00:00:00Z
until = 2027-01-04T06:00:00Z
"""


def rules_file(folder: Path, text: str) -> Path:
    path = folder / "rules.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("moment", "is_frozen"),
    [
        ("2026-11-27T17:59:59", False),  # a Friday
        ("2026-11-27T18:00:00", True),
        ("2026-11-28T07:59:59", True),
        ("2026-11-28T08:00:00", False),
        ("2026-11-28T19:00:00", False),
        ("2026-12-19T23:59:59", False),
        ("2026-12-20T00:00:00", True),
        ("2027-01-04T06:00:00", False),
    ],
)
def test_a_window_passes_midnight_and_ends_when_it_says(moment: str, is_frozen: bool, tmp_path: Path) -> None:  # noqa: FBT001
    assert read_site_rules(rules_file(tmp_path, RULES)).is_frozen(at(moment)) is is_frozen


def test_the_file_names_racks_and_who_is_left_alone(tmp_path: Path) -> None:
    rules = read_site_rules(rules_file(tmp_path, RULES))
    assert rules.racks == {"n1": "r1", "n2": "r1"}
    assert rules.opts_out("login-3", "", "") == "node login-3 is left alone (login-*)"
    assert rules.opts_out("n1", "any", "") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[rack]", "unknown key 'rack'"),
        ("racks = 3", "racks must be a table"),
        ("[racks]\nr1 = 'n1'", "r1 must be a list of names"),
        ("[opt_out]\nnode = []", "unknown key 'node'"),
        ("[freeze]\ndays = []", "must be written as"),
        ("[[freeze]]\ndays = ['fri']", "has days, start and end"),
        ("[[freeze]]\ndays = ['fry']\nstart = '1:00'\nend = '2:00'", "freeze.days has 'fry'"),
        ("[[freeze]]\ndays = ['fri']\nstart = '25:00'\nend = '02:00'", "'25:00' is no time"),
        ("[[freeze]]\nsince = 2026-01-01\nuntil = 2026-01-02", "times with an offset"),
        ("[[freeze]]\nsince = 2026-01-02T00:00:00Z\nuntil = 2026-01-01T00:00:00Z", "since before until"),
        ("freeze", "rules.toml"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_an_error_with_its_place(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=why):
        read_site_rules(rules_file(tmp_path, text))
