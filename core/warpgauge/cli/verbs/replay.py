"""`warpgauge replay FILE`: the page that a recording gives, at its end or at a moment, printed or served."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.core.errors import ConfigError, StorageError

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config
    from warpgauge.exporters.recording import Playback, Recording

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `replay`."""
    parser.add_argument("file", type=Path, metavar="FILE", help="what `warpgauge record` wrote")
    parser.add_argument("--at", type=float, metavar="SECONDS", help="the page as it stood so long after the start")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--summary", action="store_true", help="calls, codes and latencies instead of the page")
    what.add_argument("--json", action="store_true", help="the summary as one JSON object")
    what.add_argument(
        "--series", type=Path, metavar="FILE.om",
        help="write the page of every second as OpenMetrics with timestamps, which `analyze FILE.om` reads",
    )  # fmt: skip
    what.add_argument(
        "--web.listen-address", dest="listen_address", metavar="ADDR",
        help="serve the page at the recorded pace until stopped; it is marked as simulated",
    )  # fmt: skip


def run(args: argparse.Namespace, config: Config) -> int:
    """Do one of these."""
    del config
    from warpgauge.cli.recordings import as_text  # noqa: PLC0415 - the extra is needed for this verb only
    from warpgauge.exporters.recording import Playback, read_recording, summarize  # noqa: PLC0415 - as above

    if args.at is not None and args.at < 0:
        msg = f"--at must not be negative, got {args.at:g}"
        raise ConfigError(msg)
    recording = read_recording(args.file)
    _warn(recording, args.file)
    if args.json or args.summary:
        summary = summarize(recording)
        text = json.dumps(summary.document(), ensure_ascii=False) if args.json else as_text(summary)
        sys.stdout.write(f"{text}\n")
    elif args.series:
        _write_series(args.series, Playback(recording), args.at)
    elif args.listen_address:
        asyncio.run(_serve(args.listen_address, Playback(recording), args.at))
    else:
        playback = Playback(recording)
        playback.run(args.at)
        sys.stdout.write(playback.page().decode())
    return 0


def _warn(recording: Recording, path: Path) -> None:
    end = recording.end
    if recording.is_truncated:
        _note(f"{path} breaks off after {recording.seconds:.1f} s; it is replayed up to there")
    elif end is not None and end.reason != "done":
        place = f" in {end.function}" if end.function else ""
        _note(f"the driver {end.reason}{place} after {end.seconds:.1f} s")


def _note(text: str) -> None:
    print(f"warpgauge: {text}", file=sys.stderr)  # noqa: T201 - not the answer


def _write_series(path: Path, playback: Playback, until: float | None) -> None:
    from warpgauge.exporters.recording.history import openmetrics  # noqa: PLC0415 - as in run

    try:
        with path.open("wb") as file:
            file.writelines(openmetrics(playback, until))
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}"
        raise StorageError(msg) from error


async def _serve(listen: str, playback: Playback, until: float | None) -> None:
    from warpgauge.exporters.recording.serving import serve_playback  # noqa: PLC0415 - needs the web server

    await serve_playback(listen, playback, until, tell=_tell)


def _tell(host: str, port: int) -> None:
    print(f"warpgauge replay listens on http://{host}:{port}/metrics (marked as simulated)", flush=True)  # noqa: T201 - the answer
