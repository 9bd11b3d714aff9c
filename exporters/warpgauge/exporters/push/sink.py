"""What a sink is: it writes a batch down as bytes, sends such bytes, and says what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

__all__ = ["Acked", "Dead", "Outcome", "Retry", "Sink"]

_BatchT_contra = TypeVar("_BatchT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Acked:
    """The receiver has it; `refused` of its records it told us it will not keep (partial success), and why."""

    refused: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may not have it; to be sent again, not before the `seconds` that it asked for (None: it did not say)."""

    reason: str
    seconds: float | None = None
    is_suspect: bool = False  # an error that the batch itself may cause, such as HTTP 500


@dataclass(frozen=True, slots=True)
class Dead:
    """It will never take it: to be set aside."""

    reason: str


Outcome = Acked | Retry | Dead


class Sink(Protocol[_BatchT_contra]):
    """Where batches go. `encode` and `send` are called from different threads, each from one at a time."""

    @property
    def name(self) -> str:
        """A short word: the label `sink`, and part of the queue's file name."""

    def encode(self, batch: _BatchT_contra) -> bytes:
        """The batch as it is stored and sent; it must still be sendable by a later version."""

    def send(self, body: bytes) -> Outcome:
        """Send one batch and wait for the answer, for a bounded time. Must not raise but for a fault of its own."""

    def check(self) -> str:
        """One sentence: what the receiver answers to something harmless.

        Raises:
            OSError: it does not answer, or not as a receiver of ours does.

        """

    def close(self) -> None:
        """Let go of connections."""
