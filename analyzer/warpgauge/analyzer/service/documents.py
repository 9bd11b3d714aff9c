"""The documents of the API, as plain JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from warpgauge.analyzer.service.live import device_identity
from warpgauge.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.detection import Judgement, NotJudged
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.incidents.engine import Result
    from warpgauge.analyzer.service.watch import Census
    from warpgauge.analyzer.sources import SourceStatus

__all__ = ["devices_document", "findings_list", "incidents_list", "status_document"]


def status_document(  # noqa: PLR0913 - the parts that it is about
    now: float,
    cluster: str,
    sources: Sequence[SourceStatus],
    census: Census,
    result: Result | None,
    *,
    last_tick: float | None,
) -> dict[str, Any]:
    """What is watched, what was checked, what could not be judged."""
    return {
        "time": now,
        "cluster": cluster,
        "version": VERSION,
        "sources": [_source(source) for source in sources],
        "checked": [_checked(judged) for judged in result.judged] if result else [],
        "not_judged": [_not_judged(item) for item in result.not_judged] if result else [],
        **({} if last_tick is None else {"last_tick": last_tick}),
        "simulated_targets": census.simulated_nodes,
        "nodes": census.nodes,
        "devices": census.devices,
        "unresolved_devices": census.unresolved_devices,
        "series": census.series,
    }


def findings_list(result: Result | None) -> list[dict[str, Any]]:
    """What holds now, ranked, then what ended within the last ten minutes (these have `ended`)."""
    return [finding.to_json() for finding in (*result.findings, *result.ended)] if result else []


def incidents_list(result: Result | None) -> list[dict[str, Any]]:
    """Incidents that hold now, then what ended within the last ten minutes (these have `ended`)."""
    return [incident.to_json() for incident in (*result.incidents, *result.ended_incidents)] if result else []


def devices_document(frame: Frame) -> dict[str, Any]:
    """Every device of the window."""
    jobs = frame.device_job
    return {
        "devices": [
            device_identity(entity) | ({"job_id": job[1]} if (job := jobs[row]) is not None else {})
            for row, entity in enumerate(frame.devices.entities)
        ]
    }


def _source(source: SourceStatus) -> dict[str, Any]:
    known = {"last_success": source.last_success, "error": source.error}
    document = {"name": source.name, "target": source.target, "up": source.up}
    return document | {name: value for name, value in known.items() if value is not None}


def _checked(judged: Judgement) -> dict[str, Any]:
    return {
        "detector": judged.detector,
        "what": judged.what,
        "entities": judged.entities,
        "window_seconds": judged.window_seconds,
    }


def _not_judged(item: NotJudged) -> dict[str, Any]:
    return {
        "detector": item.detector,
        "what": item.what,
        "why": item.why,
        "missing": list(item.missing),
        "entities": item.entities,
    }
