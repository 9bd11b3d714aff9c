"""The file that tells a fake driver what goes wrong; who writes it needs no test framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def set_faults(script: Path, *faults: str) -> None:
    """Put other faults in force, all at once."""
    new = script.with_suffix(".new")
    new.write_text("".join(f"{fault}\n" for fault in faults), encoding="ascii")
    new.replace(script)
