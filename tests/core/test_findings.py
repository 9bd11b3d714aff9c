"""Findings and incidents: JSON and back, ids, words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.errors import InputError
from warpgauge.core.finding import (
    Evidence,
    Finding,
    FindingKind,
    Impact,
    Incident,
    Level,
    Mute,
    MutedBy,
    Scope,
    Severity,
    SharedPlace,
    finding_from_json,
    incident_from_json,
    stable_id,
)

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=20)
SCOPES = st.builds(
    Scope,
    **{name: st.none() | TEXT for name in ("cluster", "node", "uuid", "instance_id", "job_id")},
    **{name: st.none() | st.integers(0, 10**6) for name in ("rank", "stage")},
)
EVIDENCE = st.builds(
    Evidence,
    metric=TEXT,
    value=NUMBERS,
    unit=TEXT,
    baseline=st.none() | NUMBERS,
    threshold=st.none() | NUMBERS,
    window_seconds=st.none() | NUMBERS,
    samples=st.none() | st.integers(0, 10**9),
)
IMPACTS = st.builds(
    Impact,
    lost_device_seconds=st.none() | NUMBERS,
    slowdown_ratio=st.none() | NUMBERS,
    method=st.none() | TEXT,
)
FINDINGS = st.builds(
    Finding,
    id=TEXT,
    kind=st.sampled_from(FindingKind),
    severity=st.sampled_from(Severity),
    scope=SCOPES,
    since=NUMBERS,
    confirmed=NUMBERS,
    confidence=st.floats(0, 1),
    evidence=st.lists(EVIDENCE, max_size=3).map(tuple),
    summary=TEXT,
    remedy=TEXT,
    impact=st.none() | IMPACTS,
    ended=st.none() | NUMBERS,
    simulated=st.booleans(),
)
HOT = Finding(
    id="0123456789abcdef",
    kind=FindingKind.THERMAL_LIMITED,
    severity=Severity.WARNING,
    scope=Scope(cluster="demo", node="node-3", uuid="GPU-1f2e", job_id="llama-7b", rank=12),
    since=1750000000.0,
    confirmed=1750000060.0,
    confidence=0.9,
    evidence=(Evidence(metric="accel_temperature_celsius", value=91.0, unit="celsius"),),
    summary="node-3/gpu2 is held back by heat.",
    remedy="Check the fans.",
)


@given(FINDINGS)
def test_a_finding_survives_json_and_back(finding):
    assert finding_from_json(json.loads(json.dumps(finding.to_json()))) == finding


@given(FINDINGS)
def test_json_holds_no_null(finding):
    assert "null" not in json.dumps(blanked(finding.to_json()))


def blanked(document):
    """The document without its texts, which may hold the word null."""
    if isinstance(document, dict):
        return {key: blanked(value) for key, value in document.items()}
    if isinstance(document, list):
        return [blanked(item) for item in document]
    return "" if isinstance(document, str) else document


def test_a_finding_says_what_it_is():
    document = HOT.to_json()
    assert (document["type"], document["schema"]) == ("finding", "warpgauge.finding/v1")
    assert document["scope"] == {
        "cluster": "demo", "node": "node-3", "uuid": "GPU-1f2e", "job_id": "llama-7b", "rank": 12,
    }  # fmt: skip


def test_unknown_fields_are_ignored():
    document = HOT.to_json()
    document["scope"]["rack"] = "r1"
    assert finding_from_json(document | {"later": 1}) == HOT


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema": "other/v1"}, "not a finding: schema is 'other/v1'"),
        ({"since": 10**400}, "too large"),
        ({"kind": []}, "is not a valid FindingKind"),
        ({"kind": "sad"}, "'sad' is not a valid FindingKind"),
        ({"since": "yesterday"}, "expected float, got 'yesterday'"),
        ({"since": True}, "expected float, got True"),
        ({"simulated": 1}, "expected bool, got 1"),
        ({"scope": 3}, "expected an object"),
        ({"scope": {"rank": 1.5}}, "expected int, got 1.5"),
        ({"scope": {"rank": True}}, "expected int, got True"),
        ({"evidence": [3]}, "expected an object"),
        ({"evidence": {}}, "expected a list"),
        ({"scope": [{}]}, "expected an object"),
        ({"evidence": [{"metric": "m"}]}, "missing"),
    ],
)
def test_a_malformed_finding_is_refused_with_what_is_wrong(change, complaint):
    with pytest.raises(InputError, match=complaint):
        finding_from_json(HOT.to_json() | change)


def test_a_finding_without_a_required_field_is_refused():
    document = HOT.to_json()
    del document["summary"]
    with pytest.raises(InputError, match=r"'0123456789abcdef' is malformed: .*summary"):
        finding_from_json(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(HOT.to_json())), JSON))
def test_any_document_is_read_or_refused(changes):
    assert outcome(HOT.to_json() | changes) in {"read", "refused"}


def outcome(document) -> str:
    try:
        finding_from_json(document)
    except InputError:
        return "refused"
    return "read"


def test_an_incident_names_its_findings():
    incident = Incident(
        id="i", severity=Severity.CRITICAL, since=1.0, findings=("a", "b"), summary="s", scope=Scope(node="n")
    )
    assert incident.to_json() == {
        "type": "incident", "schema": "warpgauge.incident/v1", "id": "i", "severity": "critical", "since": 1.0,
        "findings": ["a", "b"], "summary": "s", "scope": {"node": "n"}, "simulated": False, "muted": False,
    }  # fmt: skip


def test_an_incident_is_read_as_it_was_written():
    incident = Incident(
        id="i", severity=Severity.WARNING, since=1.0, findings=("a",), summary="s", scope=Scope(cluster="c"),
        place=SharedPlace(level=Level.RACK, name="r7"), root_cause="a", ended=2.0, muted=True,
    )  # fmt: skip
    assert incident_from_json(incident.to_json()) == incident


def test_a_muted_finding_says_by_what_and_until_when():
    muted = replace(HOT, muted=Mute(by=MutedBy.SILENCE, id="s1", reason="fan swap", until=9.0))
    assert muted.to_json()["muted"] == {"by": "silence", "id": "s1", "reason": "fan swap", "until": 9.0}
    assert finding_from_json(muted.to_json()) == muted


def test_ids_are_the_same_in_every_process():
    assert stable_id("straggler", "node-3", None, 12) == "fdd23ddccb09698b"


def test_ids_do_not_confuse_where_parts_end():
    assert stable_id("ab", "c") != stable_id("a", "bc")


def test_severities_are_ordered():
    assert sorted(Severity, key=lambda severity: severity.rank) == ["info", "warning", "critical"]


def test_a_place_is_told_as_a_person_says_it():
    assert HOT.scope.words() == "job llama-7b, node-3, GPU-1f2e (rank 12)"
    assert Scope(cluster="demo").words() == "demo"
    assert Scope().words() == "unknown place"
