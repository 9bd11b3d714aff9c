"""Credentials: from files and the environment only, read anew, one kind at a time."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

import pytest

from warpgauge.analyzer.sources.access import Access, Credentials, header_of
from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_token_that_is_replaced_is_the_next_requests_token(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("first\n")
    credentials = Credentials(bearer_token_file=file)
    before = credentials.current()
    file.write_text("second\n")

    assert [headers["Authorization"] for headers in (before, credentials.current())] == [
        "Bearer first", "Bearer second"
    ]  # fmt: skip


def test_basic_authentication_comes_from_a_file(tmp_path: Path):
    file = tmp_path / "login"
    file.write_text("ada:se:cret\n")

    word, encoded = Credentials(basic_auth_file=file).current()["Authorization"].split()
    assert (word, base64.b64decode(encoded)) == ("Basic", b"ada:se:cret")


def test_basic_authentication_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(os.environ, "PROM_LOGIN", "ada:x")

    assert Credentials(basic_auth_variable="PROM_LOGIN").current()["Authorization"].startswith("Basic ")


def test_the_tenant_is_a_header_beside_the_others():
    found = Credentials(headers=header_of(["X-Test: 1"]), tenant="team-a|team-b").current()

    assert found == {"X-Test": "1", "X-Scope-OrgID": "team-a|team-b"}


@pytest.mark.parametrize("text", ["", "no-colon", ":no-user", "a:b\nc:d"])
def test_a_login_of_another_form_is_refused_without_being_shown(tmp_path: Path, text: str):
    file = tmp_path / "login"
    file.write_text(text)
    with pytest.raises(ConfigError, match="must hold one line USER:PASSWORD") as refused:
        Credentials(basic_auth_file=file).current()
    assert "b\\nc" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"cannot read .*gone: No such file"):
        Credentials(bearer_token_file=tmp_path / "gone").current()


def test_two_kinds_of_credentials_contradict_each_other(tmp_path: Path):
    with pytest.raises(ConfigError, match="give one of"):
        Credentials(bearer_token_file=tmp_path / "a", basic_auth_file=tmp_path / "b")
    with pytest.raises(ConfigError, match="give one of"):
        Credentials(headers={"authorization": "x"}, bearer_token_file=tmp_path / "a")


def test_a_tenant_that_would_break_the_header_is_refused():
    with pytest.raises(ConfigError, match="tenant"):
        Credentials(tenant="a\r\nX-Evil: 1")


def test_credentials_in_a_url_are_refused_unseen():
    with pytest.raises(ConfigError) as refused:
        Access(url="https://me:secret@prometheus")
    assert "secret" not in str(refused.value)
