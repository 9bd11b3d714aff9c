"""Prometheus' `web-config.yml`: TLS, client certificates, users, security headers and a rate limit."""

from __future__ import annotations

from warpgauge.web.webconfig.admission import Admission, admission_of, scheme_of
from warpgauge.web.webconfig.file import WebConfigFile

__all__ = ["Admission", "WebConfigFile", "admission_of", "scheme_of"]
