"""nvmlDeviceGetSamples into an array that is kept: one call a buffer, and no object per sample.

pynvml asks for the size first, makes a new array of it and an object for each sample: with five buffers a GPU each
second that was the dearest reading of all.
"""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.nvml_api import PYNVML, constant

if TYPE_CHECKING:
    from warpgauge.exporters.collectors.nvml_api import NvmlApi

__all__ = ["RingReader"]

_FUNCTION: Final = "nvmlDeviceGetSamples"
_USUAL_ROOM: Final = 256  # samples; drivers were seen to keep about a hundred
_MOST_ROOM: Final = 1 << 16  # a bound on what a driver says
_LAYOUTS: Final = {  # nvmlSample_t: the stamp, then a union of eight bytes
    constant(f"NVML_VALUE_TYPE_{name}"): struct.Struct(f"=Q{letter}{8 - struct.calcsize('=' + letter)}x")
    for name, letter in {
        "DOUBLE": "d",
        "UNSIGNED_INT": "I",
        "UNSIGNED_LONG": "Q",
        "UNSIGNED_LONG_LONG": "Q",
        "SIGNED_LONG_LONG": "q",
        "SIGNED_INT": "i",
        "UNSIGNED_SHORT": "H",
    }.items()
}
_TOO_SMALL: Final = constant("NVML_ERROR_INSUFFICIENT_SIZE")
_NOTHING_NEW: Final = frozenset(constant(f"NVML_ERROR_{name}") for name in ("NOT_FOUND", "NO_DATA", "TIMEOUT"))
_ANY_OTHER: Final = _LAYOUTS[constant("NVML_VALUE_TYPE_UNSIGNED_LONG_LONG")]


class RingReader:
    """Reads the sample buffers of one device; for one thread at a time."""

    def __init__(self, api: NvmlApi, handle: Any) -> None:  # noqa: ANN401 - an opaque pointer
        self._api = api
        self._handle = handle
        self._type = ctypes.c_uint()
        self._count = ctypes.c_uint()
        self._stamp = ctypes.c_ulonglong()
        self._answers = ctypes.byref(self._type), ctypes.byref(self._count)
        self._room = _USUAL_ROOM
        self._samples = (PYNVML.c_nvmlSample_t * self._room)()

    def read(self, kind: int, after_us: int) -> list[tuple[int, float]]:
        """Stamps and numbers, in the driver's units and order, of the samples after a stamp.

        Raises:
            CallFailedError: the driver has no such buffer or does not answer.

        """
        code = self._call(kind, after_us, self._samples)
        if code == _TOO_SMALL:
            self._grow(kind, after_us)
            code = self._call(kind, after_us, self._samples)
        if code in _NOTHING_NEW:  # every second at a buffer that gets a sample a second: not worth an exception
            return []
        if code:
            raise self._api.failure(code, _FUNCTION)
        layout = _LAYOUTS.get(self._type.value, _ANY_OTHER)
        count = min(self._count.value, self._room)
        return list(layout.iter_unpack(memoryview(self._samples).cast("B")[: count * layout.size]))

    def _grow(self, kind: int, after_us: int) -> None:
        code = self._call(kind, after_us, None)
        if code:
            raise self._api.failure(code, _FUNCTION)
        self._room = min(2 * self._count.value, _MOST_ROOM)
        self._samples = (PYNVML.c_nvmlSample_t * self._room)()

    def _call(self, kind: int, after_us: int, samples: Any) -> int:  # noqa: ANN401 - an array of ctypes, or None
        self._count.value, self._stamp.value = self._room, after_us
        return self._api.timed_code(_FUNCTION, self._handle, ctypes.c_uint(kind), self._stamp, *self._answers, samples)
