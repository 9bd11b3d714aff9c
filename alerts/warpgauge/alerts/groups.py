"""Every rule group, by subject; `make new-alert` adds its line here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.alerts import (
    device,
    fabric,
    fleet,
    host,
    job,
    memory,
    node,
    pipeline,
    queues,
    rdma,
    serving,
    slo,
    slowdown,
    training,
    vendor,
    watchers,
    xid,
)

if TYPE_CHECKING:
    from warpgauge.alerts.rule import Group, Rule

__all__ = ["GROUPS", "alerts"]

GROUPS: Final[tuple[Group, ...]] = (
    device.GROUP,
    fabric.GROUP,
    fleet.GROUP,
    host.GROUP,
    job.GROUP,
    memory.GROUP,
    node.GROUP,
    pipeline.GROUP,
    queues.GROUP,
    rdma.GROUP,
    serving.GROUP,
    slo.GROUP,
    slowdown.GROUP,
    training.GROUP,
    vendor.GROUP,
    watchers.GROUP,
    xid.GROUP,
)
"""One rule file each."""


def alerts() -> tuple[Rule, ...]:
    """Every alert of every group."""
    return tuple(rule for group in GROUPS for rule in group.alerts)
