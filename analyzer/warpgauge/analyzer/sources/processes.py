"""The busiest processes of nodes, from their agents: asked for only when a finding needs a name."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.detection import ProcessReading
from warpgauge.analyzer.frame.workloads import job_name
from warpgauge.analyzer.sources.access import Terms
from warpgauge.analyzer.sources.fetch import get, json_of
from warpgauge.core.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

    NodeKey = tuple[str, str]  # cluster, name

__all__ = ["busiest_processes", "processes_of_nodes"]

_LOG: Final = logging.getLogger(__name__)
_TOP: Final = "100"  # all that an agent tells: a job's many small processes count together
_LIMIT_BYTES: Final = 1 << 20
_TIMEOUT_SECONDS: Final = 5.0  # the agent takes two readings one second apart
_COMMAND_CHARACTERS: Final = 200
_NAME_CHARACTERS: Final = 128  # as long as the agent makes a label


async def processes_of_nodes(
    session: aiohttp.ClientSession, pages: Mapping[NodeKey, str], terms: Terms
) -> dict[NodeKey, tuple[ProcessReading, ...]]:
    """The busiest processes of the nodes behind metrics pages, as far as their agents tell."""
    answers = await asyncio.gather(
        *(busiest_processes(session, page, terms) for page in pages.values()), return_exceptions=True
    )
    found: dict[NodeKey, tuple[ProcessReading, ...]] = {}
    for node, answer in zip(pages, answers, strict=True):
        if isinstance(answer, SourceError):
            _LOG.info("processes not told", extra={"node": node[1], "error": str(answer)})
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found[node] = answer
    return found


async def busiest_processes(
    session: aiohttp.ClientSession, page_url: str, terms: Terms | None = None
) -> tuple[ProcessReading, ...]:
    """Processes of the node behind a metrics page, the busiest first.

    Raises:
        SourceError: the agent does not tell, or not in the form that was agreed.

    """
    url = f"{page_url.removesuffix('/metrics')}/api/v1/processes"
    terms = terms or Terms()
    try:
        headers = terms.headers()
    except ConfigError as error:
        raise SourceError(str(error)) from error
    answer = await get(
        session,
        url,
        params={"top": _TOP},
        limit_bytes=_LIMIT_BYTES,
        timeout_seconds=_TIMEOUT_SECONDS,
        headers=headers,
        tls=terms.tls,
    )
    document = json_of(answer, url)
    try:
        return tuple(_reading(entry) for entry in document["processes"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"{url} lists processes in another form: {error!r}"
        raise SourceError(msg) from error


def _reading(entry: Any) -> ProcessReading:  # noqa: ANN401 - foreign JSON
    cpu_ratio, memory_bytes = float(entry["cpu_ratio"]), float(entry["memory_bytes"])
    if not (math.isfinite(cpu_ratio) and math.isfinite(memory_bytes)):
        msg = "cpu_ratio and memory_bytes must be finite"
        raise ValueError(msg)
    workload = entry.get("workload")
    labels = {str(name): str(value)[:_NAME_CHARACTERS] for name, value in (workload or {}).items()}
    return ProcessReading(
        pid=int(entry["pid"]),
        command=str(entry["command"])[:_COMMAND_CHARACTERS],
        cpu_ratio=cpu_ratio,
        memory_bytes=memory_bytes,
        user=str(entry.get("user") or ""),
        job=None if workload is None else job_name(labels),
        scheduler=labels.get("scheduler", ""),
    )
