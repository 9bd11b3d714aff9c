"""What the doctor says about one thing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Check", "Verdict"]


class Verdict(StrEnum):
    """OK; WARN: the agent works and something is missing; FAIL: devices of this machine cannot be read."""

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
