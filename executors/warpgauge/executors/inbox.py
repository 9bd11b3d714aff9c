"""Where recommendations come from, and where acks go back: the analyzer's API, or files that something else carries."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from warpgauge.core.atomic import append_durably
from warpgauge.core.errors import InputError, StorageError
from warpgauge.core.event import CONTENT_TYPE, type_of
from warpgauge.core.lane import RefusedError, TryLaterError
from warpgauge.core.posting import check_taken
from warpgauge.core.recommendation import Recommendation, recommendation_from_event
from warpgauge.core.withdrawal import Withdrawal, withdrawal_from_event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from warpgauge.core.clock import Clock
    from warpgauge.core.posting import HttpClient

__all__ = ["ApiAcks", "ApiInbox", "FileAcks", "FileInbox", "Inbox", "Mail"]

_MOST_LINE_BYTES: Final = 1 << 20
_MOST_WORDS: Final = 300


@dataclass(slots=True)
class Mail:
    """What stands now, what was taken back, and a sentence for each document that could not be read."""

    recommendations: list[Recommendation] = field(default_factory=list)
    withdrawals: list[Withdrawal] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)

    def add(self, event: Any, place: str = "") -> None:  # noqa: ANN401 - whatever somebody sent
        """Read one event; one that is malformed or of an unknown kind costs itself only. `place` begins it."""
        try:
            if isinstance(event, dict) and event.get("type") == type_of("recommendation.withdrawn"):
                self.withdrawals.append(withdrawal_from_event(event))
            elif isinstance(event, dict) and event.get("type") in {type_of("ack"), type_of("verification")}:
                return  # the same file or door may carry these; they are not for us
            else:
                self.recommendations.append(recommendation_from_event(event))
        except InputError as error:
            self.malformed.append(f"{place}{error}"[:_MOST_WORDS])


class Inbox(Protocol):
    """Where recommendations come from."""

    def read(self) -> Mail:
        """Everything that stands now.

        Raises:
            TryLaterError: it cannot be read now, so nobody may act.

        """


class ApiInbox:
    """The analyzer's API: what it shows now, with the mode and the approvals of now."""

    def __init__(self, url: str, client: HttpClient, token: Callable[[], bytes]) -> None:
        """`token` is shown with each request: where a web-config has users, nobody reads without."""
        self._url = url.rstrip("/")
        self._client = client
        self._token = token

    def read(self) -> Mail:
        """Ask for what stands and for what was taken back."""
        mail = Mail()
        for path, key in (("acting", "withdrawn"), ("recommendations", "recommendations")):
            for event in self._list(path, key):
                mail.add(event)
        return mail

    def _list(self, path: str, key: str) -> Iterable[Any]:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {_shown(self._token)}"}
        answer = self._client.request("GET", f"{self._url}/api/v1/{path}", headers=headers)
        try:
            events = json.loads(answer.body)[key] if answer.is_ok else None
        except (ValueError, KeyError, TypeError, RecursionError):
            events = None
        if not isinstance(events, list):
            msg = f"{self._url}/api/v1/{path}: HTTP {answer.status}, not the analyzer's answer"
            raise TryLaterError(msg)
        return events


class ApiAcks:
    """Acks to the analyzer's API, with the operator's token."""

    name = "the analyzer"
    batch = 1

    def __init__(self, url: str, client: HttpClient, token: Callable[[], bytes], clock: Clock) -> None:
        self._url = url.rstrip("/")
        self._client = client
        self._token = token
        self._clock = clock

    def deliver(self, documents: Sequence[bytes]) -> None:
        """Post each; one about a recommendation that the analyzer has forgotten is set aside."""
        for document in documents:
            name = json.loads(document)["data"]["recommendationId"]
            headers = {"Content-Type": CONTENT_TYPE, "Authorization": f"Bearer {_shown(self._token)}"}
            url = f"{self._url}/api/v1/recommendations/{name}/ack"
            answer = self._client.request("POST", url, body=document, headers=headers)
            try:
                check_taken(answer, now=self._clock.now())
            except RefusedError as error:
                if answer.status in {401, 403}:  # the token is being exchanged, or the analyzer is still to learn it
                    raise TryLaterError(str(error)) from error
                raise


def _shown(token: Callable[[], bytes]) -> str:
    try:
        return token().decode()
    except StorageError as error:
        raise TryLaterError(str(error)) from error


class FileInbox:
    """A JSON Lines file that recommendations and withdrawals are appended to, such as the analyzer's own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._line = 0  # that ends at the offset
        self._identity: tuple[int, int] | None = None
        self._standing: dict[str, Recommendation] = {}
        self._withdrawals: dict[str, Withdrawal] = {}

    def read(self) -> Mail:
        """Read what was appended; a file that was replaced or cut is read from its start."""
        new = Mail()
        try:
            self._read_lines(new)
        except FileNotFoundError:
            pass
        except OSError as error:
            msg = f"cannot read {self._path}: {error.strerror or error}"
            raise TryLaterError(msg) from error
        self._standing |= {one.id: one for one in new.recommendations}
        self._withdrawals |= {one.recommendation_id: one for one in new.withdrawals}
        return Mail(list(self._standing.values()), list(self._withdrawals.values()), new.malformed)

    def _read_lines(self, mail: Mail) -> None:
        about = self._path.stat()
        identity = (about.st_dev, about.st_ino)
        if identity != self._identity or about.st_size < self._offset:
            self._identity, self._offset, self._line = identity, 0, 0
        with self._path.open("rb") as file:
            file.seek(self._offset)
            while line := file.readline(_MOST_LINE_BYTES):
                if not line.endswith(b"\n") and len(line) < _MOST_LINE_BYTES:
                    return  # still being written
                self._offset = file.tell()
                self._line += 1
                if line.strip():
                    _take(line, mail, f"{self._path}:{self._line}: ")


def _take(line: bytes, mail: Mail, place: str) -> None:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError) as error:
        mail.malformed.append(f"{place}not JSON: {error}"[:_MOST_WORDS])
    else:
        mail.add(event, place)


class FileAcks:
    """Acks as lines of a file, on the disk before they count as delivered."""

    batch = 100

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def deliver(self, documents: Sequence[bytes]) -> None:
        """Append."""
        append_durably(self._path, b"".join(document + b"\n" for document in documents))
