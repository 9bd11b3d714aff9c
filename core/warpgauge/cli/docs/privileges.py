"""Which collector needs which privilege, and what is lost without it."""

from __future__ import annotations

from typing import Final

from warpgauge.cli.docs.markdown import code, page_of, rows
from warpgauge.exporters.collectors import COLLECTORS
from warpgauge.exporters.doctor import PRIVILEGES

__all__ = ["page"]

_INTRO: Final = """
The agent runs as any user without rights. What a machine does not let it read is left out and named by
`warpgauge doctor`; nothing else suffers.
"""


def page() -> str:
    """The page with its one table."""
    cells = [(code(row.collector), row.reads, row.needs, row.lost_without) for row in PRIVILEGES]
    needy = {row.collector for row in PRIVILEGES}
    cells += [(code(name), entry.help, "nothing", "") for name, entry in COLLECTORS.items() if name not in needy]
    return page_of("Privileges", _INTRO, rows(("Collector", "Reads", "Needs", "Lost without"), cells))
