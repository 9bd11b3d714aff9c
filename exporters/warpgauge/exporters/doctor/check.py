"""What the doctor says about one thing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Check", "Verdict"]


class Verdict(StrEnum):
    """OK; WARN: the agent works and something is missing; FAIL: devices cannot be read, or a sink takes nothing."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; whatever is not OK has a mend, a sentence that tells what to do."""

    subject: str
    verdict: Verdict
    detail: str
    mend: str = ""
