"""The one place that imports pynvml: calls are timed and every return code gets a meaning.

What each code means follows nvml.h and what other exporters learnt; see `Verdict`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import pynvml

if TYPE_CHECKING:
    from warpgauge.core.clock import Clock
    from warpgauge.exporters.calls import CallTimes

__all__ = ["PYNVML", "CallFailedError", "NvmlApi", "Verdict", "constant", "is_supported"]

PYNVML: Final[Any] = pynvml


class Verdict(Enum):
    """What a failed call says about the metric, the device or the driver."""

    UNSUPPORTED = "unsupported"  # for ever, for this device and metric
    PERMISSION = "permission"
    EMPTY = "empty"  # nothing to report now
    BUSY = "busy"  # try again next time
    LOST = "lost"  # the device fell off the bus
    NEEDS_RESET = "needs_reset"
    DRIVER = "driver"  # this session with the driver is over


_VERDICTS: Final = {
    pynvml.NVML_ERROR_NOT_SUPPORTED: Verdict.UNSUPPORTED,
    pynvml.NVML_ERROR_INVALID_ARGUMENT: Verdict.UNSUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: Verdict.UNSUPPORTED,
    pynvml.NVML_ERROR_DEPRECATED: Verdict.UNSUPPORTED,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH: Verdict.UNSUPPORTED,
    pynvml.NVML_ERROR_NO_PERMISSION: Verdict.PERMISSION,
    pynvml.NVML_ERROR_NOT_FOUND: Verdict.EMPTY,
    pynvml.NVML_ERROR_NO_DATA: Verdict.EMPTY,
    pynvml.NVML_ERROR_TIMEOUT: Verdict.EMPTY,
    pynvml.NVML_ERROR_GPU_IS_LOST: Verdict.LOST,
    pynvml.NVML_ERROR_RESET_REQUIRED: Verdict.NEEDS_RESET,
    pynvml.NVML_ERROR_UNINITIALIZED: Verdict.DRIVER,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: Verdict.DRIVER,
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: Verdict.DRIVER,
    pynvml.NVML_ERROR_GPU_NOT_FOUND: Verdict.DRIVER,
    pynvml.NVML_ERROR_OPERATING_SYSTEM: Verdict.DRIVER,  # nvml.h: the control device was blocked by system or cgroup
}  # everything else is BUSY: it may work next time

_DRIVER_REASONS: Final = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "library_missing",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "driver_not_loaded",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "library_mismatch",
    pynvml.NVML_ERROR_NO_PERMISSION: "permission",
    pynvml.NVML_ERROR_UNINITIALIZED: "uninitialized",
    pynvml.NVML_ERROR_GPU_NOT_FOUND: "gpu_not_found",
    pynvml.NVML_ERROR_OPERATING_SYSTEM: "operating_system",
    pynvml.NVML_ERROR_UNKNOWN: "unknown",
}


class CallFailedError(Exception):
    """A driver call that gave no value."""

    def __init__(self, verdict: Verdict, code: int, detail: str) -> None:
        """Keep what it means, the driver's code and the driver's words."""
        super().__init__(detail)
        self.verdict = verdict
        self.code = code
        self.detail = detail

    @property
    def driver_reason(self) -> str:
        """The code as a short stable word, for failures of the driver as a whole."""
        return _DRIVER_REASONS.get(self.code, "driver")


def constant(name: str) -> int:
    """Value of a pynvml constant: ids, bits and enum values are never written by hand."""
    return int(getattr(pynvml, name))


def is_supported(code: int) -> bool:
    """Whether what gave this return code may give a value, now or later."""
    return _VERDICTS.get(code, Verdict.BUSY) is not Verdict.UNSUPPORTED


def _failure(code: int, detail: str) -> CallFailedError:
    return CallFailedError(_VERDICTS.get(code, Verdict.BUSY), code, detail)


class NvmlApi:
    """Timed calls into one nvml module (pynvml, or a fake with its shape)."""

    def __init__(self, nvml: Any, calls: CallTimes, clock: Clock) -> None:  # noqa: ANN401 - a module of another project
        self.nvml = nvml
        self._calls = calls
        self._monotonic = clock.monotonic

    def failure(self, code: int, place: str) -> CallFailedError:
        """The failure that a return code inside a result stands for."""
        return _failure(code, f"{place}: {self.nvml.NVMLError(code)}")

    def call(self, function: str, *arguments: Any) -> Any:  # noqa: ANN401 - the foreign boundary
        """Result of one driver call; a result that outgrew its buffer is asked for once more.

        Raises:
            CallFailedError: no value; the verdict says what that means.

        """
        target = getattr(self.nvml, function, None)
        if target is None:
            return self.untimed(function)
        begun = self._monotonic()
        try:
            return target(*arguments)
        except self.nvml.NVMLError as error:
            if error.value != pynvml.NVML_ERROR_INSUFFICIENT_SIZE:
                raise _failure(int(error.value), f"{function}: {error}") from error
        finally:
            self._calls.add(function, self._monotonic() - begun)
        return self._timed(function, arguments)

    def untimed(self, function: str, *arguments: Any) -> Any:  # noqa: ANN401 - the foreign boundary
        """Result of one call that waits on purpose, so that its duration says nothing about the driver.

        Raises:
            CallFailedError: no value; the verdict says what that means.

        """
        target = getattr(self.nvml, function, None)
        if target is None:
            code = pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
            raise CallFailedError(Verdict.UNSUPPORTED, code, f"{function}: not in this pynvml")
        try:
            return target(*arguments)
        except self.nvml.NVMLError as error:
            raise _failure(int(error.value), f"{function}: {error}") from error

    def code(self, function: str, *arguments: Any) -> int:  # noqa: ANN401 - the foreign boundary
        """Return code of one call of the library itself, not timed.

        Raises:
            CallFailedError: this library lacks the function.

        """
        try:
            return int(self.nvml._nvmlGetFunctionPointer(function)(*arguments))  # noqa: SLF001 - pynvml has no other way
        except self.nvml.NVMLError as error:
            raise _failure(int(error.value), f"{function}: {error}") from error

    def timed_code(self, function: str, *arguments: Any) -> int:  # noqa: ANN401 - as above
        """Return code of one timed call of the library itself, where pynvml's own wrapper costs more than the call.

        Raises:
            CallFailedError: this library lacks the function.

        """
        begun = self._monotonic()
        try:
            code: int = self.nvml._nvmlGetFunctionPointer(function)(*arguments)  # noqa: SLF001 - as in `code`
        except self.nvml.NVMLError as error:
            raise _failure(int(error.value), f"{function}: {error}") from error
        finally:
            self._calls.add(function, self._monotonic() - begun)
        return code

    def direct(self, function: str, *arguments: Any) -> None:  # noqa: ANN401 - as above
        """Make one timed call of the library itself.

        Raises:
            CallFailedError: its return code was not success.

        """
        if code := self.timed_code(function, *arguments):
            raise self.failure(code, function)

    def _timed(self, function: str, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - the foreign boundary
        begun = self._monotonic()
        try:
            return self.untimed(function, *arguments)
        finally:
            self._calls.add(function, self._monotonic() - begun)
