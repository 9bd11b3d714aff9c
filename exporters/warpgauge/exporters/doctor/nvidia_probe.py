"""Asks the NVIDIA driver a few questions, each named before it is asked.

Started by `doctor.nvidia` as a process of its own, because the driver can hang or crash: what was printed last then
tells where. One JSON object a line: {"at": "..."} before a question, {"driver": {...}} once, {"gpu": {...}} for each
GPU, {"failed": {...}} for a question that got no answer.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from warpgauge.core.clock import SystemClock
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.child import die_with_parent
from warpgauge.exporters.collectors.nvml_api import PYNVML, CallFailedError, NvmlApi

__all__ = ["main"]

_ABOUT_GPU: Final = {
    "name": "nvmlDeviceGetName",
    "uuid": "nvmlDeviceGetUUID",
    "persistence_mode": "nvmlDeviceGetPersistenceMode",
    "processes": "nvmlDeviceGetComputeRunningProcesses",
}


class _Probe:
    def __init__(self) -> None:
        self._api = NvmlApi(PYNVML, CallTimes(), SystemClock())

    def run(self) -> None:
        if self._ask("driver", "nvmlInit", is_needed=True) is None:
            return
        version = self._ask("driver", "nvmlSystemGetDriverVersion")
        library = self._ask("driver", "nvmlSystemGetNVMLVersion")
        count = self._ask("driver", "nvmlDeviceGetCount", is_needed=True)
        _say(driver={"driver_version": version, "library_version": library, "gpus": count})
        for index in range(int(count or 0)):
            self._gpu(index)

    def _gpu(self, index: int) -> None:
        place = f"GPU {index}"
        handle = self._ask(place, "nvmlDeviceGetHandleByIndex", index, is_needed=True)
        if handle is None:
            return
        facts: dict[str, Any] = {"index": index}
        for fact, function in _ABOUT_GPU.items():
            answer = self._ask(place, function, handle)
            facts[fact] = len(answer) if isinstance(answer, list) else answer
        gpm = self._ask(place, "nvmlGpmQueryDeviceSupport", handle)
        facts["gpm"] = None if gpm is None else bool(gpm.isSupportedDevice)
        _say(gpu=facts)

    def _ask(self, place: str, function: str, *arguments: object, is_needed: bool = False) -> Any:  # noqa: ANN401 - what pynvml gives
        _say(at=f"{place}: {function}")
        try:
            result = self._api.call(function, *arguments)
        except CallFailedError as failure:
            about = {"place": place, "reason": failure.verdict.value, "detail": failure.detail, "is_needed": is_needed}
            _say(failed={**about, "driver_reason": failure.driver_reason})
            return None
        return True if function == "nvmlInit" else result


def _say(**fact: object) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()  # what comes next may never return


def main() -> None:
    """Ask everything once."""
    die_with_parent()
    _Probe().run()


if __name__ == "__main__":
    main()
