"""What `/api/v1/plan` says: the newest plan of the pool, how old it is, and what is wrong where it cannot be had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.detection.wording import span
from warpgauge.core.recommendation import RecommendationKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warpgauge.analyzer.service.pool_reading import PoolReader
    from warpgauge.core.recommendation import Recommendation

__all__ = ["page_of", "page_without_core"]

_GOALS: Final = {
    RecommendationKind.MIGRATE: "Off a slowed node",
    RecommendationKind.SEPARATE: "Separation from a noisy neighbor",
    RecommendationKind.REPLACE_STRAGGLER: "A spare for a straggler",
    RecommendationKind.RECLAIM_IDLE: "Idle reclaim",
    RecommendationKind.MIG_REPROFILE: "Right size",
}
"""Recommendations that move work or take devices back: goals that need what was measured, which no core knows."""


def page_without_core() -> dict[str, Any]:
    """Where no core is to be read."""
    return {
        "state": "off",
        "says": "No scheduling core is read, so nothing is planned.",
        "mend": "Set planning.core to slurm, kubernetes or yarn.",
        "advice": [],
    }


def page_of(reader: PoolReader, advice: Iterable[Recommendation], *, now: float) -> dict[str, Any]:
    """The page now; `state` is waiting, current, stale (an old plan is shown) or failed (there is none)."""
    settings, reading, failure = reader.settings, reader.reading, reader.failure
    is_simulated = reader.command.is_simulated
    if reader.began is None:
        return page_without_core()
    page: dict[str, Any] = {
        "state": _state(reader, now),
        "core": reader.command.core,
        "simulated": is_simulated,
        "interval_seconds": settings.interval_seconds,
        "advice": [_advice(one) for one in advice if one.kind in _GOALS and one.simulated == is_simulated],
    }
    if reading is not None:
        age = max(0.0, now - reading.at)
        page |= {"read": reading.at, "age_seconds": age, "took_seconds": reading.took_seconds, "plan": reading.plan}
    if failure is not None:
        page |= {"error": failure.why, "failing_since": failure.since, "failed_in_a_row": failure.times}
    return page | _words(reader, page["state"], now)


def _state(reader: PoolReader, now: float) -> str:
    if reader.reading is None:
        return "waiting" if reader.failure is None else "failed"
    settings = reader.settings
    is_old = now - reader.reading.at > 2 * settings.interval_seconds + settings.timeout_seconds
    return "stale" if is_old or reader.failure is not None else "current"


def _words(reader: PoolReader, state: str, now: float) -> dict[str, str]:
    """What the state means, and how to mend it where it is none to be in."""
    core, failure, reading = _core_words(reader.command.core), reader.failure, reader.reading
    why = failure.why if failure else "the reading under way has not ended"
    age = span(max(0.0, now - reading.at)) if reading else ""
    says = {
        "waiting": f"The first reading of {core} began {span(max(0.0, now - (reader.began or now)))} ago.",
        "current": f"As {core} was {age} ago.",
        "stale": f"As {core} was {age} ago. It could not be read since: {why}.",
        "failed": f"{core[0].upper()}{core[1:]} could not be read: {why}.",
    }[state]
    return {"says": says} if state in {"waiting", "current"} else {"says": says, "mend": _mend(reader)}


def _mend(reader: PoolReader) -> str:
    partition = reader.settings.partition
    chosen = f" --partition {partition}" if partition else ""
    again = span(reader.settings.interval_seconds)
    by_hand = f"warpgauge plan --core {reader.command.core}{chosen}"
    return f"Try `{by_hand}` here as the analyzer's user: it fails in the same way. It is tried again every {again}."


def _core_words(core: str) -> str:
    return {"slurm": "Slurm", "kubernetes": "Kubernetes", "yarn": "YARN"}.get(core, "the simulated fleet")


def _advice(one: Recommendation) -> dict[str, Any]:
    target, gain = one.target[0], one.expected_gain
    place = {"node": target.node, "device": target.gpu_uuid}
    known = {
        "undo": one.undo,
        "gain": f"{gain.p50:.0f} GPU-seconds an hour ({gain.method})" if gain else None,
        **place,
    }
    return {
        "goal": _GOALS[one.kind],
        "kind": str(one.kind),
        "recommendation": one.id,
        "name": target.name,
        "text": one.text.summary,
        "simulated": one.simulated,
        **{name: value for name, value in known.items() if value is not None},
    }
