"""How `warpgauge analyze` says what it found: text for people, JSON Lines for machines."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import asdict
from datetime import UTC, datetime
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.analyzer.detection import Judgement, NotJudged
    from warpgauge.analyzer.replay import Report
    from warpgauge.core.finding import Evidence, Finding

__all__ = ["as_json_lines", "as_text", "counted", "evidence_line", "finding_text", "wrapped"]

_WIDTH: Final = 100
_LEAST_WIDTH: Final = 40
_INDENT: Final = "  "


def as_text(report: Report, *, asked: tuple[float, float] | None = None) -> str:
    """Findings with evidence and remedy, what was checked and what could not be judged.

    `asked` is the span that somebody asked for, in seconds since the epoch.
    """
    if report.last is None:
        when = f" between {_time(asked[0])} and {_time(asked[1])}" if asked else ""
        return f"Nothing to judge: no source holds a metric that warpgauge knows{when}."
    parts = [_headline(report), *(finding_text(finding) for finding in report.findings)]
    parts.append("\n".join(["Checked:", *(_judged(item) for item in report.last.judged)]))
    if report.last.not_judged:
        parts.append("\n".join(["Could not be judged:", *(_not_judged(item) for item in report.last.not_judged)]))
    return "\n\n".join(parts)


def as_json_lines(report: Report) -> Iterator[dict[str, Any]]:
    """Each finding, each incident, then `{"type": "summary"}`."""
    yield from (finding.to_json() for finding in report.findings)
    yield from (incident.to_json() for incident in report.incidents)
    counts, last = report.samples, report.last
    yield {
        "type": "summary",
        "start": report.start,
        "end": report.end,
        "nodes": report.nodes,
        "devices": report.devices,
        "unresolved_devices": report.unresolved_devices,
        "samples": asdict(counts),
        "checked": [
            {"detector": it.detector, "what": it.what, "entities": it.entities, "window_seconds": it.window_seconds}
            for it in (last.judged if last else ())
        ],
        "not_judged": [
            {"detector": it.detector, "what": it.what, "why": it.why, "missing": it.missing, "entities": it.entities}
            for it in (last.not_judged if last else ())
        ],
    }


def _headline(report: Report) -> str:
    nodes, devices = counted(report.nodes, "node"), counted(report.devices, "device")
    if report.unresolved_devices:
        devices += f" ({report.unresolved_devices} of unknown node)"
    seen = f"{nodes} and {devices}, {_time(report.start)} to {_time(report.end)}"
    count = len(report.findings)
    if not count:
        return f"Nothing found on {seen}."
    return f"{counted(count, 'finding')} on {seen}:"


def finding_text(finding: Finding) -> str:
    """A finding with its evidence and remedy."""
    when = f"since {_time(finding.since)}" + (f", ended {_time(finding.ended)}" if finding.ended else "")
    marks = (", simulated" if finding.simulated else "") + _muted(finding)
    head = f"{finding.severity.upper()} {finding.kind} {when}, confidence {finding.confidence:.0%}{marks}"
    body = [wrapped(finding.summary), *(wrapped(evidence_line(row), "- ") for row in finding.evidence)]
    return "\n".join([head, *body, wrapped(f"What to do: {finding.remedy}")])


def _muted(finding: Finding) -> str:
    """Why nobody is told of it."""
    if finding.muted is None:
        return ""
    words = {"silence": "silenced", "dismissal": "dismissed", "breaker": "held back"}[finding.muted.by]
    until = f" until {_time(finding.muted.until)}" if finding.muted.until is not None else ""
    reason = "".join(char if char.isprintable() else "?" for char in finding.muted.reason)
    return f", {words}{until} ({reason})"


def evidence_line(row: Evidence) -> str:
    """A number with what it is compared with."""
    whose = f" of job {row.whose.job_id}" if row.whose else ""
    parts = [f"{row.metric}{whose} {row.value:.6g} {row.unit}".rstrip()]
    if row.baseline is not None:
        parts.append(f"usual {row.baseline:.6g}")
    if row.threshold is not None:
        parts.append(f"limit {row.threshold:.6g}")
    if row.window_seconds is not None:
        parts.append(f"over {row.window_seconds:.0f} s")
    return ", ".join(parts)


def _judged(item: Judgement) -> str:
    return wrapped(f"{item.detector}: {item.entities} {item.what} (last {item.window_seconds:.0f} s)", "- ")


def _not_judged(item: NotJudged) -> str:
    lack = f"; missing {', '.join(item.missing)}" if item.missing else ""
    return wrapped(f"{item.detector}: {item.what}: {item.why}{lack}", "- ")


def wrapped(text: str, mark: str = "") -> str:
    """Wrapped and indented; control characters, which a label from outside may hold, never reach the terminal."""
    text = "".join(char if char.isprintable() else "?" for char in text)
    first, rest = _INDENT + mark, _INDENT + " " * len(mark)
    return textwrap.fill(text, _width(), initial_indent=first, subsequent_indent=rest, break_long_words=False)


def _width() -> int:
    """Of the terminal where it is narrower; what goes to a file or a pipe is the same everywhere."""
    return min(_WIDTH, max(_LEAST_WIDTH, get_terminal_size().columns)) if sys.stdout.isatty() else _WIDTH


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def counted(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
