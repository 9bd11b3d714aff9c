"""The two executors that act on nothing: they write down, for a person or a program, what should be done.

They are where a site begins, and what a core without an executor of its own reads.
"""

from __future__ import annotations

import json
import os
from typing import IO, TYPE_CHECKING, Final

from warpgauge.core.ack import NativeRef
from warpgauge.core.atomic import append_durably
from warpgauge.core.errors import StorageError
from warpgauge.core.recommendation import RecommendationKind
from warpgauge.executors.protocol import ExecutionError, Intent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from warpgauge.executors.protocol import Order

__all__ = ["FileExecutor", "StreamExecutor"]

_CLOSED: Final = "streamClosed"
_UNREADABLE: Final = "fileUnreadable"
_UNWRITABLE: Final = "fileUnwritable"
_KINDS: Final = frozenset(RecommendationKind) - {RecommendationKind.UNDO}


def _line(order: Order) -> dict[str, str]:
    """What a reader needs; the rest is in the recommendation of that id."""
    advice, target = order.advice, order.advice.target[0]
    return {
        "key": order.recommendation.idempotency_key,
        "recommendation": order.recommendation.id,
        "do": "undo" if order.is_undo else str(advice.kind),
        "of": advice.id,
        "cluster": target.cluster,
        "type": str(target.type),
        "name": target.name,
        "text": (advice.undo or "") if order.is_undo else advice.text.summary,
    }


class StreamExecutor:
    """One line of text per order on a stream, such as standard output. A crash can make it say a thing twice."""

    name = "stdout"
    platform = None
    kinds = _KINDS
    takes_simulated = True

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def objection(self, _order: Order) -> str | None:
        """Only that nobody can hear it any more."""
        return "the stream is closed" if self._stream.closed else None

    def intents(self, order: Order) -> tuple[Intent, ...]:
        """One line."""
        return (Intent(f"print {_sentence(order)!r}", "print the undo"),)

    def found(self, _order: Order) -> None:
        """Nobody can tell what a stream has said."""

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        """Print and flush."""
        try:
            self._stream.write(f"{_sentence(order)}\n")
            self._stream.flush()
        except OSError as error:
            raise ExecutionError(_CLOSED, str(error)) from error
        return (NativeRef(kind="line", name=order.recommendation.idempotency_key),)


def _sentence(order: Order) -> str:
    line = _line(order)
    return f"{line['do']} {line['type']} {line['name']} in {line['cluster']}: {line['text']} [{line['key']}]"


class FileExecutor:
    """One JSON object per line in a file, on the disk before it counts as done."""

    name = "file"
    platform = None
    kinds = _KINDS
    takes_simulated = True

    def __init__(self, path: Path, *, sync: Callable[[int], None] = os.fsync) -> None:
        self._path = path
        self._sync = sync

    def objection(self, _order: Order) -> str | None:
        """That the file cannot be written."""
        if self._path.exists() and not self._path.is_file():
            return f"{self._path} is no plain file"
        place = self._path if self._path.exists() else self._path.parent
        return None if os.access(place, os.W_OK) else f"{place} cannot be written"

    def intents(self, order: Order) -> tuple[Intent, ...]:
        """One line."""
        return (Intent(f"append {json.dumps(_line(order))} to {self._path}", "append a line with do=undo"),)

    def found(self, order: Order) -> tuple[NativeRef, ...] | None:
        """Whether the file has the key."""
        key = order.recommendation.idempotency_key
        try:
            with self._path.open(encoding="utf-8", errors="replace") as file:
                return self._refs(key) if any(_key_of(line) == key for line in file) else None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ExecutionError(_UNREADABLE, str(error), may_succeed_later=True) from error

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        """Append and fsync, unless it is there."""
        done = self.found(order)
        if done is not None:
            return done
        try:
            append_durably(self._path, json.dumps(_line(order), ensure_ascii=False).encode() + b"\n", sync=self._sync)
        except (OSError, StorageError) as error:
            raise ExecutionError(_UNWRITABLE, str(error), may_succeed_later=True) from error
        return self._refs(order.recommendation.idempotency_key)

    def _refs(self, key: str) -> tuple[NativeRef, ...]:
        return (NativeRef(kind="line", name=key, uid=str(self._path)),)


def _key_of(line: str) -> str | None:
    """The key of a line; None for one that a crash cut short."""
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document.get("key") if isinstance(document, dict) else None
