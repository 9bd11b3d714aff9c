"""InfiniBand and RoCE ports through /sys/class/infiniband: counters, state, speed, errors, congestion, PCIe paths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Tier
from warpgauge.core.catalog import infiniband as rows
from warpgauge.core.sample import ReadError, Sample
from warpgauge.exporters.collectors import infiniband_sysfs as sysfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.core.device import Device
    from warpgauge.exporters.collectors.infiniband_sysfs import Port

__all__ = ["InfinibandCollector"]

_MOST_PORTS: Final = 64


class InfinibandCollector:
    """Reads every port of every RDMA device; needs no privilege. A file that is not there costs its own series."""

    name = "infiniband"
    isolated = False

    def __init__(self, *, sys_root: str | Path = "/sys", accelerators: Callable[[], Iterable[Device]] = tuple) -> None:
        """`accelerators` are the devices whose distance to each port is told."""
        self._sys_root = Path(sys_root)
        self._accelerators = accelerators

    def check(self) -> str | None:
        """None if there is a port, else that there is none."""
        return None if sysfs.ports(self._sys_root) else "no InfiniBand or RoCE port on this machine"

    def devices(self) -> Sequence[Device]:
        """None: a port is no accelerator."""
        return ()

    def read(self, tier: Tier, device: Device | None = None) -> tuple[list[Sample], list[ReadError]]:  # noqa: ARG002 - the protocol's shape
        """Every row of that tier, for the ports that are there now."""
        samples: list[Sample] = []
        errors: list[ReadError] = []
        for port in sysfs.ports(self._sys_root)[:_MOST_PORTS]:
            samples += _counters(port, tier, errors)
            if tier is Tier.FAST:
                samples += _state(port, rows.STATE, port.text("state", errors))
            elif tier is Tier.NORMAL:
                samples += _state(port, rows.PHYSICAL_STATE, port.text("phys_state", errors))
                rate = sysfs.rate(port.text("rate", errors))
                samples += [] if rate is None else [Sample(rows.RATE, port.labels, rate)]
            else:
                samples.append(Sample(rows.INFO, (*port.labels, *port.description(errors)), 1.0))
        return (samples if tier is not Tier.SLOW else [*samples, *self._paths()]), errors

    def close(self) -> None:
        """Nothing is held open."""

    def _paths(self) -> Iterable[Sample]:
        """Each RDMA device's way to each accelerator, where the kernel tells it."""
        hosts = {port.device: port for port in sysfs.ports(self._sys_root)[:_MOST_PORTS]}
        for accelerator in self._accelerators():
            place = self._sys_root / "bus/pci/devices" / accelerator.pci_bus_id.lower()
            for name, port in hosts.items():
                path = sysfs.path_between(port.pci, place) if accelerator.pci_bus_id else None
                if path is not None:
                    yield Sample(rows.PATH_INFO, (name, accelerator.uuid, path), 1.0)


def _counters(port: Port, tier: Tier, errors: list[ReadError]) -> Iterable[Sample]:
    for counter in sysfs.COUNTERS:
        if counter.row.tier is tier:
            value = sysfs.count(port.text(counter.file, errors))
            if value is not None:
                yield Sample(counter.row, (*port.labels, *counter.labels), float(value * counter.factor))


def _state(port: Port, row: Metric, text: str | None) -> Iterable[Sample]:
    """One series a state; none at all for a state that nobody has described."""
    state = sysfs.state(text)
    if state not in row.states:
        return ()
    return [Sample(row, (*port.labels, one), float(one == state)) for one in row.states]
