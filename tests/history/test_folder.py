"""Files of the history: whole or not there, whatever dies when."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from warpgauge.analyzer.history.folder import Folder, hour_of
from warpgauge.core.errors import StorageError

HOUR = 486_111  # 2025-06-15 15:00 UTC
CONTENT = b"x" * 100_000
CHILD = """
import os, sys
from pathlib import Path
from warpgauge.analyzer.history.folder import Folder
left = int(sys.argv[2])
def boundary(real):
    def call(*args, **kwargs):
        global left
        left -= 1
        if left < 0:
            os._exit(9)
        return real(*args, **kwargs)
    return call
Path.mkdir, Path.chmod, Path.replace = map(boundary, (Path.mkdir, Path.chmod, Path.replace))
os.fdopen = boundary(os.fdopen)
Folder(Path(sys.argv[1]), sync=boundary(os.fsync)).add(486111, 1750000000000, 7, memoryview(b"x" * 100000))
"""


def visible(folder: Path) -> list[Path]:
    """What a reader of Parquet would see."""
    return sorted(folder.rglob("*.parquet"))


@pytest.mark.slow
def test_a_process_that_dies_at_any_boundary_leaves_no_half_file(tmp_path):
    survived = 0
    for boundary in range(40):
        folder = tmp_path / f"died-{boundary}"
        done = subprocess.run([sys.executable, "-c", CHILD, str(folder), str(boundary)], check=False, timeout=60)
        assert all(path.read_bytes() == CONTENT for path in visible(folder))
        Folder(folder)
        assert not list(folder.rglob("*.tmp"))
        survived += done.returncode == 0
        if survived:
            break
    assert survived
    assert boundary >= 8  # so many boundaries there were
    assert len(visible(folder)) == 1


@pytest.mark.parametrize("fails", range(3))
def test_a_disk_that_fails_leaves_no_half_file(tmp_path, fails):
    calls = iter(range(100))

    def sync(_: int) -> None:
        if next(calls) == fails:
            raise OSError(28, "No space left on device")

    folder = Folder(tmp_path, sync=sync)
    with pytest.raises(StorageError, match="No space left"):
        folder.add(HOUR, 1_750_000_000_000, 7, memoryview(CONTENT))

    assert visible(tmp_path) == []
    assert folder.files == []


def test_a_file_stands_in_its_hour_and_says_how_many_rows_it_has(tmp_path):
    Folder(tmp_path).add(HOUR, 1_750_000_000_000, 7, memoryview(CONTENT))

    (path,) = visible(tmp_path)
    (found,) = Folder(tmp_path).files

    assert path.parent == tmp_path / "date=2025-06-15" / "hour=15"
    assert (found.path, found.rows, found.bytes, found.hour) == (path, 7, len(CONTENT), HOUR)


def test_the_oldest_files_go_first_and_their_empty_folders_with_them(tmp_path):
    folder = Folder(tmp_path)
    for hour in (HOUR, HOUR - 30, HOUR - 1):
        folder.add(hour, hour * 3_600_000, 3, memoryview(CONTENT))

    assert folder.drop_beyond(2 * len(CONTENT)) == 3
    assert [file.hour for file in folder.files] == [HOUR - 1, HOUR]
    assert not (tmp_path / "date=2025-06-14").exists()
    assert folder.oldest == (HOUR - 1) * 3600.0


def test_an_hour_goes_once_all_of_it_is_too_old(tmp_path):
    folder = Folder(tmp_path)
    folder.add(HOUR, HOUR * 3_600_000, 3, memoryview(CONTENT))

    assert folder.drop_older((HOUR + 1) * 3600.0 - 1) == 0
    assert folder.drop_older((HOUR + 1) * 3600.0) == 3


def test_files_of_others_are_neither_counted_nor_removed(tmp_path):
    folder = tmp_path / "date=2025-06-15" / "hour=15"
    folder.mkdir(parents=True)
    (folder / "mine.parquet").write_bytes(CONTENT)
    history = Folder(tmp_path)

    assert history.files == []
    assert history.drop_beyond(0) == 0
    assert (folder / "mine.parquet").exists()


@pytest.mark.parametrize("place", ["date=2025-06-15/hour=15", "date=2025-99-15/hour=15", "hour=15", "a/b"])
def test_the_hour_of_a_file_is_read_off_its_place(place):
    assert hour_of(Path(place) / "x.parquet") == (HOUR if place == "date=2025-06-15/hour=15" else None)
