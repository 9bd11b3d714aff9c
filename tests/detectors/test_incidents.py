"""Findings that belong together are one incident."""

from __future__ import annotations

from dataclasses import replace

from tests.detectors.scenes import Lockstep
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.incidents import KnownIncident, join
from warpgauge.core.finding import (
    Finding,
    FindingKind,
    Incident,
    Level,
    Mute,
    MutedBy,
    Scope,
    Severity,
    SharedPlace,
    stable_id,
)

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
    return tuple(one.incident for one in join(findings, FRAME).values())


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


def test_unlike_findings_of_two_devices_of_a_node_are_not_joined() -> None:
    """Their jobs differ and neither depends on the other: a common node is no common cause."""
    here = finding(FindingKind.XID, node="n9", uuid="GPU-20", job_id="one")
    there = finding(FindingKind.PCIE_DOWNTRAINED, node="n9", uuid="GPU-21", job_id="two")
    assert len(joined(here, there)) == 2


def test_two_jobs_of_one_sound_host_are_not_joined() -> None:
    frame = FrameBuilder(columns=12)
    frame.device("n0", "GPU-0")
    frame.device("n0", "GPU-1")
    frame.job("one", [("n0", "GPU-0")])
    frame.job("two", [("n0", "GPU-1")])
    both = [finding(FindingKind.INPUT_BOUND, job_id=name) for name in ("one", "two")]
    assert len(join(both, frame.build())) == 2


def test_what_explains_less_than_four_fifths_is_not_named() -> None:
    device = finding(FindingKind.ECC_DEGRADATION, node="n0", uuid="GPU-1")
    host = finding(FindingKind.HOST_SATURATED, node="n0")
    idle = [finding(FindingKind.IDLE_ALLOCATED, node="n0", uuid=f"GPU-{one}", job_id="train") for one in (2, 3)]
    (incident,) = joined(device, host, *idle)
    assert incident.root_cause is None
    assert "unattributed" in incident.summary


def test_an_effect_that_began_long_before_has_another_cause() -> None:
    starved = finding(FindingKind.INPUT_BOUND, job_id="train", since=NOW - 400)
    between = finding(FindingKind.IDLE_ALLOCATED, job_id="train", since=NOW - 230)
    late = finding(FindingKind.DEVICE_LOST, node="n0", uuid="GPU-1", job_id="train", since=NOW - 60)
    (incident,) = joined(starved, between, late)
    assert incident.root_cause is None


# ---- from tick to tick


LOST = finding(FindingKind.DEVICE_LOST, node="n0", uuid="GPU-1", job_id="train")
SLOW = finding(FindingKind.STRAGGLER, node="n0", uuid="GPU-1", job_id="train", since=NOW + 30)


def only(known: dict[str, KnownIncident]) -> Incident:
    (one,) = known.values()
    return one.incident


def ended(one: Finding, at: float) -> Finding:
    return replace(one, ended=at)


def test_the_id_and_the_root_stay_when_the_first_finding_ends() -> None:
    first = join([LOST, SLOW], FRAME)
    second = join([SLOW], FRAME, first, [ended(LOST, NOW + 90)])
    assert only(second).id == only(first).id
    assert only(second).root_cause == LOST.id
    assert set(only(second).findings) == {LOST.id, SLOW.id}
    assert (only(second).since, only(second).ended) == (NOW, None)


def test_the_id_stays_when_a_finding_joins_that_began_earlier() -> None:
    first = finding(FindingKind.DEVICE_LOST, node="n0", uuid="GPU-1")
    known = join([first], FRAME)
    earlier = finding(FindingKind.THERMAL_LIMITED, node="n0", uuid="GPU-1", since=NOW - 100)
    incident = only(join([first, earlier], FRAME, known))
    assert (incident.id, incident.since) == (only(known).id, NOW - 100)


def test_what_is_muted_makes_an_incident_no_more_severe() -> None:
    heard = finding(FindingKind.THERMAL_LIMITED, node="n0", uuid="GPU-1")
    lost = finding(FindingKind.DEVICE_LOST, node="n0", uuid="GPU-1", severity=Severity.CRITICAL)
    muted = replace(lost, muted=Mute(by=MutedBy.SILENCE, id="s1", reason="known"))
    (incident,) = joined(heard, muted)
    assert (incident.severity, incident.muted) == (Severity.WARNING, False)


def test_an_incident_ends_with_the_last_of_its_findings() -> None:
    first = join([LOST, SLOW], FRAME)
    last = join([], FRAME, first, [ended(LOST, NOW + 90), ended(SLOW, NOW + 200)])
    assert only(last).ended == NOW + 200
    assert only(last).findings == only(first).findings


def test_an_incident_that_ended_leads_with_the_words_its_finding_ended_with() -> None:
    first = join([LOST, SLOW], FRAME)
    worst = replace(ended(LOST, NOW + 90), summary="It was worse than this.")
    last = join([], FRAME, first, [worst, ended(SLOW, NOW + 200)])
    lead = only(first).summary.removeprefix(LOST.summary)
    assert only(last).summary == f"It was worse than this.{lead}"
    assert lead.startswith(" 1 finding more")


def test_a_finding_that_is_back_opens_its_incident_again() -> None:
    first = join([LOST], FRAME)
    over = join([], FRAME, first, [ended(LOST, NOW + 90)])
    again = join([LOST], FRAME, over)
    assert (only(again).id, only(again).ended) == (only(first).id, None)


def test_a_late_finding_at_the_same_place_leaves_the_old_incident_alone() -> None:
    first = join([LOST], FRAME)
    late = finding(FindingKind.XID, node="n0", uuid="GPU-1", since=NOW + 3600)
    assert len(join([LOST, late], FRAME, first)) == 2


def test_incidents_that_turn_out_to_be_one_keep_the_older_id() -> None:
    one = finding(FindingKind.DEVICE_LOST, node="n0", uuid="GPU-1", job_id="train")
    other = finding(FindingKind.STRAGGLER, node="n1", uuid="GPU-5", job_id="train", since=NOW + 300)
    apart = join([one, other], FRAME)
    between = finding(FindingKind.HANG, job_id="train", since=NOW + 150)
    merged = join([one, other, between], FRAME, apart)
    open_ = [known.incident for known in merged.values() if known.incident.ended is None]
    over = [known.incident for known in merged.values() if known.incident.ended is not None]
    assert [incident.id for incident in open_] == [only(join([one], FRAME)).id]
    assert f"It is part of incident {open_[0].id} now." in over[0].summary


# ---- what nodes share


def fleet(nodes: int = 12, per_rack: int = 4):
    """Nodes n0, n1, ... with a device each, so many to a rack; one job fills each rack."""
    builder = FrameBuilder(columns=12)
    for node in range(nodes):
        builder.device(f"n{node}", f"GPU-{node}")
        builder.frame.layout.learn("test", f"n{node}", {"rack": f"r{node // per_rack}"})
    for rack in range(nodes // per_rack):
        members = [(f"n{node}", f"GPU-{node}") for node in range(rack * per_rack, (rack + 1) * per_rack)]
        builder.job(f"job-{rack}", members)
    return builder.build()


def hot(*nodes: int, kind: FindingKind = FindingKind.THERMAL_LIMITED) -> list[Finding]:
    return [
        finding(kind, node=f"n{one}", uuid=f"GPU-{one}", since=NOW + 20 * at, job_id=f"job-{one // 4}")
        for at, one in enumerate(nodes)
    ]


def test_a_rack_that_runs_hot_is_one_incident_of_the_rack_and_of_no_node() -> None:
    (one,) = join(hot(4, 5, 7), fleet()).values()
    assert one.incident.place == SharedPlace(level=Level.RACK, name="r1")
    assert one.incident.root_cause is None
    assert "3 of 4 nodes of rack r1 show it, 0 of 8 elsewhere" in one.incident.summary


def test_hot_nodes_all_over_the_fleet_are_no_incident_of_a_rack() -> None:
    known = join(hot(0, 4, 8), fleet())
    assert len(known) == 3
    assert all(one.incident.place is None for one in known.values())


def test_two_nodes_are_too_few_for_a_rack() -> None:
    assert all(one.incident.place is None for one in join(hot(4, 5), fleet()).values())


def test_a_job_that_fills_a_rack_and_waits_is_not_the_racks_fault() -> None:
    slow = hot(4, 5, 6, kind=FindingKind.NETWORK_BOUND)
    assert all(one.incident.place is None for one in join(slow, fleet()).values())


def test_jobs_that_share_a_switch_and_all_wait_for_the_network_point_to_it() -> None:
    frame = fleet()
    for node in range(8):
        frame.layout.learn("test", f"n{node}", {"switch": "leaf-1"})
    waiting = [finding(FindingKind.NETWORK_BOUND, job_id=f"job-{one}") for one in (0, 1)]
    (one,) = join(waiting, frame).values()
    assert one.incident.place == SharedPlace(level=Level.SWITCH, name="leaf-1")


def _fields(one: Finding) -> dict[str, object]:
    return {name: getattr(one, name) for name in Finding.__slots__}
