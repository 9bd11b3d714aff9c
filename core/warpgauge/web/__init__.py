"""The one HTTP server that both services use."""

from __future__ import annotations

from warpgauge.core.token_file import TokenFile
from warpgauge.web.address import ListenAddress
from warpgauge.web.application import json_object, json_response, make_app
from warpgauge.web.serving import install_stop_signals, serve
from warpgauge.web.stream import EventStream
from warpgauge.web.webconfig import Admission, admission_of, scheme_of

__all__ = [
    "Admission",
    "EventStream",
    "ListenAddress",
    "TokenFile",
    "admission_of",
    "install_stop_signals",
    "json_object",
    "json_response",
    "make_app",
    "scheme_of",
    "serve",
]
