"""How `warpgauge explain` says what it knows of a job, for people."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from warpgauge.cli.report import evidence_line, finding_text, wrapped

if TYPE_CHECKING:
    from warpgauge.analyzer.explain import DeviceLine, Explanation

__all__ = ["explanation_text"]

_WORDS = {
    "engine": "engine",
    "compute": "SMs",
    "pipe": "pipes",
    "bandwidth": "memory traffic",
    "fill": "memory full",
    "clock": "clock",
}


def explanation_text(known: Explanation) -> str:
    """The class with its numbers, what to do, phases, devices, findings, and what is missing."""
    sure = "" if known.confidence is None else f", confidence {known.confidence:.0%}"
    marks = ", simulated" if known.simulated else ""
    name = "".join(char if char.isprintable() else "?" for char in known.job.job_id)
    head = [f"{name}: {known.kind}{sure}{marks}", wrapped(f"Job {known.job.job_id} {known.reason.what}.")]
    head += [wrapped(evidence_line(row), "- ") for row in known.reason.evidence]
    head.append(wrapped(f"What to do: {known.reason.remedy}"))
    parts = ["\n".join(head), _phases(known), _devices(known), _findings(known), _missing(known)]
    return "\n\n".join(part for part in parts if part)


def _phases(known: Explanation) -> str:
    if not known.phases:
        return ""
    step = "" if known.step_seconds is None else f" of {known.step_seconds:.3g} s"
    lines = [f"Steps{step}, of the rank that waits least for others:"]
    lines += [wrapped(f"{phase} {share:.0%}", "- ") for phase, share in known.phases.items()]
    if known.untrusted:
        lines.append(wrapped("compute and communication were timed by the host's clock, which does not see them", "- "))
    return "\n".join(lines)


def _devices(known: Explanation) -> str:
    """Devices that do the same are one line."""
    alike: dict[str, list[DeviceLine]] = defaultdict(list)
    for one in known.devices:
        alike[one.kind].append(one)
    lines = [_alike(kind, devices) for kind, devices in alike.items()]
    return "\n".join(["Devices:", *lines]) if lines else ""


def _alike(kind: str, devices: list[DeviceLine]) -> str:
    names = ", ".join(one.name for one in devices[:4])
    more = f" and {len(devices) - 4} more" if len(devices) > 4 else ""  # noqa: PLR2004 - as many as are named
    levels = []
    for level, word in _WORDS.items():
        values = [one.levels[level] for one in devices if level in one.levels]
        if values:
            low, high = f"{min(values):.0%}", f"{max(values):.0%}"
            levels.append(f"{word} {low}" + ("" if low == high else f" to {high}"))
    return wrapped(f"{kind}: {names}{more}: {', '.join(levels) or 'nothing measured'}", "- ")


def _findings(known: Explanation) -> str:
    if not known.findings:
        return "No finding is about this job."
    return "\n\n".join(["Findings about it:", *(finding_text(finding) for finding in known.findings)])


def _missing(known: Explanation) -> str:
    if not known.missing:
        return ""
    lines = ["Not measured, and would tell more:", *(wrapped(name, "- ") for name in known.missing)]
    return "\n".join(lines)
