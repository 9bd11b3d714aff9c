"""Bad input is exit 2 and one sentence that names the place and the mend; nothing stored is touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.real_servers import free_port
from tests.running import warpgauge

if TYPE_CHECKING:
    from pathlib import Path


def complaint(*args: str, home: Path, **extra: str) -> str:
    ended = warpgauge(*args, home=home, **extra)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.startswith("warpgauge")
    return ended.stderr


def test_an_unknown_configuration_key_is_named_with_a_suggestion(tmp_path: Path):
    (tmp_path / "site.toml").write_text("[agent]\nlisten_adress = '127.0.0.1:1'\n")

    said = complaint("--config", "site.toml", "agent", home=tmp_path)

    assert "agent.listen_adress" in said
    assert "agent.listen_address" in said
    assert "site.toml" in said


def test_an_unreachable_prometheus_is_named(tmp_path: Path):
    url = f"http://127.0.0.1:{free_port()}"

    assert url in complaint("analyze", url, home=tmp_path)


def test_a_malformed_openmetrics_file_is_named_with_its_line(tmp_path: Path):
    (tmp_path / "broken.om").write_text("# TYPE host_load1 gauge\nhost_load1 1 1750000000\nhost_load1{ 2\n# EOF\n")

    said = complaint("analyze", "broken.om", home=tmp_path)

    assert "broken.om:3" in said


def test_an_unreadable_directory_is_named(tmp_path: Path):
    folder = tmp_path / "telemetry"
    folder.mkdir()
    (folder / "a.om").write_text("# EOF\n")
    folder.chmod(0)
    if os.access(folder, os.R_OK):
        folder.chmod(0o700)
        pytest.skip("root reads every directory; the run as a plain user covers this")

    assert "telemetry" in complaint("analyze", str(folder), home=tmp_path)


def test_a_missing_file_is_named(tmp_path: Path):
    assert "nowhere.om" in complaint("analyze", "nowhere.om", home=tmp_path)


def test_a_data_directory_that_cannot_be_used_is_named_with_the_mend(tmp_path: Path):
    (tmp_path / "file").write_text("not a directory")

    said = complaint("up", "--data-directory", str(tmp_path / "file" / "x"), "--web.listen-address=127.0.0.1:0",
                     "--agent.listen-address=127.0.0.1:0", home=tmp_path)  # fmt: skip

    assert "file/x" in said
    assert "analyzer.data_directory" in said
    assert (tmp_path / "file").read_text() == "not a directory"
