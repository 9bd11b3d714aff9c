"""Where the driver's library meets pynvml: the one place that loads it or puts another in its place."""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.nvml_api import PYNVML

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LIBRARY", "below_pynvml", "load_library"]

LIBRARY: Final = "libnvidia-ml.so.1"


def load_library() -> ctypes.CDLL | None:
    """The driver's library, None where there is none. Loaded as pynvml does: the GIL is free during a call."""
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError:
        return None


@contextmanager
def below_pynvml(library: Any) -> Iterator[None]:  # noqa: ANN401 - something with the shape of a ctypes.CDLL
    """Let pynvml call this library within the block. It is pynvml's global: one block at a time in a process."""
    before = PYNVML.nvmlLib
    PYNVML.nvmlLib = library
    PYNVML._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001 - pynvml keeps functions of the last library
    try:
        yield
    finally:
        PYNVML.nvmlLib = before
        PYNVML._nvmlGetFunctionPointer_cache.clear()  # noqa: SLF001 - as above
