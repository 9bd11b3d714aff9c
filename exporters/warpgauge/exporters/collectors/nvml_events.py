"""Events of GPUs as the driver announces them: XIDs, ECC storms, page retirement, recovery.

One event set for all GPUs, used by one thread alone; each GPU is registered by itself, so that one that cannot be
keeps no other out. On Linux each event is delivered once, and those before the registration are lost (nvml.h).
"""

from __future__ import annotations

import ctypes
from queue import Empty, SimpleQueue
from time import sleep
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.retry import Backoff
from warpgauge.exporters.collectors.nvml_api import PYNVML, CallFailedError, Verdict, constant
from warpgauge.exporters.messages import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.exporters.collectors.nvml_api import NvmlApi

__all__ = ["NvmlEvents"]

_WAIT_MILLISECONDS: Final = 350  # how long a new GPU waits for its registration, at most
_LONG_WAIT_MILLISECONDS: Final = 2000  # where none is expected; a release waits as long for this thread
_WAIT: Final = "nvmlEventSetWait_v2"
_TIMEOUT: Final = constant("NVML_ERROR_TIMEOUT")
_XID: Final = constant("nvmlEventTypeXidCriticalError")
_KINDS: Final = {
    constant("nvmlEventTypeDoubleBitEccError"): "double_bit_ecc",
    constant("nvmlEventTypeSingleBitEccErrorStorm"): "single_bit_ecc_storm",
    constant("nvmlEventTypeDramRetirementEvent"): "memory_retired",
    constant("nvmlEventTypeDramRetirementFailure"): "memory_retirement_failed",
    constant("nvmlEventTypeNonFatalPoisonError"): "poison_non_fatal",
    constant("nvmlEventTypeFatalPoisonError"): "poison_fatal",
    constant("nvmlEventTypeGpuUnavailableError"): "unavailable",
    constant("nvmlEventTypeGpuRecoveryAction"): "recovery_action",
}
_WANTED: Final = sum(_KINDS) | _XID


class NvmlEvents:
    """The event set of one session. `add` may be called from any thread, all else from the one that waits."""

    def __init__(self, api: NvmlApi, pause: Callable[[float], None] = sleep) -> None:
        self._api = api
        self._pause = pause
        self._new: SimpleQueue[tuple[int, Any]] = SimpleQueue()
        self._positions: dict[int, int] = {}  # address behind a handle -> position
        self._set: Any = None
        self._delays = Backoff(first_seconds=1.0, factor=2.0, max_seconds=30.0).delays()

    def add(self, position: int, handle: Any) -> None:  # noqa: ANN401 - an opaque pointer
        """Announce a GPU; it is registered before the next wait."""
        self._new.put((position, handle))

    def wait(self, *, is_patient: bool) -> list[Event] | None:
        """What happens within a third of a second or, if patient, two, as soon as it does.

        None where this driver has no events at all.
        """
        try:
            self._set = self._set or self._api.untimed("nvmlEventSetCreate")
            self._register()
            return self._next(is_patient=is_patient)
        except CallFailedError as failure:
            if failure.verdict is Verdict.UNSUPPORTED:
                return None
            if failure.verdict is not Verdict.EMPTY:  # a timeout is empty; anything else would come at once again
                self._pause(next(self._delays))
            return []

    def _next(self, *, is_patient: bool) -> list[Event]:
        milliseconds = _LONG_WAIT_MILLISECONDS if is_patient else _WAIT_MILLISECONDS
        data = PYNVML.c_nvmlEventData_t()
        code = self._api.code(_WAIT, self._set, ctypes.byref(data), ctypes.c_uint(milliseconds))
        if code == _TIMEOUT:  # nearly always: not worth an exception
            return []
        if code:
            raise self._api.failure(code, _WAIT)
        return [self._event(data)]

    def close(self) -> None:
        """Give the set back; nvml.h wants that before the shutdown."""
        if self._set is not None:
            events, self._set = self._set, None
            self._api.untimed("nvmlEventSetFree", events)

    def _register(self) -> None:
        while True:
            try:
                position, handle = self._new.get_nowait()
            except Empty:
                return
            try:
                mask = int(self._api.untimed("nvmlDeviceGetSupportedEventTypes", handle)) & _WANTED
                self._api.untimed("nvmlDeviceRegisterEvents", handle, mask, self._set)
            except CallFailedError:
                continue  # this GPU tells nothing; the kernel log still may
            self._positions[_address(handle)] = position

    def _event(self, data: Any) -> Event:  # noqa: ANN401 - nvmlEventData_t
        position = self._positions.get(_address(data.device), -1)
        if int(data.eventType) == _XID:
            return Event(position, "xid", int(data.eventData))
        return Event(position, _KINDS.get(int(data.eventType), "other"), int(data.eventData))


def _address(handle: Any) -> int:  # noqa: ANN401 - an opaque pointer
    """Handles of one session point to the same place for the same GPU, also when the GPU no longer answers."""
    return int(ctypes.cast(handle, ctypes.c_void_p).value or 0)
