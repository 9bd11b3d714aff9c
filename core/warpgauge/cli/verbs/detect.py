"""`warpgauge detect FILE`: how unusual each value of one series is; exit 1 if anything alarms."""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from warpgauge.core.errors import InputError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from warpgauge.analyzer.scoring import Scored
    from warpgauge.analyzer.sources.chosen_series import Choice
    from warpgauge.analyzer.sources.series_file import Piece
    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]

_HEADER: Final = "timestamp,score,alarm\n"
_NEEDS_QUOTES: Final = frozenset(',"\r\n')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `detect`."""
    parser.add_argument(
        "file", metavar="FILE",
        help="CSV with timestamp,value: seconds since the epoch or RFC 3339; empty and NaN values are missing; "
        "or a long table (timestamp,metric,value and labels): CSV, .parquet or a directory of it, such as the history; "
        "- reads standard input",
    )  # fmt: skip
    parser.add_argument("--metric", metavar="NAME", help="of a long table: the series of this metric")
    parser.add_argument(
        "--label", type=_label, action="append", default=[], metavar="NAME=VALUE",
        help="of a long table: the series with this label; may be repeated",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="write timestamp,score,alarm there, not to stdout")


def run(args: argparse.Namespace, config: Config) -> int:  # noqa: ARG001 - every verb is called alike
    """Score row by row; 0 without an alarm, 1 with one."""
    from warpgauge.analyzer.scoring import scored  # noqa: PLC0415 - as above
    from warpgauge.analyzer.sources.chosen_series import Choice  # noqa: PLC0415 - numpy loads only for this verb

    alarms = 0
    with _pieces(args.file, Choice(args.metric, dict(args.label))) as pieces, _output(args.out) as sink:
        sink.write(_HEADER)
        for part in scored(pieces):
            sink.write(_rows(part))
            alarms += int(part.alarms.sum())
    return int(alarms > 0)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        msg = f"{text!r} is no label; write NAME=VALUE"
        raise argparse.ArgumentTypeError(msg)
    return name, value


@contextlib.contextmanager
def _pieces(name: str, choice: Choice) -> Iterator[Iterator[Piece]]:
    path = Path(name)
    if name != "-" and (path.suffix == ".parquet" or path.is_dir()):
        from warpgauge.analyzer.sources.parquet_series import read_parquet  # noqa: PLC0415 - an extra brings it

        yield read_parquet(path, choice)
        return
    from warpgauge.analyzer.sources.series_file import read_pieces  # noqa: PLC0415 - numpy loads only for this verb

    with _opened(name) as source:
        yield read_pieces(source, "standard input" if name == "-" else name, choice=choice)


def _rows(part: Scored) -> str:
    texts = [_quoted(text) if _NEEDS_QUOTES & set(text) else text for text in part.texts]
    rows = zip(texts, part.scores.tolist(), part.alarms.tolist(), strict=True)
    return "".join([f"{text},{score:.4f},{alarm:d}\n" for text, score, alarm in rows])


def _quoted(text: str) -> str:
    field = io.StringIO()
    csv.writer(field, lineterminator="").writerow([text])
    return field.getvalue()


@contextlib.contextmanager
def _opened(name: str) -> Iterator[TextIO]:
    if name == "-":
        yield sys.stdin
        return
    try:
        stream = Path(name).open(encoding="utf-8-sig", newline="")  # noqa: SIM115 - closed two lines below
    except OSError as error:
        msg = f"cannot read {name}: {error.strerror or error}"
        raise InputError(msg) from error
    with stream:
        yield stream


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears under its name only once it is whole."""
    if path is None:
        yield sys.stdout
        return
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False
        ) as stream:
            temporary = Path(stream.name)
            yield cast("TextIO", stream)
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}"
        raise StorageError(msg) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
