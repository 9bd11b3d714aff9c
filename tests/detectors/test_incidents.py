"""Findings that belong together are one incident."""

from __future__ import annotations

from tests.detectors.scenes import Lockstep
from warpgauge.analyzer.incidents import join
from warpgauge.core.finding import Finding, FindingKind, Incident, Scope, Severity, stable_id

NOW = 1_750_000_000.0
FRAME = Lockstep(columns=12).frame()  # job "train": GPU-0..3 on n0, GPU-4..7 on n1


def finding(
    kind: FindingKind, *, since: float = NOW, severity: Severity = Severity.WARNING, **place: object
) -> Finding:
    scope = Scope(cluster="test", **place)  # type: ignore[arg-type]  # test shorthand
    return Finding(
        id=stable_id(kind, scope),
        kind=kind,
        severity=severity,
        scope=scope,
        since=since,
        confirmed=since + 60,
        confidence=0.9,
        evidence=(),
        summary=f"{kind} at {scope.words()}.",
        remedy="",
    )


def joined(*findings: Finding) -> tuple[Incident, ...]:
    return join(findings, FRAME)


def test_one_finding_is_an_incident_with_itself_as_root() -> None:
    one = finding(FindingKind.STRAGGLER, node="n0", uuid="GPU-1", job_id="train")
    (incident,) = joined(one)
    assert (incident.root_cause, incident.findings, incident.summary) == (one.id, (one.id,), one.summary)


def test_a_lost_device_explains_what_its_job_shows_at_the_same_time() -> None:
    lost = finding(FindingKind.DEVICE_LOST, node="n0", uuid="GPU-1", severity=Severity.CRITICAL)
    idle = finding(FindingKind.IDLE_ALLOCATED, uuid="GPU-1", job_id="train", since=NOW + 100)
    (incident,) = joined(idle, lost)
    assert incident.root_cause == lost.id
    assert incident.severity is Severity.CRITICAL
    assert incident.since == NOW
    assert incident.scope == Scope(cluster="test", uuid="GPU-1")


def test_a_full_host_explains_a_job_that_runs_there() -> None:
    host = finding(FindingKind.HOST_SATURATED, node="n1")
    starved = finding(FindingKind.INPUT_BOUND, job_id="train", since=NOW + 60)
    (incident,) = joined(starved, host)
    assert incident.root_cause == host.id


def test_a_full_host_elsewhere_explains_nothing() -> None:
    host = finding(FindingKind.HOST_SATURATED, node="n9")
    starved = finding(FindingKind.INPUT_BOUND, job_id="train")
    assert len(joined(starved, host)) == 2


def test_the_same_node_much_later_is_another_incident() -> None:
    first = finding(FindingKind.THERMAL_LIMITED, node="n0", uuid="GPU-1")
    later = finding(FindingKind.THERMAL_LIMITED, node="n0", uuid="GPU-2", since=NOW + 181)
    assert len(joined(first, later)) == 2


def test_two_devices_of_a_node_lost_together_have_a_cause_that_nobody_measured() -> None:
    both = [finding(FindingKind.DEVICE_LOST, node="n0", uuid=f"GPU-{number}") for number in (1, 2)]
    (incident,) = joined(*both)
    assert incident.root_cause is None
    assert incident.summary.endswith("1 finding more at the same place and time; cause unattributed.")
    assert incident.scope == Scope(cluster="test", node="n0")


def test_other_clusters_are_other_places() -> None:
    here = finding(FindingKind.HOST_SATURATED, node="n0")
    there = Finding(**{**_fields(here), "id": "x", "scope": Scope(cluster="other", node="n0")})
    assert len(joined(here, there)) == 2


def test_the_id_stays_when_more_findings_join() -> None:
    lost = finding(FindingKind.DEVICE_LOST, node="n0", uuid="GPU-1")
    later = finding(FindingKind.STRAGGLER, node="n0", uuid="GPU-1", job_id="train", since=NOW + 30)
    assert joined(lost)[0].id == joined(later, lost)[0].id


def test_simulated_findings_make_simulated_incidents() -> None:
    one = finding(FindingKind.HOST_SATURATED, node="n0")
    simulated = Finding(**{**_fields(one), "simulated": True})
    assert [incident.simulated for incident in joined(simulated)] == [True]


def test_nothing_wrong_is_no_incident() -> None:
    assert joined() == ()


def _fields(one: Finding) -> dict[str, object]:
    return {name: getattr(one, name) for name in Finding.__slots__}
