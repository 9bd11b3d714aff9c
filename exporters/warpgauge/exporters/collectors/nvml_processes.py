"""Compute processes on one GPU: memory and utilization of each, at most so many.

Off unless asked for: a process is a new series, and the call is slow (4.5 ms seen on one board). A process that ended
is not in the next reading. Where the driver and this agent see different PID namespaces, names may be another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Tier, own, process
from warpgauge.exporters.collectors.nvml_api import CallFailedError, Verdict, constant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Reading

__all__ = ["Processes", "Usage", "process_names", "to_readings"]

PERCENT: Final = 0.01
_LARGEST_PID: Final = 1 << 22  # the kernel's PID_MAX_LIMIT
_LARGEST_MEMORY: Final = 1 << 44  # 16 TiB, many times the largest board's
_LISTS: Final = ("nvmlDeviceGetComputeRunningProcesses", "nvmlDeviceGetComputeRunningProcesses_v2")
_LONGEST_NAME: Final = 64  # bytes; the kernel keeps 15
_ENGINES: Final = {"compute": "smUtil", "memory": "memUtil", "encoder": "encUtil", "decoder": "decUtil"}
_FATAL: Final = {Verdict.LOST, Verdict.NEEDS_RESET, Verdict.DRIVER}


@dataclass(frozen=True, slots=True)
class Usage:
    """Shares of the driver's sample period by engine, 0-1."""

    stamp: int  # microseconds on the driver's clock
    ratios: tuple[float, ...]


class Processes:
    """Reads the processes of one GPU."""

    name = "processes"
    tier = Tier.NORMAL

    def __init__(self, api: NvmlApi, handle: Any, most: int, name_of: Callable[[int], str]) -> None:  # noqa: ANN401 - an opaque pointer
        self._api = api
        self._handle = handle
        self._most = most
        self._name_of = name_of
        self._lists = list(_LISTS)
        self._last_seen: int | None = None  # stamp of the newest sample; None before the first question
        self._has_usage = True

    def read(self) -> Iterable[Reading]:
        """Each process's memory and utilization, those with most memory first, and how many were left out.

        Raises:
            CallFailedError: this board has no list of processes, or gave none.

        """
        return to_readings(self._listed(), self._usage(), self._most, self._name_of)

    def _listed(self) -> dict[int, int | None]:
        """Memory by PID; None where the driver does not tell (WDDM, permission).

        Some 535 drivers have another structure behind the newest call than its version says, so from the second process
        on PIDs and sizes are garbled: https://github.com/XuehaiPan/nvitop/issues/88. There the older call is made.
        """
        while True:
            raw = self._api.call(self._lists[0], self._handle)
            listed = [(int(one.pid), None if one.usedGpuMemory is None else int(one.usedGpuMemory)) for one in raw]
            if not _is_garbled(listed):
                return _by_pid(listed)
            if len(self._lists) == 1:
                detail = f"{self._lists[0]}: PIDs or sizes that cannot be; this driver's structure is another one"
                raise CallFailedError(Verdict.UNSUPPORTED, constant("NVML_ERROR_ARGUMENT_VERSION_MISMATCH"), detail)
            del self._lists[0]

    def _usage(self) -> Mapping[int, Usage] | None:
        """What was used since the last question, by PID; who is not in it used nothing. None where nobody can tell.

        The first answer holds all that the driver still remembers, however old, so it only sets the mark.
        """
        if not self._has_usage:
            return None
        before = self._last_seen
        try:
            raw = self._api.call("nvmlDeviceGetProcessUtilization", self._handle, before or 0)
        except CallFailedError as failure:
            # pynvml raises NVMLError(0) where the driver says "success, no samples".
            if failure.verdict is not Verdict.EMPTY and failure.code != constant("NVML_SUCCESS"):
                self._give_up_usage(failure)
                return None
            raw = []
        self._last_seen = max((int(one.timeStamp) for one in raw), default=before or 0)
        return None if before is None else _newest(raw, before)

    def _give_up_usage(self, failure: CallFailedError) -> None:
        if failure.verdict in _FATAL:
            raise failure
        self._has_usage = failure.verdict is not Verdict.UNSUPPORTED


def to_readings(
    listed: Mapping[int, int | None], usage: Mapping[int, Usage] | None, most: int, name_of: Callable[[int], str]
) -> Iterable[Reading]:
    """At most `most` processes, those with most memory first, and how many there are beyond."""
    kept = sorted(listed, key=lambda pid: (-(listed[pid] or 0), pid))[:most]
    for pid in kept:
        identity, memory = (str(pid), name_of(pid)), listed[pid]
        if memory is not None:
            yield process.PROCESS_MEMORY, identity, float(memory)
        if usage is not None:
            ratios = usage[pid].ratios if pid in usage else (0.0,) * len(_ENGINES)
            pairs = zip(_ENGINES, ratios, strict=True)
            yield from ((process.PROCESS_UTILIZATION, (*identity, engine), ratio) for engine, ratio in pairs)
    yield own.PROCESSES_LEFT_OUT, (), float(len(listed) - len(kept))


def process_names(proc_root: str) -> Callable[[int], str]:
    """A process's short name by PID; empty where it cannot be read, printable characters only."""

    def name_of(pid: int) -> str:
        try:
            with open(f"{proc_root}/{pid}/comm", "rb", buffering=0) as file:  # noqa: PTH123 - a Path per process costs more than its reading
                text = file.read(_LONGEST_NAME).decode("utf-8", "replace")
        except OSError:  # it ended meanwhile, or lives where we do not see it
            return ""
        return "".join(character for character in text if character.isprintable()).strip()

    return name_of


def _is_garbled(listed: Sequence[tuple[int, int | None]]) -> bool:
    return any(not 0 < pid <= _LARGEST_PID or (memory or 0) > _LARGEST_MEMORY for pid, memory in listed)


def _by_pid(listed: Iterable[tuple[int, int | None]]) -> dict[int, int | None]:
    """One entry a process: on a partitioned board the driver lists one per instance."""
    found: dict[int, int | None] = {}
    for pid, memory in listed:
        known = found.get(pid)
        found[pid] = memory if known is None else known + (memory or 0)
    return found


def _newest(raw: Iterable[Any], after: int) -> dict[int, Usage]:
    """The newest sample of each process."""
    found: dict[int, Usage] = {}
    for one in raw:
        pid, stamp = int(one.pid), int(one.timeStamp)
        if stamp > after and (pid not in found or stamp > found[pid].stamp):
            found[pid] = Usage(stamp, tuple(_ratio(getattr(one, member)) for member in _ENGINES.values()))
    return found


def _ratio(percent: Any) -> float:  # noqa: ANN401 - an integer from ctypes
    return min(1.0, int(percent) * PERCENT)
