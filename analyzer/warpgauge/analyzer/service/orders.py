"""What an operator may order over HTTP: silences and dismissals. The door in front of it checks who asks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import web

from warpgauge.analyzer.incidents.muting_book import MutingBook, mutings_document, told
from warpgauge.core.errors import InputError, StorageError
from warpgauge.web import json_object, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.core.finding import Finding

__all__ = ["Orders"]


class Orders:
    """Routes that change what is muted; one order at a time."""

    def __init__(
        self, book: MutingBook, findings: Callable[[], Mapping[str, Finding]], on_change: Callable[[], None]
    ) -> None:
        self._book = book
        self._findings = findings
        self._on_change = on_change
        self._turn = asyncio.Lock()  # the book takes one change at a time

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/api/v1/silences", self.list)
        app.router.add_post("/api/v1/silences", self.silence)
        app.router.add_delete("/api/v1/silences/{id}", self.end)
        app.router.add_post("/api/v1/findings/{id}/dismiss", self.dismiss)
        app.router.add_delete("/api/v1/dismissals/{id}", self.hear_again)

    async def list(self, _: web.Request) -> web.Response:
        """What stands."""
        return json_response(mutings_document(self._book.mutings))

    async def silence(self, request: web.Request) -> web.Response:
        """Silence a scope for a time."""
        wish, remote = await json_object(request), request.remote or ""
        made = await self._ordered(lambda: self._book.silence(wish, remote=remote))
        return json_response(told(made), status=201)

    async def end(self, request: web.Request) -> web.Response:
        """End a silence."""
        id_, by, remote = request.match_info["id"], _by(request), request.remote or ""
        return json_response(told(await self._ordered(lambda: self._book.end(id_, by=by, remote=remote))))

    async def dismiss(self, request: web.Request) -> web.Response:
        """Raise the bar for a finding's cause at its place."""
        wish, remote = await json_object(request), request.remote or ""
        finding = self._findings().get(request.match_info["id"])
        if finding is None:
            raise web.HTTPNotFound(text="there is no such finding, now or in the last ten minutes")
        made = await self._ordered(lambda: self._book.dismiss(finding, wish, remote=remote))
        return json_response(told(made), status=201)

    async def hear_again(self, request: web.Request) -> web.Response:
        """Take a dismissal back."""
        id_, by, remote = request.match_info["id"], _by(request), request.remote or ""
        return json_response(told(await self._ordered(lambda: self._book.hear_again(id_, by=by, remote=remote))))

    async def _ordered(self, order: Callable[[], Any]) -> Any:  # noqa: ANN401 - a silence or a dismissal
        async with self._turn:
            try:
                done = await asyncio.to_thread(order)
            except InputError as error:
                raise web.HTTPBadRequest(text=str(error)) from error
            except KeyError as error:
                raise web.HTTPNotFound(text="there is none of this id in force") from error
            except StorageError as error:
                raise web.HTTPServiceUnavailable(text=f"nothing was changed: {error}") from error
            self._on_change()
            return done


def _by(request: web.Request) -> str:
    """Who asks, as they say; a name only, for the audit log."""
    name = request.query.get("by", "")[:100]
    return name if name.isprintable() else ""
