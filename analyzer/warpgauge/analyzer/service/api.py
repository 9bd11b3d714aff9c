"""Routes of the analyzer: API, own metrics, console, runbooks."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from aiohttp import web

from warpgauge.analyzer.service.acting_routes import add_acting_routes
from warpgauge.analyzer.service.documents import devices_document, findings_list, incidents_list
from warpgauge.analyzer.service.load_watcher import load_document
from warpgauge.analyzer.service.openapi import openapi_document
from warpgauge.analyzer.service.orders import Orders
from warpgauge.analyzer.service.receiver import PATH as WRITE_PATH
from warpgauge.analyzer.service.series_query import parse_query, series_document
from warpgauge.core.errors import InputError
from warpgauge.core.exposition import FamilyRenderer, negotiate, page
from warpgauge.web import json_response, make_app

if TYPE_CHECKING:
    from pathlib import Path

    from warpgauge.analyzer.service.service import Service
    from warpgauge.web import TokenFile

__all__ = ["make_api"]

_RUNBOOK: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_LANDING: Final = "warpgauge analyzer; the console is not installed. /api/v1/status, /api/v1/findings, /metrics\n"


def make_api(
    service: Service, *, static_dir: Path | None, runbooks_dir: Path | None, operator: TokenFile | None = None
) -> web.Application:
    """The application of a service; `static_dir` holds the console, `runbooks_dir` a Markdown page per alert.

    `operator` holds the token of whoever may give orders.
    """
    doors = {} if service.receiver is None else {WRITE_PATH: service.receiver.knows}
    app = make_app(ready=service.not_ready, operator=operator, own_doors=doors)
    routes = _Routes(service, runbooks_dir)
    app.router.add_get("/metrics", routes.metrics)
    app.router.add_get("/api/v1/status", routes.status)
    app.router.add_get("/api/v1/live", routes.live)
    app.router.add_get("/api/v1/findings", routes.findings)
    app.router.add_get("/api/v1/incidents", routes.incidents)
    app.router.add_get("/api/v1/recommendations", routes.recommendations)
    app.router.add_get("/api/v1/acting", routes.acting)
    app.router.add_get("/api/v1/plan", routes.plan)
    add_acting_routes(app, service.advisor)
    app.router.add_get("/api/v1/devices", routes.devices)
    app.router.add_get("/api/v1/series", routes.series)
    app.router.add_get("/api/v1/load/{cluster}/watcher", routes.load)
    app.router.add_get("/api/v1/openapi.json", routes.openapi)
    if service.receiver is not None:
        app.router.add_post(WRITE_PATH, service.receiver.handler)
    if service.book is not None:
        Orders(service.book, service.known_findings, service.remute).add_to(app)
    service.stream.add_to(app, "/api/v1/stream")
    app.router.add_get("/runbooks/{name}", routes.runbook)
    _add_console(app, static_dir)
    return app


def _add_console(app: web.Application, static_dir: Path | None) -> None:
    async def index(_: web.Request) -> web.StreamResponse:
        return web.Response(text=_LANDING) if static_dir is None else web.FileResponse(static_dir / "index.html")

    app.router.add_get("/", index)
    if static_dir is not None:
        app.router.add_static("/assets/", static_dir)


class _Routes:
    def __init__(self, service: Service, runbooks_dir: Path | None) -> None:
        self._service = service
        self._runbooks_dir = runbooks_dir
        self._renderer = FamilyRenderer()

    async def metrics(self, request: web.Request) -> web.Response:
        fmt = negotiate(request.headers.get("Accept"))
        stored = await asyncio.to_thread(self._service.stored_samples)
        body = page([self._renderer.render((*self._service.samples(), *stored))], fmt)
        return web.Response(body=body, headers={"Content-Type": fmt.content_type})

    async def status(self, _: web.Request) -> web.Response:
        return json_response(self._service.status())

    async def live(self, _: web.Request) -> web.Response:
        return json_response(await self._service.watch.live())

    async def findings(self, _: web.Request) -> web.Response:
        return json_response({"findings": findings_list(self._service.result)})

    async def incidents(self, _: web.Request) -> web.Response:
        return json_response({"incidents": incidents_list(self._service.result)})

    async def recommendations(self, _: web.Request) -> web.Response:
        return json_response({"recommendations": self._service.recommendations()})

    async def acting(self, _: web.Request) -> web.Response:
        return json_response(await asyncio.to_thread(self._service.acting))

    async def plan(self, _: web.Request) -> web.Response:
        return json_response(self._service.plan())

    async def devices(self, _: web.Request) -> web.Response:
        return json_response(await self._service.watch.ask(devices_document))

    async def series(self, request: web.Request) -> web.Response:
        try:
            query = parse_query(request.query)
        except InputError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return json_response(await self._service.watch.ask(lambda frame: series_document(frame, query)))

    async def load(self, request: web.Request) -> web.Response:
        cluster = request.match_info["cluster"]
        document = await self._service.watch.ask(lambda frame: load_document(frame, cluster))
        if document is None:
            raise web.HTTPNotFound(text=f"no load of a node in cluster {cluster[:80]!r} was measured")
        return json_response(document)

    async def openapi(self, _: web.Request) -> web.Response:
        is_written_to = self._service.receiver is not None
        return json_response(openapi_document(is_written_to=is_written_to, takes_orders=self._service.book is not None))

    async def runbook(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"].removesuffix(".md")
        if self._runbooks_dir is None or not _RUNBOOK.fullmatch(name):
            raise web.HTTPNotFound(text=f"there is no runbook {name!r}")
        path = self._runbooks_dir / f"{name}.md"
        if not path.is_file():
            raise web.HTTPNotFound(text=f"there is no runbook {name!r}")
        return web.FileResponse(path, headers={"Content-Type": "text/plain; charset=utf-8"})
