"""The envelope that every document of ours travels in: CloudEvents 1.0, JSON, structured mode.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final, TypeVar

from warpgauge.core.document import from_document, rfc3339, to_document
from warpgauge.core.errors import InputError

__all__ = ["CONTENT_TYPE", "SCHEMA_NAMES", "data_of", "event_of", "malformed", "schema", "type_of"]

T = TypeVar("T")
CONTENT_TYPE: Final = "application/cloudevents+json"
SCHEMA_NAMES: Final = ("recommendation", "recommendation.withdrawn", "ack", "verification")
"""What has a shipped JSON Schema (2020-12); an event of `X` has the type `warpgauge.X.v1`."""


def type_of(name: str) -> str:
    """The CloudEvents type of one of `SCHEMA_NAMES`."""
    return f"warpgauge.{name}.v1"


def event_of(name: str, data: Any, *, source: str, subject: str, time: float) -> dict[str, Any]:  # noqa: ANN401 - any document
    """`data`, a frozen dataclass with an `id`, as a CloudEvents JSON object."""
    return {
        "specversion": "1.0",
        "id": data.id,
        "source": source,
        "type": type_of(name),
        "subject": subject,
        "time": rfc3339(time),
        "datacontenttype": "application/json",
        "dataschema": f"urn:warpgauge:schema:{name}:v1",
        "data": to_document(data),
    }


def data_of(event: object, name: str, cls: type[T]) -> T:
    """What an event carries; fields that `cls` does not know are ignored.

    Raises:
        InputError: it is another type of event, a known enumeration has a value we do not know, a field is missing or
            malformed, or the event's id is not its data's.

    """
    if not isinstance(event, Mapping) or event.get("specversion") != "1.0":
        msg = "not a CloudEvents 1.0 document: specversion must be '1.0'"
        raise InputError(msg)
    word = name.rpartition(".")[2]
    if event.get("type") != type_of(name):
        article = "an" if word[0] in "aeiou" else "a"
        msg = f"not {article} {word}: type is {event.get('type')!r}, expected {type_of(name)!r}"
        raise InputError(msg)
    try:
        data = from_document(cls, event.get("data"), "data")
    except ValueError as error:
        raise malformed(word, event, str(error)) from error
    if event.get("id") != getattr(data, "id", None):
        raise malformed(word, event, "id differs from data.id")
    return data


def malformed(word: str, event: object, why: str) -> InputError:
    """The one sentence for a document of ours that is not what it claims to be."""
    name = event.get("id") if isinstance(event, Mapping) else None
    return InputError(f"{word} {name!r} is malformed: {why}")


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a whole event, as it is shipped in the package; `name` is of `SCHEMA_NAMES`."""
    path = resources.files("warpgauge.core") / "schemas" / f"{name}.v1.schema.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document
