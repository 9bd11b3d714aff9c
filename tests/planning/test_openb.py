"""The openb reader: what it takes, and one sentence with file and line for what it does not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warpgauge.analyzer.planning import openb
from warpgauge.analyzer.planning.openb import read_nodes, read_pods
from warpgauge.analyzer.planning.pool import Location, Node, Place
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

NODE_HEADER = "sn,cpu_milli,memory_mib,gpu,model"
POD_HEADER = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase"


@pytest.fixture
def written(tmp_path):
    def write(*lines: str) -> Path:
        path = tmp_path / "list.csv"
        path.write_text("\n".join([*lines, ""]))
        return path

    return write


def test_a_node_list_of_the_trace_is_read(written):
    (node,) = read_nodes(written(NODE_HEADER, "openb-node-0000,64000,262144,2,P100"))
    assert node == Node(name="openb-node-0000", cpu_milli=64000, memory_mib=262144, gpu_count=2, model="P100")


def test_place_price_and_uplink_are_columns_of_our_own(written):
    header = f"{NODE_HEADER},location,zone,price_per_hour,uplink_bytes_per_second"
    first, second = read_nodes(written(header, "a,1,1,0,,edge,z1,0.5,1e9", "b,1,1,0,,,,,"))
    assert (first.location, first.zone, first.price_per_hour, first.uplink_bytes_per_second) == (
        Location.EDGE, "z1", 0.5, 1e9,
    )  # fmt: skip
    assert (second.location, second.zone, second.price_per_hour, second.uplink_bytes_per_second) == (None,) * 4


def test_a_pod_may_name_models_and_best_effort_may_be_moved(written):
    path = written(POD_HEADER, "p,4000,1024,1,320,V100M16|T4,BE,Running", "q,4000,1024,0,0,,LS,Running")
    first, second = read_pods(path).pods
    assert first.request.models == {"V100M16", "T4"}
    assert (first.request.is_share, first.is_movable) == (True, True)
    assert (second.request.gpu_count, second.is_movable) == (0, False)


def test_a_pod_may_say_where_it_may_run(written):
    header = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,locations,zones,highest_price_per_hour"
    (pod,) = read_pods(written(header, "p,1,1,0,0,cloud|onprem,z1|z2,2.5")).pods
    assert pod.request.place == Place(
        locations=frozenset({Location.CLOUD, Location.ONPREM}),
        zones=frozenset({"z1", "z2"}),
        highest_price_per_hour=2.5,
    )
    with pytest.raises(InputError, match="line 2: locations must be of cloud, edge, onprem, got 'moon'"):
        read_pods(written(header, "p,1,1,0,0,cloud|moon,,"))


def test_the_five_column_lists_are_read_too(written):
    (pod,) = read_pods(written("name,cpu_milli,memory_mib,num_gpu,gpu_milli", "p,88000,327680,8,1000")).pods
    assert pod.request.total_gpu_milli == 8000
    assert pod.request.models == frozenset()


def test_a_pod_that_names_node_and_devices_runs_there(written):
    workload = read_pods(written("name,cpu_milli,memory_mib,num_gpu,gpu_milli,node,gpus", "p,1,1,2,1000,n7,3|1"))
    assert workload.seats == {"p": ("n7", (3, 1))}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("p,-1,1,0,0", "cpu_milli must be a whole number of 0 to 1000000000000, got '-1'"),
        ("p,1e3,1,0,0", "cpu_milli must be a whole number"),
        ("p,٣,1,0,0", "cpu_milli must be a whole number"),
        ("p,1,1,65,1000", "num_gpu must be a whole number of 0 to 64, got '65'"),
        ("p,1,1,1,1001", "gpu_milli must be a whole number of 0 to 1000, got '1001'"),
        ("p,1,1,1,0", "asks for 1 GPUs of gpu_milli 0"),
        ("p,1,1,2,500", "gpu_milli below 1000 is for one GPU, this pod asks for 2"),
        (",1,1,0,0", "name is empty"),
        ("p,1,1,0", "must have 5 columns as the header has"),
        ("p,1,1,0,0,9", "must have 5 columns as the header has"),
        (f"{'p' * 300},1,1,0,0", "name must be printable and at most 256 characters long"),
        ("p\x1b[2J,1,1,0,0", "name must be printable"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(written, row, complaint):
    path = written("name,cpu_milli,memory_mib,num_gpu,gpu_milli", "ok,1,1,0,0", row)
    with pytest.raises(InputError) as told:
        read_pods(path)
    assert str(told.value).startswith(f"{path} line 3: {complaint}")


@pytest.mark.parametrize(
    ("cells", "complaint"),
    [
        ("n,1", "gpus must name 2 different devices, got '1'"),
        ("n,1|1", "gpus must name 2 different devices, got '1|1'"),
        ("n,a|b", "gpus must be device numbers joined by |, got 'a|b'"),
    ],
)
def test_a_running_pod_must_name_as_many_devices_as_it_asks_for(written, cells, complaint):
    path = written("name,cpu_milli,memory_mib,num_gpu,gpu_milli,node,gpus", f"p,1,1,2,1000,{cells}")
    with pytest.raises(InputError, match="line 2") as told:
        read_pods(path)
    assert complaint in str(told.value)


def test_a_name_that_stands_twice_is_refused(written):
    with pytest.raises(InputError, match="line 3: 'n' stands twice, first in row 1"):
        read_nodes(written(NODE_HEADER, "n,1,1,0,", "n,1,1,0,"))


def test_a_list_without_a_needed_column_is_refused(written):
    with pytest.raises(InputError, match="line 1: has no column memory_mib, gpu"):
        read_nodes(written("sn,cpu_milli", "n,1"))


def test_an_unknown_location_is_refused_with_the_known_ones(written):
    with pytest.raises(InputError, match="location must be one of cloud, edge, onprem, got 'moon'"):
        read_nodes(written(f"{NODE_HEADER},location", "n,1,1,0,,moon"))


def test_a_list_without_nodes_is_no_pool(written):
    with pytest.raises(InputError, match="has no node below its header"):
        read_nodes(written(NODE_HEADER))


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*No such file"):
        read_nodes(tmp_path / "none.csv")


def test_a_list_too_long_or_too_large_is_refused(written, monkeypatch):
    path = written(NODE_HEADER, "a,1,1,0,", "b,1,1,0,")
    monkeypatch.setattr(openb, "MOST_ROWS", 1)
    with pytest.raises(InputError, match="longer than 1 rows"):
        read_nodes(path)
    monkeypatch.setattr(openb, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="larger than 10 bytes"):
        read_nodes(path)


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200), st.sampled_from([b"", NODE_HEADER.encode() + b"\n", POD_HEADER.encode() + b"\n"]))
def test_whatever_the_bytes_are_it_reads_or_says_why_not(tmp_path_factory, data, header):
    path = tmp_path_factory.getbasetemp() / "fuzz.csv"
    path.write_bytes(header + data)
    for read in (read_nodes, read_pods):
        with contextlib.suppress(InputError):
            read(path)
