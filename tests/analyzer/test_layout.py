"""What nodes share: from target labels, from a file, and over a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.frame.layout import Layout, read_layout
from warpgauge.analyzer.intake import Intake
from warpgauge.analyzer.sources import Page, Target
from warpgauge.core.errors import ConfigError
from warpgauge.core.finding import Level

if TYPE_CHECKING:
    from pathlib import Path


def taken(text: str, **labels: str) -> Layout:
    frame = Frame()
    target = Target(name="http://n1:9837/metrics", labels=labels)
    page = Page(target=target, text=text, is_openmetrics=False, time=1_750_000_000.0, interval_seconds=10)
    Intake(frame, NodeNames("c")).take(page)
    return frame.layout


def test_labels_of_a_target_tell_where_its_node_stands():
    layout = taken('host_info{nodename="n1"} 1\n', node="n1", rack="r7", power_domain="pdu-2")

    assert layout.name(Level.RACK, "c", "n1") == "r7"
    assert layout.name(Level.POWER_DOMAIN, "c", "n1") == "pdu-2"
    assert layout.name(Level.SWITCH, "c", "n1") == ""
    assert layout.levels == (Level.RACK, Level.POWER_DOMAIN)


def test_a_switch_label_of_an_exporters_own_series_is_no_place():
    layout = taken('accel_switch_sxid_events_total{switch="3",sxid="10003"} 1\n', node="n1")

    assert layout.levels == ()


def test_devices_of_one_node_may_hang_on_different_switches(tmp_path: Path):
    file = tmp_path / "topology.csv"
    file.write_text("node,index,rack,switch\nn1,,r7,\nn1,0,,leaf-0\nn1,1,,leaf-1\n")

    layout = read_layout(file, cluster="c")

    assert [layout.name(Level.SWITCH, "c", "n1", index) for index in (0, 1, 2)] == ["leaf-0", "leaf-1", ""]
    assert [layout.name(Level.RACK, "c", "n1", index) for index in (0, 1)] == ["r7", "r7"]
    assert layout.names(Level.SWITCH, "c", "n1") == {"leaf-0", "leaf-1"}


def test_the_file_wins_over_labels(tmp_path: Path):
    file = tmp_path / "topology.csv"
    file.write_text("cluster,node,rack\nc,n1,right\n")
    layout = taken('host_info{nodename="n1"} 1\n', node="n1", rack="wrong")

    layout.take_over(read_layout(file, cluster="other"))

    assert layout.name(Level.RACK, "c", "n1") == "right"


def test_what_labels_told_is_the_same_after_a_restart():
    layout, again = taken('host_info{nodename="n1"} 1\n', node="n1", rack="r7"), Layout()

    again.restore(layout.document())

    assert again.document() == layout.document()
    assert again.names(Level.RACK, "c", "n1") == {"r7"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("node,shelf\nn1,2\n", "no column 'shelf'"),
        ("rack\nr1\n", "needs a column 'node'"),
        ("node,rack\n,r1\n", ":2: a row needs a node"),
        ("node,rack\nn1\n", ":2: a row needs a node"),
        ("node,rack\nn1,r1,r2\n", ":2: a row needs a node"),
        ("node,index,rack\nn1,x,r1\n", ":2: index must be"),
        ('node,rack\n"n1,r1\n', "cannot read"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(tmp_path: Path, text: str, why: str):
    file = tmp_path / "topology.csv"
    file.write_text(text)

    with pytest.raises(ConfigError, match=why):
        read_layout(file, cluster="c")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot read the topology file"):
        read_layout(tmp_path / "none.csv", cluster="c")
