"""A /proc of a test's own: processes that come, change and end."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONTAINER_ID = "4d9b" * 16
POD_UID = "0b6a2c1e-5f0d-4c1b-9a53-8f3c1d2e4f50"
DOCKER_CGROUP = f"0::/system.slice/docker-{CONTAINER_ID}.scope\n"
POD_CGROUP = (
    f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_UID.replace('-', '_')}.slice/"
    f"cri-containerd-{CONTAINER_ID}.scope\n"
)


@dataclass
class FakeProc:
    """Writes what the kernel would show below `root`."""

    root: Path

    def start(
        self, pid: int, *, started: int = 4242, cgroup: str = "0::/\n", parent: int = 1, **environment: str
    ) -> None:
        folder = self.root / str(pid)
        folder.mkdir(parents=True, exist_ok=True)
        words = ["S", str(parent), *["0"] * 17, str(started), "4096", "10"]
        (folder / "stat").write_text(f"{pid} (a) R (b) {' '.join(words)}\n")
        (folder / "cgroup").write_text(cgroup)
        (folder / "environ").write_bytes(b"".join(f"{name}={value}\0".encode() for name, value in environment.items()))

    def opens(self, pid: int, *paths: str) -> None:
        """Let a process have these files open."""
        folder = self.root / str(pid) / "fd"
        folder.mkdir(exist_ok=True)
        for number, path in enumerate(paths):
            (folder / str(number)).symlink_to(path)

    def end(self, pid: int) -> None:
        shutil.rmtree(self.root / str(pid))

    def nvidia(self, address: str, *, minor: int) -> None:
        """Let NVIDIA's kernel module tell which device file a GPU has."""
        folder = self.root / "driver/nvidia/gpus" / address
        folder.mkdir(parents=True)
        (folder / "information").write_text(f"Model: \t\t NVIDIA H100\nDevice Minor: \t {minor}\n")
