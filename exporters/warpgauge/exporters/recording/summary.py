"""What a recording holds, in numbers: calls, functions, codes, latencies."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.nvml_api import PYNVML
from warpgauge.exporters.recording.batches import FIELDS, GPM, field_slots, gpm_slots
from warpgauge.exporters.recording.lines import Buffer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from warpgauge.exporters.recording.lines import Call, End, Header
    from warpgauge.exporters.recording.storage import Recording

__all__ = ["FunctionSummary", "Summary", "code_name", "summarize"]

_NAMES: Final = {
    value: name.removeprefix("NVML_ERROR_")
    for name, value in vars(PYNVML).items()
    if name.startswith("NVML_ERROR_") and isinstance(value, int)
}
_ABOUT: Final = ("driver", "library", "binding", "machine", "system", "python")
NO_SYMBOL: Final = "NO_SUCH_SYMBOL"


@dataclass(frozen=True, slots=True)
class FunctionSummary:
    """One function: how often it was called, what it returned, and how long it took."""

    name: str
    calls: int
    codes: Mapping[str, int]  # name of the return code -> how often, SUCCESS left out
    median_microseconds: float
    p99_microseconds: float


@dataclass(frozen=True, slots=True)
class Summary:
    """A recording as a whole."""

    header: Header
    seconds: float
    calls: int
    devices: int
    functions: Sequence[FunctionSummary]
    codes: Mapping[str, int]  # of calls
    value_codes: Mapping[str, int]  # of single values inside answered batches
    size_bytes: int
    is_truncated: bool
    end: End | None

    def document(self) -> dict[str, Any]:
        """As JSON; what is unknown is absent."""
        header, end = self.header, self.end
        about = {name: getattr(header, name) for name in _ABOUT}
        ended = {} if end is None else {name: getattr(end, name) for name in ("reason", "function", "device", "detail")}
        return {
            **{name: text for name, text in about.items() if text},
            "start": header.start,
            "masked": header.is_masked,
            "seconds": self.seconds,
            "calls": self.calls,
            "devices": self.devices,
            "codes": dict(self.codes),
            "value_codes": dict(self.value_codes),
            "bytes": self.size_bytes,
            "truncated": self.is_truncated,
            "end": {name: value for name, value in ended.items() if value not in ("", None)},
            "functions": [
                {
                    "name": one.name,
                    "calls": one.calls,
                    "codes": dict(one.codes),
                    "p50_seconds": one.median_microseconds / 1e6,
                    "p99_seconds": one.p99_microseconds / 1e6,
                }
                for one in self.functions
            ],
        }


def summarize(recording: Recording) -> Summary:
    """Count a recording."""
    by_function: dict[str, list[Call]] = {}
    for call in recording.calls:
        by_function.setdefault(call.function, []).append(call)
    functions = [_function(name, calls) for name, calls in sorted(by_function.items())]
    codes: Counter[str] = Counter()
    for one in functions:
        codes.update(one.codes)
    return Summary(
        header=recording.header,
        seconds=recording.seconds,
        calls=sum(one.calls for one in functions),
        devices=len({call.device for call in recording.calls if call.device is not None}),
        functions=functions,
        codes=codes,
        value_codes=Counter(code for call in recording.calls for code in _value_codes(call)),
        size_bytes=recording.size_bytes,
        is_truncated=recording.is_truncated,
        end=recording.end,
    )


def code_name(code: int | None) -> str:
    """A return code in NVML's words."""
    if code is None:
        return NO_SYMBOL
    return "SUCCESS" if code == 0 else _NAMES.get(code, str(code))


def _function(name: str, calls: Sequence[Call]) -> FunctionSummary:
    times = sorted(call.microseconds for call in calls)
    codes = Counter(code_name(call.code) for call in calls if call.code != 0)
    return FunctionSummary(name, len(calls), codes, _quantile(times, 0.5), _quantile(times, 0.99))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed (nearest rank)."""
    return ordered[max(0, -(-int(share * 100) * len(ordered) // 100) - 1)]


def _value_codes(call: Call) -> Iterator[str]:
    place = {FIELDS: 2, GPM: 0}.get(call.function)
    buffer = call.arguments[place] if place is not None and place < len(call.arguments) else None
    if call.code == 0 and place is not None and isinstance(buffer, Buffer):
        slots = gpm_slots if call.function == GPM else field_slots
        values = slots(call.outputs.get(place, buffer.content), buffer.size)
        yield from (code_name(int(value.nvmlReturn)) for value in values if value.nvmlReturn)
