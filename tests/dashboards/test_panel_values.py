"""What the fleet's panels say of four devices whose series are written down here; promtool evaluates the queries.

test_live_queries.py holds more panels to the fleet model, on real servers and in minutes; this takes a second.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from warpgauge.dashboards.generate import files

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

A, B, C, D = (f'cluster="c",node="n",uuid="GPU-{name}",index="{index}"' for index, name in enumerate("ABCD"))
TWICE = ('prometheus="a"', 'prometheus="b"')
"""GPU-A is scraped by both Prometheis of a pair, B is lost, C was released on purpose, D has two MIG instances."""
SERIES = {
    **{f"accel_device_up{{{gpu}}}": up for gpu, up in ((B, 0), (C, 0), (D, 1))},
    **{f"accel_device_up{{{A},{by}}}": 1 for by in TWICE},
    f'accel_device_state{{{B},state="lost"}}': 1,
    f'accel_device_state{{{B},state="released"}}': 0,
    f'accel_device_state{{{C},state="released"}}': 1,
    f"accel_power_watts{{{A},{TWICE[0]}}}": 300,
    f"accel_power_watts{{{A},{TWICE[1]}}}": 310,
    f"accel_power_watts{{{D}}}": 90,
    f'accel_utilization_ratio{{{A},engine="compute"}}': 0.75,
    f'accel_utilization_ratio{{{A},engine="encoder"}}': 0.05,
    f'accel_utilization_ratio{{{D},engine="compute"}}': 0.25,
    f'accel_temperature_celsius{{{A},sensor="core"}}': 60,
    f'accel_temperature_celsius{{{A},sensor="memory"}}': 80,
    f"accel_memory_used_bytes{{{A}}}": 60,
    f"accel_memory_total_bytes{{{A}}}": 80,
    **{f'accel_memory_used_bytes{{{D},instance_id="{part}"}}': used for part, used in ((1, 10), (2, 20))},
    **{f'accel_memory_total_bytes{{{D},instance_id="{part}"}}': total for part, total in ((1, 20), (2, 40))},
    f'accel_throttle_active{{{A},reason="sw_thermal"}}': 1,
    f'accel_throttle_active{{{D},reason="sw_power_cap"}}': 1,
}


def query(title: str, letter: str) -> str:
    panels = json.loads(files()["fleet.json"])["panels"]
    (found,) = (
        target["expr"] for panel in panels if panel["title"] == title
        for target in panel.get("targets", ()) if target["refId"] == letter
    )  # fmt: skip
    return str(found).replace("$cluster", ".+").replace("$node", ".+")


@pytest.mark.parametrize(
    ("title", "letter", "shown"),
    [
        ("Devices known", "A", {"{}": 4}),
        ("Devices not answering", "A", {"{}": 1}),
        ("Devices slowed by heat", "A", {"{}": 1}),
        ("Mean utilization", "A", {"{}": 0.5}),
        ("Power now", "A", {"{}": 400}),
        ("Devices", "C", {f"{{{A}}}": 0.75, f"{{{D}}}": 0.25}),
        ("Devices", "E", {f"{{{A}}}": 0.75, f"{{{D}}}": 0.5}),
        ("Devices", "F", {f"{{{A}}}": 60}),
        ("Devices", "G", {f"{{{A}}}": 310, f"{{{D}}}": 90}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_panel_shows_what_the_series_say(
    promtool: Path, tmp_path: Path, title: str, letter: str, shown: dict[str, float]
):
    case = {
        "interval": "15s",
        "input_series": [{"series": series, "values": f"{value}x8"} for series, value in SERIES.items()],
        "promql_expr_test": [
            {
                "expr": query(title, letter),
                "eval_time": "1m",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in shown.items()],
            }
        ],
    }
    path = tmp_path / "panel.json"  # which is YAML too
    path.write_text(json.dumps({"rule_files": [], "evaluation_interval": "15s", "tests": [case]}))
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
