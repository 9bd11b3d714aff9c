"""The doors through which people and executors act on recommendations; each takes the operator's token."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from warpgauge.analyzer.recommend.desk import MODES, NotNowError, UnknownError, parse_who
from warpgauge.core.ack import ack_from_event
from warpgauge.core.errors import InputError
from warpgauge.web import json_object, json_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.analyzer.service.advisor import Advisor

    Work = Callable[[dict[str, Any]], dict[str, Any]]

__all__ = ["POSTS", "acting_document", "add_acting_routes"]

_ONE: Final = "/api/v1/recommendations/{id}"
POSTS: Final = {
    "/api/v1/pause": ("pause", 'Recommend nothing new and let nobody act. Body {"by": NAME}.'),
    "/api/v1/resume": ("resume", 'Go on after a pause. Body {"by": NAME}.'),
    "/api/v1/mode": ("mode", 'Say what a mode would change; with apply put it in force. Body {"by", "mode", "apply"}.'),
    f"{_ONE}/approve": ("approve", 'Agree to it. Body {"by": NAME}.'),
    f"{_ONE}/reject": ("reject", 'Refuse it; it is withdrawn. Body {"by": NAME}.'),
    f"{_ONE}/undo": ("undo", 'Take back what was executed on it. Body {"by": NAME}.'),
    f"{_ONE}/ack": ("ack", "An executor's ack, as a CloudEvent."),
}


def add_acting_routes(app: web.Application, advisor: Advisor) -> None:
    """Add them."""
    routes = _Acting(advisor)
    for path, (name, _) in POSTS.items():
        app.router.add_post(path, getattr(routes, name))


def acting_document(advisor: Advisor) -> dict[str, Any]:
    """How recommendations stand, for executors and people."""
    return {
        "mode": advisor.desk.mode,
        "hold": advisor.hold,
        "troubles": list(advisor.troubles),
        "withdrawn": advisor.withdrawn,
    }


class _Acting:
    def __init__(self, advisor: Advisor) -> None:
        self._advisor = advisor

    async def pause(self, request: web.Request) -> web.Response:
        return await self._order(request, lambda body: self._paused(parse_who(body.get("by"))))

    async def resume(self, request: web.Request) -> web.Response:
        return await self._order(request, lambda body: self._resumed(parse_who(body.get("by"))))

    async def mode(self, request: web.Request) -> web.Response:
        return await self._order(request, self._mode)

    async def approve(self, request: web.Request) -> web.Response:
        return await self._order(request, lambda body: self._approved(request.match_info["id"], body))

    async def reject(self, request: web.Request) -> web.Response:
        return await self._order(request, lambda body: self._rejected(request.match_info["id"], body))

    async def undo(self, request: web.Request) -> web.Response:
        return await self._order(request, lambda body: self._undone(request.match_info["id"], body))

    async def ack(self, request: web.Request) -> web.Response:
        return await self._order(request, lambda body: self._acked(request.match_info["id"], body))

    async def _order(self, request: web.Request, work: Work) -> web.Response:
        """Carry an order out off the event loop: it waits for the disk."""
        body = await json_object(request)
        try:
            return json_response(await asyncio.to_thread(work, body))
        except UnknownError as error:
            raise web.HTTPNotFound(text=str(error)) from error
        except NotNowError as error:
            raise web.HTTPConflict(text=str(error)) from error
        except (InputError, ValueError) as error:
            raise web.HTTPBadRequest(text=str(error)) from error

    def _paused(self, who: str) -> dict[str, Any]:
        self._advisor.desk.pause(who)
        return acting_document(self._advisor)

    def _resumed(self, who: str) -> dict[str, Any]:
        self._advisor.desk.resume(who)
        return acting_document(self._advisor)

    def _mode(self, body: dict[str, Any]) -> dict[str, Any]:
        who, mode, desk = parse_who(body.get("by")), body.get("mode"), self._advisor.desk
        if mode not in MODES:
            msg = f"mode must be one of {', '.join(MODES)}, got {str(mode)[:40]!r}"
            raise InputError(msg)
        before, changes = desk.mode, desk.difference(self._advisor.open, mode)
        if body.get("apply") is True:
            desk.set_mode(mode, who)
        return {
            "from": before,
            "to": mode,
            "applied": body.get("apply") is True,
            "changes": [change.to_json() for change in changes],
        }

    def _approved(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        who = parse_who(body.get("by"))
        made = self._advisor.desk.approve(self._open(name), who)
        self._advisor.flush()
        return made.to_event()

    def _rejected(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        self._advisor.desk.reject(self._open(name), parse_who(body.get("by")))
        return {"id": name, "rejected": True}

    def _undone(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._advisor.undo(name, parse_who(body.get("by"))).to_event()

    def _acked(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        ack = ack_from_event(body)
        if ack.recommendation_id != name:
            msg = f"the ack is about {ack.recommendation_id}"
            raise InputError(msg)
        return {"id": ack.id, "new": self._advisor.desk.ack(ack)}

    def _open(self, name: str) -> Any:  # noqa: ANN401 - a recommendation
        found = self._advisor.find(name)
        if found is None:
            msg = f"no recommendation {name[:80]} stands"
            raise UnknownError(msg)
        return found
