from __future__ import annotations

import subprocess
import sys
from functools import lru_cache

import pytest

from warpgauge.core.catalog import Kind, Metric, device, host, training
from warpgauge.core.errors import ConfigError
from warpgauge.core.sample import Histogram
from warpgauge.exporters.synthetic import FAULTS, Fleet
from warpgauge.exporters.synthetic.job import TrainingJob

START = 1_750_000_000.0
Values = dict[tuple[str, Metric, tuple[str, ...]], float | Histogram]


def values(fleet: Fleet) -> Values:
    return {(node, row.metric, row.labels): row.value for node in fleet.node_names for row in fleet.samples(node)}


@lru_cache(maxsize=16)
def lived(seed: int, faults: tuple[str, ...]) -> tuple[Fleet, Values]:
    """A fleet at its start, and all its values then."""
    fleet = Fleet(seed, faults, start=START)
    fleet.advance(START)
    return fleet, values(fleet)


def told(seed: int, kind: str) -> dict:
    return next(fault for fault in Fleet(seed, FAULTS, start=START).truth()["faults"] if fault["kind"] == kind)


def devices_of(fleet: Fleet, job_id: str) -> set[str]:
    return {seat.gpu.uuid for job in fleet.jobs if job.owner.job_id == job_id for seat in job.seats}


def nodes_of(fleet: Fleet, job_id: str) -> set[str]:
    return {fleet.nodes[seat.node].name for job in fleet.jobs if job.owner.job_id == job_id for seat in job.seats}


# ---- determinism


def test_the_same_seed_gives_the_same_fleet():
    one, other = (Fleet(42, FAULTS, start=START) for _ in range(2))
    one.advance(START - 3000.0)
    other.advance(START - 3000.0)
    assert values(one) == values(other)


def test_another_process_with_other_hash_seeds_gives_the_same_fleet():
    code = (
        "from warpgauge.exporters.synthetic import Fleet; f = Fleet(42, start=1750000000.0);"
        "print([f.truth(), [s.value for n in f.node_names for s in f.samples(n)]])"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_a_time_already_passed_changes_nothing():
    fleet = Fleet(42, start=START)
    before = values(fleet)
    fleet.advance(fleet.time - 100.0)
    assert values(fleet) == before


def test_a_new_fleet_stands_one_hour_before_its_start():
    assert Fleet(1, start=START).time == START - 3600.0


# ---- the shape of the fleet


def test_there_are_64_devices_on_8_nodes_each_with_an_identity_of_its_own():
    fleet = Fleet(42, start=START)
    assert fleet.node_names == tuple(f"sim-node-{number}" for number in range(8))
    uuids = {gpu.uuid for node in fleet.nodes for gpu in node.gpus}
    assert len(uuids) == 64
    assert all(uuid.startswith("GPU-") and len(uuid) == 40 for uuid in uuids)


def test_jobs_share_no_device_and_leave_some_free():
    fleet = Fleet(42, start=START)
    held = [seat.gpu.uuid for job in fleet.jobs for seat in job.seats]
    assert sorted(len(job.seats) for job in fleet.jobs) == [4, 4, 8, 16, 24]
    assert len(held) == len(set(held)) == 56


def test_every_device_says_that_it_is_simulated():
    fleet = Fleet(42, start=START)
    rows = [row for node in fleet.node_names for row in fleet.samples(node) if row.metric is device.DEVICE_INFO]
    assert len(rows) == 64
    assert all(row.label("simulated") == "true" for row in rows)


def test_a_larger_fleet_repeats_the_roster_with_job_ids_of_its_own():
    fleet = Fleet(42, nodes=17, gpus_per_node=4, start=START)
    ids = [job.owner.job_id for job in fleet.jobs]
    assert len(ids) == len(set(ids)) == 10
    held = [seat.gpu.uuid for job in fleet.jobs for seat in job.seats]
    assert len(held) == len(set(held)) == 56


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"faults": ("stragler",)}, "unknown fault 'stragler'; known are straggler"),
        ({"nodes": 7}, "at least 8 nodes of 4 devices, got 7 of 8"),
        ({"gpus_per_node": 2}, "at least 8 nodes of 4 devices, got 8 of 2"),
    ],
)
def test_a_fleet_that_cannot_be_is_refused_in_words(arguments, words):
    with pytest.raises(ConfigError, match=words):
        Fleet(42, **{"faults": (), **arguments}, start=START)


# ---- laws over the whole fleet


def flat(value: float | Histogram) -> tuple[float, ...]:
    return (*value.counts, value.sum) if isinstance(value, Histogram) else (value,)


def test_no_counter_falls_and_no_ratio_leaves_0_to_1_over_the_hour():
    fleet = Fleet(42, start=START)
    before = values(fleet)
    while fleet.time < START:
        fleet.advance(fleet.time + 400.0)
        now = values(fleet)
        for key, value in now.items():
            metric = key[1]
            if metric.is_cumulative:
                assert all(late >= early for late, early in zip(flat(value), flat(before[key]), strict=True)), key
            elif metric.name.endswith("_ratio"):
                assert 0.0 <= value <= 1.0, key
        before = now


def test_memory_of_every_device_adds_up():
    _, found = lived(42, FAULTS)
    for (node, metric, labels), total in found.items():
        if metric is device.MEMORY_TOTAL:
            parts = (device.MEMORY_USED, device.MEMORY_FREE, device.MEMORY_RESERVED)
            assert sum(found[node, part, labels] for part in parts) == pytest.approx(total, rel=1e-12)
            assert found[node, device.MEMORY_FREE, labels] > 0.02 * total


def test_all_ranks_of_a_job_have_done_the_same_steps():
    fleet, found = lived(42, FAULTS)
    for job in fleet.jobs:
        if isinstance(job, TrainingJob):
            done = {
                value.counts
                for (_, metric, labels), value in found.items()
                if metric is training.STEP_SECONDS and labels[0] == job.owner.job_id
            }
            assert len(done) == 1


def test_exactly_one_state_holds_per_device():
    _, found = lived(42, FAULTS)
    states: dict[str, float] = {}
    for (_, metric, labels), value in found.items():
        if metric is device.DEVICE_STATE:
            states[labels[0]] = states.get(labels[0], 0.0) + value
    assert set(states.values()) == {1.0}


def test_small_steps_and_large_ones_lead_to_about_the_same_energy():
    coarse, fine = Fleet(42, start=START), Fleet(42, start=START)
    begin = coarse.time
    coarse.advance(begin + 300.0)
    for second in range(1, 301):
        fine.advance(begin + second)
    for one, other in zip(coarse.nodes, fine.nodes, strict=True):
        for gpu, twin in zip(one.gpus, other.gpus, strict=True):
            assert gpu.energy_joules == pytest.approx(twin.energy_joules, rel=1e-3)


# ---- a fleet without faults is healthy


def test_without_faults_no_device_is_hot_or_thermally_throttled():
    _, found = lived(42, ())
    for (_, metric, labels), value in found.items():
        if metric is device.TEMPERATURE:
            assert value < 80.0
        if metric is device.THROTTLE_SECONDS and labels[-1] in {"sw_thermal", "hw_thermal"}:
            assert value == 0.0


def test_without_faults_peers_run_at_about_the_same_clock():
    fleet, _ = lived(42, ())
    for job in fleet.jobs:
        clocks = [seat.gpu.mean_clock_ratio for seat in job.seats]
        assert min(clocks) > 0.95 * max(clocks)


def test_the_software_power_cap_is_part_of_normal_life():
    _, found = lived(42, ())
    capped = [
        value
        for (_, metric, labels), value in found.items()
        if metric is device.THROTTLE_SECONDS and labels[-1] == "sw_power_cap"
    ]
    assert any(seconds > 600.0 for seconds in capped)
    assert any(seconds == 0.0 for seconds in capped)


def test_without_faults_no_host_is_saturated():
    begin = Fleet(42, (), start=START)
    seconds = {node.name: list(node.host.cpu_seconds) for node in begin.nodes}
    fleet, _ = lived(42, ())
    for node in fleet.nodes:
        idle = sum(node.host.cpu_seconds[3::8]) - sum(seconds[node.name][3::8])
        assert idle / (3600.0 * node.host.cpu_count) > 0.1


# ---- faults


def test_the_truth_names_every_fault_with_place_time_and_size():
    fleet, _ = lived(42, FAULTS)
    truth = fleet.truth()
    assert truth["schema"] == "warpgauge.truth/v1"
    assert truth["seed"] == 42
    assert [fault["kind"] for fault in truth["faults"]] == list(FAULTS)
    for fault in truth["faults"]:
        assert fault["scope"]["cluster"] == "demo"
        assert 35 * 60 <= START - fault["start"] <= 50 * 60
        assert fault["end"] is None
        assert fault["size"] > 0
        assert set(fault["uuids"]) <= devices_of(fleet, fault["scope"]["job_id"])
        assert set(fault["nodes"]) <= nodes_of(fleet, fault["scope"]["job_id"])


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_left_out_moves_none_of_the_others(kind):
    rest = tuple(name for name in FAULTS if name != kind)
    everything = Fleet(42, FAULTS, start=START).truth()["faults"]
    assert Fleet(42, rest, start=START).truth()["faults"] == [fault for fault in everything if fault["kind"] != kind]


@pytest.mark.parametrize("kind", FAULTS)
def test_another_seed_moves_a_fault_to_other_devices(kind):
    places = {tuple(told(seed, kind)["uuids"]) for seed in range(42, 46)}
    assert len(places) == 4


def test_faults_never_meet_in_one_job():
    for seed in range(8):
        jobs = [fault["scope"]["job_id"] for fault in Fleet(seed, FAULTS, start=START).truth()["faults"]]
        assert len(set(jobs)) == len(FAULTS)


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_changes_nothing_outside_its_job_and_the_hosts_of_its_job(kind):
    fleet, faulty = lived(42, (kind,))
    _, healthy = lived(42, ())
    job_id = told(42, kind)["scope"]["job_id"]
    devices, nodes = devices_of(fleet, job_id), nodes_of(fleet, job_id)
    changed = {key for key, value in faulty.items() if healthy[key] != value}
    for node, metric, labels in changed:
        if metric.name.startswith("host_"):
            assert node in nodes
        elif metric.name.startswith("training_"):
            assert labels[0] == job_id
        else:
            assert labels[0] in devices
    assert changed


@pytest.mark.parametrize("kind", FAULTS)
def test_nothing_changes_before_the_fault_begins(kind):
    faulty, healthy = Fleet(42, (kind,), start=START), Fleet(42, (), start=START)
    for fleet in (faulty, healthy):
        fleet.advance(told(42, kind)["start"])
    assert values(faulty) == values(healthy)


def phase_shares(fleet: Fleet, job_id: str) -> dict[str, list[float]]:
    """Per phase its share of all time per rank, over ten minutes more; the fleet is moved."""
    job = next(job for job in fleet.jobs if job.owner.job_id == job_id)
    assert isinstance(job, TrainingJob)
    before = [list(phases) for phases in job.phase_seconds]
    fleet.advance(fleet.time + 600.0)
    spent = [
        [now - then for now, then in zip(phases, old, strict=True)]
        for phases, old in zip(job.phase_seconds, before, strict=True)
    ]
    return {name: [phases[position] / sum(phases) for phases in spent] for position, name in enumerate(training.PHASES)}


def after_an_hour(seed: int, kind: str) -> Fleet:
    fleet = Fleet(seed, (kind,), start=START)
    fleet.advance(START)
    return fleet


@pytest.mark.parametrize("seed", [42, 7])
def test_the_straggler_waits_least_and_shows_no_throttle_reason(seed):
    scope = told(seed, "straggler")["scope"]
    fleet = after_an_hour(seed, "straggler")
    waits = phase_shares(fleet, scope["job_id"])["communication"]
    job = next(job for job in fleet.jobs if job.owner.job_id == scope["job_id"])
    culprit = job.seats[scope["rank"]].gpu
    assert culprit.uuid == scope["uuid"]
    assert waits.index(min(waits)) == scope["rank"]
    assert sorted(waits)[1] > 2.0 * min(waits)
    assert culprit.mean_clock_ratio < 0.7
    assert culprit.throttle_seconds["sw_thermal"] == culprit.throttle_seconds["hw_thermal"] == 0.0
    assert culprit.reasons == frozenset()


@pytest.mark.parametrize("seed", [42, 7])
def test_the_hot_device_is_throttled_by_heat_and_slows_its_job(seed):
    scope = told(seed, "thermal_limited")["scope"]
    fleet = after_an_hour(seed, "thermal_limited")
    job = next(job for job in fleet.jobs if job.owner.job_id == scope["job_id"])
    hot = job.seats[scope["rank"]].gpu
    assert hot.core_celsius > 80.0
    assert hot.throttle_seconds["sw_thermal"] > 1200.0
    assert hot.throttle_seconds["hw_thermal"] > 0.0
    assert all(seat.gpu.throttle_seconds["sw_thermal"] == 0.0 for seat in job.seats if seat.gpu is not hot)
    waits = phase_shares(fleet, scope["job_id"])["communication"]
    assert waits.index(min(waits)) == scope["rank"]


@pytest.mark.parametrize("seed", [42, 1])  # the notebook, and the server
def test_an_idle_allocation_holds_devices_and_memory_without_one_kernel(seed):
    fault = told(seed, "idle_allocated")
    fleet = Fleet(seed, ("idle_allocated",), start=START)
    fleet.advance(fault["start"])
    idle = [gpu for node in fleet.nodes for gpu in node.gpus if gpu.uuid in fault["uuids"]]
    assert max(gpu.engine_active_ratio for gpu in idle) > 0.1
    while fleet.time < START:
        fleet.advance(fleet.time + 30.0)
        assert all(gpu.engine_active_ratio == 0.0 for gpu in idle)
        assert all(gpu.memory_used_bytes > 1e10 and gpu.work.processes == 1 for gpu in idle)


@pytest.mark.parametrize("seed", [42, 7])
def test_an_input_bound_job_waits_for_its_loader_on_every_rank_while_the_hosts_have_room(seed):
    fault = told(seed, "input_bound")
    fleet = after_an_hour(seed, "input_bound")
    hosts = [node.host for node in fleet.nodes if node.name in fault["nodes"]]
    before = [list(machine.cpu_seconds) for machine in hosts]
    waits = phase_shares(fleet, fault["scope"]["job_id"])["input"]
    assert all(0.28 < share < 0.5 for share in waits)
    for machine, seconds in zip(hosts, before, strict=True):
        idle = sum(machine.cpu_seconds[3::8]) - sum(seconds[3::8])
        assert 0.2 < idle / (600.0 * machine.cpu_count) < 0.75


def test_host_rows_name_the_node_they_stand_on():
    fleet = Fleet(42, start=START)
    for node in fleet.node_names:
        info = next(row for row in fleet.samples(node) if row.metric is host.HOST_INFO)
        assert info.label("nodename") == node


def test_every_sample_carries_the_labels_of_its_row():
    fleet = Fleet(42, start=START)
    seen = set()
    for node in fleet.node_names:
        for row in fleet.samples(node):
            assert len(row.labels) == len(row.metric.labels), row
            assert isinstance(row.value, Histogram) == (row.metric.kind is Kind.HISTOGRAM)
            assert (node, row.metric, row.labels) not in seen
            seen.add((node, row.metric, row.labels))
