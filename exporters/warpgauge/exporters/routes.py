"""The agent's pages over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from warpgauge.core.catalog import own
from warpgauge.core.errors import InputError
from warpgauge.core.exposition import Format, negotiate
from warpgauge.exporters.landing import landing_page
from warpgauge.exporters.release import parse_seconds
from warpgauge.web import json_response, make_app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.exporters.agent import Agent
    from warpgauge.exporters.synthetic import SimulatedPages
    from warpgauge.web import TokenFile

__all__ = ["application"]

_MODEL_SECONDS: Final = 4.0  # how long a request waits for the simulated fleet to have lived its past
_DEFAULT_TOP: Final = 10


def application(agent: Agent, operator: TokenFile | None = None) -> web.Application:
    """Every route of the agent; `operator` holds the token of whoever may release the devices."""
    routes = _Routes(agent)
    app = make_app(ready=agent.unready, operator=operator)
    app.router.add_get("/", routes.landing)
    app.router.add_get("/metrics", routes.metrics)
    app.router.add_get("/metrics/dcgm", routes.dcgm)
    app.router.add_get("/api/v1/devices", routes.devices)
    app.router.add_get("/api/v1/processes", routes.processes)
    app.router.add_get("/api/v1/release", routes.release_state)
    app.router.add_post("/-/release", routes.release)
    app.router.add_post("/-/acquire", routes.acquire)
    app.router.add_get("/sd", routes.service_discovery)
    app.router.add_get("/sim/truth", routes.truth)
    app.router.add_get("/sim/{node}/metrics", routes.simulated)
    app.router.add_get("/sim/{node}/backfill", routes.backfill)
    return app


class _Routes:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def landing(self, _: web.Request) -> web.Response:
        agent = self._agent
        text = landing_page(collectors=agent.states(), devices=len(agent.readings.standings), has_demo=agent.demo.is_on)
        return web.Response(text=text, content_type="text/html")

    async def metrics(self, request: web.Request) -> web.Response:
        fmt = negotiate(request.headers.get("Accept"))
        is_compressed = _takes_gzip(request.headers.get("Accept-Encoding", ""))
        self._agent.readings.tally.count(own.SCRAPES, fmt.name.lower())
        return _page(self._agent.pages.body(fmt, is_compressed=is_compressed), fmt, is_compressed=is_compressed)

    async def dcgm(self, _: web.Request) -> web.Response:
        body = self._agent.dcgm_page()
        if body is None:
            raise web.HTTPNotFound(text="the DCGM view is off; start the agent with agent.dcgm_view = true")
        return web.Response(body=body, headers={"Content-Type": Format.TEXT.content_type})

    async def devices(self, _: web.Request) -> web.Response:
        return json_response({"devices": self._agent.devices()})

    async def processes(self, request: web.Request) -> web.Response:
        text = request.query.get("top", str(_DEFAULT_TOP))
        if not (text.isascii() and text.isdecimal()):
            raise web.HTTPBadRequest(text=f"top must be a whole number, got {text!r}")
        return json_response({"processes": await self._agent.processes(int(text[:9]))})

    async def release_state(self, _: web.Request) -> web.Response:
        return json_response(self._agent.release.document())

    async def release(self, request: web.Request) -> web.Response:
        """503 while a process that cannot be ended still holds the driver, so that a script does not go on."""
        unknown = request.query.keys() - {"seconds"}
        if unknown:
            raise web.HTTPBadRequest(text=f"there is no parameter {min(unknown)[:40]!r}, only seconds")
        try:
            seconds = parse_seconds(request.query.get("seconds"))
        except InputError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        done = await self._agent.release.release(seconds, by=request.remote or "")
        return json_response(done, status=503 if done.get("still_held_by") else 200)

    async def acquire(self, request: web.Request) -> web.Response:
        return json_response(await self._agent.release.acquire(by=request.remote or ""))

    async def service_discovery(self, request: web.Request) -> web.Response:
        pages = await self._agent.demo.wait(_MODEL_SECONDS)
        base_url = f"{request.scheme}://{request.host}"
        return json_response(pages.service_discovery(base_url) if pages else [])

    async def simulated(self, request: web.Request) -> web.Response:
        pages = await self._pages()
        fmt = negotiate(request.headers.get("Accept"))
        try:
            body = await self._agent.demo.metrics(pages, request.match_info["node"], fmt)
        except InputError as error:
            raise web.HTTPNotFound(text=str(error)) from error
        return _page(body, fmt, is_compressed=False)

    async def backfill(self, request: web.Request) -> web.StreamResponse:
        pages = await self._pages()
        try:
            chunks: Iterator[bytes] = await self._agent.demo.backfill(pages, request.match_info["node"])
        except InputError as error:
            raise web.HTTPNotFound(text=str(error)) from error
        response = web.StreamResponse(headers={"Content-Type": Format.OPENMETRICS.content_type})
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        return response

    async def truth(self, _: web.Request) -> web.Response:
        return json_response(await self._agent.demo.truth(await self._pages()))

    async def _pages(self) -> SimulatedPages:
        pages = await self._agent.demo.wait(_MODEL_SECONDS)
        if pages is None:
            raise web.HTTPNotFound(text="there is no simulated fleet here; start the agent with --demo=always")
        return pages


def _page(body: bytes, fmt: Format, *, is_compressed: bool) -> web.Response:
    headers = {"Content-Type": fmt.content_type, "Vary": "Accept, Accept-Encoding"}
    if is_compressed:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, headers=headers)


def _takes_gzip(accept: str) -> bool:
    """Whether an Accept-Encoding header names gzip without refusing it (RFC 9110, 12.5.3)."""
    for entry in accept.split(","):
        coding, _, parameter = (part.strip().lower() for part in entry.partition(";"))
        if coding == "gzip":
            return parameter.replace(" ", "").rstrip("0") not in {"q=", "q=0."}
    return False
