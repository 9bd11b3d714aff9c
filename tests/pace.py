"""How much slower this machine is now than one that only runs these tests: what real programs may take is multiplied.

A bound in a test of real processes tells a program that hangs, or does the wrong thing first, from one that is well. On
a machine that does much else the well ones are late too. Where `make test` is all that runs each bound is as it is
written, or nearly.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Final

from tests.workers import WORKERS_OF_A_CPU

__all__ = ["LONGEST_WAIT_SECONDS", "pace"]

LONGEST_WAIT_SECONDS: Final = 240.0  # pytest ends the whole run where a test takes 300 s


def pace() -> float:
    """Processes per CPU in the last minute over those that `make test` itself keeps busy, at least 1."""
    with suppress(OSError):  # a system that does not tell its load is taken to have none
        return max(1.0, os.getloadavg()[0] / (WORKERS_OF_A_CPU * (os.cpu_count() or 1)))
    return 1.0
