"""Rules about nodes that lose room, time or devices."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.places import NODE
from warpgauge.alerts.rule import Group, RecordingRule, Rule
from warpgauge.core.catalog import device, host
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, rate, select

__all__ = ["GROUP"]

MOUNT: Final = (*NODE, "mountpoint")

DEVICES: Final = RecordingRule(
    record="node:accel_devices:count", expr=aggregate("count", select(device.DEVICE_UP), by=NODE)
)
FREE: Final = RecordingRule(
    record="node:host_filesystem_available:ratio",
    expr=f"{aggregate('max', select(host.FILESYSTEM_AVAILABLE), by=MOUNT)} / "
    f"{aggregate('max', select(host.FILESYSTEM_SIZE), by=MOUNT)}",
)


def _stalled(resource: str) -> str:
    """Share of the last five minutes in which every task waited for a resource, 0-1."""
    return aggregate("max", rate(host.PRESSURE_SECONDS, "5m", resource=resource, scope="full"), by=NODE)


GROUP: Final = Group(
    name="node",
    rules=(
        DEVICES,
        FREE,
        Rule(
            alert="NodeDevicesMissing",
            expr=f"max_over_time({DEVICES.record}[1d]) - {DEVICES.record} > 0",
            hold="5m",
            labels=NODE,
            severity=Severity.CRITICAL,
            scope="node",
            dashboard="node",
            summary='{{ $labels.node }} has {{ printf "%.0f" $value }} accelerators less than within the last day',
            description="""
                {{ printf "%.0f" $value }} accelerators that {{ $labels.node }} had within the last day are not even
                listed any more: they fell off the bus before the agent or the driver started, so nothing calls them
                lost. First look: `lspci | grep -i nvidia` against `nvidia-smi -L`. Drain the node.
            """,
        ),
        Rule(
            alert="NodeRebooted",
            expr=f"time() - {aggregate('max', select(host.BOOT_TIME), by=NODE)} < 600",
            labels=NODE,
            severity=Severity.INFO,
            scope="node",
            dashboard="host",
            summary="{{ $labels.node }} started {{ $value | humanizeDuration }} ago",
            description="""
                {{ $labels.node }} booted {{ $value | humanizeDuration }} ago; whatever ran there is gone. First look:
                was it planned? If not: `journalctl -b -1 -e` and the BMC's event log.
            """,
        ),
        Rule(
            alert="HostFilesystemFull",
            expr=f"{FREE.record} < $threshold",
            hold="10m",
            threshold=0.05,
            labels=MOUNT,
            severity=Severity.WARNING,
            scope="node",
            dashboard="host",
            summary="{{ $labels.mountpoint }} of {{ $labels.node }} has {{ $value | humanizePercentage }} left",
            description="""
                Only {{ $value | humanizePercentage }} of the file system {{ $labels.mountpoint }} on {{ $labels.node }}
                is free, for $hold. Checkpoints and data caches fail next, often hours into a job. First look: `du -xh
                --max-depth=2 {{ $labels.mountpoint }} | sort -h | tail`.
            """,
        ),
        Rule(
            alert="HostFilesystemFilling",
            expr=f"predict_linear({FREE.record}[6h], 86400) < 0 and {FREE.record} < $threshold",
            hold="1h",
            threshold=0.4,
            labels=MOUNT,
            severity=Severity.WARNING,
            scope="node",
            dashboard="host",
            summary="{{ $labels.mountpoint }} of {{ $labels.node }} will be full within a day",
            description="""
                At the pace of the last 6 hours the file system {{ $labels.mountpoint }} on {{ $labels.node }} is full
                within a day; less than $threshold% is free now. First look: which folder grows, `du -xh --max-depth=2
                {{ $labels.mountpoint }} | sort -h | tail`.
            """,
        ),
        Rule(
            alert="HostMemoryStalls",
            expr=f"{_stalled('memory')} > $threshold",
            hold="5m",
            threshold=0.1,
            labels=NODE,
            severity=Severity.WARNING,
            scope="node",
            dashboard="host",
            summary="All work on {{ $labels.node }} waits for memory {{ $value | humanizePercentage }} of the time",
            description="""
                For $hold every task on {{ $labels.node }} has waited for memory {{ $value | humanizePercentage }} of
                the time: the machine reclaims pages instead of working. First look: `ps -eo rss,pid,user,args
                --sort=-rss | head`.
            """,
        ),
        Rule(
            alert="HostIoStalls",
            expr=f"{_stalled('io')} > $threshold",
            hold="15m",
            threshold=0.3,
            labels=NODE,
            severity=Severity.WARNING,
            scope="node",
            dashboard="host",
            summary="All work on {{ $labels.node }} waits for storage {{ $value | humanizePercentage }} of the time",
            description="""
                For $hold every task on {{ $labels.node }} has waited for storage {{ $value | humanizePercentage }} of
                the time: loaders and checkpoints are held up. First look: `iostat -x 5`, and mounts that other nodes
                wait for too.
            """,
        ),
    ),
)
