"""The lines of a recording, one JSON object each, checked to the letter when read.

First a header: {"schema": "warpgauge.recording/v1", "start": ..., "driver": ...}. Then, in the order of time:

a call    {"t": 1.25, "f": "nvmlDeviceGetPowerUsage", "d": 0, "a": [{"h": 1}, [4, ""]], "r": 0, "o": {"1": "8FUF"},
           "us": 2.5}
          seconds since the start, function, GPU, arguments, return code, what was written, latency. An argument is a
          number, null, {"h": number of an opaque handle}, {"s": text} or [bytes of a buffer, its content before in
          base64 without trailing zeros]. `o` has the content after, of the buffers that changed, by argument. `s` has
          [argument, offset, text] of the texts that an output points to. `r` is null for a symbol the library lacks.
a mark    {"t": 1.25, "do": "read", "d": 0, "tiers": ["fast"]}: what the calls up to the next mark are for
the end   {"t": 60.0, "end": "done"}, or "hung" or "crashed" with the call ("f", "d") that never came back
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Tier
from warpgauge.exporters.recording.checks import (
    MOST_CHARACTERS,
    BadLineError,
    a_list,
    a_number,
    a_text,
    a_whole,
    a_whole_or_none,
    check_keys,
    one_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ENDINGS",
    "LINE_LIMIT",
    "MOST_BUFFER_BYTES",
    "SCHEMA",
    "Argument",
    "BadLineError",
    "Buffer",
    "Call",
    "End",
    "Entry",
    "Handle",
    "Header",
    "Mark",
    "Text",
    "decode",
    "decode_header",
    "encode",
    "encode_header",
]

SCHEMA: Final = "warpgauge.recording/v1"
LINE_LIMIT: Final = 1 << 20  # bytes; the largest call so far (all GPM metrics of a device) takes 60 kB
STEPS: Final = ("open", "identify", "read", "events", "dump", "close")
ENDINGS: Final = ("done", "failed", "hung", "crashed")
MOST_BUFFER_BYTES: Final = 1 << 19
_MOST_ARGUMENTS: Final = 16
_MOST_HANDLES: Final = 1 << 20
_MOST_SECONDS: Final = 1e8
_FUNCTION: Final = re.compile(r"nvml[A-Za-z0-9_]{1,90}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Where and when a recording was made; versions are empty where the driver did not tell."""

    start: float  # seconds since the epoch
    driver: str = ""
    library: str = ""  # version of libnvidia-ml
    binding: str = ""  # version of nvidia-ml-py
    warpgauge: str = ""
    python: str = ""
    system: str = ""  # operating system and processor
    machine: str = ""  # host name, or what stands for it
    is_masked: bool = True


@dataclass(frozen=True, slots=True)
class Handle:
    """An opaque pointer: GPU n is handle n + 1, all others count from 1001."""

    number: int


@dataclass(frozen=True, slots=True)
class Text:
    """A string that the library was given."""

    text: str


@dataclass(frozen=True, slots=True)
class Buffer:
    """Memory that the library may write to, and what stood there before, without the zeros at its end."""

    size: int  # bytes
    content: bytes


Argument = int | float | None | Handle | Text | Buffer


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call into the driver's library."""

    seconds: float  # since the start of the recording, when it began
    function: str
    device: int | None = None  # index of the GPU it was about
    arguments: tuple[Argument, ...] = ()
    code: int | None  # None: the library has no such symbol
    outputs: Mapping[int, bytes] = field(default_factory=dict)  # argument -> content after, without zeros at the end
    texts: tuple[tuple[int, int, str], ...] = ()  # argument, offset of the pointer, text it points to
    microseconds: float = 0.0

    @property
    def end_seconds(self) -> float:
        """When it returned."""
        return self.seconds + self.microseconds * 1e-6


@dataclass(frozen=True, slots=True)
class Mark:
    """What the calls from here to the next mark are made for."""

    seconds: float
    do: str
    position: int | None = None  # of the GPU; -1 is the driver as a whole
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """How a recording ended; `function` and `device` name the call that hung or crashed."""

    seconds: float
    reason: str
    function: str = ""
    device: int | None = None
    detail: str = ""


Entry = Call | Mark | End


def encode_header(header: Header) -> bytes:
    """The first line, newline included."""
    about = {name: getattr(header, name) for name in _HEADER_TEXTS}
    return _line({"schema": SCHEMA, "start": header.start, "masked": header.is_masked, **about})


def encode(entry: Entry) -> bytes:
    """One line, newline included."""
    body: dict[str, Any] = {"t": entry.seconds}
    if isinstance(entry, Mark):
        body |= {"do": entry.do, "d": entry.position, "tiers": [tier.value for tier in entry.tiers]}
    elif isinstance(entry, End):
        body |= {"end": entry.reason, "f": entry.function, "d": entry.device, "detail": entry.detail}
    else:
        body |= {"f": entry.function, "d": entry.device, "a": [_argument(one) for one in entry.arguments]}
        body |= {"o": {str(place): _base64(data) for place, data in entry.outputs.items()}, "s": entry.texts}
        kept = {name: value for name, value in body.items() if value not in (None, [], (), {}, "")}
        return _line({**kept, "r": entry.code, "us": entry.microseconds})
    return _line({name: value for name, value in body.items() if value not in (None, [], "")})


def decode_header(line: bytes) -> Header:
    """The header on the first line.

    Raises:
        BadLineError: it is none, or of another version.

    """
    body = _body(line)
    schema = body.pop("schema", None)
    if schema != SCHEMA:
        msg = f"not a {SCHEMA}: schema is {schema!r}" if schema else "not a recording: its first line names no schema"
        raise BadLineError(msg)
    check_keys(body, {"start", "masked", *_HEADER_TEXTS})
    texts = {name: a_text(body.get(name, ""), name) for name in _HEADER_TEXTS}
    if type(body.get("masked")) is not bool:
        msg = "masked must be true or false"
        raise BadLineError(msg)
    return Header(start=a_number(body.get("start"), "start", most=1e11), is_masked=body["masked"], **texts)


def decode(line: bytes) -> Entry:
    """The call, mark or end on a line.

    Raises:
        BadLineError: it is none of them.

    """
    body = _body(line)
    seconds = a_number(body.pop("t", None), "t", most=_MOST_SECONDS)
    if "do" in body:
        return _mark(seconds, body)
    if "end" in body:
        return _end(seconds, body)
    return _call(seconds, body)


_HEADER_TEXTS: Final = ("driver", "library", "binding", "warpgauge", "python", "system", "machine")


def _line(body: dict[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _argument(argument: Argument) -> object:
    match argument:
        case Handle():
            return {"h": argument.number}
        case Text():
            return {"s": argument.text}
        case Buffer():
            return [argument.size, _base64(argument.content)]
        case _:
            return argument


def _base64(data: bytes) -> str:
    return b64encode(data).decode("ascii")


def _body(line: bytes) -> dict[str, Any]:
    try:
        body = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        msg = f"not JSON: {error}"
        raise BadLineError(msg) from error
    if not isinstance(body, dict):
        msg = "not a JSON object"
        raise BadLineError(msg)
    return body


def _no_constant(text: str) -> float:
    msg = f"{text} is no number"
    raise ValueError(msg)


def _mark(seconds: float, body: dict[str, Any]) -> Mark:
    check_keys(body, {"do", "d", "tiers"})
    do, tiers = one_of(body["do"], STEPS, "do"), body.get("tiers", [])
    names = [tier.value for tier in Tier]
    position = a_whole_or_none(body.get("d"), "d", -1, _MOST_HANDLES)
    return Mark(seconds, do, position, tuple(Tier(one_of(name, names, "tiers")) for name in a_list(tiers, "tiers", 8)))


def _end(seconds: float, body: dict[str, Any]) -> End:
    check_keys(body, {"end", "f", "d", "detail"})
    function = _function(body["f"]) if "f" in body else ""
    device = a_whole_or_none(body.get("d"), "d", 0, _MOST_HANDLES)
    return End(seconds, one_of(body["end"], ENDINGS, "end"), function, device, a_text(body.get("detail", ""), "detail"))


def _call(seconds: float, body: dict[str, Any]) -> Call:
    check_keys(body, {"f", "d", "a", "r", "o", "s", "us"})
    arguments = tuple(_read_argument(one) for one in a_list(body.get("a", []), "a", _MOST_ARGUMENTS))
    return Call(
        seconds=seconds,
        function=_function(body.get("f")),
        device=a_whole_or_none(body.get("d"), "d", 0, _MOST_HANDLES),
        arguments=arguments,
        code=a_whole_or_none(body.get("r"), "r", -(1 << 31), 1 << 32),
        outputs=_outputs(body.get("o", {}), arguments),
        texts=tuple(_pointed(one, arguments) for one in a_list(body.get("s", []), "s", MOST_CHARACTERS)),
        microseconds=a_number(body.get("us"), "us", most=_MOST_SECONDS * 1e6),
    )


def _read_argument(value: object) -> Argument:
    if value is None or type(value) is float:
        return value
    if type(value) is int:
        return a_whole(value, "a", -(1 << 63), 1 << 64)
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 - size and content
        size = a_whole(value[0], "a", 0, MOST_BUFFER_BYTES)
        return Buffer(size, _content(value[1], size))
    if isinstance(value, dict) and len(value) == 1:
        if "h" in value:
            return Handle(a_whole(value["h"], "h", 0, _MOST_HANDLES))
        if "s" in value:
            return Text(a_text(value["s"], "s"))
    msg = f"not an argument: {str(value)[:60]}"
    raise BadLineError(msg)


def _outputs(value: object, arguments: tuple[Argument, ...]) -> dict[int, bytes]:
    if not isinstance(value, dict):
        msg = "o must be an object"
        raise BadLineError(msg)
    found = {}
    for place, content in value.items():
        number = int(place) if place.isascii() and place.isdecimal() and len(place) <= 2 else -1  # noqa: PLR2004 - 16 at most
        found[number] = _content(content, _buffer(number, arguments).size)
    return found


def _pointed(value: object, arguments: tuple[Argument, ...]) -> tuple[int, int, str]:
    place, offset, text = a_list(value, "s", 3) if isinstance(value, list) and len(value) == 3 else (-1, 0, "")  # noqa: PLR2004 - as it says
    number = a_whole(place, "s", -1, _MOST_ARGUMENTS)
    if text == "" or arguments == ():
        msg = "s must hold [argument, offset, text]"
        raise BadLineError(msg)
    size = _buffer(number, arguments).size if isinstance(arguments[number % len(arguments)], Buffer) else 0
    return number, a_whole(offset, "s", 0, size), a_text(text, "s")


def _buffer(place: int, arguments: tuple[Argument, ...]) -> Buffer:
    argument = arguments[place] if 0 <= place < len(arguments) else None
    if not isinstance(argument, Buffer):
        msg = f"argument {place} is no buffer, but something was written to it"
        raise BadLineError(msg)
    return argument


def _content(value: object, size: int) -> bytes:
    try:
        content = b64decode(value, validate=True) if isinstance(value, str) else None
    except ValueError as error:
        msg = f"not base64: {error}"
        raise BadLineError(msg) from error
    if content is None or len(content) > size:
        msg = f"a buffer of {size} bytes cannot hold {str(value)[:40]!r}"
        raise BadLineError(msg)
    return content


def _function(value: object) -> str:
    if not (isinstance(value, str) and _FUNCTION.fullmatch(value)):
        msg = f"f must name a function of NVML, got {str(value)[:40]!r}"
        raise BadLineError(msg)
    return value
