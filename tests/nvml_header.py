"""Reads NVIDIA's nvml.h from the package nvidia-nvml-dev: constants with their values and what their comments say.

The header is NVIDIA's and is never part of this repository; it is looked for where pip put it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest

_DEFINE = re.compile(r"#define\s+(NVML_\w+)\s+(\w+|\([^)]*\))\s*(?://!<\s*(.*))?$")
_MEMBER = re.compile(r"\s+(NVML_\w+)\s*=\s*(\w+),?\s*(?://!<\s*(.*))?$")
_CONTINUED = re.compile(r"\s+//!<\s*(.*)$")


@dataclass(frozen=True)
class Entry:
    name: str
    value: int
    comment: str  # behind the constant
    section: str  # the block comment above it and its neighbors

    @property
    def texts(self) -> tuple[str, str]:
        """What is said about it, the nearest first."""
        return self.comment, self.section


def read_header() -> dict[str, Entry]:
    """Every constant by name; without the package the test is skipped."""
    return parse(_find().read_text(encoding="utf-8"))


def _find() -> Path:
    try:
        files = metadata.files("nvidia-nvml-dev") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "nvml.h":
            return Path(str(file.locate()))
    pytest.skip("nvml.h is not on this machine: .venv/bin/pip install nvidia-nvml-dev")


def parse(text: str) -> dict[str, Entry]:
    """Constants in the order of the text; an alias has the value of what it stands for."""
    found: dict[str, Entry] = {}
    block: list[str] = []
    is_in_block, section, is_used = False, "", False
    last = ""
    for line in text.splitlines():
        if line.lstrip().startswith("/*"):
            is_in_block, block = True, []
        if is_in_block:
            block.append(line.strip(" */"))
            if "*/" in line:
                is_in_block, section, is_used = False, " ".join(block), False
            continue
        if not line.strip() and is_used:
            section = ""
        if (match := _DEFINE.match(line) or _MEMBER.match(line)) is not None:
            last, raw, comment = match.groups()
            value = _number(raw, found)
            if value is not None:
                found[last] = Entry(last, value, comment or "", section)
                is_used = True
        elif (more := _CONTINUED.match(line)) is not None and last in found:
            entry = found[last]
            found[last] = Entry(entry.name, entry.value, f"{entry.comment} {more[1]}", entry.section)
    return found


def _number(raw: str, found: dict[str, Entry]) -> int | None:
    if raw in found:
        return found[raw].value
    try:
        return int(raw.rstrip("uUlL"), 0)
    except ValueError:
        return None
