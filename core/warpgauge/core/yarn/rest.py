"""The ResourceManager's REST API (`/ws/v1/cluster`): bounded answers, no redirects, the standby of a pair passed over.

The simple authentication of Hadoop takes the word of whoever asks (`user.name`); a site that does not trust its network
puts a proxy such as Knox in front and gives us a header for it. Kerberos (SPNEGO) is not spoken here.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from warpgauge.core.errors import InputError, WarpgaugeError
from warpgauge.core.lane import TryLaterError
from warpgauge.core.yarn.state import (
    MEMORY,
    VCORES,
    YarnApp,
    YarnContainer,
    YarnNode,
    YarnQueue,
    parse_app,
    parse_apps,
    parse_attempt,
    parse_containers,
    parse_labels,
    parse_nodes,
    parse_queues,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.posting import Answer, HttpClient
    from warpgauge.core.yarn.state import Resources

__all__ = ["KEEP_MILLISECONDS", "Yarn", "YarnError"]

LIVE: Final = ("NEW", "NEW_SAVING", "SUBMITTED", "ACCEPTED", "RUNNING")
KEEP_MILLISECONDS: Final = 2**31 - 1
"""How long containers that do not fit into a node any more may run on: the longest that YARN takes, 24.8 days.

Not -1, YARN's own word for "to their end": it leaves a time in place that an earlier change of the node set, such as
the 0 of a node let in again after a graceful decommission, and then all that runs there is killed (Hadoop 3.5.0).
"""
_REDIRECT, _UNAUTHORIZED, _NOT_FOUND, _FAULT, _UNAVAILABLE = 307, 401, 404, 500, 503
_OWN: Final = b"RemoteException"  # an active ResourceManager's own words; a standby's 503 is a page
_DENIED: Final = b"AccessControlException"
_MOST_WORDS: Final = 500  # of what YARN said, in an error
_UNSIGNED: Final = {
    "Accept": "application/json",
    "Content-Type": "application/json",
    "X-XSRF-Header": "warpgauge",  # any value will do where a site has the filter against forged requests
}


class YarnError(WarpgaugeError):
    """YARN refused or did not answer; the message holds what it said."""

    def __init__(self, message: str, *, is_refusal: bool = False) -> None:
        """`is_refusal`: it heard us and said no; asking again is of no use."""
        super().__init__(message)
        self.is_refusal = is_refusal


class Yarn:
    """A cluster as its ResourceManager shows it. Several addresses are those of one highly available pair."""

    def __init__(
        self, urls: Sequence[str], client: HttpClient, *, user: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """`user` is whom the simple authentication is told we are; `headers` are for a proxy before it."""
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._client = client
        self._user = user
        self._headers = {**_UNSIGNED, **(headers or {})}

    def nodes(self) -> tuple[YarnNode, ...]:
        """All nodes, those that left too; YarnError or InputError if they cannot be had."""
        return parse_nodes(self._get("nodes"))

    def apps(self) -> tuple[YarnApp, ...]:
        """All applications that have not ended and that our user may see; errors as for `nodes`."""
        return parse_apps(self._get("apps", states=",".join(LIVE)))

    def app(self, app_id: str) -> YarnApp | None:
        """One application, None if the ResourceManager does not know it (any more); errors as for `nodes`."""
        answer = self._ask("GET", f"apps/{quote(app_id)}")
        return None if answer.status == _NOT_FOUND else parse_app(self._document(answer))

    def attempt(self, app_id: str) -> str:
        """Id of the application's last attempt, "" if it has had none; errors as for `nodes`."""
        return parse_attempt(self._get(f"apps/{quote(app_id)}/appattempts"))

    def containers(self, app_id: str) -> tuple[YarnContainer, ...]:
        """What the application's last attempt holds now; errors as for `nodes`."""
        if not (attempt := self.attempt(app_id)):
            return ()
        return parse_containers(self._get(f"apps/{quote(app_id)}/appattempts/{quote(attempt)}/containers"))

    def queues(self) -> tuple[YarnQueue, ...]:
        """The queues that applications can be in; errors as for `nodes`."""
        return parse_queues(self._get("scheduler"))

    def labels(self) -> frozenset[str]:
        """The node labels that the cluster knows; errors as for `nodes`."""
        return parse_labels(self._get("get-node-labels"))

    def move(self, app_id: str, queue: str) -> None:
        """Move an application to another queue; YarnError with what YARN said if it refused."""
        self._put(f"apps/{quote(app_id)}/queue", {"queue": queue})

    def prioritize(self, app_id: str, priority: int) -> None:
        """Give an application another priority, the higher the sooner; errors as for `move`."""
        self._put(f"apps/{quote(app_id)}/priority", {"priority": priority})

    def label(self, node_id: str, labels: Sequence[str]) -> None:
        """Replace a node's labels; errors as for `move`.

        As words of the address: Hadoop 3.5.0 takes a body with them, answers 200 and sets none.
        """
        words = urlencode([("labels", label) for label in labels])
        self._taken(self._ask("POST", f"nodes/{quote(node_id)}/replace-labels", {}, words))

    def resize(self, node_id: str, resources: Resources) -> None:
        """Give a node this much memory and cores to hand out; what runs there goes on. Errors as for `move`.

        Anything else that it has, such as GPUs, becomes 0 whatever the body says (seen in Hadoop 3.5.0).
        """
        amounts = {"memory": resources[MEMORY], "vCores": resources[VCORES]}
        body = {"resource": amounts, "overCommitTimeout": KEEP_MILLISECONDS}
        self._taken(self._ask("POST", f"nodes/{quote(node_id)}/resource", body))

    def _put(self, path: str, body: object) -> None:
        self._taken(self._ask("PUT", path, body))

    def _get(self, path: str, **words: str) -> Any:  # noqa: ANN401 - a JSON document
        return self._document(self._ask("GET", path, None, urlencode(words)))

    def _taken(self, answer: Answer) -> None:
        if not answer.is_ok:
            is_denied = answer.status < _FAULT or _DENIED in answer.body  # a stopped queue is a 503 around a denial
            raise YarnError(_said(answer), is_refusal=is_denied)

    def _document(self, answer: Answer) -> Any:  # noqa: ANN401 - as above
        self._taken(answer)
        try:
            return json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            msg = f"YARN answered no JSON: {answer.body[:80].decode(errors='replace')!r}"
            raise InputError(msg) from error

    def _ask(self, method: str, path: str, body: object = None, words: str = "") -> Answer:
        """The answer of the first address that is neither a standby nor silent."""
        why = "no address of a ResourceManager is set"
        user = urlencode({"user.name": self._user}) if self._user else ""
        content = None if body is None else json.dumps(body).encode()
        for base in self._urls:
            url = f"{base}/ws/v1/cluster/{path}?{'&'.join(filter(None, (user, words)))}".rstrip("?")
            try:
                answer = self._client.request(method, url, body=content, headers=self._headers)
            except TryLaterError as error:
                why = f"{base} does not answer: {str(error).rpartition(': ')[2]}"
                continue
            if answer.status != _REDIRECT and not (answer.status == _UNAVAILABLE and _OWN not in answer.body):
                return answer
            why = f"{base} is not the active ResourceManager (HTTP {answer.status})"
        raise YarnError(why)


def _said(answer: Answer) -> str:
    """YARN's own words: it wraps them in an exception or gives them bare, and a proxy answers with a page."""
    text = answer.body[: 8 * _MOST_WORDS].decode(errors="replace")
    try:
        said = json.loads(text)
        text = said["RemoteException"]["message"] if isinstance(said, dict) else str(said)
    except (ValueError, KeyError, TypeError, RecursionError):
        text = re.sub(r"<[^>]*>", " ", text)
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())[:_MOST_WORDS]
    hint = "; set yarn.user, or yarn.headers_file for a proxy" if answer.status == _UNAUTHORIZED else ""
    return f"YARN said (HTTP {answer.status}): {words or 'nothing'}{hint}"
