"""Two promises and how fast their error budgets burn: telemetry is fresh, and devices are there to be used.

Multi-window, multi-burn-rate (Google SRE workbook, chapter 5; windows and factors as kubernetes-mixin has them): an
alert needs both a long window, so that it means something, and a short one, so that it ends when the trouble does.
"""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.fleet import UNHEALTHY
from warpgauge.alerts.pipeline import AGENT_UP
from warpgauge.alerts.rule import Group, RecordingRule, Rule
from warpgauge.core.catalog import device
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, select

__all__ = ["GROUP", "WINDOWS"]

WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
FAST: Final = (("1h", "5m", 14.4), ("6h", "30m", 6.0))  # 2 % of a month's budget in 1 h, 5 % in 6 h
SLOW: Final = (("1d", "2h", 3.0), ("3d", "6h", 1.0))  # 10 % in a day, 10 % in three days
FRESH_SECONDS: Final = 60

_TARGET: Final = ("cluster", "node", "instance")
_UP: Final = aggregate("max", AGENT_UP, by=_TARGET)
_FRESH: Final = aggregate("avg", f"(time() - {select(device.LAST_SAMPLE)} < bool {FRESH_SECONDS})", by=_TARGET)

STALE: Final = RecordingRule(
    record="cluster:accel_stale_telemetry:ratio",
    # A target that is down has no devices to show: its own 0 counts. One without any devices is as fresh as it is up.
    expr=f"1 - {aggregate('avg', f'({_UP} * on (cluster, node, instance) {_FRESH} or {_UP})', by=('cluster',))}",
)


def _windows(source: RecordingRule, name: str) -> tuple[RecordingRule, ...]:
    return tuple(
        RecordingRule(record=f"cluster:{name}:ratio_avg{window}", expr=f"avg_over_time({source.record}[{window}])")
        for window in WINDOWS
    )


def _burning(name: str, pairs: tuple[tuple[str, str, float], ...]) -> str:
    """True while any pair of windows burns; the value is the long window's share of errors."""
    return " or ".join(
        f"(cluster:{name}:ratio_avg{long} > {factor:g} * (1 - $threshold) and "
        f"cluster:{name}:ratio_avg{short} > {factor:g} * (1 - $threshold))"
        for long, short, factor in pairs
    )


def _burn(  # noqa: PLR0913 - what differs between the four
    name: str, promise: str, look: str, dashboard: str, *, source: str, objective: float, is_fast: bool
) -> Rule:
    days = "days" if is_fast else "weeks"
    return Rule(
        alert=f"{name}{'Fast' if is_fast else 'Slow'}",
        expr=_burning(source, FAST if is_fast else SLOW),
        hold="2m" if is_fast else "1h",
        threshold=objective,
        labels=("cluster",),
        severity=Severity.CRITICAL if is_fast else Severity.WARNING,
        scope="fleet",
        dashboard=dashboard,
        summary=f"{{{{ $labels.cluster }}}} breaks its promise that {promise}: error budget gone in {days}",
        description=f"""
            {{{{ $value | humanizePercentage }}}} missed where $threshold% is promised ({promise}, in
            {{{{ $labels.cluster }}}}). At this pace a month's budget is used up in {days}. First look: {look}
        """,
    )


_TELEMETRY: Final = ("TelemetryFreshnessBurn", f"telemetry is younger than {FRESH_SECONDS} seconds",
                     "AgentDown, DeviceDataStale and CollectorFailing say where.", "telemetry")  # fmt: skip
_HEALTH: Final = (
    "HealthyDeviceHoursBurn",
    "accelerators can be used",
    "DeviceLost and DeviceRecoveryNeeded say which.",
    "fleet",
)

GROUP: Final = Group(
    name="slo",
    rules=(
        STALE,
        *_windows(STALE, "accel_stale_telemetry"),
        *_windows(UNHEALTHY, "accel_unhealthy_devices"),
        *(
            _burn(*_TELEMETRY, source="accel_stale_telemetry", objective=0.995, is_fast=is_fast)
            for is_fast in (True, False)
        ),
        *(
            _burn(*_HEALTH, source="accel_unhealthy_devices", objective=0.99, is_fast=is_fast)
            for is_fast in (True, False)
        ),
    ),
)
