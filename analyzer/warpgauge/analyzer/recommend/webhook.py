"""Documents to an HTTPS address, signed as Standard Webhooks has it: `webhook-id`, `-timestamp`, `-signature`.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import json
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from standardwebhooks import Webhook

from warpgauge.core.errors import ConfigError
from warpgauge.core.event import CONTENT_TYPE
from warpgauge.core.lane import TryLaterError
from warpgauge.core.posting import HttpClient, check_taken
from warpgauge.core.version import VERSION

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from warpgauge.core.clock import Clock

__all__ = ["Secrets", "WebhookSink"]

_MOST_BYTES: Final = 4096
_MOST_KEYS: Final = 4
_LEAST_KEY_BYTES: Final = 24  # of the specification: 24 to 64
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Secrets:
    """Where the signing keys come from: a file that only we can read, or an environment variable.

    One `whsec_...` per line, or separated by spaces, the newest first: all of them sign, so that a receiver may change
    to the new key at any time between. The file is read anew for each delivery.
    """

    file: str = ""
    variable: str = ""

    def keys(self, environ: Mapping[str, str] = os.environ) -> tuple[Webhook, ...]:
        """The keys.

        Raises:
            ConfigError: there is none, the file is open to others, or one is no key; the message never holds a key.

        """
        place = self.file or f"the environment variable {self.variable}"
        words = (_read(Path(self.file)) if self.file else environ.get(self.variable, "")).split()
        if not words or len(words) > _MOST_KEYS:
            msg = f"{place} must hold 1 to {_MOST_KEYS} webhook secrets (whsec_...), it holds {len(words)}"
            raise ConfigError(msg)
        return tuple(_key(word, f"secret {number} of {place}") for number, word in enumerate(words, 1))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        msg = f"cannot read the webhook secrets {path}: {error.strerror or error}"
        raise ConfigError(msg) from error
    if os.name != "nt" and about.st_mode & _OTHERS:
        msg = f"{path} can be read by others (mode {stat.S_IMODE(about.st_mode):04o}): chmod 600 {path}"
        raise ConfigError(msg)
    if len(content) > _MOST_BYTES:
        msg = f"{path} is longer than {_MOST_BYTES} bytes"
        raise ConfigError(msg)
    return content.decode("ascii", errors="replace")


def _key(word: str, place: str) -> Webhook:

    try:
        size = len(base64.b64decode(word.removeprefix("whsec_"), validate=True))
    except ValueError:
        size = 0
    if size < _LEAST_KEY_BYTES:
        msg = f"{place} is no base64 of {_LEAST_KEY_BYTES} or more bytes; make one with: openssl rand -base64 32"
        raise ConfigError(msg)
    return Webhook(word)


class WebhookSink:
    """One document per POST. 2xx and 409 are taken; 408, 425, 429 and 5xx wait; any other 4xx is set aside."""

    batch = 1
    takes_simulated = False
    acts = True
    is_remote = True

    def __init__(
        self, name: str, url: str, secrets: Secrets, *, clock: Clock, context: ssl.SSLContext | None = None
    ) -> None:
        self.name = name
        self._url = url
        self._secrets = secrets
        self._clock = clock
        self._client = HttpClient(context=context)

    def deliver(self, documents: Sequence[bytes]) -> None:
        """Send each, signed now.

        Raises:
            TryLaterError: it was not taken now, or the keys cannot be read now.
            RefusedError: it will never be taken.

        """
        for document in documents:
            answer = self._client.request("POST", self._url, body=document, headers=self._headers(document))
            check_taken(answer, now=self._clock.now())

    def _headers(self, document: bytes) -> dict[str, str]:
        try:
            keys = self._secrets.keys()
        except ConfigError as error:
            raise TryLaterError(str(error)) from error
        moment = datetime.fromtimestamp(int(self._clock.now()), tz=UTC)
        name = message_id(document)
        return {
            "Content-Type": CONTENT_TYPE,
            "User-Agent": f"warpgauge/{VERSION}",
            "webhook-id": name,
            "webhook-timestamp": str(int(moment.timestamp())),
            "webhook-signature": " ".join(key.sign(name, moment, document.decode()) for key in keys),
        }


def message_id(document: bytes) -> str:
    """The event's id; of a recommendation that was approved another than before, so that nobody drops the approval."""
    event = json.loads(document)
    approved = event["data"].get("approval", {}).get("at")
    return f"{event['id']}.approved" if approved else str(event["id"])
