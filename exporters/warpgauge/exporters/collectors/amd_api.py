"""The one door to amdsmi: loads it, times each call, and tells what a failure means.

amdsmi ships with ROCm and must match it. Importing it without libamd_smi.so prints a message and raises KeyError.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.collector import DriverError

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.core.clock import Clock
    from warpgauge.exporters.calls import CallTimes

__all__ = ["AmdApi", "CallRefusedError"]

# AMDSMI_STATUS_* by name -> our word
_REASONS: Final = {
    "NOT_SUPPORTED": "unsupported",
    "NOT_YET_IMPLEMENTED": "unsupported",
    "SETTING_UNAVAILABLE": "unsupported",
    "NO_DATA": "unsupported",
    "FILE_NOT_FOUND": "unsupported",
    "NO_PERM": "permission",
    "TIMEOUT": "timeout",
    "BUSY": "busy",
    "RETRY": "busy",
    "DRIVER_NOT_LOADED": "driver_not_loaded",
    "NO_DRV": "driver_not_loaded",
}


class CallRefusedError(Exception):
    """A call failed; `reason` is a short stable word."""

    def __init__(self, reason: str, detail: str) -> None:
        """Keep the word and the library's own sentence."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class AmdApi:
    """amdsmi once it is loaded; `load` gives the module, or a double with its shape."""

    def __init__(self, load: Callable[[], Any] | None, calls: CallTimes, clock: Clock) -> None:
        self._load = load or _load
        self._calls = calls
        self._clock = clock
        self._module: Any = None

    def open(self) -> str | None:
        """None once the session is open, else why there is no library.

        Raises:
            DriverError: the library is there and the driver does not answer.

        """
        try:
            self._module = self._load()
        except ImportError:
            return "no amdsmi on this machine: pip install /opt/rocm/share/amd_smi"
        except Exception as error:  # noqa: BLE001 - KeyError without libamd_smi.so, others with one that does not match
            return f"amdsmi does not load ({type(error).__name__}: {error}); it must match the ROCm on this machine"[
                :300
            ]
        try:
            self.call("amdsmi_init", self._module.AmdSmiInitFlags.INIT_AMD_GPUS)
        except CallRefusedError as failure:
            raise DriverError(failure.reason, failure.detail) from failure
        return None

    def named(self, kind: str, name: str) -> Any:  # noqa: ANN401 - an enum of the module
        """A value of one of the module's enums, None where this version has no such."""
        return getattr(getattr(self._module, kind, None), name, None)

    def members(self, kind: str) -> list[Any]:
        """Every value of one of the module's enums."""
        return list(getattr(self._module, kind, ()))

    def call(self, function: str, *arguments: object) -> Any:  # noqa: ANN401 - what amdsmi gives
        """Ask; the answer as it comes.

        Raises:
            CallRefusedError: it has none.

        """
        begun = self._clock.monotonic()
        try:
            return getattr(self._module, function)(*arguments)
        except AttributeError as error:
            reason = "unsupported"
            raise CallRefusedError(reason, f"{function}: this amdsmi has no such function") from error
        except Exception as error:
            raise CallRefusedError(self._reason(error), f"{function}: {_words(error)}") from error
        finally:
            self._calls.add(function, self._clock.monotonic() - begun)

    def close(self) -> None:
        """End the session."""
        if self._module is not None:
            with suppress(CallRefusedError):
                self.call("amdsmi_shut_down")

    def _reason(self, error: Exception) -> str:
        code = getattr(error, "err_code", None)
        wrapper = getattr(self._module, "amdsmi_wrapper", None)
        if code is not None:
            for name, reason in _REASONS.items():
                if getattr(wrapper, f"AMDSMI_STATUS_{name}", None) == code:
                    return reason
        return "failed"


def _words(error: Exception) -> str:
    """The library's sentence on one line, shortened."""
    return " ".join(str(error).split())[:200]


def _load() -> Any:  # noqa: ANN401 - untyped
    with redirect_stdout(io.StringIO()):  # it prints what it misses
        return import_module("amdsmi")
