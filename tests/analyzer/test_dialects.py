"""Foreign names, units and labels become catalog rows, and what does not count stays out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.analyzer.dialects import DIALECTS, is_known, map_series
from warpgauge.analyzer.dialects.verdicts import VERDICTS
from warpgauge.analyzer.frame.schema import PLACES
from warpgauge.cli.docs.findings import detected_kinds
from warpgauge.core.catalog import ALL, Kind, device, host, training


def test_every_catalog_metric_of_the_frame_maps_to_itself():
    (mapped,) = map_series(device.POWER.name, {"uuid": "GPU-1"})

    assert (mapped.metric, mapped.factor, mapped.labels) == (device.POWER, 1.0, {"uuid": "GPU-1"})


def test_parts_of_a_histogram_are_told_apart():
    name = training.STEP_SECONDS.name

    assert [one.part for one in map_series(f"{name}_sum", {})] == ["sum"]
    assert [one.part for one in map_series(f"{name}_count", {})] == ["count"]
    assert map_series(f"{name}_bucket", {"le": "1"}) == ()


@pytest.mark.parametrize(
    ("name", "metric", "factor"),
    [
        ("node_cpu_seconds_total", host.CPU_SECONDS, 1.0),
        ("node_memory_MemAvailable_bytes", host.MEMORY_AVAILABLE, 1.0),
        ("node_vmstat_pswpin", host.SWAP_IN, 4096.0),
        ("node_network_receive_bytes_total", host.NETWORK_RECEIVE, 1.0),
        ("node_uname_info", host.HOST_INFO, 1.0),
    ],
)
def test_node_exporter_names_become_host_rows(name: str, metric, factor: float):
    (mapped,) = map_series(name, {"device": "eth0"})

    assert (mapped.metric, mapped.factor) == (metric, factor)


def test_pressure_gets_the_labels_that_node_exporter_has_in_the_name():
    (mapped,) = map_series("node_pressure_memory_stalled_seconds_total", {"instance": "a"})

    assert mapped.metric is host.PRESSURE_SECONDS
    assert mapped.labels == {"instance": "a", "resource": "memory", "scope": "full"}


@pytest.mark.parametrize("interface", ["lo", "veth0a1b", "docker0", "cali123", "br-4f"])
def test_traffic_of_virtual_interfaces_is_not_counted_twice(interface: str):
    assert map_series("node_network_receive_bytes_total", {"device": interface}) == ()
    assert map_series(host.NETWORK_TRANSMIT.name, {"device": interface}) == ()


@pytest.mark.parametrize("disk", ["dm-0", "loop7", "md127", "zram0"])
def test_bytes_of_mapped_disks_are_not_counted_twice(disk: str):
    assert map_series(host.DISK_READ.name, {"device": disk}) == ()


@pytest.mark.parametrize("real", ["eth0", "ens3", "bond0", "ib0", "enp1s0f0"])
def test_real_interfaces_count(real: str):
    assert map_series(host.NETWORK_RECEIVE.name, {"device": real})


def test_what_no_dialect_knows_is_foreign():
    assert map_series("http_requests_total", {}) == ()
    assert not is_known("http_requests_total")


def test_what_is_known_but_unused_is_not_foreign():
    assert is_known("node_arp_entries")
    assert is_known(f"{training.STEP_SECONDS.name}_bucket")
    assert all(is_known(metric.name) for metric in ALL if metric.kind is not Kind.HISTOGRAM)


NAMES = sorted(frozenset[str]().union(*(dialect.names for dialect in DIALECTS)))
LABELS = st.sampled_from(
    ["UUID", "uuid", "gpu_id", "gpu_uuid", "gpu", "pod", "exported_pod", "xid", "clock_type", "device"]
)


@given(st.sampled_from(NAMES), st.dictionaries(LABELS | st.text(), st.text()))
def test_any_labels_give_rows_with_all_their_labels_as_text(name: str, labels: dict[str, str]):
    for mapped in map_series(name, labels):
        assert all(isinstance(value, str) for value in mapped.labels.values())


def test_no_two_dialects_have_a_name_in_common():
    assert len(NAMES) == sum(len(dialect.names) for dialect in DIALECTS)


@pytest.mark.parametrize("dialect", DIALECTS[2:], ids=lambda dialect: dialect.name)
def test_a_row_has_the_labels_that_keep_its_values_apart(dialect):
    for name, rows in dialect.rows.items():
        for row in rows:
            kept = set(PLACES[row.metric.name].keep) - {"xid"}
            assert kept <= set(row.labels), name
            assert set(row.labels) <= set(row.metric.labels), name
            states = row.metric.states
            assert not states or set(row.labels.values()) & set(states), name


def test_every_kind_that_is_detected_has_a_verdict():
    assert {kind for verdict in VERDICTS for kind in verdict.kinds} == detected_kinds()
