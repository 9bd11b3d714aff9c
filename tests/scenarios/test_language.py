from __future__ import annotations

from pathlib import Path

import pytest

from warpgauge.core.errors import InputError
from warpgauge.exporters.synthetic.scenario import CAUSES, read_scenario, scenario_from_text

EXAMPLES = sorted(Path("examples/scenarios").glob("*.toml"))
HEAD = 'schema = "warpgauge.scenario/v1"\nduration_seconds = 600\n'
FAULT = "[[fault]]\nstart_seconds = 1\n"
JOB = '[[job]]\nid = "a"\nnodes = [0, 1]\nstages = 2\n'


def complaint(text: str) -> str:
    with pytest.raises(InputError) as caught:
        scenario_from_text(text, "s.toml")
    return str(caught.value)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_read(path):
    assert read_scenario(path).jobs


def test_what_a_file_leaves_out_has_its_default():
    scenario = scenario_from_text(HEAD, "s.toml")
    assert (scenario.fleet.nodes, scenario.fleet.board, scenario.scrape_seconds) == (4, "h100", 10.0)


def test_whole_numbers_may_stand_where_numbers_are_asked_for():
    assert scenario_from_text(HEAD, "s.toml").duration_seconds == 600.0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "s.toml: schema is missing"),
        ('schema = "v2"', "s.toml:1: schema is 'v2'; known are warpgauge.scenario/v1"),
        ("schema =", "s.toml is not valid TOML"),
        (HEAD + "durations = 5", "s.toml:3: durations is unknown; did you mean duration_seconds?"),
        (HEAD + "scrape_seconds = 0", "s.toml:3: scrape_seconds must be from 1 to 300 seconds, got 0"),
        (HEAD + 'seed = "x"', "s.toml:3: seed must be a whole number, got 'x'"),
        (HEAD + "seed = true", "s.toml:3: seed must be a whole number, got 'True'"),
        (HEAD + "fleet = 3", "fleet must be a table: [fleet]"),
        (HEAD + "[fleet]\nboard = 'h101'", "s.toml:4: fleet.board is 'h101'; did you mean h100?"),
        (HEAD + "[fleet]\nboards = ['h100']", "s.toml:4: fleet.boards must name one board for each of the 4 nodes"),
        (HEAD + "[fleet]\nracks = 9", "s.toml:4: fleet.racks must not be more than the 4 nodes"),
        (HEAD + "[[job]]\nnodes = [0]", "s.toml:3: job[0].id is missing: Its name"),
        (HEAD + "[job]\nid = 'a'", "job must be tables [[job]]"),
        (HEAD + "[[job]]\nid = 'a'", "job[0].nodes or devices must be given"),
        (HEAD + "[[job]]\nid = 'a'\nnodes = [7]", "s.toml:5: job[0].nodes name is 7, and the fleet has nodes 0 to 3"),
        (HEAD + "[[job]]\nid = 'a'\ndevices = ['0:9']", "s.toml:5: job[0].devices name device 9 of 8"),
        (HEAD + "[[job]]\nid = 'a'\ndevices = ['x']", "job[0].devices must name devices: 'x' is no device"),
        (HEAD + JOB + JOB, "s.toml:8: job[1].id 'a' is taken by another job"),
        (HEAD + JOB + JOB.replace('"a"', '"b"'), "s.toml:9: job[1].nodes overlap with job 'a'"),
        (HEAD + JOB + "stage_ratios = [1]", "job[0].stage_ratios must be 2 numbers from 0.2 to 5"),
        (HEAD + JOB + "scale = [[0, 1]]", "job[0].scale is for kind serving"),
        (HEAD + JOB + "kernel = { smm = 1 }", "job[0].kernel.smm is unknown; did you mean sm?"),
        (HEAD + JOB + "end_seconds = 0", "job[0].end_seconds must be after start_seconds"),
        (HEAD + "[[fault]]\ncause = 'slow'", "s.toml:3: fault[0].start_seconds is missing"),
        (HEAD + FAULT + "cause = 'xidd'", "s.toml:5: fault[0].cause is 'xidd'; did you mean xid?"),
        (HEAD + FAULT + "cause = 'xid'", "fault[0].device or job and rank must be given"),
        (HEAD + FAULT + "cause = 'xid'\ndevice = '9:0'", "fault[0].device must be one of 4 x 8"),
        (HEAD + FAULT + "cause = 'cpu_hog'", "fault[0].node must be named: cpu_hog strikes a"),
        (HEAD + "[[fault]]\ncause = 'xid'\ndevice = '0:0'\nstart_seconds = 700", "is past the scenario's 600"),
        (HEAD + JOB + FAULT + "cause = 'slow_clock'\njob = 'a'", "fault[0].rank must be a rank of a"),
        (HEAD + JOB + FAULT + "cause = 'slow_stage'\njob = 'a'\nstage = 2", "fault[0].stage must be"),
        (HEAD + JOB + FAULT + "cause = 'abandoned'\njob = 'a'", "a job of kind notebook or serving"),
        (HEAD + JOB + FAULT + "cause = 'slow_loader'\njob = 'b'", "fault[0].job is 'b'; known are a"),
        (HEAD + JOB + FAULT + "cause = 'slow_loader'\njob = 'a'\nsize = 9", "size must be from 1.01"),
        (HEAD + "[[trouble]]\nkind = 'clock_skew'\nnode = 4", "s.toml:5: trouble[0].node is 4, and the fleet"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line_its_key_and_the_mend(text, wanted):
    assert wanted in complaint(text)


def test_jobs_may_take_turns_on_a_device():
    turns = JOB + "end_seconds = 300\n" + JOB.replace('"a"', '"b"') + "start_seconds = 300\n"
    assert len(scenario_from_text(HEAD + turns, "s.toml").jobs) == 2


def test_a_file_that_is_no_text_or_far_too_large_is_refused(tmp_path):
    path = tmp_path / "s.toml"
    path.write_bytes(b"\xff")
    with pytest.raises(InputError, match="not UTF-8"):
        read_scenario(path)
    path.write_bytes(b"#" * (1 << 20) + b"#")
    with pytest.raises(InputError, match="larger than 1 MiB"):
        read_scenario(path)
    with pytest.raises(InputError, match="cannot read the scenario"):
        read_scenario(tmp_path / "none.toml")


def test_the_usual_size_of_every_cause_is_one_it_may_have_and_must_be_found():
    for name, cause in CAUSES.items():
        low, high = cause.sizes
        assert low <= cause.usual <= high, name
        assert cause.is_due(cause.usual), name
