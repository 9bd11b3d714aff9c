"""The kind Recommendation in Kubernetes' words, made from the JSON Schema of the document, which stays the one source.

A structural schema knows no references, no `const` and no exclusive bounds as numbers:
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.ack import Phase
from warpgauge.core.event import schema
from warpgauge.core.kubernetes import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["API_VERSION", "KIND", "PLURAL", "definition", "object_path"]

KIND: Final = "Recommendation"
PLURAL: Final = "recommendations"
_VERSION: Final = "v1"
API_VERSION: Final = f"{PREFIX}/{_VERSION}"
_KEPT: Final = ("description", "format", "minLength", "minItems", "minimum", "maximum")
_RULES: Final = (
    ("self.notBefore < self.expiresAt", "it expires before it begins"),
    ("self.kind != 'undo' || has(self.undoes)", "an undo says what it undoes"),
)


def object_path(namespace: str, name: str = "") -> str:
    """Path of the objects of a namespace, or of one of them."""
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}{f'/{name}' if name else ''}"


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition. `spec` is the document's `data`, `status` what executors answered."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{PREFIX}"},
        "spec": {
            "group": PREFIX,
            "scope": "Namespaced",
            "names": {"kind": KIND, "listKind": f"{KIND}List", "plural": PLURAL, "singular": KIND.lower()},
            "versions": [
                {
                    "name": _VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": _columns(),
                    "schema": {"openAPIV3Schema": _object_schema()},
                }
            ],
        },
    }


def _columns() -> list[dict[str, str]]:
    paths = {
        "Kind": ".spec.kind",
        "Target": ".spec.target[0].name",
        "Mode": ".spec.mode",
        "Approved by": ".spec.approval.by",
        "Phase": ".status.phase",
    }
    columns = [{"name": name, "type": "string", "jsonPath": path} for name, path in paths.items()]
    return [*columns, {"name": "Expires", "type": "date", "jsonPath": ".spec.expiresAt"}]


def _object_schema() -> dict[str, Any]:
    document = schema("recommendation")
    spec = _structural(document["$defs"]["recommendation"], document["$defs"])
    spec["x-kubernetes-validations"] = [{"rule": rule, "message": message} for rule, message in _RULES]
    return {
        "description": document["description"],
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": _status_schema(),
        },
        "x-kubernetes-validations": [
            {"rule": "self.metadata.name == self.spec.id", "message": "an object is named by the id of its document"},
        ],
    }


def _status_schema() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": {
            "phase": {"type": "string", "enum": [str(phase) for phase in Phase]},
            "conditions": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
                "items": {
                    "type": "object",
                    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
                    "properties": {
                        "type": text,
                        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                        "reason": text,
                        "message": text,
                        "lastTransitionTime": {"type": "string", "format": "date-time"},
                    },
                },
            },
        },
    }


def _structural(part: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    """The same claims about a value as `part` makes, written as a structural schema."""
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        return _structural({**defs[name], **{key: value for key, value in part.items() if key != "$ref"}}, defs)
    enum = [part["const"]] if "const" in part else part.get("enum")
    made: dict[str, Any] = {"type": part.get("type", "string")}
    made |= {key: part[key] for key in _KEPT if key in part}
    if enum:
        made["enum"] = enum
    if "exclusiveMinimum" in part:
        made |= {"minimum": part["exclusiveMinimum"], "exclusiveMinimum": True}
    if "items" in part:
        made["items"] = _structural(part["items"], defs)
    if "properties" in part:
        made["properties"] = {name: _structural(one, defs) for name, one in part["properties"].items()}
    if part.get("required"):
        made["required"] = part["required"]
    return made
