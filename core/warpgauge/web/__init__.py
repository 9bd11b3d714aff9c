"""The one HTTP server that both services use."""

from __future__ import annotations

from warpgauge.web.address import ListenAddress
from warpgauge.web.application import json_response, make_app
from warpgauge.web.serving import install_stop_signals, serve
from warpgauge.web.stream import EventStream
from warpgauge.web.token import TokenFile

__all__ = ["EventStream", "ListenAddress", "TokenFile", "install_stop_signals", "json_response", "make_app", "serve"]
