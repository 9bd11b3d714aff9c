"""Which job has which GPU, as Slurm's prologs write it into small files.

Two forms are in use: the job-mapping directory of dcgm-exporter (a file `<gpu>` or `<gpu>.<instance>` with a job id per
line) and /run/gpustat of Princeton's jobstats (a file `<gpu>` whose first line is the job id and the user's number).
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.attribution.workload import Workload, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["GPUSTAT", "FileClaim", "gpustat_claims", "mapping_claims"]

GPUSTAT: Final = "/run/gpustat"
_MOST_FILES: Final = 256
_MOST_BYTES: Final = 4096
_MOST_JOBS: Final = 16  # that share a GPU
_MAPPING_NAME: Final = re.compile(r"(?P<gpu>\d{1,3})(?:\.(?P<instance>\d{1,3}))?", re.ASCII)
_GPUSTAT_NAME: Final = re.compile(r"(?P<gpu>\d{1,3}|GPU-[0-9a-fA-F-]{1,60})", re.ASCII)
_JOB_ID: Final = re.compile(r"\d{1,20}", re.ASCII)

FileClaim = tuple[str, str, Workload]
"""Index or UUID of a GPU, number of its instance or nothing, and who has it."""


def mapping_claims(folder: Path) -> Iterable[FileClaim]:
    """What dcgm-exporter's directory says; nothing where it is absent."""
    for name, lines in _files(folder):
        match = _MAPPING_NAME.fullmatch(name)
        if match is not None:
            jobs = [plain(line) for line in lines if line][:_MOST_JOBS]
            for job_id in jobs:
                yield match["gpu"], match["instance"] or "", Workload(scheduler="slurm", job_id=job_id)


def gpustat_claims(folder: Path, name_of: Callable[[int], str]) -> Iterable[FileClaim]:
    """What jobstats' directory says; nothing where it is absent."""
    for name, lines in _files(folder):
        match = _GPUSTAT_NAME.fullmatch(name)
        words = " ".join(lines).split()
        if match is not None and words and _JOB_ID.fullmatch(words[0]):
            user = name_of(int(words[1])) if len(words) > 1 and words[1].isdecimal() and len(words[1]) < 11 else ""  # noqa: PLR2004 - a uid has ten digits at most
            yield match["gpu"], "", Workload(scheduler="slurm", job_id=words[0], user=user)


def _files(folder: Path) -> Iterable[tuple[str, list[str]]]:
    try:
        names = sorted(os.listdir(folder))[:_MOST_FILES]  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return
    for name in names:
        try:
            descriptor = os.open(folder / name, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO must not hold us up
        except OSError:
            continue
        try:
            text = os.read(descriptor, _MOST_BYTES)
        except OSError:
            continue
        finally:
            os.close(descriptor)
        yield name, text.decode("utf-8", "replace").split("\n")
