"""A recording's summary as text for people."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from warpgauge.core.table import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.exporters.recording import Header, Summary
    from warpgauge.exporters.recording.lines import End

__all__ = ["as_text"]

_KIB: Final = 1024
_ENDINGS: Final = {
    "done": "went to its end",
    "failed": "ended when the driver as a whole refused to answer",
    "hung": "ended because a call did not come back",
    "crashed": "ended because the driver crashed the process that asked it",
}


def as_text(summary: Summary) -> str:
    """What was recorded, how it ended, and a table of functions."""
    rows = [
        (one.name, one.calls, _codes(one.codes), _time(one.median_microseconds), _time(one.p99_microseconds))
        for one in summary.functions
    ]
    return "\n".join(
        [
            *_about(summary.header),
            f"{summary.calls} calls to {len(rows)} functions about {summary.devices} GPUs",
            f"{summary.seconds:.1f} s, {summary.size_bytes / _KIB:.1f} KiB",
            f"calls that gave nothing: {_codes(summary.codes) or 'none'}",
            f"values in batches that gave nothing: {_codes(summary.value_codes) or 'none'}",
            _ending(summary.end),
            "",
            table(("FUNCTION", "CALLS", "CODES", "P50 us", "P99 us"), rows, numeric=(1, 3, 4)),
        ]
    )


def _about(header: Header) -> list[str]:
    start = datetime.fromtimestamp(header.start, UTC).isoformat(timespec="seconds")
    bare = "NOT masked: holds UUIDs, serial numbers, process ids, the host name"
    what = "identities masked" if header.is_masked else bare
    return [
        f"recorded {start} on {header.machine or 'an unnamed machine'} ({what})",
        ", ".join(f"{name} {version or 'unknown'}" for name, version in _versions(header).items()),
    ]


def _versions(header: Header) -> dict[str, str]:
    return {"driver": header.driver, "NVML": header.library, "nvidia-ml-py": header.binding}


def _ending(end: End | None) -> str:
    if end is None:
        return "it breaks off: the recorder was killed; all that reached the file counts"
    where = f": {end.function}" + (f" of GPU {end.device}" if end.device is not None else "") if end.function else ""
    return f"it {_ENDINGS[end.reason]}{where}" + (f" ({end.detail})" if end.detail else "")


def _codes(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {code}" for code, count in sorted(codes.items(), key=lambda pair: -pair[1]))


def _time(microseconds: float) -> str:
    """Empty for a symbol that is not there: no call was made."""
    return f"{microseconds:.1f}" if microseconds else ""
