"""Every finding leads to a page: the link in a recommendation must not end in nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from warpgauge.cli.docs.findings import detected_kinds

if TYPE_CHECKING:
    from warpgauge.core.finding import FindingKind

RUNBOOKS = Path(__file__).parents[2] / "alerts" / "runbooks"
RAISED = sorted(detected_kinds())
SECTIONS = (
    "Meaning",
    "Evidence",
    "First look",  # how to confirm it
    "Mend",  # what to do
    "How it can be wrong",
    "When to silence",
    "How it was tested",
)


@pytest.mark.parametrize("kind", RAISED)
def test_a_kind_that_a_detector_raises_has_a_runbook_with_every_section(kind: FindingKind):
    page = (RUNBOOKS / f"{kind}.md").read_text(encoding="utf-8")

    assert page.startswith(f"# {kind}\n")
    chapters = re.split(r"^## ", page, flags=re.MULTILINE)[1:]
    assert [chapter.partition("\n")[0] for chapter in chapters] == list(SECTIONS)
    assert all(chapter.partition("\n")[2].strip() for chapter in chapters)
