"""The test-only time scale: generated rules and configurations with every duration divided by one number."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import yaml

from warpgauge.alerts.generate import files

if TYPE_CHECKING:
    from pathlib import Path

    from warpgauge.alerts.site import Site

UNITS: Final = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION: Final = r"(\d+)(ms|s|m|h|d)"


def hurried(document: Any, scale: int) -> Any:
    """The document with every duration divided by `scale`: whole values, ranges and offsets, never prose.

    Ages such as `time() - x > 120` stay: what is read does not hurry, and a busy machine must not look stale.
    """
    match document:
        case dict():
            return {key: hurried(value, scale) for key, value in document.items()}
        case list():
            return [hurried(value, scale) for value in document]
        case str() if re.fullmatch(DURATION, document):
            return shorter(document, scale)
        case str():
            inside = rf"(?<=\[){DURATION}(?=\])|(?<=offset ){DURATION}"
            return re.sub(inside, lambda found: shorter(found[0], scale), document)
        case _:
            return document


def shorter(duration: str, scale: int) -> str:
    number, unit = re.fullmatch(DURATION, duration).groups()
    return f"{max(1, int(number) * UNITS[unit] // scale)}ms"


def write_site(folder: Path, site: Site, scale: int) -> list[Path]:
    """All generated files of a site in a hurry, below `folder`; returns the rule files."""
    for name, text in files(site).items():
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text if path.suffix == ".tmpl" else json.dumps(hurried(yaml.safe_load(text), scale)))
    return sorted(folder.glob("*.yml"))
