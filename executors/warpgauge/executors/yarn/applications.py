"""What is done to applications on YARN: into another queue, or to the end of their own. Neither ends anything.

Where preemption is on, YARN then takes back what the application holds beyond its new share, container by container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.ack import NativeRef
from warpgauge.core.errors import InputError
from warpgauge.core.recommendation import TargetType
from warpgauge.executors.yarn import calls
from warpgauge.executors.yarn.actions import Step, expected, remembered, unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.recommendation import Recommendation
    from warpgauge.core.yarn import YarnApp, YarnQueue
    from warpgauge.executors.yarn.actions import Seen

__all__ = ["OPT_OUT", "Move", "Yield", "app_of"]

OPT_OUT: Final = "warpgauge-keep"
"""An application tag: this application is not to be disturbed."""

_LIVE: Final = frozenset({"ACCEPTED", "RUNNING"})
_CHECKS: Final = frozenset({"findingOpen", "yarnAttempt", "yarnQueue", "yarnPriority"})
_LOWEST: Final = 0


def app_of(advice: Recommendation) -> str:
    """The application that an advice is about; InputError if it names none."""
    target = advice.target[0]
    if target.type is not TargetType.WORKLOAD:
        msg = f"a {target.type} is no application"
        raise InputError(msg)
    return calls.app_id(target.name)


def _untouchable(advice: Recommendation, seen: Seen) -> str | None:
    """What the application itself has against it; its attempt must be the one that the recommendation is about."""
    app, attempt = seen.app, expected(advice, "yarnAttempt")
    if app is None:
        return f"YARN knows no application {app_of(advice)}"
    if app.state not in _LIVE:
        return f"{app.id} is {app.state.lower()}, not running"
    if OPT_OUT in app.tags:
        return f"{app.id} has the tag {OPT_OUT}"
    if attempt not in {None, seen.attempt}:
        return f"{app.id} is in {seen.attempt or 'no attempt'} by now, not in {attempt}"
    return unsupported(advice, _CHECKS)


def _live(seen: Seen) -> YarnApp | None:
    return seen.app if seen.app is not None and seen.app.state in _LIVE else None


class Move:
    """Moves an application to the queue that is the second target."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """The application must not be touched, was moved by somebody else, or there is no such queue to take it."""
        named, before = _wanted(advice), expected(advice, "yarnQueue")
        queue = _queue(named, seen)
        if queue is None:
            return f"YARN has no queue {named} that takes applications"
        if queue.state not in {"RUNNING", ""}:
            return f"queue {queue.path} is {queue.state.lower()}"
        app = seen.app
        if app is not None and app.queue != queue.path and before is not None and not _is_in(app, before):
            return f"{app.id} is in {app.queue} by now, not in {before}"
        return _untouchable(advice, seen)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:
        """One call, unless it is there."""
        app, queue = _live(seen), _queue(_wanted(advice), seen)
        if app is None or queue is None or app.queue == queue.path:
            return ()
        return (Step(calls.move(app.id, queue.path), calls.move(app.id, app.queue)),)

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """The application with the queue that it was in."""
        before = expected(advice, "yarnQueue")
        if before is None and (steps := self.steps(advice, seen)):
            before = (steps[0].undo or ())[-1]
        return (NativeRef(kind="application", name=app_of(advice), version=before and f"queue:{before}"),)

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:
        """Back into the queue that it was in, unless it ended or somebody moved it on."""
        app, queue = _live(seen), _queue(_wanted(advice), seen)
        if app is None or queue is None or app.queue != queue.path:
            return ()
        return (Step(calls.move(app.id, remembered(refs, "queue")), calls.move(app.id, app.queue)),)


def _wanted(advice: Recommendation) -> str:
    named = [target.name for target in advice.target if target.type is TargetType.QUEUE]
    if len(named) != 1:
        msg = f"it must name one queue to move to as a target of type queue, and names {len(named)}"
        raise InputError(msg)
    return named[0]


def _queue(name: str, seen: Seen) -> YarnQueue | None:
    """The queue of this path, or the only one of this name."""
    found = [one for one in seen.queues if one.path == name] or [one for one in seen.queues if one.is_called(name)]
    return found[0] if len(found) == 1 else None


def _is_in(app: YarnApp, queue: str) -> bool:
    return queue in {app.queue, app.queue.rpartition(".")[2]}


class Yield:
    """Puts an application last in its queue: it gets nothing more before others, and gives back first."""

    def objection(self, advice: Recommendation, seen: Seen) -> str | None:
        """The application must not be touched, or somebody else gave it another priority."""
        before, app = expected(advice, "yarnPriority"), seen.app
        if app is not None and app.priority != _LOWEST and before not in {None, str(app.priority)}:
            return f"{app.id} has priority {app.priority} by now, not {before}"
        return _untouchable(advice, seen)

    def steps(self, advice: Recommendation, seen: Seen) -> tuple[Step, ...]:  # noqa: ARG002 - the protocol's shape
        """One call, unless it is last."""
        app = _live(seen)
        if app is None or app.priority == _LOWEST:
            return ()
        return (Step(calls.prioritize(app.id, _LOWEST), calls.prioritize(app.id, app.priority)),)

    def refs(self, advice: Recommendation, seen: Seen) -> tuple[NativeRef, ...]:
        """The application with the priority that it had."""
        before = expected(advice, "yarnPriority")
        if before is None and (steps := self.steps(advice, seen)):
            before = (steps[0].undo or ())[-1]
        return (NativeRef(kind="application", name=app_of(advice), version=before and f"priority:{before}"),)

    def way_back(self, advice: Recommendation, refs: Sequence[NativeRef], seen: Seen) -> tuple[Step, ...]:  # noqa: ARG002 - as above
        """The priority that it had, unless it ended or somebody gave it another."""
        app = _live(seen)
        if app is None or app.priority != _LOWEST:
            return ()
        before = remembered(refs, "priority")
        if not before.isdecimal():
            msg = f"{before[:80]!r} is no priority"
            raise InputError(msg)
        return (Step(calls.prioritize(app.id, int(before)), calls.prioritize(app.id, app.priority)),)
