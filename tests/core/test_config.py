"""Settings: where each value comes from, and the exact sentence for each wrong one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.config import Config, data_directory, load, origins
from warpgauge.core.config.sections import FAULTS
from warpgauge.core.errors import ConfigError, StorageError


@pytest.fixture
def toml(tmp_path, monkeypatch):
    """Write warpgauge.toml and give its relative path, as a user would pass it."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = Path("warpgauge.toml")
        path.write_text(text, encoding="utf-8")
        return path

    return write


def complaint(path=None, environ=None, overrides=None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {}, overrides or {})
    return str(caught.value)


def test_without_file_environment_and_flags_the_defaults_hold():
    assert load(None, {"HOME": "/root", "WARPGAUGE_GOLDEN": "rewrite"}, {}) == Config()


def test_every_section_can_stand_in_a_file(toml):
    assert load(toml("".join(f"[{section}]\n" for section in Config.sections())), {}, {}) == Config()


def test_flags_win_over_environment_over_file(toml):
    path = toml("[agent]\nfast_interval_seconds = 2\nnormal_interval_seconds = 20\nslow_interval_seconds = 200\n")
    environ = {"WARPGAUGE_AGENT_NORMAL_INTERVAL_SECONDS": "30", "WARPGAUGE_AGENT_SLOW_INTERVAL_SECONDS": "300"}
    agent = load(path, environ, {"agent.slow_interval_seconds": "400"}).agent
    assert (agent.fast_interval_seconds, agent.normal_interval_seconds, agent.slow_interval_seconds) == (
        2.0,
        30.0,
        400.0,
    )


def test_each_value_tells_where_it_came_from(toml):
    config = load(toml("[demo]\nseed = 7\n"), {"WARPGAUGE_DEMO_MODE": "always"}, {"analyzer.cluster": "prod"})
    found = {origin.setting.key: (origin.value, origin.origin) for origin in origins(config)}
    assert found["demo.seed"] == (7, "warpgauge.toml")
    assert found["demo.mode"] == ("always", "environment variable WARPGAUGE_DEMO_MODE")
    assert found["analyzer.cluster"] == ("prod", "command line")
    assert found["agent.deadline_seconds"] == (2.0, "default")


def test_a_value_comes_from_where_the_winner_stands(toml):
    config = load(toml("[demo]\nseed = 7\n"), {"WARPGAUGE_DEMO_SEED": "8"}, {})
    found = {origin.setting.key: (origin.value, origin.origin) for origin in origins(config)}
    assert found["demo.seed"] == (8, "environment variable WARPGAUGE_DEMO_SEED")


def test_every_setting_has_a_sentence_and_every_number_of_time_its_unit():
    for origin in origins(Config()):
        assert origin.setting.help.endswith(".")
        assert origin.setting.key.endswith("_seconds") == (origin.setting.unit == "seconds")


def test_every_default_obeys_its_own_rules():
    for origin in origins(Config()):
        assert origin.setting.read(origin.setting.default, "default") == origin.value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[agent]\nfast_interval_seconds = -5",
            "agent.fast_interval_seconds must be > 0, got -5 (warpgauge.toml)",
        ),
        (
            "[agent]\nfast_interval_seconds = 0",
            "agent.fast_interval_seconds must be > 0, got 0 (warpgauge.toml)",
        ),
        (
            "[demo]\nfault = []",
            "there is no setting demo.fault; did you mean demo.faults? (warpgauge.toml)",
        ),
        (
            "[fluentd]\naddress = 1",
            "there is no setting fluentd.address; warpgauge config show lists all (warpgauge.toml)",
        ),
        (
            "[agent]\nxid_overrides = []",
            "there is no setting agent.xid_overrides; did you mean analyzer.xid_overrides? (warpgauge.toml)",
        ),
        ("[agnet]\n", "there is no section [agnet]; did you mean agent? (warpgauge.toml)"),
        ("agent = 3", "agent must be a section [agent], got 3 (warpgauge.toml)"),
        (
            '[agent]\ndeadline_seconds = "2s"',
            "agent.deadline_seconds must be a number, got '2s' (warpgauge.toml)",
        ),
        ("[agent]\ndeadline_seconds = nan", "agent.deadline_seconds must be a number, got nan (warpgauge.toml)"),
        ("[agent]\ndeadline_seconds = inf", "agent.deadline_seconds must be a number, got inf (warpgauge.toml)"),
        ("[agent]\ndeadline_seconds = true", "agent.deadline_seconds must be a number, got true (warpgauge.toml)"),
        ("[demo]\nseed = 1.5", "demo.seed must be a whole number, got 1.5 (warpgauge.toml)"),
        ("[demo]\nseed = -1", "demo.seed must be >= 0, got -1 (warpgauge.toml)"),
        ('[demo]\nmode = "on"', "demo.mode must be never, auto or always, got 'on' (warpgauge.toml)"),
        (
            '[demo]\nfaults = ["fire"]',
            f"demo.faults must be a list of {', '.join(FAULTS[:-1])} or {FAULTS[-1]}, got ['fire'] (warpgauge.toml)",
        ),
        ("[demo]\nfaults = 3", "demo.faults must be a list of strings, got 3 (warpgauge.toml)"),
        (
            '[analyzer]\ntargets = ["node1:9837"]',
            "analyzer.targets must start with http:// or https://, got ['node1:9837'] (warpgauge.toml)",
        ),
        ("[analyzer]\nwindow_seconds = 1", "analyzer.window_seconds must be >= 60, got 1 (warpgauge.toml)"),
        (
            "[analyzer]\nwindow_seconds = 1e12",
            "analyzer.window_seconds must be <= 604800, got 1000000000000.0 (warpgauge.toml)",
        ),
        ("[agent]\ndeadline_seconds = 1e300", "agent.deadline_seconds must be <= 1e+09, got 1e+300 (warpgauge.toml)"),
        (
            "[agent]\nprocess_metrics_limit = 99999999999999999999",
            "agent.process_metrics_limit must be <= 1e+18, got 99999999999999999999 (warpgauge.toml)",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_key_rule_value_and_place(toml, text, message):
    assert complaint(toml(text)) == message


def test_broken_toml_is_refused_with_its_line(toml):
    assert complaint(toml("[agent]\nx = = 3\n")).startswith("warpgauge.toml is not valid TOML:")
    assert "line 2" in complaint(toml("[agent]\nx = = 3\n"))


def test_a_missing_file_is_refused():
    assert complaint(Path("/nowhere/w.toml")) == (
        "cannot read the configuration /nowhere/w.toml: No such file or directory"
    )


def test_a_file_that_is_no_text_is_refused(toml):
    path = toml("")
    path.write_bytes(b"\xff\xfe")
    assert complaint(path) == "warpgauge.toml is not UTF-8 text (byte 0)"


def test_a_huge_file_is_refused_unread(toml):
    assert "larger than" in complaint(toml("#" * (2 << 20)))


def test_an_unknown_variable_of_a_section_is_refused_with_a_suggestion():
    assert complaint(environ={"WARPGAUGE_AGENT_LISTEN_ADRESS": "x"}) == (
        "there is no setting for the environment variable WARPGAUGE_AGENT_LISTEN_ADRESS; "
        "did you mean WARPGAUGE_AGENT_LISTEN_ADDRESS?"
    )


def test_a_wrong_variable_is_named_as_the_place():
    assert complaint(environ={"WARPGAUGE_AGENT_DEADLINE_SECONDS": "soon"}) == (
        "agent.deadline_seconds must be a number, got 'soon' (environment variable WARPGAUGE_AGENT_DEADLINE_SECONDS)"
    )


def test_a_wrong_flag_is_named_as_the_place():
    assert complaint(overrides={"demo.seed": "x"}) == "demo.seed must be a whole number, got 'x' (command line)"


def test_lists_in_variables_are_separated_by_commas():
    config = load(None, {"WARPGAUGE_DEMO_FAULTS": "straggler, input_bound"}, {})
    assert config.demo.faults == ("straggler", "input_bound")


def test_an_empty_variable_is_an_empty_list():
    assert load(None, {"WARPGAUGE_DEMO_FAULTS": ""}, {}).demo.faults == ()


@given(st.text(alphabet="[]agentdemo=._seconds\"'#\n0123456789{},-") | st.text())
def test_any_file_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    assert outcome(path, {}) in {"read", "refused"}


@given(st.sampled_from([origin.setting.key for origin in origins(Config())]), st.text())
def test_any_text_in_a_variable_is_read_or_refused(key, text):
    assert outcome(None, {"WARPGAUGE_" + key.upper().replace(".", "_"): text}) in {"read", "refused"}


def outcome(path, environ) -> str:
    try:
        load(path, environ, {})
    except ConfigError:
        return "refused"
    return "read"


def test_the_data_directory_is_made_private(tmp_path):
    path = data_directory(Config(), {"XDG_DATA_HOME": str(tmp_path / "share")})
    assert path == tmp_path / "share" / "warpgauge"
    assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_relative_xdg_directory_is_ignored(tmp_path):
    path = data_directory(Config(), {"XDG_DATA_HOME": "share", "HOME": str(tmp_path)})
    assert path == tmp_path / ".local" / "share" / "warpgauge"


def test_the_folder_that_systemd_made_for_the_service_is_the_data_directory(tmp_path):
    environ = {"STATE_DIRECTORY": f"{tmp_path / 's'}:{tmp_path / 't'}", "XDG_DATA_HOME": str(tmp_path)}
    assert data_directory(Config(), environ) == tmp_path / "s"
    assert data_directory(Config(), environ | {"STATE_DIRECTORY": "s"}) == tmp_path / "warpgauge"


def test_the_configured_data_directory_wins(tmp_path):
    config = load(None, {}, {"analyzer.data_directory": str(tmp_path / "d")})
    assert data_directory(config, {"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "d"


def test_a_data_directory_that_cannot_be_made_is_one_sentence_with_the_mend(tmp_path):
    (tmp_path / "file").touch()
    config = load(None, {}, {"analyzer.data_directory": str(tmp_path / "file" / "d")})
    with pytest.raises(StorageError, match=r"Not a directory; set analyzer\.data_directory .* you can write"):
        data_directory(config, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_data_directory_without_write_permission_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    config = load(None, {}, {"analyzer.data_directory": str(tmp_path)})
    with pytest.raises(StorageError, match="no permission to write"):
        data_directory(config, {})
