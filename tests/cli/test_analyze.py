"""`warpgauge analyze`: what it prints, its exit codes, and one sentence for each wrong use."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from warpgauge.analyzer.incidents.muting import Mutings, Silence
from warpgauge.analyzer.incidents.muting_book import MUTINGS_FILE, mutings_document
from warpgauge.cli.main import main
from warpgauge.cli.report import wrapped
from warpgauge.core.catalog import host

if TYPE_CHECKING:
    from pathlib import Path

START = 1_750_000_000


def telemetry(folder: Path, *, busy: bool, name: str = "box.om") -> Path:
    """Ten minutes of a machine with two CPUs, all busy in the last five or never."""
    lines = [f"# TYPE {host.CPU_SECONDS.name.removesuffix('_total')} counter"]
    for cpu in range(2):
        for mode in ("user", "idle"):
            spent = 0.0
            for step in range(61):
                is_busy = busy and step > 30
                labels = f'cpu="{cpu}",mode="{mode}",node="box"'
                lines.append(f"{host.CPU_SECONDS.name}{{{labels}}} {spent:.1f} {START + 10 * step}")
                spent += 10.0 if (mode == "user") == is_busy else 0.0
    path = folder / name
    path.write_text("\n".join([*lines, "# EOF"]) + "\n")
    return path


def run(*args: str, capsys) -> tuple[int, str, str]:
    code = main(["analyze", *args], environ={})
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_full_machine_is_told_with_evidence_and_remedy(tmp_path: Path, capsys):
    code, out, _ = run(str(telemetry(tmp_path, busy=True)), capsys=capsys)

    assert code == 1
    assert "host_saturated since 2025-06-15 15:12:00Z" in out
    assert "What to do:" in out
    assert "Checked:" in out
    assert "Could not be judged:" in out


def test_what_is_silenced_is_told_and_is_exit_0(tmp_path: Path, capsys):
    silence = Silence(id="s1", start=0.0, until=1e10, reason="a load test", by="ann", node="box")
    path = tmp_path / "data" / MUTINGS_FILE
    path.parent.mkdir()
    path.write_text(json.dumps(mutings_document(Mutings(silences=(silence,)))))
    data = {"WARPGAUGE_ANALYZER_DATA_DIRECTORY": str(path.parent)}
    code = main(["analyze", str(telemetry(tmp_path, busy=True))], environ=data)

    assert (code, "host_saturated" in capsys.readouterr().out) == (0, True)


def test_a_quiet_machine_is_exit_0_with_what_was_checked(tmp_path: Path, capsys):
    code, out, _ = run(str(telemetry(tmp_path, busy=False)), capsys=capsys)

    assert code == 0
    assert out.startswith("Nothing found on 1 node and 0 devices, 2025-06-15 15:06:40Z to 2025-06-15 15:16:40Z")
    assert "host_saturated: 1 machines" in out


def test_json_is_one_document_per_line_and_ends_with_a_summary(tmp_path: Path, capsys):
    code, out, _ = run("--json", str(telemetry(tmp_path, busy=True)), capsys=capsys)

    documents = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [document["type"] for document in documents] == ["finding", "incident", "summary"]
    assert documents[0]["scope"]["node"] == "box"
    assert documents[-1]["samples"]["mapped"] == 2 * 2 * 61


def test_a_directory_is_judged_as_one_fleet(tmp_path: Path, capsys):
    telemetry(tmp_path, busy=False, name="a.om")
    (tmp_path / "b.om").write_text((tmp_path / "a.om").read_text().replace('"box"', '"other"'))

    _, out, _ = run(str(tmp_path), capsys=capsys)

    assert "2 nodes" in out


def test_of_a_file_only_the_hours_asked_for_are_judged(tmp_path: Path, capsys):
    path = str(telemetry(tmp_path, busy=True))

    code, out, _ = run(path, "--end", str(START + 290), capsys=capsys)

    assert code == 0
    assert out.startswith("Nothing found on 1 node and 0 devices, 2025-06-15 15:06:40Z to 2025-06-15 15:11:30Z")


def test_a_span_without_a_sample_says_so_and_blames_no_metric(tmp_path: Path, capsys):
    path = str(telemetry(tmp_path, busy=True))

    _, out, _ = run(path, "--start", "2020-01-01T00:00:00Z", "--end", "2020-01-02T00:00:00Z", capsys=capsys)

    assert out == (
        "Nothing to judge: no source holds a metric that warpgauge knows between"
        " 2020-01-01 00:00:00Z and 2020-01-02 00:00:00Z.\n"
    )


@pytest.mark.parametrize(("flag", "value"), [("--match", '{node="box"}'), ("--step", "1m")])
def test_what_only_a_prometheus_can_be_asked_for_is_refused_for_a_file(tmp_path: Path, capsys, flag: str, value: str):
    path = str(telemetry(tmp_path, busy=True))

    code, out, err = run(path, flag, value, capsys=capsys)

    assert (code, out) == (2, "")
    assert err == f"warpgauge: {flag} is for a Prometheus; {path} is none and is read as it is: leave it out\n"


def test_a_file_of_foreign_metrics_says_that_nothing_could_be_judged(tmp_path: Path, capsys):
    (tmp_path / "a.om").write_text("requests 1 1750000000\n# EOF\n")

    code, out, _ = run(str(tmp_path), capsys=capsys)

    assert code == 0
    assert out == "Nothing to judge: no source holds a metric that warpgauge knows.\n"


def test_control_characters_from_a_label_do_not_reach_the_terminal(tmp_path: Path, capsys):
    path = telemetry(tmp_path, busy=True)
    path.write_text(path.read_text().replace('"box"', '"b\x1b[2Jox"'))

    _, out, _ = run(str(path), capsys=capsys)

    assert "\x1b" not in out


def test_a_narrow_terminal_gets_narrow_lines_and_a_pipe_the_same_ones_everywhere(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    piped = wrapped("word " * 40)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    assert max(len(line) for line in wrapped("word " * 40).splitlines()) <= 60
    assert max(len(line) for line in piped.splitlines()) > 90


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nowhere.om"], "nowhere.om does not exist"),
        (["--since", "long", "http://127.0.0.1:9"], "--since 'long' must be a duration"),
        (["--start", "noon", "http://127.0.0.1:9"], "--start 'noon' must be RFC 3339"),
        (["--start", "2026-01-02T00:00:00Z", "--end", "2026-01-01T00:00:00Z", "http://127.0.0.1:9"], "--start"),
        (["--match", "up", "http://127.0.0.1:9"], "--match 'up' must be a selector"),
        (["--header", "nonsense", "http://127.0.0.1:9"], "--header 'nonsense'"),
        (["--bearer-token-file", "missing", "http://127.0.0.1:9"], "cannot read missing: No such file"),
        (["--basic-auth-file", "missing", "http://127.0.0.1:9"], "cannot read missing: No such file"),
        (["--basic-auth-env", "NOT_SET_HERE", "http://127.0.0.1:9"], "NOT_SET_HERE must hold one line USER:PASSWORD"),
        (["--tenant", "a b", "http://127.0.0.1:9"], "tenant 'a b' must be letters"),
        (["--client-key", "key.pem", "https://127.0.0.1:9"], "client key key.pem comes without a client certificate"),
        (["--ca-file", "missing", "https://127.0.0.1:9"], "cannot use missing as certificate authority"),
        (["http://me:pass@127.0.0.1:9"], "credentials do not belong in the URL"),
        (["http://127.0.0.1:9"], "cannot reach http://127.0.0.1:9/api/v1/query: Connection refused"),
        (["http://127.0.0.1:9/metrics"], "cannot reach http://127.0.0.1:9/metrics: Connection refused"),
    ],
)
def test_wrong_use_and_bad_input_are_exit_2_and_one_sentence(args: list[str], message: str, capsys):
    code, out, err = run(*args, capsys=capsys)

    assert code == 2
    assert out == ""
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("warpgauge: ")


def test_a_token_is_never_shown(tmp_path: Path, capsys):
    (tmp_path / "token").write_text("secret two\n")

    code, _, err = run("--bearer-token-file", str(tmp_path / "token"), "http://127.0.0.1:9", capsys=capsys)

    assert code == 2
    assert "must hold one token" in err
    assert "secret" not in err
