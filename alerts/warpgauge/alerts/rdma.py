"""Rules about InfiniBand and RoCE ports: one that is down, slow or damaged stalls every job that crosses it."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import NODE
from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import infiniband
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, over_time, rate, select

__all__ = ["GROUP"]

PORT: Final = (*NODE, "device", "port")
ON_PORT: Final = f"on ({', '.join(PORT)})"
AT_PORT: Final = "{{ $labels.node }} {{ $labels.device }} port {{ $labels.port }}"

# Errors of the cable and the link; those of packets and of the transport have many harmless reasons.
_OF_THE_LINK: Final = ("symbol", "link_recovery", "link_downed", "local_link_integrity", "receive_remote_physical")
_ACTIVE: Final = aggregate("max", select(infiniband.STATE, state="active"), by=PORT)
_WAS_ACTIVE: Final = aggregate("max", over_time("max", infiniband.STATE, "1d", state="active"), by=PORT)
_RATE: Final = aggregate("max", select(infiniband.RATE), by=PORT)
_FASTEST: Final = aggregate("max", over_time("max", infiniband.RATE, "1d"), by=PORT)
_DAMAGE: Final = aggregate("sum", rate(infiniband.ERRORS, "10m", error=_OF_THE_LINK), by=PORT)

GROUP: Final = Group(
    name="rdma",
    rules=(
        Rule(
            alert="InfinibandPortDown",
            expr=f"{_ACTIVE} == 0 and {ON_PORT} {_WAS_ACTIVE} == 1",
            hold="2m",
            labels=PORT,
            severity=Severity.CRITICAL,
            scope="fabric",
            dashboard="interconnect",
            summary=f"{AT_PORT} is down",
            description="""
                Port {{ $labels.port }} of {{ $labels.device }} on {{ $labels.node }} has not been active for $hold, and
                was within the last day: jobs that use it stall or fail. A port that nobody ever plugged in is not
                meant. First look: `ibstat {{ $labels.device }}` on the node, then the cable and the switch's port.
            """,
        ),
        Rule(
            alert="InfinibandPortSlow",
            expr=f"{_RATE} / {_FASTEST} < $threshold",
            hold="10m",
            threshold=0.95,
            labels=PORT,
            severity=Severity.WARNING,
            scope="fabric",
            dashboard="interconnect",
            summary=f"{AT_PORT} runs at {{{{ $value | humanizePercentage }}}} of its speed",
            description="""
                Port {{ $labels.port }} of {{ $labels.device }} on {{ $labels.node }} has run at {{ $value |
                humanizePercentage }} of the speed it had within the last day, for $hold: it trained with fewer lanes or
                at a lower rate. First look: `ibstat {{ $labels.device }}`, then reseat the cable.
            """,
        ),
        Rule(
            alert="InfinibandLinkErrors",
            expr=f"{_DAMAGE} > $threshold",
            hold="10m",
            threshold=0.1,
            labels=PORT,
            severity=Severity.WARNING,
            scope="fabric",
            dashboard="interconnect",
            summary=f'{AT_PORT} has {{{{ printf "%.1f" $value }}}} link errors a second',
            description="""
                Port {{ $labels.port }} of {{ $labels.device }} on {{ $labels.node }} has counted {{ printf "%.1f"
                $value }} errors of its link a second for $hold: bits arrive damaged and are sent again. First look:
                whether the far end counts them too (`perfquery`), then cable and transceiver.
            """,
        ),
    ),
)
