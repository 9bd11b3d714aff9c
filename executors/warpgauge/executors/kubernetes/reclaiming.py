"""Taking idle devices back: the pods are evicted within their disruption budgets, and what starts them is stopped.

An eviction alone gives nothing back, since the controller starts the pod anew; stopping the controller alone ends its
pods past their budgets. So the controller is marked first (by which all this is found again after a crash), then the
pods go, then it is stopped: what it may have started in between has done nothing yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.ack import NativeRef
from warpgauge.core.errors import InputError
from warpgauge.executors.kubernetes import controllers
from warpgauge.executors.kubernetes.actions import Step
from warpgauge.executors.kubernetes.controllers import Controller, controller_of
from warpgauge.executors.kubernetes.evicting import evictions_of, members_of, unendable
from warpgauge.executors.vouching import unvouched

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.kubernetes import KubePod
    from warpgauge.core.recommendation import Recommendation
    from warpgauge.executors.kubernetes.look import Look

__all__ = ["Reclaim"]

_CHECKED: Final = frozenset({"findingOpen", "kubernetesNodeUid"})
_VOUCHED_FOR: Final = frozenset({"stillIdle"})  # nothing in Kubernetes shows it; the analyzer withdraws if it ends


class Reclaim:
    """Stops a Job, or a set of one replica, whose pods use none of their devices."""

    def objection(self, advice: Recommendation, look: Look) -> str | None:
        """The pods must not be ended, or nobody knows how to stop what starts them."""
        if (why := unvouched(advice, _CHECKED, "Kubernetes", vouched=_VOUCHED_FOR)) is not None:
            return why
        if controllers.marked(advice.id, look) is not None:
            return None  # begun: the mark is the first step
        members = members_of(advice, look)
        if not members:
            return f"there is no pod or gang {advice.target[0].name}"
        if (why := unendable(members, advice, look)) is not None:
            return why
        found = _controller(members, look)
        return found if isinstance(found, str) else found.why_not

    def steps(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """The mark, the pods that are still to go, the stop; none once it is stopped."""
        before = controllers.marked(advice.id, look)
        if before is not None and before.is_stopped:
            return ()
        members = members_of(advice, look)
        one = before or _found(members, look)
        back = f"start {one.words} again"
        mark = Step(call=controllers.mark(one, advice.id), undo=f"remove the mark of {one.words}")
        leaving = [pod for pod in members if pod.created <= advice.created]
        stop = Step(call=controllers.stop(one), undo=back)
        return (*(() if before else (mark,)), *evictions_of(leaving), stop)

    def refs(self, advice: Recommendation, look: Look) -> tuple[NativeRef, ...]:
        """What was stopped."""
        one = controllers.marked(advice.id, look) or _found(members_of(advice, look), look)
        return (NativeRef(kind=one.kind.lower(), name=f"{one.namespace}/{one.name}", uid=one.uid),)

    def way_back(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """Start it again, if it still bears this recommendation's mark; what its pods held in memory is lost."""
        one = controllers.marked(advice.id, look)
        if one is None:
            return ()
        if not one.is_stopped:
            return (Step(call=controllers.unmark(one), undo=f"mark {one.words} again"),)
        return (Step(call=controllers.go(one), undo=f"stop {one.words} again"),)


def _controller(members: Sequence[KubePod], look: Look) -> Controller | str:
    """The one that starts all of them, or why there is none."""
    if not members:
        return "there is no pod left that tells what starts it"
    found = [controller_of(pod, look) for pod in members]
    if (why := next((one for one in found if isinstance(one, str)), None)) is not None:
        return why
    known = {one.uid: one for one in found if isinstance(one, Controller)}
    if len(known) == 1:
        return next(iter(known.values()))
    return f"its pods are of {len(known)} controllers: {', '.join(sorted(one.words for one in known.values())[:5])}"


def _found(members: Sequence[KubePod], look: Look) -> Controller:
    one = _controller(members, look)
    if isinstance(one, str):
        raise InputError(one)
    return one
