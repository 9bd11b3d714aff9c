"""The reference pages, written from the catalog, the settings, the verbs, the alerts and the detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.cli.docs import alerts, commands, configuration, dcgm, dialects, findings, metrics, privileges, scenarios
from warpgauge.core.atomic import write_atomically
from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["generate_docs", "pages"]


def pages() -> dict[str, str]:
    """Text of every reference page by its file name."""
    return {
        "metrics.md": metrics.page(),
        "configuration.md": configuration.page(),
        "commands.md": commands.page(),
        "alerts.md": alerts.page(),
        "findings.md": findings.page(),
        "dcgm.md": dcgm.page(),
        "dialects.md": dialects.page(),
        "privileges.md": privileges.page(),
        "scenarios.md": scenarios.page(),
    }


def generate_docs(out: Path) -> list[Path]:
    """Write every reference page below `out` and return the paths; the same bytes each time.

    Raises:
        StorageError: the folder cannot be made or written.

    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot make the folder {out}: {error.strerror}; name another with --out"
        raise StorageError(msg) from error
    written = []
    for name, text in pages().items():
        write_atomically(out / name, text.encode())
        written.append(out / name)
    return written
