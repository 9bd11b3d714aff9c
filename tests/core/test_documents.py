"""All four documents: CloudEvents, equal to their schemas, readable for as long as they are version 1."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, is_dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.documents import EXAMPLES, READERS, ack, validator, verification, withdrawal
from warpgauge.core.ack import NativeRef, Phase
from warpgauge.core.document import _is_instant, _json_name, _present
from warpgauge.core.errors import InputError
from warpgauge.core.event import SCHEMA_NAMES, schema, type_of
from warpgauge.core.verification import Effect, Verdict

STORED = Path(__file__).parents[1] / "fixtures" / "documents"
ENUMERATIONS = {
    "recommendation": "kind",
    "recommendation.withdrawn": "kind",
    "ack": "phase",
    "verification": "verdict",
}
every_document = pytest.mark.parametrize("name", SCHEMA_NAMES)


@every_document
def test_what_is_written_reads_back_equal(name: str) -> None:
    assert READERS[name](json.loads(json.dumps(EXAMPLES[name].to_event()))) == EXAMPLES[name]


@every_document
def test_the_event_passes_its_shipped_schema(name: str) -> None:
    validator(name).check_schema(schema(name))
    validator(name).validate(EXAMPLES[name].to_event())


@every_document
def test_a_document_stored_in_version_1_stays_valid_and_readable(name: str) -> None:
    stored = json.loads((STORED / f"{name}.v1.json").read_text())
    validator(name).validate(stored)
    assert READERS[name](stored) == EXAMPLES[name]


@every_document
def test_a_field_of_a_later_version_is_ignored(name: str) -> None:
    event = EXAMPLES[name].to_event()
    event["data"]["novel"] = {"of": "a later minor version"}
    event["novelextension"] = 1
    validator(name).validate(event)
    assert READERS[name](event) == EXAMPLES[name]


@every_document
def test_an_unknown_word_where_the_words_are_listed_is_rejected(name: str) -> None:
    event = EXAMPLES[name].to_event()
    event["data"][ENUMERATIONS[name]] = "explode"
    assert not validator(name).is_valid(event)
    with pytest.raises(InputError, match="'explode'"):
        READERS[name](event)


@every_document
def test_no_document_passes_for_another(name: str) -> None:
    for other in set(SCHEMA_NAMES) - {name}:
        with pytest.raises(InputError, match="type is"):
            READERS[name](EXAMPLES[other].to_event())


@every_document
@pytest.mark.parametrize("event", [None, [], {}, "x", {"specversion": "0.3"}])
def test_what_is_no_event_is_an_input_error(name: str, event: object) -> None:
    with pytest.raises(InputError, match=r"specversion must be '1\.0'"):
        READERS[name](event)


JSON_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@every_document
@given(data=st.data())
def test_no_content_raises_anything_but_an_input_error(name: str, data: st.DataObject) -> None:
    event = EXAMPLES[name].to_event()
    event["data"][data.draw(st.sampled_from(sorted(event["data"])))] = data.draw(JSON_VALUE)
    try:
        READERS[name](event)
    except InputError as error:
        assert "is malformed" in str(error)  # noqa: PT017 - either outcome is right; the message is the claim


@given(
    phase=st.sampled_from(Phase),
    words=st.text(min_size=1),
    attempt=st.integers(1, 10**6),
    names=st.lists(st.text(min_size=1), max_size=3),
)
def test_an_ack_of_any_content_reads_back_equal(phase: Phase, words: str, attempt: int, names: list[str]) -> None:
    refs = tuple(NativeRef(kind="job", name=name, uid=words) for name in names)
    made = replace(ack(phase), attempt=attempt, reason=words, detail=words, native_refs=refs)
    event = json.loads(json.dumps(made.to_event()))
    validator("ack").validate(event)
    assert READERS["ack"](event) == made


@given(verdict=st.sampled_from(Verdict), low=st.floats(-1e9, 0), high=st.floats(0, 1e9), words=st.text(min_size=1))
def test_a_verification_of_any_content_reads_back_equal(verdict: Verdict, low: float, high: float, words: str) -> None:
    effect = Effect(estimate=(low + high) / 2, low=low, high=high, method=words)
    made = replace(verification(verdict), effect=effect, reason=words)
    event = json.loads(json.dumps(made.to_event()))
    validator("verification").validate(event)
    assert READERS["verification"](event) == made


@pytest.mark.parametrize("phase", [Phase.REJECTED, Phase.FAILED])
def test_who_refuses_says_why(phase: Phase) -> None:
    event = replace(ack(phase), reason=None).to_event()
    assert not validator("ack").is_valid(event)
    with pytest.raises(InputError, match=f"data.reason is missing for phase {phase}"):
        READERS["ack"](event)


def test_a_verdict_without_an_effect_is_no_verdict() -> None:
    event = replace(verification(), effect=None).to_event()
    assert not validator("verification").is_valid(event)
    with pytest.raises(InputError, match="effect is missing"):
        READERS["verification"](event)


def test_too_little_data_has_no_effect_and_no_windows() -> None:
    made = replace(verification(Verdict.INCONCLUSIVE), effect=None, before=None, after=None, control=None)
    assert READERS["verification"](made.to_event()) == made


def test_a_withdrawal_made_again_is_the_same_document() -> None:
    assert withdrawal().to_event() == withdrawal().to_event()
    assert withdrawal().idempotency_key == EXAMPLES["recommendation"].idempotency_key


@every_document
def test_the_schema_and_the_type_have_the_same_fields(name: str) -> None:
    """Names, words of enumerations and JSON types; what has no default must be required."""
    document = schema(name)
    assert document["properties"]["type"]["const"] == EXAMPLES[name].to_event()["type"] == type_of(name)
    assert differences(type(EXAMPLES[name]), document["properties"]["data"], document, "data") == []


PLAIN = {str: "string", float: "number", int: "integer", bool: "boolean"}


def differences(cls: Any, node: dict[str, Any], document: dict[str, Any], place: str) -> list[str]:
    """Sentences about what a type and its schema disagree on."""
    node = resolved(node, document)
    hints = get_type_hints(cls, include_extras=True)
    names = {_json_name(item): item for item in fields(cls)}
    found = [f"{place}.{name}" for name in names.keys() ^ node["properties"].keys()]
    needed = {name for name, item in names.items() if item.default is MISSING}
    found += [f"{place}.{name} is not required" for name in needed - set(node["required"])]
    optional = {name for name, item in names.items() if item.default is None}
    found += [f"{place}.{name} is required" for name in optional & set(node["required"])]
    for name, item in names.items():
        if name in node["properties"]:
            found += of_value(_present(hints[item.name]), node["properties"][name], document, f"{place}.{name}")
    return found


def of_value(hint: Any, node: dict[str, Any], document: dict[str, Any], place: str) -> list[str]:
    node = resolved(node, document)
    if _is_instant(hint):
        return [] if node.get("format") == "date-time" else [f"{place} is a time"]
    if get_origin(hint) is tuple:
        return of_value(get_args(hint)[0], node["items"], document, f"{place}[]")
    if is_dataclass(hint):
        return differences(hint, node, document, place)
    if issubclass(hint, StrEnum):
        return [] if node["enum"] == [str(word) for word in hint] else [f"{place} has other words"]
    if "const" in node or "enum" in node:
        return []
    return [] if node["type"] == PLAIN[hint] else [f"{place} is {node['type']}"]


def resolved(node: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    return document["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node
