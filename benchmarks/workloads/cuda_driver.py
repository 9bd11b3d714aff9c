"""What a measurement needs of the CUDA driver: a kernel that spins for a known time, and events as torch has them.

https://docs.nvidia.com/cuda/cuda-driver-api/
"""

from __future__ import annotations

import ctypes
from typing import Any

__all__ = ["Cuda", "CudaMissingError", "Event"]

NOT_READY = 600  # CUDA_ERROR_NOT_READY
SPIN = b"""
.version 7.0
.target sm_70
.address_size 64
.visible .entry spin(.param .u64 nanoseconds)
{
  .reg .u64 %t<5>;
  .reg .pred %p;
  ld.param.u64 %t1, [nanoseconds];
  mov.u64 %t2, %globaltimer;
AGAIN:
  mov.u64 %t3, %globaltimer;
  sub.u64 %t4, %t3, %t2;
  setp.lt.u64 %p, %t4, %t1;
  @%p bra AGAIN;
  ret;
}
\0"""


class CudaMissingError(Exception):
    """There is no device to work on; the message says what is missing."""


class Cuda:
    """The first device, in its primary context, on the default stream."""

    def __init__(self) -> None:
        try:
            self._library = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            msg = "no CUDA driver on this machine (libcuda.so.1)"
            raise CudaMissingError(msg) from error
        if (code := self._library.cuInit(0)) != 0:
            msg = f"the CUDA driver does not start: error {code}"
            raise CudaMissingError(msg)
        device, context = ctypes.c_int(), ctypes.c_void_p()
        self._call("cuDeviceGet", ctypes.byref(device), 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._call("cuCtxSetCurrent", context)
        module, self._spin = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuModuleLoadData", ctypes.byref(module), SPIN)
        self._call("cuModuleGetFunction", ctypes.byref(self._spin), module, b"spin")

    def spin(self, seconds: float) -> None:
        """Launch a kernel that takes so long, and go on."""
        nanoseconds = ctypes.c_uint64(round(1e9 * seconds))
        arguments = (ctypes.c_void_p * 1)(ctypes.cast(ctypes.byref(nanoseconds), ctypes.c_void_p))
        one, none = ctypes.c_uint(1), ctypes.c_uint(0)
        self._call("cuLaunchKernel", self._spin, one, one, one, one, one, one, none, None, arguments, None)

    def synchronize(self) -> None:
        """Wait for all that was launched."""
        self._call("cuCtxSynchronize")

    def event(self, *, enable_timing: bool) -> Event:
        """As torch.cuda.Event(enable_timing=True)."""
        del enable_timing  # always
        return Event(self)

    def call(self, name: str, *arguments: Any) -> int:  # noqa: ANN401 - of C
        """A function's answer."""
        return int(getattr(self._library, name)(*arguments))

    def _call(self, name: str, *arguments: Any) -> None:  # noqa: ANN401 - of C
        if (code := self.call(name, *arguments)) != 0:
            msg = f"{name}: error {code}"
            raise RuntimeError(msg)


class Event:
    """A mark on the default stream."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._event = ctypes.c_void_p()
        self._check(cuda.call("cuEventCreate", ctypes.byref(self._event), 0))

    def record(self) -> None:
        """Behind all that was launched so far."""
        self._check(self._cuda.call("cuEventRecord", self._event, None))

    def query(self) -> bool:
        """Whether the device has reached it."""
        code = self._cuda.call("cuEventQuery", self._event)
        self._check(0 if code == NOT_READY else code)
        return code == 0

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds between two that were reached."""
        milliseconds = ctypes.c_float()
        self._check(self._cuda.call("cuEventElapsedTime", ctypes.byref(milliseconds), self._event, end._event))
        return milliseconds.value

    def __del__(self) -> None:
        self._cuda.call("cuEventDestroy_v2", self._event)

    @staticmethod
    def _check(code: int) -> None:
        if code != 0:
            msg = f"CUDA error {code}"
            raise RuntimeError(msg)
