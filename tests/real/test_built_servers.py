"""Servers that are built from pinned sources: which there are, and what is refused."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tools import built_servers
from tools.built_servers import ServerNotBuiltError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_with_a_module_or_a_pom_is_a_server(tmp_path: Path):
    for name, file in (("one", "go.mod"), ("two", "pom.xml"), ("none", "README.md")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    assert built_servers.names(sources=tmp_path) == ["one", "two"]


def test_the_real_yarn_has_the_hash_of_each_jar_that_is_not_ours():
    lines = (built_servers.SOURCES / "yarn" / "jars.sha256").read_text().split()
    assert "hadoop-client-minicluster-3.5.0.jar" in lines[1::2]
    assert all(len(digest) == 64 for digest in lines[0::2])


@pytest.mark.parametrize("content", [b"another jar", None])
def test_a_jar_that_is_not_the_one_taken_in_is_not_used(tmp_path: Path, content: bytes | None):
    known = tmp_path / "jars.sha256"
    known.write_text(f"{hashlib.sha256(b'the jar').hexdigest()}  a.jar\n")
    if content is not None:
        (tmp_path / "a.jar").write_bytes(content)
    with pytest.raises(ServerNotBuiltError, match=r"a\.jar is not the one that jars\.sha256 names"):
        built_servers._check_hashes(known, tmp_path)
    (tmp_path / "a.jar").write_bytes(b"the jar")
    built_servers._check_hashes(known, tmp_path)
