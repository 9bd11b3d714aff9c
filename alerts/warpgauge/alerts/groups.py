"""Every rule group, by subject; `make new-alert` adds its line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.alerts import device, host, job, pipeline

if TYPE_CHECKING:
    from warpgauge.alerts.rule import Group, Rule

__all__ = ["GROUPS", "alerts"]

GROUPS: Final[tuple[Group, ...]] = (
    device.GROUP,
    host.GROUP,
    job.GROUP,
    pipeline.GROUP,
)
"""One rule file each."""


def alerts() -> tuple[Rule, ...]:
    """Every alert of every group."""
    return tuple(rule for group in GROUPS for rule in group.alerts)
