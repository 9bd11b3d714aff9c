"""The machine itself: CPU, memory, pressure, disks, file systems, network, from /proc and /sys or through psutil."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.core.catalog import Tier, host
from warpgauge.core.sample import ReadError, Sample
from warpgauge.exporters.collectors.host_subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from warpgauge.core.device import Device
    from warpgauge.exporters.collectors.host_filesystems import Size
    from warpgauge.exporters.collectors.host_linux import Linux as LinuxHost
    from warpgauge.exporters.collectors.host_portable import Portable as PortableHost

__all__ = ["HostCollector"]


class HostCollector:
    """Reads this machine; needs no privilege, and a source it cannot read costs that source's rows only."""

    name = "host"
    isolated = False

    def __init__(  # noqa: PLR0913 - each is a part of the world that a test hands in
        self,
        *,
        proc_root: str | Path = "/proc",
        sys_root: str | Path = "/sys",
        psutil: ModuleType | None = None,
        system: str = sys.platform,
        uname: Callable[[], platform.uname_result] = platform.uname,
        size: Callable[[str], Size] | None = None,
    ) -> None:
        self._uname = uname
        on_linux = system == "linux"
        self._source = _linux(Path(proc_root), Path(sys_root), size) if on_linux else _portable(psutil, size)
        self._subjects = (Subject("identity", (host.HOST_INFO,), self._identity), *self._source.subjects())

    def check(self) -> str | None:
        """None if this machine can be read, else why not."""
        return self._source.check()

    def devices(self) -> Sequence[Device]:
        """None: the host is no accelerator."""
        return ()

    def read(self, tier: Tier, device: Device | None = None) -> tuple[list[Sample], list[ReadError]]:  # noqa: ARG002 - the protocol's shape
        """Every row of that tier, Unavailable where there is no value."""
        samples: list[Sample] = []
        errors: list[ReadError] = []
        for subject in self._subjects:
            found, failed = subject.due(tier)
            samples += found
            errors += failed
        if tier is Tier.SLOW:
            errors += [ReadError("timeout", f"{path}: statvfs has not returned") for path in self._source.hung()]
        return samples, errors

    def close(self) -> None:
        """Nothing is held open."""

    def _identity(self) -> list[Sample]:
        name = self._uname()
        return [Sample(host.HOST_INFO, (name.node, name.system, name.release, name.machine), 1.0)]


def _linux(proc_root: Path, sys_root: Path, size: Callable[[str], Size] | None) -> LinuxHost:
    from warpgauge.exporters.collectors.host_linux import Linux  # noqa: PLC0415 - macOS and Windows need not load it

    return Linux(proc_root, sys_root, size)


def _portable(psutil: ModuleType | None, size: Callable[[str], Size] | None) -> PortableHost:
    from warpgauge.exporters.collectors.host_portable import Portable  # noqa: PLC0415 - Linux needs no psutil

    return Portable(psutil, size)
