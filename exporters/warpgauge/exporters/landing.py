"""The agent's landing page: what runs here and where it is served."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from warpgauge.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["landing_page"]

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>warpgauge agent</title></head>
<body>
<h1>warpgauge agent</h1>
<p>Version {version}. {devices}</p>
<ul>
<li><a href="/metrics">/metrics</a> for Prometheus (text 0.0.4 or OpenMetrics, gzip)</li>
<li><a href="/api/v1/devices">/api/v1/devices</a> every device ever seen, with its state</li>
<li><a href="/api/v1/processes">/api/v1/processes</a> the busiest processes of this machine</li>
<li><a href="/-/healthy">/-/healthy</a> and <a href="/-/ready">/-/ready</a></li>
{demo}</ul>
<table>
<caption>Collectors</caption>
<tr><th scope="col">Name</th><th scope="col">State</th></tr>
{collectors}</table>
</body>
</html>
"""
_DEMO = '<li><a href="/sd">/sd</a> lists the pages of a simulated fleet; none of it is on /metrics</li>\n'


def landing_page(*, collectors: Iterable[tuple[str, str]], devices: int, has_demo: bool) -> str:
    """HTML without scripts or styles; `collectors` are pairs of name and state in words."""
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(state)}</td></tr>\n" for name, state in collectors)
    count = "No accelerator on this machine." if not devices else f"{devices} accelerators seen."
    return _PAGE.format(version=escape(VERSION), devices=count, collectors=rows, demo=_DEMO if has_demo else "")
