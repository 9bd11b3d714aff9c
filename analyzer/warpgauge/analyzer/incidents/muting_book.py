"""Where silences and dismissals are kept: one file in the data directory, every change of it in the audit log first."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.incidents.muting import Dismissal, Mutings, Silence, dismissal_of
from warpgauge.core.atomic import write_atomically
from warpgauge.core.errors import InputError, StorageError
from warpgauge.core.finding import Finding, FindingKind, Severity, stable_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from warpgauge.core.audit import AuditLog
    from warpgauge.core.clock import Clock

__all__ = ["MUTINGS_FILE", "MutingBook", "mutings_document", "read_mutings", "told"]

MUTINGS_FILE: Final = "silences.json"
SCHEMA: Final = "warpgauge.silences/v1"
LONGEST_SECONDS: Final = 30 * 86_400.0
MOST_SILENCES: Final = 1000
MOST_DISMISSALS: Final = 10_000
MOST_TEXT: Final = 500
SCOPE: Final = ("kind", "cluster", "node", "uuid", "job_id")
_MOST_BYTES: Final = 32 << 20


class MutingBook:
    """What stands, on disk before it counts. Its methods block on the disk; one at a time."""

    def __init__(self, directory: Path, clock: Clock, audit: AuditLog) -> None:
        """Read the file.

        Raises:
            StorageError: it is damaged or cannot be read: who silenced what must not be lost without a word.

        """
        self._path = directory / MUTINGS_FILE
        self._audit = audit
        self._clock = clock
        self.mutings = read_mutings(directory)

    def silence(self, wish: Mapping[str, Any], *, remote: str = "") -> Silence:
        """Silence a scope: `kind`, `cluster`, `node`, `uuid`, `job_id` (one at least), `seconds`, `reason`, `by`.

        Raises:
            InputError: a field is missing, unknown or out of range.
            StorageError: it could not be stored; nothing is silenced.

        """
        now, silence = self._clock.now(), _silence_of(wish, self._clock.now())
        if len(_in_force(self.mutings, now).silences) >= MOST_SILENCES:
            msg = f"there are {MOST_SILENCES} silences already; end some"
            raise InputError(msg)
        self._keep("silence", silence, remote, replace(self.mutings, silences=(*self.mutings.silences, silence)))
        return silence

    def end(self, id_: str, *, by: str = "", remote: str = "") -> Silence:
        """End a silence before its time.

        Raises:
            KeyError: there is none of that id.
            StorageError: it could not be stored; the silence stands.

        """
        one = next((one for one in self.mutings.silences if one.id == id_), None)
        if one is None:
            raise KeyError(id_)
        rest = tuple(silence for silence in self.mutings.silences if silence.id != id_)
        self._keep("silence_ended", replace(one, by=by or one.by), remote, replace(self.mutings, silences=rest))
        return one

    def dismiss(self, finding: Finding, wish: Mapping[str, Any], *, remote: str = "") -> Dismissal:
        """Raise the bar for a finding's cause at its place; `wish` has `reason` and `by`.

        Raises:
            InputError: a field is missing or unknown.
            StorageError: it could not be stored; nothing is dismissed.

        """
        _check_names(wish, {"reason", "by"})
        now = self._clock.now()
        made = dismissal_of(finding, reason=_text(wish, "reason"), by=_text(wish, "by", "operator"), now=now)
        others = [one for one in self.mutings.dismissals if (one.kind, one.place) != (made.kind, made.place)]
        dismissals = (*others[-MOST_DISMISSALS + 1 :], made)
        self._keep("finding_dismissed", made, remote, replace(self.mutings, dismissals=dismissals))
        return made

    def hear_again(self, id_: str, *, by: str = "", remote: str = "") -> Dismissal:
        """Take a dismissal back; raises as `end`."""
        one = next((one for one in self.mutings.dismissals if one.id == id_), None)
        if one is None:
            raise KeyError(id_)
        rest = tuple(dismissal for dismissal in self.mutings.dismissals if dismissal.id != id_)
        self._keep("dismissal_ended", replace(one, by=by or one.by), remote, replace(self.mutings, dismissals=rest))
        return one

    def _keep(self, event: str, what: Silence | Dismissal, remote: str, after: Mutings) -> None:
        after = _in_force(after, self._clock.now())
        self._audit.append(event, what.by, {**told(what), **({"remote": remote} if remote else {})})
        try:
            write_atomically(self._path, json.dumps(mutings_document(after)).encode(), mode=0o600)
        except StorageError:
            self._audit.append(f"{event}_failed", what.by, {"id": what.id})
            raise
        self.mutings = after


def read_mutings(directory: Path) -> Mutings:
    """What stands in the file, nothing without one.

    Raises:
        StorageError: it is damaged or cannot be read.

    """
    path = directory / MUTINGS_FILE
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return Mutings()
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise StorageError(msg) from error
    try:
        return _mutings_of(json.loads(raw))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"{path} is damaged ({error!r}); mend it, or move it away to hear everything again"
        raise StorageError(msg) from error


def mutings_document(mutings: Mutings) -> dict[str, Any]:
    """What stands, as JSON."""
    return {
        "schema": SCHEMA,
        "silences": [told(one) for one in mutings.silences],
        "dismissals": [told(one) for one in mutings.dismissals],
    }


def told(one: Silence | Dismissal) -> dict[str, Any]:
    """A silence or dismissal as a JSON object; what is not set is absent."""
    pairs = ((item.name, getattr(one, item.name)) for item in fields(one))
    return {name: value for name, value in pairs if value is not None}


def _mutings_of(document: Mapping[str, Any]) -> Mutings:
    if document["schema"] != SCHEMA:
        raise ValueError(document["schema"])
    return Mutings(
        silences=tuple(_read(Silence, one) for one in document["silences"]),
        dismissals=tuple(_read(Dismissal, one) for one in document["dismissals"]),
    )


_TYPES: Final[dict[str, Any]] = {
    "kind": FindingKind, "severity": Severity, "start": float, "until": float, "bar": float
}  # fmt: skip


def _read(cls: Any, document: Mapping[str, Any]) -> Any:  # noqa: ANN401 - one of the two
    return cls(**{name: _TYPES.get(name, str)(value) for name, value in document.items()})


def _in_force(mutings: Mutings, now: float) -> Mutings:
    return Mutings(
        silences=tuple(one for one in mutings.silences if now < one.until),
        dismissals=tuple(one for one in mutings.dismissals if now < one.until),
    )


def _silence_of(wish: Mapping[str, Any], now: float) -> Silence:
    _check_names(wish, {*SCOPE, "seconds", "reason", "by"})
    scope = {name: _text(wish, name) for name in SCOPE if name in wish}
    if not scope:
        msg = f"a silence needs a scope: one of {', '.join(SCOPE)}"
        raise InputError(msg)
    if "kind" in scope and scope["kind"] not in set(FindingKind):
        msg = f"there is no kind of finding {scope['kind']!r}"
        raise InputError(msg)
    kind = FindingKind(scope.pop("kind")) if "kind" in scope else None
    seconds = wish.get("seconds")
    if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 < seconds <= LONGEST_SECONDS:
        msg = f"seconds must be a number above 0 and at most {LONGEST_SECONDS:.0f}, got {seconds!r}"
        raise InputError(msg)
    by, reason = _text(wish, "by", "operator"), _text(wish, "reason")
    id_ = stable_id("silence", kind, *(scope.get(name) for name in SCOPE), now)
    return Silence(id=id_, start=now, until=now + seconds, reason=reason, by=by, kind=kind, **scope)


def _check_names(wish: Mapping[str, Any], known: set[str]) -> None:
    unknown = sorted(set(wish) - known)
    if unknown:
        msg = f"there is no field {unknown[0][:40]!r}; there are {', '.join(sorted(known))}"
        raise InputError(msg)


def _text(wish: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = wish.get(name, default)
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_TEXT or not value.isprintable():
        msg = f"{name} must be a printable text of 1 to {MOST_TEXT} characters, got {value!r:.60}"
        raise InputError(msg)
    return value.strip()
