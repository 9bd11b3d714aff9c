"""Rules about the fleet as a whole: what one device's alert cannot show."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.pipeline import AGENT_UP
from warpgauge.alerts.places import DEVICE, NODE, SLOWED_BY_HEAT
from warpgauge.alerts.rule import Group, RecordingRule, Rule
from warpgauge.core.catalog import device
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, select

__all__ = ["GROUP", "UNHEALTHY"]

_HEALTHY: Final = aggregate(
    "max", select(device.DEVICE_STATE, state=("ok", "degraded", "released", "denied")), by=DEVICE
)

UNHEALTHY: Final = RecordingRule(
    record="cluster:accel_unhealthy_devices:ratio", expr=f"1 - {aggregate('avg', _HEALTHY, by=('cluster',))}"
)

GROUP: Final = Group(
    name="fleet",
    rules=(
        UNHEALTHY,
        RecordingRule(
            record="cluster:accel_power_watts:sum",
            expr=aggregate(
                "sum",
                aggregate("max", select(device.POWER), by=("cluster", "node", "uuid")),
                by=("cluster",),
            ),
        ),
        Rule(
            alert="FleetDevicesUnhealthy",
            expr=f"{UNHEALTHY.record} > $threshold",
            hold="10m",
            threshold=0.05,
            labels=("cluster",),
            severity=Severity.CRITICAL,
            scope="fleet",
            dashboard="fleet",
            summary="{{ $value | humanizePercentage }} of the accelerators in {{ $labels.cluster }} are gone",
            description="""
                {{ $value | humanizePercentage }} of the accelerators in {{ $labels.cluster }} have been lost, hung or
                in need of a reset for $hold, more than $threshold%: one cause is more likely than many faults. First
                look: what they share (rack, driver, job), on the fleet dashboard.
            """,
        ),
        Rule(
            alert="FleetOverheating",
            expr=aggregate("count", aggregate("max", f"{SLOWED_BY_HEAT} > 0.1", by=NODE), by=("cluster",))
            + " >= $threshold",
            hold="5m",
            threshold=3.0,
            labels=("cluster",),
            severity=Severity.CRITICAL,
            scope="fleet",
            dashboard="fleet",
            summary='{{ printf "%.0f" $value }} nodes of {{ $labels.cluster }} are too hot at once',
            description="""
                Heat slows devices on {{ printf "%.0f" $value }} nodes of {{ $labels.cluster }} at the same time, for
                $hold: this is the room, not a fan. First look: inlet temperatures and the cooling plant. Devices shut
                themselves down if it goes on.
            """,
        ),
        Rule(
            alert="FleetDriversMixed",
            expr=aggregate(
                "count",
                aggregate("count", select(device.DRIVER_INFO), by=("cluster", "vendor", "driver_version")),
                by=("cluster", "vendor"),
            )
            + " > $threshold",
            hold="1d",
            threshold=1.0,
            labels=("cluster", "vendor"),
            severity=Severity.INFO,
            scope="fleet",
            dashboard="fleet",
            summary='{{ $labels.cluster }} runs {{ printf "%.0f" $value }} versions of the {{ $labels.vendor }} driver',
            description="""
                {{ $labels.cluster }} has run {{ printf "%.0f" $value }} versions of the {{ $labels.vendor }} driver for
                $hold: jobs behave differently by where they land. First look: the drivers on the fleet dashboard,
                where the rarest stand first; finish or undo the upgrade.
            """,
        ),
        Rule(
            alert="FleetAgentsDown",
            expr=f"1 - {aggregate('avg', AGENT_UP, by=('cluster',))} > $threshold",
            hold="5m",
            threshold=0.1,
            labels=("cluster",),
            severity=Severity.CRITICAL,
            scope="fleet",
            dashboard="fleet",
            summary="{{ $value | humanizePercentage }} of the agents in {{ $labels.cluster }} do not answer",
            description="""
                Prometheus has not reached {{ $value | humanizePercentage }} of the agents in {{ $labels.cluster }} for
                $hold: a network, a rollout or a power feed rather than single nodes. First look: what the unreachable
                nodes share.
            """,
        ),
    ),
)
