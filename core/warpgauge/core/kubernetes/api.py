"""Requests to a Kubernetes API server: objects one by one or page by page, and changes with one owner and a dry run.

https://kubernetes.io/docs/reference/using-api/api-concepts/ says what is relied on: resourceVersion and uid in a patch
are preconditions (409), `dryRun=All` goes through every check and stores nothing, `continue` pages over one snapshot.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from warpgauge.core.errors import WarpgaugeError
from warpgauge.core.kubernetes.words import OWNER
from warpgauge.core.lane import TryLaterError

if TYPE_CHECKING:
    from warpgauge.core.kubernetes.connection import Connection
    from warpgauge.core.posting import Answer

__all__ = ["MERGE", "STRATEGIC", "Call", "Kubernetes", "KubernetesError"]

MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"  # lists with a key, such as conditions, are merged by it
_JSON: Final = "application/json"
_PAGE: Final = 250  # objects: a pod is 5 to 40 KB, an answer at most 16 MiB
_MOST_PAGES: Final = 2_000
_MOST_WORDS: Final = 500  # of what the server said, in an error
NO_ANSWER: Final = 0  # in place of a status
_GONE: Final = 410
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409


class KubernetesError(WarpgaugeError):
    """The API server refused, failed or did not answer; `status` is of HTTP, 0 without an answer."""

    def __init__(self, status: int, message: str, *, reason: str = "") -> None:
        """`reason` is the server's own word, such as Conflict or AlreadyExists."""
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def is_conflict(self) -> bool:
        """Whether what was read before is no longer what is there."""
        return self.status == _CONFLICT and self.reason != "AlreadyExists"

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be taken later: no answer, a fault of the server's, too many requests."""
        return self.status in {NO_ANSWER, 401, 408, 429} or self.status >= 500  # noqa: PLR2004 - the class of faults


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One change: `words` say it as a person would to kubectl."""

    method: str
    path: str
    words: str
    body: Mapping[str, Any] = field(default_factory=dict)
    content_type: str = _JSON


class Kubernetes:
    """A cluster as its API server shows it to the account that asks."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, path: str) -> dict[str, Any] | None:
        """One object, None if there is none.

        Raises:
            KubernetesError: it cannot be had.

        """
        try:
            return self._ask("GET", path)
        except KubernetesError as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """All objects of a list, from one snapshot; errors as for `get`, with status 404 too."""
        for _ in range(3):
            try:
                return self._pages(path, query)
            except KubernetesError as error:  # the snapshot was compacted away: a new one is begun
                if error.status != _GONE:
                    raise
        msg = f"{path}: the list changed faster than it could be read"
        raise KubernetesError(NO_ANSWER, msg)

    def send(self, call: Call, *, dry_run: bool = False) -> dict[str, Any]:
        """Make a change, or with `dry_run` have it checked and thrown away; what the server answers.

        Raises:
            KubernetesError: it was not made, or no answer says whether it was.

        """
        query = {"fieldManager": OWNER, "fieldValidation": "Strict"} if call.method != "DELETE" else {}
        if dry_run:
            query["dryRun"] = "All"
        path = f"{call.path}?{urlencode(query)}" if query else call.path
        return self._ask(call.method, path, call.body or None, call.content_type)

    def _pages(self, path: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        asked = {"limit": str(_PAGE), **query}
        for _ in range(_MOST_PAGES):
            page = self._ask("GET", f"{path}?{urlencode(asked)}")
            items, meta = page.get("items") or [], page.get("metadata") or {}
            if not isinstance(items, list) or not isinstance(meta, Mapping):
                raise _nonsense(path, "the list has no items")
            found += [item for item in items if isinstance(item, dict)]
            if not meta.get("continue"):
                return found
            asked["continue"] = str(meta["continue"])
        raise _nonsense(path, f"the list has more than {_MOST_PAGES} pages")

    def _ask(self, method: str, path: str, body: object = None, content_type: str = _JSON) -> dict[str, Any]:
        connection = self._connection
        content = None if body is None else json.dumps(body).encode()
        try:
            headers = {"Accept": _JSON, "Content-Type": content_type, **connection.headers()}
            answer = connection.client.request(method, f"{connection.url}{path}", body=content, headers=headers)
        except (OSError, TryLaterError) as error:
            msg = f"{method} {path}: {error}"
            raise KubernetesError(NO_ANSWER, msg) from error
        return _document(answer, f"{method} {path.partition('?')[0]}")


def _document(answer: Answer, place: str) -> dict[str, Any]:
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        document = None
    if answer.is_ok and isinstance(document, dict):
        return document
    if answer.is_ok:
        raise _nonsense(place, "not a JSON object")
    said = document if isinstance(document, dict) else {}
    words = str(said.get("message") or answer.body[:_MOST_WORDS].decode(errors="replace"))
    plain = "".join(letter if letter.isprintable() else " " for letter in words)[:_MOST_WORDS].strip()
    raise KubernetesError(answer.status, f"{place}: HTTP {answer.status}, {plain}", reason=str(said.get("reason")))


def _nonsense(place: str, why: str) -> KubernetesError:
    return KubernetesError(NO_ANSWER, f"{place}: {why}; is this an API server of Kubernetes?")
