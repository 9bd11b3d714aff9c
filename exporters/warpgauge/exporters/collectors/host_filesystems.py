"""Sizes of mounted file systems, read so that a mount that hangs costs one thread and nothing else."""

from __future__ import annotations

import os
import queue
import re
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from warpgauge.core.catalog import host
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.errors import InputError
from warpgauge.core.sample import Sample, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Answer", "Mount", "Size", "SizeProbe", "mounts", "size_of", "to_samples"]

# Defaults of node_exporter (collector/filesystem_linux.go): no size of their own, or shown elsewhere.
_SKIPPED_TYPES: Final = re.compile(
    r"autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|erofs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|"
    r"overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs"
)
_SKIPPED_MOUNTS: Final = re.compile(
    r"/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"
)
_OCTAL: Final = re.compile(r"\\([0-7]{3})")
_MOUNT_COLUMNS: Final = 4


class Mount(NamedTuple):
    """One line of /proc/mounts; the fields are the labels of the file system's series."""

    device: str
    mountpoint: str
    fstype: str


class Size(NamedTuple):
    """What statvfs says of a file system; `available_bytes` is what an ordinary user could still fill."""

    size_bytes: float
    available_bytes: float


def mounts(text: str, *, place: str) -> list[Mount]:
    """File systems with a size of their own, each once."""
    found: dict[Mount, None] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split(" ")
        if len(words) < _MOUNT_COLUMNS:
            msg = f"{place}:{number}: not a mount"
            raise InputError(msg)
        mount = Mount(*(_OCTAL.sub(lambda match: chr(int(match[1], 8)), word) for word in words[:3]))
        if not _SKIPPED_TYPES.fullmatch(mount.fstype) and not _SKIPPED_MOUNTS.match(mount.mountpoint):
            found[mount] = None
    return list(found)


def size_of(path: str) -> Size:
    """Ask the kernel; may block for ever on a dead network mount."""
    answer = os.statvfs(path)
    return Size(float(answer.f_blocks * answer.f_frsize), float(answer.f_bavail * answer.f_frsize))


Answer = Size | Unavailable


@dataclass(slots=True)
class _Worker:
    """One thread's share of a reading: what is left to ask, what it asks now, whether anybody still waits for it."""

    pending: deque[str]
    answers: queue.SimpleQueue[tuple[str, Answer]]
    asking: str | None = None
    is_abandoned: bool = False


class SizeProbe:
    """Asks for the sizes of many file systems with at most one call in flight per mount point.

    One worker thread asks them one after the other. When it does not come back within `patience_seconds` the mount
    counts as hung and another worker goes on with the rest; the hung mount is left out until its call returns
    (prometheus/node_exporter#578 and #997: without that every reading leaks one more thread).
    """

    def __init__(
        self,
        ask: Callable[[str], Size] = size_of,
        *,
        patience_seconds: float = 0.2,
        deadline_seconds: float = 0.5,
        max_hung: int = 32,
        clock: Clock | None = None,
    ) -> None:
        self._ask = ask
        self._patience_seconds = patience_seconds
        self._deadline_seconds = deadline_seconds
        self._max_hung = max_hung
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()  # guards _hung and every worker's fields
        self._hung: set[str] = set()

    def hung(self) -> frozenset[str]:
        """Paths whose call was given up and has not returned since."""
        with self._lock:
            return frozenset(self._hung)

    def sizes(self, paths: Iterable[str]) -> dict[str, Answer]:
        """Size of every path, or why there is none; returns within the deadline."""
        hung = self.hung()
        wanted = dict.fromkeys(paths)
        waiting = [path for path in wanted if path not in hung] if len(hung) < self._max_hung else []
        answers = self._ask_all(waiting) if waiting else {}
        now_hung = self.hung()
        return {path: answers.get(path) or _silence(path, now_hung) for path in wanted}

    def _ask_all(self, waiting: list[str]) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        worker = self._start(_Worker(deque(waiting), queue.SimpleQueue()))
        until = self._clock.monotonic() + self._deadline_seconds
        while len(answers) + len(self.hung() & set(waiting)) < len(waiting):
            seconds = min(self._patience_seconds, until - self._clock.monotonic())
            if seconds <= 0:
                break
            try:
                path, answer = worker.answers.get(timeout=seconds)
                answers[path] = answer
            except queue.Empty:
                if self._abandon(worker) and len(self.hung()) < self._max_hung:
                    worker = self._start(_Worker(worker.pending, worker.answers))
        self._abandon(worker)
        worker.pending.clear()
        return answers

    def _start(self, worker: _Worker) -> _Worker:
        threading.Thread(target=self._work, args=(worker,), name="warpgauge-statvfs", daemon=True).start()
        return worker

    def _abandon(self, worker: _Worker) -> bool:
        """Leave a worker alone with the call it waits for; False if it waits for none."""
        with self._lock:
            if worker.asking is None:
                return False
            self._hung.add(worker.asking)
            worker.is_abandoned = True
            return True

    def _work(self, worker: _Worker) -> None:
        while path := self._next(worker):
            answer = self._answer(path)
            with self._lock:
                worker.asking = None
                if worker.is_abandoned:
                    self._hung.discard(path)
                    return
                worker.answers.put((path, answer))

    def _answer(self, path: str) -> Answer:
        try:
            return self._ask(path)
        except OSError as error:
            return Unavailable(f"statvfs: {error.strerror}")
        except Exception as error:  # noqa: BLE001 - a worker that died of it would look like a mount that hangs
            return Unavailable(f"statvfs: {error!r}")  # such as a ValueError: a mount point with a NUL in it

    def _next(self, worker: _Worker) -> str | None:
        with self._lock:
            worker.asking = worker.pending.popleft() if worker.pending else None
            return worker.asking


def _silence(path: str, hung: frozenset[str]) -> Unavailable:
    return Unavailable("statvfs has not returned") if path in hung else Unavailable("not asked: other mounts hang")


def to_samples(paths: Mapping[Mount, str], answers: Mapping[str, Answer]) -> list[Sample]:
    """Both rows of every mount."""
    samples: list[Sample] = []
    for mount, path in paths.items():
        answer = answers[path]
        size, available = answer if isinstance(answer, Size) else (answer, answer)
        samples.append(Sample(host.FILESYSTEM_SIZE, tuple(mount), size))
        samples.append(Sample(host.FILESYSTEM_AVAILABLE, tuple(mount), available))
    return samples
