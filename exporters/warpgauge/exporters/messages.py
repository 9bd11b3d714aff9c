"""What supervisor and child say to each other: one JSON object per line, checked on arrival.

The child is our own program, but a driver that scribbles over its memory speaks through it too: a line that is not
exactly one of these messages is a `BadMessageError`, and the child that sent it is replaced.

To the child:   {"do": "open", "only": [3] | null, "skip": [2], "bookmarks": {"GPU-...": {...}}}
                {"do": "add", "positions": [2]}
                {"do": "read", "tiers": ["fast"], "settings": {...}}     settings where they changed
                {"do": "leave", "seconds": 5.0}     then its standard input closes, and it has so long; without it,
                                                    whatever is under way is broken off
From the child: an `At` before every touch of the driver, then what came of it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import BY_NAME, Kind, Tier
from warpgauge.core.catalog.device import DEVICE
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.fine_buckets import HIGHEST, ZERO
from warpgauge.core.sample import Histogram, ReadError, Sample, Unavailable
from warpgauge.exporters.increments import Bookmark, Increment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.core.fine_buckets import FineCounts
    from warpgauge.exporters.calls import Portion

__all__ = [
    "COMMON",
    "LINE_LIMIT",
    "MOST_HOLDERS",
    "Absent",
    "At",
    "BadMessageError",
    "Calls",
    "Done",
    "Event",
    "Failed",
    "Found",
    "Gained",
    "Holding",
    "Message",
    "Positions",
    "Read",
    "Refused",
    "Took",
    "decode",
    "encode",
    "fine_counts",
]

LINE_LIMIT: Final = 1 << 20  # bytes; a slow tier of 64 devices with 500 series is a tenth of this per line
MOST_HOLDERS: Final = 1024  # processes of one device
_MOST_CHARACTERS: Final = 40  # of a kind of event, which becomes a label
COMMON: Final = -1  # the position that stands for the driver as a whole


class BadMessageError(Exception):
    """A line that the child must not send."""


@dataclass(frozen=True, slots=True)
class At:
    """The child is about to touch the device at a position; doing is open, identify or read."""

    position: int
    doing: str


@dataclass(frozen=True, slots=True)
class Positions:
    """Where the driver lists devices."""

    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A device answered with its identity."""

    position: int
    device: Device


@dataclass(frozen=True, slots=True)
class Refused:
    """A device cannot be opened."""

    position: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Read:
    """What one reading of one tier gave."""

    position: int
    tier: Tier
    samples: Sequence[Sample]
    errors: tuple[ReadError, ...]


@dataclass(frozen=True, slots=True)
class Gained:
    """What a device's histograms gained since the last such message, and where the next child is to go on."""

    position: int
    increments: Sequence[Increment]
    bookmark: Bookmark


@dataclass(frozen=True, slots=True)
class Holding:
    """Which processes have a device open, as (pid, id of the GPU instance or nothing); None: nobody can tell."""

    position: int
    holders: tuple[tuple[int, str], ...] | None


@dataclass(frozen=True, slots=True)
class Done:
    """The lane of a position has finished what it was asked to do."""

    position: int


@dataclass(frozen=True, slots=True)
class Calls:
    """Driver calls since the last such message."""

    portion: Portion


@dataclass(frozen=True, slots=True)
class Took:
    """Everybody who was asked last has answered, after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Absent:
    """The collector's devices are not on this machine; the child ends."""

    why: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The driver as a whole cannot be used; the child ends."""

    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a device, told as it happens; `number` is the code of an xid, else of no meaning."""

    position: int  # COMMON when the driver did not say whom it concerns
    kind: str
    number: int


Message = At | Positions | Found | Refused | Read | Gained | Holding | Done | Calls | Took | Absent | Failed | Event
_WORDS: Final[dict[str, type]] = {
    kind.__name__.lower(): kind
    for kind in (At, Positions, Found, Refused, Read, Gained, Holding, Done, Calls, Took, Absent, Failed, Event)
}


def encode(message: Message) -> bytes:
    """One line, newline included."""
    word = type(message).__name__.lower()
    if isinstance(message, Read):
        body: dict[str, Any] = {
            "position": message.position,
            "tier": message.tier,
            "samples": [row for sample in message.samples if (row := _row(sample)) is not None],
            "errors": [(error.reason, error.detail, error.device) for error in message.errors],
        }
    elif isinstance(message, Gained):
        rows = [
            (gain.metric.name, gain.labels, gain.counts, gain.sum, *([gain.fine] if gain.fine else []))
            for gain in message.increments
        ]
        body = {"position": message.position, "increments": rows, "bookmark": message.bookmark}
    else:
        body = asdict(message) if isinstance(message, Found) else _fields(message)
    return json.dumps({"say": word, **body}, separators=(",", ":")).encode() + b"\n"


def _fields(message: Message) -> dict[str, Any]:
    """Each by its name; `asdict` would copy all that is in them first."""
    return {name: getattr(message, name) for name in message.__slots__}


def _row(sample: Sample) -> tuple[str, tuple[str, ...], float | list[Any]] | None:
    """A sample as JSON has it, a histogram as its counts and sum; None for a value that is not there."""
    if isinstance(sample.value, Unavailable):
        return None  # nobody renders it, and why it is missing is told by the errors
    value = sample.value
    return (
        sample.metric.name,
        sample.labels,
        [value.counts, value.sum] if isinstance(value, Histogram) else value,
    )


def decode(line: bytes) -> Message:
    """The message on a line.

    Raises:
        BadMessageError: the line is not a message.

    """
    try:
        body = json.loads(line)
        kind = _WORDS[body.pop("say")]
        return _build(kind, body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"not a message: {line[:80]!r}: {error}"
        raise BadMessageError(msg) from error


def _build(kind: type, body: dict[str, Any]) -> Message:
    built: Message = _BUILDERS[kind](body) if kind in _BUILDERS else kind(**body)
    return built


def _read(body: dict[str, Any]) -> Read:
    samples = tuple(_sample(*row) for row in body["samples"])
    errors = tuple(ReadError(*row) for row in body["errors"])
    return Read(int(body["position"]), Tier(body["tier"]), samples, errors)


def _sample(name: str, labels: list[str], value: float | list[Any]) -> Sample:
    metric = BY_NAME[name]
    metric.label_names(labels)
    if isinstance(value, list):
        return Sample(metric, tuple(labels), _histogram(metric, *value))
    if metric.kind is Kind.HISTOGRAM or not math.isfinite(value):
        msg = f"{name} has labels {labels!r} and value {value!r}"
        raise ValueError(msg)
    return Sample(metric, tuple(labels), float(value))


def _histogram(metric: Metric, counts: list[int], total: float) -> Histogram:
    is_rising = all(type(count) is int and count >= 0 for count in counts) and counts == sorted(counts)
    if metric.kind is not Kind.HISTOGRAM or len(counts) != len(metric.buckets) + 1 or not is_rising:
        msg = f"{metric.name} has counts {counts!r}"
        raise ValueError(msg)
    if not math.isfinite(total):
        msg = f"{metric.name} has the sum {total!r}"
        raise ValueError(msg)
    return Histogram(tuple(counts), float(total))


def _gained(body: dict[str, Any]) -> Gained:
    increments = tuple(_increment(*row) for row in body["increments"])
    return Gained(int(body["position"]), increments, _bookmark(body["bookmark"]))


def fine_counts(pairs: list[list[int]]) -> FineCounts:
    """Narrower buckets as they were said.

    Raises:
        ValueError: they are no buckets and counts, or not in their order.

    """
    buckets = [bucket for bucket, _ in pairs]
    are_whole = all(type(number) is int for pair in pairs for number in pair)
    if not are_whole or buckets != sorted(set(buckets)) or not all(ZERO <= bucket <= HIGHEST for bucket in buckets):
        msg = f"not buckets in their order: {buckets[:8]!r}"
        raise ValueError(msg)
    if any(count < 0 for _, count in pairs):
        msg = "a bucket lost something"
        raise ValueError(msg)
    return tuple((bucket, count) for bucket, count in pairs)


def _increment(
    name: str, labels: list[str], counts: list[int], total: float, fine: list[list[int]] | None = None
) -> Increment:
    metric = BY_NAME[name]
    is_whole = all(type(count) is int and count >= 0 for count in counts) and all(type(text) is str for text in labels)
    if (
        metric.kind is not Kind.HISTOGRAM
        or metric.labels[: len(DEVICE)] != DEVICE
        or len(labels) != len(metric.labels) - len(DEVICE)
        or len(counts) != len(metric.buckets) + 1
        or not is_whole
        or not math.isfinite(total)
    ):
        msg = f"{name} has labels {labels!r}, counts {counts!r} and sum {total!r}"
        raise ValueError(msg)
    return Increment(metric, tuple(labels), tuple(counts), float(total), fine_counts(fine or []))


def _bookmark(body: dict[str, list[float]]) -> Bookmark:
    if not all(math.isfinite(number) for numbers in body.values() for number in numbers):
        msg = f"a bookmark of {body!r}"
        raise ValueError(msg)
    return {name: tuple(numbers) for name, numbers in body.items()}


def _device(body: dict[str, Any]) -> Device:
    return Device(**{**body, "kind": DeviceKind(body["kind"])})


def _holding(body: dict[str, Any]) -> Holding:
    holders = body["holders"]
    if holders is None:
        return Holding(int(body["position"]), None)
    checked = tuple((int(pid), str(instance)) for pid, instance in holders)
    if len(checked) > MOST_HOLDERS or any(pid <= 0 or len(instance) > _MOST_CHARACTERS for pid, instance in checked):
        msg = f"{len(checked)} holders: {checked[:3]!r}"
        raise ValueError(msg)
    return Holding(int(body["position"]), checked)


def _took(body: dict[str, Any]) -> Took:
    seconds = float(body["seconds"])
    if not 0.0 <= seconds < math.inf:
        msg = f"took {seconds!r} s"
        raise ValueError(msg)
    return Took(seconds)


def _counts(counts: list[int], seconds: float) -> tuple[list[int], float]:
    return [int(count) for count in counts], float(seconds)


_BUILDERS: Final[dict[type, Callable[[dict[str, Any]], Message]]] = {
    Read: _read,
    Gained: _gained,
    Holding: _holding,
    Found: lambda body: Found(int(body["position"]), _device(body["device"])),
    Positions: lambda body: Positions(tuple(int(position) for position in body["positions"])),
    Calls: lambda body: Calls({str(name): _counts(*pair) for name, pair in body["portion"].items()}),
    Took: _took,
    Event: lambda body: Event(int(body["position"]), str(body["kind"])[:_MOST_CHARACTERS], int(body["number"])),
}
"""Messages that are more than their fields as JSON has them."""
