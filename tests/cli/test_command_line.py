"""The command line: verbs, exit codes, one sentence per error."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import tomllib
from contextlib import redirect_stderr, redirect_stdout

import pytest

from warpgauge.cli.logs import AcceptFilter, LogfmtFormatter
from warpgauge.cli.main import main, top_parser, verb_parser
from warpgauge.cli.verbs import VERBS, Verb, available, missing_extra
from warpgauge.core.catalog import ALL
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import Config, origins
from warpgauge.core.errors import MissingExtraError


@pytest.fixture
def typed(monkeypatch):
    """`typed("config", "check")` gives exit code, stdout and stderr, as the shell would see them."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(*argv: str, environ=None) -> tuple[int, str, str]:
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            try:
                code = main(argv, environ or {})
            except SystemExit as stop:  # argparse's own way out
                code = stop.code
        return code, out.getvalue(), err.getvalue()

    yield run
    logging.basicConfig(level="WARNING", handlers=[], force=True)


def test_help_is_exactly_the_golden_text(golden, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    verbs = available()
    parts = [top_parser(verbs).format_help()]
    for verb in verbs.values():
        parser = verb_parser(verb)
        verb.load().add_arguments(parser)
        parts.append(parser.format_help())
    golden("cli-help.txt", f"\n{'=' * 100}\n\n".join(parts))


def test_one_address_for_console_and_agent_is_not_blamed_on_another_process(typed):
    address = "127.0.0.1:1"
    code, out, err = typed("up", f"--web.listen-address={address}", f"--agent.listen-address={address}")
    assert (code, out) == (2, "")
    assert err == f"warpgauge: console and agent cannot both listen on {address}; give one of them another port\n"


def test_alone_it_prints_the_three_ways_in(typed):
    code, out, err = typed()
    assert (code, err) == (0, "")
    shown = {way for way in ("ML engineer", "SRE", "platform engineer") if way in out}
    verbs = available()
    ways = {"up": "ML engineer", "agent": "SRE", "analyze": "platform engineer"}
    assert shown == {way for verb, way in ways.items() if verb in verbs}


def test_version_is_the_installed_one(typed):
    assert typed("--version")[:2] == (0, "warpgauge 0.1.0\n")


def test_help_lists_only_verbs_whose_code_exists(typed):
    listed = typed("--help")[1].partition("verbs:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in listed] == list(available())
    assert set(available()) <= {verb.name for verb in VERBS}


def test_a_mistyped_verb_is_corrected(typed):
    assert typed("catalgo") == (2, "", "warpgauge: there is no verb 'catalgo'; did you mean catalog?\n")


def test_an_unknown_verb_lists_the_verbs(typed):
    code, _, err = typed("zzz")
    assert code == 2
    assert err == f"warpgauge: there is no verb 'zzz'; there are {', '.join(available())}\n"


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (("catalog", "--foo"), "warpgauge catalog: unrecognized arguments: --foo; see warpgauge catalog --help\n"),
        (("--foo",), "warpgauge: unrecognized arguments: --foo; see warpgauge --help\n"),
        (("config",), "warpgauge config: the following arguments are required: action; see warpgauge config --help\n"),
        (("catalog", "--js"), "warpgauge catalog: unrecognized arguments: --js; see warpgauge catalog --help\n"),
    ],
)
def test_wrong_use_is_one_line_and_exit_2(typed, argv, complaint):
    assert typed(*argv) == (2, "", complaint)


@pytest.mark.parametrize(
    "argv", [("--config", "/nowhere.toml", "config", "show"), ("config", "show", "--config", "/nowhere.toml")]
)
def test_global_flags_may_stand_on_either_side_of_the_verb(typed, argv):
    assert typed(*argv) == (
        2, "", "warpgauge: cannot read the configuration /nowhere.toml: No such file or directory\n",
    )  # fmt: skip


def test_a_flag_value_that_is_a_verb_is_no_verb(typed):
    assert "cannot read the configuration agent" in typed("--config", "agent", "config", "check")[2]


def test_the_catalog_lists_every_metric(typed):
    lines = typed("catalog")[1].splitlines()
    assert [line.split()[0] for line in lines[1:]] == [metric.name for metric in ALL]


def test_the_catalog_as_json_is_one_object_per_line(typed):
    rows = [json.loads(line) for line in typed("catalog", "--json")[1].splitlines()]
    assert [row["name"] for row in rows] == [metric.name for metric in ALL]
    power = next(row for row in rows if row["name"] == "accel_power_watts")
    assert (power["unit"], power["labels"], power["otel"]) == (
        "watts", ["uuid", "index"], {"name": "hw.power", "factor": 1.0},
    )  # fmt: skip
    assert "buckets" not in power


def test_the_catalog_can_show_one_family(typed):
    lines = typed("catalog", "--family", "training")[1].splitlines()
    assert {line.split("_")[0] for line in lines[1:]} == {"training"}


def test_a_good_configuration_is_fine(typed, tmp_path):
    path = tmp_path / "w.toml"
    path.write_text('[agent]\nlisten_address = ":9400"\n')
    assert typed("--config", str(path), "config", "check") == (0, f"{path} is fine\n", "")


def test_a_wrong_address_is_found_before_a_service_starts(typed):
    code, _, err = typed("config", "check", environ={"WARPGAUGE_AGENT_LISTEN_ADDRESS": "9837"})
    assert code == 2
    assert "agent.listen_address: listen address '9837' must be HOST:PORT, :PORT or [IPV6]:PORT with a port up" in err
    assert "(environment variable WARPGAUGE_AGENT_LISTEN_ADDRESS)" in err


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"AGENT_DISABLED_COLLECTORS": "nvmll"}, "agent.disabled_collectors names 'nvmll'; there are nvml, "),
        ({"ANALYZER_XID_OVERRIDES": "79"}, "analyzer.xid_overrides: '79' must be NUMBER=ACTION"),
        ({"ANALYZER_TOPOLOGY_FILE": "/nope.csv"}, "cannot read the topology file /nope.csv: No such file"),
        (
            {"ANALYZER_PROMETHEUS_URL": "http://h", "ANALYZER_PROMETHEUS_MATCH": "{cluster=a}"},
            "analyzer.prometheus_match '{cluster=a}' must be a selector in braces",
        ),
        ({"ANALYZER_PROMETHEUS_URL": "http://u:p@h"}, "analyzer.prometheus_url must hold no user and password"),
        ({"ANALYZER_AGENT_BEARER_TOKEN_FILE": "/nope"}, "cannot read /nope: No such file"),
        (
            {"ANALYZER_REMOTE_WRITE": "true", "ANALYZER_LISTEN_ADDRESS": ":9838"},
            "set analyzer.remote_write_token_file, or listen on 127.0.0.1 only",
        ),
        (
            {"ACTING_WEBHOOK_URL": "http://h", "ACTING_WEBHOOK_SECRET_FILE": "/nope"},
            "cannot read the webhook secrets /nope: No such file",
        ),
        ({"ACTING_SITE_RULES_FILE": "/nope"}, "cannot read the site rules /nope: No such file"),
        ({"ALERTS_THRESHOLDS": "Nope=1"}, "alerts.thresholds: there is no alert Nope"),
        ({"DASHBOARDS_SELECTOR": "a=b"}, "dashboards.selector must be matchers"),
        ({"REMOTE_WRITE_URL": "http://h/w", "REMOTE_WRITE_HEADERS_FILE": "/nope"}, "headers file /nope: No such file"),
        ({"FLUENTD_SERVERS": "h:1", "FLUENTD_CA_FILE": "x"}, "fluentd.ca_file needs fluentd.tls = true"),
    ],
)
def test_what_a_part_would_refuse_is_found_by_the_check(typed, setting, why):
    code, out, err = typed("config", "check", environ={f"WARPGAUGE_{key}": value for key, value in setting.items()})
    assert (code, out) == (2, "")
    assert why in err


def test_every_setting_is_shown_with_its_origin(typed):
    rows = typed("config", "show", environ={"WARPGAUGE_DEMO_SEED": "7"})[1].splitlines()[1:]
    assert [row.split()[0] for row in rows] == [origin.setting.key for origin in origins(Config())]
    seed = next(row for row in rows if row.startswith("demo.seed"))
    assert "environment variable WARPGAUGE_DEMO_SEED" in seed


def test_shown_values_are_valid_toml(typed):
    for line in typed("config", "show", "--json")[1].splitlines():
        row = json.loads(line)
        assert tomllib.loads(f"x = {json.dumps(row['value'])}") == {"x": row["value"]}


def test_a_missing_extra_names_the_command_that_brings_it():
    error = missing_extra("analyze", ModuleNotFoundError(name="numpy.linalg"))
    assert isinstance(error, MissingExtraError)
    assert str(error) == "warpgauge analyze needs numpy: pip install '.[analyzer]' in the checkout"


def test_another_missing_module_is_our_fault_and_stays_what_it_is():
    error = ModuleNotFoundError(name="warpgauge.nonsense")
    assert missing_extra("analyze", error) is error


def test_a_verb_without_code_is_not_available():
    assert "zzz" not in available()
    assert Verb("zzz", "x").module == "warpgauge.cli.verbs.zzz"


def python(*argv: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, check=False, **options)


def test_python_m_warpgauge_is_the_same_command():
    done = python("-m", "warpgauge", "--version")
    assert (done.returncode, done.stdout) == (0, "warpgauge 0.1.0\n")


def test_a_closed_pipe_ends_without_a_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "warpgauge", "catalog"], stdout=closed, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_ctrl_c_never_shows_a_traceback():
    program = (
        "import importlib.machinery, signal, sys, types; from warpgauge.cli.main import main\n"
        "verb = types.ModuleType('warpgauge.cli.verbs.catalog')\n"
        "verb.__spec__ = importlib.machinery.ModuleSpec(verb.__name__, None)\n"
        "verb.add_arguments = lambda parser: None\n"
        "verb.run = lambda args, config: signal.raise_signal(signal.SIGINT)\n"
        "sys.modules[verb.__name__] = verb\n"
        "sys.exit(main(['catalog']))\n"
    )
    done = python("-c", program)
    assert (done.returncode, done.stderr) == (128 + signal.SIGINT, "warpgauge: stopped\n")


def record(message: str, *args: object, **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "warpgauge.x", "levelname": "WARNING", "msg": message, "args": args, **fields}
    )
    made.created, made.msecs = 0.0, 0.0
    return made


def test_a_log_line_is_an_event_and_its_fields():
    line = LogfmtFormatter().format(record("collector failed", collector="nvml", reason="a b", seconds=2.1))
    assert line.partition(" ")[2] == (
        'level=warning logger=warpgauge.x event="collector failed" collector=nvml reason="a b" seconds=2.1'
    )


def test_a_log_line_stays_one_line():
    assert "\n" not in LogfmtFormatter().format(record("x", detail="a\nb"))


def test_logs_go_to_stderr_and_answers_to_stdout(typed):
    _, out, err = typed("--log.level", "debug", "config", "check")
    assert out == "the configuration is fine\n"
    assert err == ""


def test_a_flood_of_connections_that_cannot_be_accepted_is_one_line_a_minute_with_the_mend():
    clock = ManualClock(seconds=0.0)
    accept = AcceptFilter(clock)

    def written(after_seconds: float) -> list[str]:
        clock.advance(after_seconds)
        flood = [record("socket.accept() out of system resource\nsocket: <...>") for _ in range(100)]
        for one in flood:
            one.exc_info = (OSError, OSError(24, "Too many open files"), None)
        return [LogfmtFormatter().format(one) for one in flood if accept.filter(one)]

    (line,) = written(0.0)
    assert 'event="no connection can be accepted" why="[Errno 24] Too many open files"' in line
    assert "LimitNOFILE=" in line
    assert "\n" not in line
    assert written(59.0) == []
    assert len(written(2.0)) == 1


def test_other_words_of_asyncio_are_let_through_as_they_are():
    one = record("Task was destroyed but it is pending!")
    assert AcceptFilter(ManualClock(seconds=0.0)).filter(one)
    assert one.getMessage() == "Task was destroyed but it is pending!"
