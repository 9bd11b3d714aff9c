"""What a site forbids: racks that bound how much is disturbed at once, who is left alone, and when nothing is done.

[racks]
r1 = ["n1", "n2"]                       # at most one open disruptive recommendation per rack
[opt_out]
nodes = ["login-*"]                     # patterns of names, as a shell has them
jobs = ["kube-system/*"]
users = ["ci"]
[[freeze]]                              # every week, UTC; may pass midnight
days = ["fri", "sat"]
start = "18:00"
end = "08:00"
[[freeze]]                              # once
since = 2026-12-20T00:00:00Z
until = 2027-01-04T06:00:00Z
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Freeze", "SiteRules", "read_site_rules"]

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MOST_BYTES: Final = 4 << 20
_KEYS: Final = {"racks", "opt_out", "freeze"}
_WEEKLY: Final = {"days", "start", "end"}
_ONCE: Final = {"since", "until"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """A time in which nothing disruptive is recommended: each week on `days`, or once."""

    days: frozenset[int] = frozenset()  # on which it begins, Monday = 0
    start: time = time(0)
    end: time = time(0)  # at or before `start`: of the next day
    since: float | None = None  # seconds since the epoch
    until: float | None = None

    def holds(self, now: float) -> bool:
        """Whether it is such a time."""
        if self.since is not None and self.until is not None:
            return self.since <= now < self.until
        moment = datetime.fromtimestamp(now, tz=UTC)
        return any(self._began_on(moment, moment.date() - timedelta(days=back)) for back in (0, 1))

    def _began_on(self, moment: datetime, day: Any) -> bool:  # noqa: ANN401 - a date
        if day.weekday() not in self.days:
            return False
        begins = datetime.combine(day, self.start, tzinfo=UTC)
        ends = datetime.combine(day, self.end, tzinfo=UTC)
        return begins <= moment < (ends if ends > begins else ends + timedelta(days=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteRules:
    """The file's content."""

    racks: Mapping[str, str] = field(default_factory=dict)  # node -> rack
    nodes: tuple[str, ...] = ()  # patterns of those left alone
    jobs: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    freezes: tuple[Freeze, ...] = ()

    def opts_out(self, node: str, job: str, user: str) -> str | None:
        """Which pattern leaves it alone, None if none does."""
        asked = (("node", node, self.nodes), ("job", job, self.jobs), ("user", user, self.users))
        matching = (
            f"{what} {name} is left alone ({pattern})"
            for what, name, patterns in asked
            for pattern in patterns
            if name and fnmatchcase(name, pattern)
        )
        return next(matching, None)

    def is_frozen(self, now: float) -> bool:
        """Whether nothing disruptive is to be done now."""
        return any(freeze.holds(now) for freeze in self.freezes)


def read_site_rules(path: Path) -> SiteRules:
    """Read the file.

    Raises:
        ConfigError: it cannot be read, is no TOML, or holds a key or value that it must not; the message names it.

    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            msg = f"{path}: longer than {_MOST_BYTES} bytes"
            raise ConfigError(msg)
        document = tomllib.loads(text.decode())
        return _rules(document)
    except OSError as error:
        msg = f"cannot read the site rules {path}: {error.strerror or error}"
        raise ConfigError(msg) from error
    except ValueError as error:  # tomllib's and ours
        msg = f"{path}: {error}"
        raise ConfigError(msg) from error


def _rules(document: Mapping[str, Any]) -> SiteRules:
    _only(document, _KEYS, "the file")
    out = _table(document, "opt_out")
    _only(out, {"nodes", "jobs", "users"}, "opt_out")
    racks = _table(document, "racks")
    freezes = document.get("freeze", [])
    if not isinstance(freezes, list):
        msg = "freeze must be written as [[freeze]]"
        raise ValueError(msg)  # noqa: TRY004 - one type for all that the file gets wrong
    return SiteRules(
        racks={node: rack for rack in racks for node in _names(racks, rack)},
        nodes=_names(out, "nodes"),
        jobs=_names(out, "jobs"),
        users=_names(out, "users"),
        freezes=tuple(_freeze(one) for one in freezes),
    )


def _freeze(document: Any) -> Freeze:  # noqa: ANN401 - what the file holds
    if not isinstance(document, dict) or set(document) not in (_WEEKLY, _ONCE):
        msg = "each [[freeze]] has days, start and end, or since and until"
        raise ValueError(msg)
    if set(document) == _ONCE:
        since, until = document["since"], document["until"]
        if not all(isinstance(one, datetime) and one.tzinfo for one in (since, until)) or since >= until:
            msg = "freeze.since and freeze.until are times with an offset, since before until"
            raise ValueError(msg)
        return Freeze(since=since.timestamp(), until=until.timestamp())
    days = _names(document, "days")
    if unknown := set(days) - set(_DAYS):
        msg = f"freeze.days has {min(unknown)!r}; days are {', '.join(_DAYS)}"
        raise ValueError(msg)
    return Freeze(
        days=frozenset(map(_DAYS.index, days)), start=_clock_time(document["start"]), end=_clock_time(document["end"])
    )


def _clock_time(text: object) -> time:
    try:
        return time.fromisoformat(str(text))
    except ValueError as error:
        msg = f"{text!r} is no time such as 18:00"
        raise ValueError(msg) from error


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        msg = f"{name} must be a table"
        raise ValueError(msg)  # noqa: TRY004 - as above
    return table


def _names(table: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = table.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        msg = f"{key} must be a list of names"
        raise ValueError(msg)
    return tuple(names)


def _only(table: Mapping[str, Any], known: set[str], place: str) -> None:
    if unknown := set(table) - known:
        msg = f"{place} has the unknown key {min(unknown)!r}; known are {', '.join(sorted(known))}"
        raise ValueError(msg)
