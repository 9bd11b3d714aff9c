from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from warpgauge.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """
schema = "warpgauge.scenario/v1"
name = "tiny"
duration_seconds = 900
scrape_seconds = 30
[fleet]
nodes = 2
devices_per_node = 4
[[job]]
id = "train"
nodes = [0, 1]
[[fault]]
cause = "slow_kernels"
job = "train"
rank = 5
size = 1.8
start_seconds = 300
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(TEXT)
    return path


@pytest.mark.slow
def test_the_analyzer_finds_in_the_file_what_the_truth_beside_it_says(scenario, tmp_path, capsys):
    assert main(["simulate", str(scenario), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("simulated: ")
    (fault,) = json.loads((tmp_path / "out" / "truth.json").read_text())["faults"]
    assert main(["analyze", str(tmp_path / "out" / "telemetry.om"), "--json"]) == 1
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    findings = [one for one in documents if one["type"] == "finding" and one["severity"] != "info"]
    assert {one["kind"] for one in findings} == {fault["kind"]}
    assert findings[0]["scope"]["uuid"] == fault["culprit"]
    assert findings[0]["simulated"] is True


def test_the_long_table_has_a_row_per_sample_and_says_that_it_is_simulated(scenario, tmp_path, capsys):
    out = tmp_path / "tiny.csv"
    assert main(["simulate", str(scenario), "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["simulated"] is True
    header, *rows = out.read_text().splitlines()
    assert header.startswith("timestamp,metric,value,cluster,node,")
    assert any(",accel_device_info," in row and ",true," in row for row in rows)
    assert json.loads((tmp_path / "tiny.truth.json").read_text())["simulated"] is True


def test_another_seed_gives_other_samples(scenario, tmp_path):
    for seed in ("1", "2"):
        main(["simulate", str(scenario), "--out", str(tmp_path / f"{seed}.csv"), "--seed", seed])
    assert (tmp_path / "1.csv").read_text() != (tmp_path / "2.csv").read_text()


def test_a_bad_scenario_ends_in_one_line_with_its_place(scenario, tmp_path, capsys):
    scenario.write_text(TEXT.replace("slow_kernels", "slow_kernel"))
    assert main(["simulate", str(scenario), "--out", str(tmp_path / "x")]) == 2
    assert "tiny.toml:13: fault[0].cause is 'slow_kernel'; did you mean slow_kernels?" in capsys.readouterr().err


def test_an_unknown_ending_is_refused(scenario, tmp_path, capsys):
    assert main(["simulate", str(scenario), "--out", str(tmp_path / "x.xls")]) == 2
    assert "must end in .om or .csv, or be a directory" in capsys.readouterr().err
