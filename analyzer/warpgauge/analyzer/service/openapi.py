"""The OpenAPI description of the API, written once beside its routes; a test holds it against the router."""

from __future__ import annotations

from typing import Any, Final

from warpgauge.analyzer.service.acting_routes import POSTS
from warpgauge.analyzer.service.receiver import PATH as WRITE_PATH
from warpgauge.analyzer.service.series_query import MAX_SERIES
from warpgauge.core.version import VERSION

__all__ = ["ORDERS", "PATHS", "openapi_document"]

PATHS: Final = {
    "/api/v1/status": "What is watched, what was checked over how long, and what could not be judged for want of what.",
    "/api/v1/live": "Hosts and devices as the last two scrapes saw them; what is unknown is absent.",
    "/api/v1/findings": "Findings that hold now, ranked; then those that ended within ten minutes.",
    "/api/v1/incidents": "Findings joined by cause and place; those that hold, then those that ended lately.",
    "/api/v1/recommendations": "Recommendations that stand, as CloudEvents.",
    "/api/v1/silences": "Silences and dismissals in force.",
    "/api/v1/acting": "The mode, what holds everything back if something does, and what was withdrawn within a day.",
    "/api/v1/plan": "What waits and what would move where, as the scheduling core's pool was last read; how long ago.",
    "/api/v1/devices": "Every device of the window with its job.",
    "/api/v1/series": f"Values of one metric; not PromQL. At most {MAX_SERIES} series, left_out counts the rest.",
    "/api/v1/load/{cluster}/watcher": "Load of a cluster's nodes over 15 minutes, as Trimaran's load watcher tells it.",
    "/api/v1/stream": "Server-sent events: tick after each pass of the detectors, live each second.",
    "/api/v1/openapi.json": "This document.",
}

_SCOPE: Final = {name: {"type": "string"} for name in ("kind", "cluster", "node", "uuid", "job_id")}
_WHY: Final = {"reason": {"type": "string"}, "by": {"type": "string"}}
ORDERS: Final[dict[tuple[str, str], tuple[str, str, dict[str, Any]]]] = {
    ("/api/v1/silences", "post"): (
        "silence",
        "Silence a scope for so many seconds: its findings are shown as muted and not acted on.",
        {**_SCOPE, "seconds": {"type": "number"}, **_WHY},
    ),
    ("/api/v1/silences/{id}", "delete"): ("endSilence", "End a silence.", {}),
    ("/api/v1/findings/{id}/dismiss", "post"): (
        "dismiss",
        "Raise the bar for this cause at this place to 1.5 times what was found, for 30 days.",
        _WHY,
    ),
    ("/api/v1/dismissals/{id}", "delete"): ("hearAgain", "Take a dismissal back.", {}),
}
"""(path, method) -> operation, what it does, fields of the body. All need the operator's token."""

_SERIES_PARAMETERS: Final = (
    ("metric", True, "string", "Name of a catalog metric."),
    ("start", False, "number", "Seconds since the epoch."),
    ("end", False, "number", "Seconds since the epoch."),
    ("step", False, "number", "Seconds; values are means over the step."),
)


_WRITE: Final[dict[str, Any]] = {
    "operationId": "write",
    "summary": "Prometheus remote write 1.0: samples that a Prometheus sends.",
    "requestBody": {"required": True, "content": {"application/x-protobuf": {"schema": {"type": "string"}}}},
    "responses": {
        "204": {"description": "Taken."},
        "400": {"description": "Malformed; the reason names the byte."},
        "401": {"description": "The bearer token is missing or wrong."},
        "413": {"description": "Too large."},
        "415": {"description": "Another version or encoding."},
        "503": {"description": "Too much at once; Retry-After says when to come again."},
    },
}


def openapi_document(*, is_written_to: bool = False, takes_orders: bool = False) -> dict[str, Any]:
    """The description in OpenAPI 3.1; the path that Prometheus writes to is there only where it is served."""
    paths: dict[str, Any] = {path: {"get": _operation(path, text)} for path, text in PATHS.items()}
    for (path, method), order in ORDERS.items() if takes_orders else ():
        paths.setdefault(path, {})[method] = _order(path, *order)
    paths |= {path: {"post": _acting_order(name, text)} for path, (name, text) in POSTS.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "warpgauge analyzer", "version": VERSION},
        "components": {"securitySchemes": {"operator": {"type": "http", "scheme": "bearer"}}},
        "paths": paths | ({WRITE_PATH: {"post": _WRITE}} if is_written_to else {}),
    }


def _order(path: str, name: str, text: str, body: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": text,
        "security": [{"operator": []}],
        "responses": {
            "201" if body else "200": {"description": "Done."},
            "401": {"description": "The operator's token is missing or wrong."},
            "503": {"description": "It could not be stored; nothing was changed."},
        },
    }
    if body:
        schema = {"type": "object", "properties": body, "required": ["reason"], "additionalProperties": False}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        operation["responses"]["400"] = {"description": "A field is missing or malformed."}
    if "{id}" in path:
        operation["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
        operation["responses"]["404"] = {"description": "There is none of this id."}
    return operation


def _acting_order(name: str, text: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": text,
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {"description": "Done, or as it would be."},
            "400": {"description": "The body is malformed; the reason says where."},
            "401": {"description": "The operator's token is missing or wrong."},
            "404": {"description": "No such recommendation stands."},
            "409": {"description": "Too late for that."},
        },
    }
    if name in {"approve", "reject", "undo", "ack"}:
        operation["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    return operation


def _operation(path: str, text: str) -> dict[str, Any]:
    is_stream = path.endswith("/stream")
    content = {"text/event-stream" if is_stream else "application/json": {"schema": {"type": "object"}}}
    operation: dict[str, Any] = {
        "operationId": path.removeprefix("/api/v1/").removesuffix(".json"),
        "summary": text,
        "responses": {"200": {"description": "The document.", "content": content}},
    }
    if "{cluster}" in path:
        operation["operationId"] = "load"
        operation["parameters"] = [{"name": "cluster", "in": "path", "required": True, "schema": {"type": "string"}}]
        operation["responses"]["404"] = {"description": "Nothing was measured of a node of that cluster."}
    if path.endswith("/series"):
        operation["parameters"] = [
            {"name": name, "in": "query", "required": required, "description": words, "schema": {"type": kind}}
            for name, required, kind, words in _SERIES_PARAMETERS
        ]
        operation["description"] = "Every other parameter keeps the series whose label has that value."
        operation["responses"]["400"] = {"description": "A parameter is missing or malformed."}
    return operation
