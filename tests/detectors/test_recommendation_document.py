"""The recommendation document: CloudEvents on the wire, strict on the way back, equal to its JSON Schema."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warpgauge.core.errors import InputError
from warpgauge.core.finding import Evidence, FindingKind, Severity
from warpgauge.core.recommendation import (
    Approval,
    Cause,
    ExpectedGain,
    Precondition,
    Producer,
    Recommendation,
    RecommendationKind,
    Reversible,
    Target,
    TargetType,
    Text,
    idempotency_key,
    recommendation_from_event,
    recommendation_id,
    recommendation_schema,
)

START = 1_750_000_000.25


def example() -> Recommendation:
    target = (
        Target(cluster="prod", type=TargetType.DEVICE, name="GPU-1", platform="slurm", node="n1", gpu_uuid="GPU-1"),
    )
    key = idempotency_key(RecommendationKind.REPLACE_STRAGGLER, target, "straggler", START)
    return Recommendation(
        id=recommendation_id(key),
        idempotency_key=key,
        producer=Producer(name="warpgauge", version="0.1.0"),
        kind=RecommendationKind.REPLACE_STRAGGLER,
        mode="propose",
        target=target,
        cause=Cause(
            finding_kind=FindingKind.STRAGGLER,
            detector="straggler",
            severity=Severity.WARNING,
            finding_id="abc",
            first_seen=START,
            last_seen=START + 60,
        ),
        evidence=(Evidence(metric="accel_clock_hertz", value=1.1e9, unit="hertz", baseline=1.9e9, samples=30),),
        confidence=0.9,
        reversible=Reversible.PARTLY,
        undo="move the rank back",
        preconditions=(Precondition(check="findingOpen", expected="abc"),),
        created=START,
        not_before=START,
        expires_at=START + 900,
        conflict_group="job/prod/7",
        approval=Approval(required=True),
        text=Text(summary="Replace it.", detail="It is slow."),
        expected_gain=ExpectedGain(
            metric="device_seconds", unit="seconds", p50=1200, method="step time of peers", horizon_seconds=3600
        ),
    )


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        recommendation_schema(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    )


def test_what_is_written_reads_back_equal() -> None:
    wire = json.dumps(example().to_event())
    assert recommendation_from_event(json.loads(wire)) == example()


@given(
    seconds=st.integers(0, 4_000_000_000_000),
    value=st.floats(allow_nan=False, allow_infinity=False),
    words=st.text(min_size=1),
    kind=st.sampled_from(RecommendationKind),
    platform=st.sampled_from([None, "kubernetes", "slurm", "yarn", "docker"]),
)
def test_reading_inverts_writing_for_any_content(
    seconds: int, value: float, words: str, kind: RecommendationKind, platform: str | None
) -> None:
    start = seconds / 1000
    made = replace(
        example(),
        kind=kind,
        undoes="another" if kind is RecommendationKind.UNDO else None,
        created=start,
        not_before=start,
        expires_at=start + 1,
        target=(Target(cluster=words, type=TargetType.NODE, name=words, platform=platform),),
        evidence=(Evidence(metric="x", value=value, unit=""),),
        text=Text(summary=words, detail=words),
    )
    back = recommendation_from_event(json.loads(json.dumps(made.to_event())))
    assert back.created == pytest.approx(start, abs=1e-6)
    assert replace(back, created=start, not_before=start, expires_at=start + 1) == made


def test_the_event_passes_the_shipped_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(recommendation_schema())
    validator().validate(example().to_event())


def test_the_schema_knows_every_kind() -> None:
    enum = recommendation_schema()["$defs"]["recommendation"]["properties"]["kind"]["enum"]
    assert enum == [str(kind) for kind in RecommendationKind]
    causes = recommendation_schema()["$defs"]["cause"]["properties"]["class"]["enum"]
    assert causes == [str(kind) for kind in FindingKind]


def test_times_are_rfc3339_and_keys_are_camel_case() -> None:
    data = example().to_event()["data"]
    assert data["expiresAt"] == "2025-06-15T15:21:40.250Z"
    assert data["cause"]["class"] == "straggler"
    assert data["evidence"][0] == {
        "metric": "accel_clock_hertz",
        "value": 1.1e9,
        "unit": "hertz",
        "baseline": 1.9e9,
        "samples": 30,
    }


def test_an_unknown_gain_is_absent_and_not_null() -> None:
    assert "expectedGain" not in replace(example(), expected_gain=None).to_event()["data"]


def test_an_unknown_field_is_ignored() -> None:
    event = example().to_event()
    event["data"]["novel"] = {"of": "a later minor version"}
    assert recommendation_from_event(event) == example()


def test_an_unknown_kind_is_rejected() -> None:
    event = example().to_event()
    event["data"]["kind"] = "explode"
    with pytest.raises(InputError, match=r"data.kind: 'explode' is no RecommendationKind"):
        recommendation_from_event(event)
    assert not validator().is_valid(event)


def test_an_undo_names_what_it_undoes() -> None:
    event = replace(example(), kind=RecommendationKind.UNDO).to_event()
    with pytest.raises(InputError, match=r"data.undoes is missing"):
        recommendation_from_event(event)


def test_a_missing_field_is_named_with_its_place() -> None:
    event = example().to_event()
    del event["data"]["cause"]["firstSeen"]
    with pytest.raises(InputError, match=r"data.cause.firstSeen is missing"):
        recommendation_from_event(event)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("confidence", 1.5),
        ("confidence", "high"),
        ("confidence", 10**400),
        ("target", []),
        ("target", {"cluster": "a"}),
        ("expiresAt", "tomorrow"),
        ("expiresAt", "2025-06-15T15:21:40"),
        ("expiresAt", "2020-01-01T00:00:00Z"),
        ("simulated", 0),
        ("id", "another"),
    ],
)
def test_a_malformed_field_is_an_input_error(field: str, value: object) -> None:
    event = example().to_event()
    event["data"][field] = value
    with pytest.raises(InputError):
        recommendation_from_event(event)


def test_the_id_of_the_same_advice_is_the_same_after_a_restart() -> None:
    assert example().id == example().id == recommendation_id(example().idempotency_key)


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=200)
@given(name=st.sampled_from(sorted(example().to_event()["data"])), value=JSON_VALUE)
def test_no_content_raises_anything_but_an_input_error(name: str, value: Any) -> None:
    event = example().to_event()
    event["data"][name] = value
    try:
        recommendation_from_event(event)
    except InputError as error:
        assert "is malformed" in str(error)  # noqa: PT017 - either outcome is right; the message is the claim
