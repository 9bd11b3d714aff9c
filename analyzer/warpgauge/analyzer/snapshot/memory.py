"""All that the analyzer hands from one run to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.incidents import KnownIncident
from warpgauge.analyzer.incidents.engine import EngineState, OpenFinding
from warpgauge.analyzer.recommend import Ledger
from warpgauge.analyzer.snapshot.frame_content import FrameContent, OtherCatalogError, frame_of
from warpgauge.core.errors import InputError
from warpgauge.core.finding import finding_from_json, incident_from_json
from warpgauge.core.recommendation import recommendation_from_event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.analyzer.snapshot.container import Reader, Stored
    from warpgauge.analyzer.snapshot.frame_content import Run
    from warpgauge.core.finding import Finding

__all__ = ["Memory", "Saved"]

_BRIDGED_SECONDS: Final = 25.0  # a gap that the frame bridges is none to the detectors either


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What goes into a snapshot."""

    frame: FrameContent
    state: EngineState
    names: dict[str, Any]
    ledger: Ledger
    run: Run  # calls a function in the thread that owns the frame
    usage: Mapping[str, Any] | None = None  # what jobs used over days
    opted_out: frozenset[tuple[str, str]] = frozenset()  # nodes (cluster, node) that are to be left alone

    def stored(self) -> list[Stored]:
        """The arrays."""
        return self.frame.stored(self.run)

    def document(self) -> dict[str, Any]:
        """All but the arrays, as JSON."""
        return {
            "frame": self.frame.document(),
            "open": [_entry(one) for one in self.state.open.values()],
            "ended": [finding.to_json() for finding in self.state.ended.values()],
            "incidents": [
                {
                    "incident": one.incident.to_json(),
                    "members": [finding.to_json() for finding in one.members.values()],
                }
                for one in self.state.incidents.values()
            ],
            "resumed": self.state.resumed,
            "names": self.names,
            "recommended": {key: one.to_event() for key, one in self.ledger.open.items()},
            "issued": dict(self.ledger.issued),
            "usage": self.usage,
            "opted_out": sorted(self.opted_out),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What came out of one. After an update that brought metrics the frame is empty, and all else is there."""

    frame: Frame
    state: EngineState
    names: NodeNames
    ledger: Ledger
    usage: Any = None  # as `Usage.to_json` wrote it, not read yet
    opted_out: frozenset[tuple[str, str]] = frozenset()  # as in `Saved`
    has_samples: bool = True

    @classmethod
    def of(cls, reader: Reader, *, window_seconds: float, cluster: str, now: float) -> Memory:
        """Read what `Saved` wrote, `now` being the time of the restart.

        Raises:
            InputError: it is damaged, of another version, older than the window or from the future.
            KeyError, TypeError, ValueError, AttributeError: its parts do not fit together.

        """
        document = reader.content
        newest = document["frame"]["newest_ms"] / 1000.0
        age = now - newest if newest else 0.0
        if not -window_seconds <= age <= window_seconds:
            msg = f"the snapshot's newest sample is {age:.0f} s old, the window is {window_seconds:.0f} s"
            raise InputError(msg)
        frame, has_samples = _frame(document["frame"], reader, window_seconds)
        return cls(
            state=_state(document, now if age > _BRIDGED_SECONDS or not has_samples else None),
            names=NodeNames.of_document(cluster, document["names"]),
            ledger=_ledger(document),
            usage=document.get("usage"),
            opted_out=frozenset((str(cluster), str(node)) for cluster, node in document.get("opted_out", ())),
            frame=frame,
            has_samples=has_samples,
        )


def _entry(one: OpenFinding) -> dict[str, Any]:
    """An open finding; how it was at its worst where it is not so now."""
    told = {"finding": one.finding.to_json(), "missed_ticks": one.missed_ticks, "detector": one.detector}
    return told if one.worst is None else told | {"worst": one.worst.to_json()}


def _frame(document: Mapping[str, Any], reader: Reader, window_seconds: float) -> tuple[Frame, bool]:
    """The frame, and whether it has what was saved."""
    try:
        return frame_of(document, reader, window_seconds=window_seconds), True
    except OtherCatalogError:
        reader.pass_over()
        return Frame(window_seconds=window_seconds), False


def _state(document: Mapping[str, Any], resumed: float | None) -> EngineState:
    entries = [
        OpenFinding(
            finding_from_json(one["finding"]),
            int(one["missed_ticks"]),
            str(one["detector"]),
            finding_from_json(one["worst"]) if "worst" in one else None,
        )
        for one in document["open"]
    ]
    ended = [finding_from_json(one) for one in document["ended"]]
    incidents = [_incident(one) for one in document["incidents"]]
    state = EngineState(
        open={_key(one.finding): one for one in entries},
        ended={_key(finding): finding for finding in ended},
        incidents={one.incident.id: one for one in incidents},
    )
    before = document["resumed"]
    return replace(state, resumed=resumed if resumed is not None else None if before is None else float(before))


def _incident(document: Mapping[str, Any]) -> KnownIncident:
    members = [finding_from_json(one) for one in document["members"]]
    return KnownIncident(
        incident=incident_from_json(document["incident"]), members={finding.id: finding for finding in members}
    )


def _key(finding: Finding) -> Any:  # noqa: ANN401 - the engine's key
    return (finding.kind, finding.scope)


def _ledger(document: Mapping[str, Any]) -> Ledger:
    return Ledger(
        open={str(key): recommendation_from_event(event) for key, event in document["recommended"].items()},
        issued={str(group): float(at) for group, at in document["issued"].items()},
    )
