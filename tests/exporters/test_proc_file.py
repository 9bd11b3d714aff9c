"""A file in one go, whole or up to a bound."""

from __future__ import annotations

import pytest

from warpgauge.exporters.proc_file import contents


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 200_000])
def test_a_file_comes_whole_however_large_it_is(tmp_path, size):
    path, text = tmp_path / "file", bytes(range(250)) * 800
    path.write_bytes(text[:size])
    assert contents(str(path)) == text[:size]
    assert contents(str(path), 70_000) == text[: min(size, 70_000)]


def test_who_cannot_be_read_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        contents(str(tmp_path / "missing"))
