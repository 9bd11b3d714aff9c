"""Files of metrics: what is read, and that each bad one is named with its place."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warpgauge.analyzer.sources.files import files_of, read_file
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "# TYPE host_load1 gauge\nhost_load1 1 1750000000.5\nhost_load1 2 1750000030.5\n# EOF\n"


def test_an_openmetrics_file_is_read_with_its_interval(tmp_path: Path):
    (tmp_path / "a.om").write_text(GOOD)

    page = read_file(tmp_path / "a.om")

    assert page.is_openmetrics
    assert page.time is None
    assert page.interval_seconds == 30.0
    assert page.target.name == str(tmp_path / "a.om")
    assert page.target.defaults == {"instance": "a"}


def test_a_text_file_has_timestamps_in_milliseconds(tmp_path: Path):
    (tmp_path / "a.prom").write_text("host_load1 1 1750000000000\nhost_load1 2 1750000015000\n")

    assert read_file(tmp_path / "a.prom").interval_seconds == 15.0


def test_a_directory_gives_its_files_and_those_below_by_name(tmp_path: Path):
    (tmp_path / "below").mkdir()
    for name in ("b.om", "a.prom", "notes.md", "below/c.om"):
        (tmp_path / name).write_text("")

    assert [str(path.relative_to(tmp_path)) for path in files_of(tmp_path)] == ["a.prom", "b.om", "below/c.om"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.om", "host_load1{ 2\n# EOF\n", r"a\.om:1: "),
        ("a.om", "host_load1 1 1750000000\n", r"a\.om:2: .*# EOF"),
        ("a.om", "# TYPE host_load1 gauge\nhost_load1 1 2\nhost_load5 1\n# EOF\n", r"a\.om:3: .*no timestamp"),
        ("a.prom", "\n# c\nhost_load1 1 5\nhost_load1 1\n", r"a\.prom:4: .*no timestamp"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, name: str, text: str, message: str):
    (tmp_path / name).write_text(text)

    with pytest.raises(InputError, match=message):
        read_file(tmp_path / name)


def test_bytes_that_are_no_text_are_named(tmp_path: Path):
    (tmp_path / "a.om").write_bytes(b"host_load1 1 5 \xfe\n")

    with pytest.raises(InputError, match=r"a\.om is not UTF-8: byte 15 is 0xfe"):
        read_file(tmp_path / "a.om")


@pytest.mark.parametrize(("name", "message"), [("nowhere.om", "does not exist"), ("data.txt", "no known kind")])
def test_a_path_that_is_no_file_of_metrics_is_named(tmp_path: Path, name: str, message: str):
    (tmp_path / "data.txt").write_text("")

    with pytest.raises(InputError, match=message):
        files_of(tmp_path / name)


def test_an_empty_directory_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="holds no file that ends in"):
        files_of(tmp_path)


def test_a_directory_that_cannot_be_read_is_named(tmp_path: Path):
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    if os.access(folder, os.R_OK):
        folder.chmod(0o700)
        pytest.skip("root reads every directory")
    try:
        with pytest.raises(InputError, match=r"cannot read .*closed: Permission denied"):
            files_of(tmp_path)
    finally:
        folder.chmod(0o700)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from([".om", ".prom"]))
def test_any_bytes_are_a_page_or_an_input_error(tmp_path: Path, body: bytes, suffix: str):
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes(body)

    with suppress(InputError):
        assert read_file(path).interval_seconds > 0
