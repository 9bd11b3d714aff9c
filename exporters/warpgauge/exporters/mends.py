"""Failures of a driver as a whole that the agent cannot mend by starting its child again, and who can."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import own

if TYPE_CHECKING:
    from warpgauge.exporters.tally import Tally

__all__ = ["MENDS", "put_restart_needed"]

MENDS: Final = {
    "library_mismatch": "the driver's kernel module and library are of different versions: in a container, restart it; "
    "elsewhere load the modules anew or reboot",
    "unknown": "the driver gives no reason: in a container, restart it, its device rules were most likely rewritten; "
    "elsewhere look for NVRM lines in dmesg and load the modules anew",
}
"""Reason of a `Failed` -> what a person has to do. Until it is done the agent tries on."""


def put_restart_needed(tally: Tally, collector: str, reason: str | None) -> None:
    """Say for which reason a restart outside of the agent is needed; None or another reason: for none."""
    for word in MENDS:
        if word == reason:
            tally.put(own.RESTART_NEEDED, collector, word, value=1.0)
        else:
            tally.remove(own.RESTART_NEEDED, collector, word)
