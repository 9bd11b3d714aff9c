"""What the real ResourceManager of the tests cannot be made to show: a pair of them, silence, proxies and nonsense."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from warpgauge.cli.cores import yarn_of
from warpgauge.core.config import YarnConfig
from warpgauge.core.errors import ConfigError, InputError
from warpgauge.core.lane import TryLaterError
from warpgauge.core.posting import Answer
from warpgauge.core.yarn import Resources, Yarn, YarnError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAIR = ("http://rm1:8088", "http://rm2:8088/")
EMPTY = Answer(200, b'{"nodes": {}}')
STANDBY = Answer(307, b"This is standby RM. The redirect url is: /ws/v1/cluster/nodes")


class Wire:
    """Answers by host; keeps what was asked."""

    def __init__(self, **answers: Answer | Exception) -> None:
        self.answers, self.asked = answers, []

    def request(self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str]) -> Answer:
        self.asked.append((method, url, body and json.loads(body), headers))
        answer = self.answers[urlsplit(url).hostname or ""]
        if isinstance(answer, Exception):
            raise answer
        return answer


def yarn(wire: Wire, **how: Any) -> Yarn:
    return Yarn(PAIR, wire, **how)


@pytest.mark.parametrize(
    "first", [STANDBY, Answer(503, b"<html>no active RM</html>"), TryLaterError("http://rm1:8088: timed out")]
)
def test_of_a_pair_the_active_one_is_asked(first: Answer | Exception):
    wire = Wire(rm1=first, rm2=EMPTY)
    assert yarn(wire).nodes() == ()
    assert [urlsplit(url).hostname for _, url, _, _ in wire.asked] == ["rm1", "rm2"]


def test_without_an_active_one_the_last_reason_is_told():
    with pytest.raises(YarnError, match=r"http://rm2:8088 is not the active ResourceManager \(HTTP 307\)"):
        yarn(Wire(rm1=TryLaterError("http://rm1:8088: timed out"), rm2=STANDBY)).nodes()


def test_the_active_ones_own_503_is_its_answer():
    said = {"RemoteException": {"message": "AccessControlException: Queue root.a is STOPPED"}}
    wire = Wire(rm1=Answer(503, json.dumps(said).encode()), rm2=EMPTY)
    with pytest.raises(YarnError, match=r"Queue root\.a is STOPPED") as error:
        yarn(wire).move("application_1_0001", "root.a")
    assert error.value.is_refusal


@pytest.mark.parametrize(("status", "is_refusal"), [(400, True), (403, True), (404, True), (500, False)])
def test_a_fault_of_the_server_is_no_refusal(status: int, *, is_refusal: bool):
    with pytest.raises(YarnError) as error:
        yarn(Wire(rm1=Answer(status, b"no"))).prioritize("application_1_0001", 1)
    assert error.value.is_refusal is is_refusal


def test_who_we_are_and_the_proxys_header_go_with_each_call():
    wire = Wire(rm1=Answer(200, b""))
    yarn(wire, user="a&b", headers={"Authorization": "Basic x"}).label("n1:1", ["avoid"])
    ((method, url, _, headers),) = wire.asked
    assert (method, url) == (
        "POST",
        "http://rm1:8088/ws/v1/cluster/nodes/n1%3A1/replace-labels?user.name=a%26b&labels=avoid",
    )
    assert headers["Authorization"] == "Basic x"
    assert headers["X-XSRF-Header"]


def test_a_node_is_resized_with_the_longest_time_that_yarn_takes():
    wire = Wire(rm1=Answer(200, b""))
    yarn(wire).resize("n1:1", Resources.read("memory-mb=1024,vcores=2"))
    assert wire.asked[0][2] == {"resource": {"memory": 1024, "vCores": 2}, "overCommitTimeout": 2**31 - 1}


def test_a_page_of_html_is_told_in_its_words_and_without_tags():
    page = b"<html><body><h2>HTTP ERROR 401</h2>\x1b[2JAuthentication required</body></html>"
    with pytest.raises(YarnError, match=r"HTTP 401\): HTTP ERROR 401 \[2JAuthentication required; set yarn.user"):
        yarn(Wire(rm1=Answer(401, page))).nodes()


def test_an_application_that_yarn_has_forgotten_is_none():
    assert yarn(Wire(rm1=Answer(404, b""))).app("application_1_0001") is None


def test_an_answer_that_is_no_json_is_refused():
    with pytest.raises(InputError, match="answered no JSON"):
        yarn(Wire(rm1=Answer(200, b"<nodes/>"))).nodes()


def test_without_an_address_the_setting_is_named():
    with pytest.raises(ConfigError, match=r"yarn\.urls is not set"):
        yarn_of(YarnConfig())


def test_a_password_in_the_address_is_refused_and_not_shown():
    with pytest.raises(ConfigError, match="must hold no user and password") as error:
        yarn_of(YarnConfig(urls=("https://me:secret@rm1:8090",)))
    assert "secret" not in str(error.value)


def test_a_file_of_authorities_that_is_none_is_told(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"yarn\.ca_file: cannot use"):
        yarn_of(YarnConfig(urls=("https://rm1:8090",), ca_file=str(tmp_path / "none.pem")))
