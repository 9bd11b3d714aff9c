"""The process that is inside the driver while it is recorded: `python -m warpgauge.exporters.recording.child PLAN`.

It writes nothing itself: every line goes to the process that started it, and before each call the name of the call, so
that a hang or a crash has a place. It ends when its standard input closes.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from warpgauge.core.catalog import Tier
from warpgauge.core.clock import SystemClock
from warpgauge.core.version import VERSION
from warpgauge.exporters.child import die_with_parent
from warpgauge.exporters.collectors.nvml import NvmlCollector
from warpgauge.exporters.collectors.nvml_api import PYNVML
from warpgauge.exporters.messages import Failed
from warpgauge.exporters.recording.boundary import LIBRARY, below_pynvml, load_library
from warpgauge.exporters.recording.clock import RecordedClock
from warpgauge.exporters.recording.every_id import ask_every_id
from warpgauge.exporters.recording.lines import Header, encode, encode_header
from warpgauge.exporters.recording.masking import Masking
from warpgauge.exporters.recording.plan import ABSENT, FAILED
from warpgauge.exporters.recording.reading import Reader, Session
from warpgauge.exporters.recording.recorder import RecordingLibrary

if TYPE_CHECKING:
    from typing import IO

    from warpgauge.exporters.recording.lines import Entry

__all__ = ["main", "record"]


def record(plan: dict[str, Any], library: Any, out: IO[bytes], *, is_over: Event) -> int:  # noqa: ANN401 - a ctypes.CDLL, or a fake
    """Carry out a plan on a library and write lines; the exit status."""
    source, masking = SystemClock(), Masking() if plan["masked"] else None

    def about_to(function: str, device: int | None) -> None:
        out.write(json.dumps({"about": function, "d": device}).encode() + b"\n")
        out.flush()

    about_to("nvmlInitWithFlags", None)
    header = _header(source.now(), library, masking)
    out.write(encode_header(header))
    clock = RecordedClock(header.start)

    def say(entry: Entry) -> None:
        out.write(encode(entry))

    recorder = RecordingLibrary(library, say, source=source, clock=clock, masking=masking, about_to=about_to)
    with below_pynvml(recorder):
        session = Session(
            Reader(NvmlCollector(clock=clock)), recorder.mark, clock=source, pause=time.sleep, is_over=is_over.is_set
        )
        for position in session.open():
            if plan["all_ids"] and not is_over.is_set():
                recorder.mark("dump", position)
                ask_every_id(position, time.sleep)
        session.run({Tier(name): seconds for name, seconds in plan["intervals"].items()}, plan["seconds"])
        session.close()
    out.flush()
    return FAILED if isinstance(session.failure, Failed) else 0


def main() -> None:
    """Record as the plan on the command line says."""
    die_with_parent()
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get between our lines
    library = load_library()
    if library is None:
        print(f"no {LIBRARY} on this machine", file=sys.stderr)  # noqa: T201 - for who reads the log
        os._exit(ABSENT)
    is_over = Event()
    Thread(target=_watch, args=(is_over,), daemon=True).start()
    status = 0
    with suppress(BrokenPipeError):  # the recorder is gone, and with it the file
        status = record(json.loads(sys.argv[1]), library, out, is_over=is_over)
    os._exit(status)


def _watch(is_over: Event) -> None:
    sys.stdin.buffer.read()
    is_over.set()


def _header(start: float, library: Any, masking: Masking | None) -> Header:  # noqa: ANN401 - as in record
    node = platform.node()
    driver, own = _versions(library)
    return Header(
        start=round(start, 3),
        driver=driver,
        library=own,
        binding=version("nvidia-ml-py"),
        warpgauge=VERSION,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        machine=node if masking is None else masking.host(node),
        is_masked=masking is not None,
    )


def _versions(library: Any) -> tuple[str, str]:  # noqa: ANN401 - as in record
    """Versions of driver and library, asked in a session of its own that is not recorded; empty where it fails."""
    with below_pynvml(library):
        try:
            PYNVML.nvmlInit()
        except PYNVML.NVMLError:
            return "", ""
        try:
            return str(PYNVML.nvmlSystemGetDriverVersion()), str(PYNVML.nvmlSystemGetNVMLVersion())
        except PYNVML.NVMLError:
            return "", ""
        finally:
            PYNVML.nvmlShutdown()


if __name__ == "__main__":
    main()
