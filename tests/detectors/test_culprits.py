"""Who holds a job back beyond the one slow rank: a host, a link, a switch, a neighbor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.detectors.scenes import Lockstep, since
from warpgauge.analyzer.anomalies.straggler.detector import Straggler
from warpgauge.analyzer.detection import Candidate, ProcessReading, Strength
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Whose

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEN_MINUTES = 60


def raised(scene: Lockstep) -> list[Candidate]:
    found = Straggler().detect(scene.frame()).candidates
    return [candidate for candidate in found if candidate.strength is Strength.RAISE]


def slow(ratio: float = 1.5) -> NDArray[np.float64]:
    return since(90, TEN_MINUTES, ratio, 1.0)


@pytest.mark.parametrize("ranks", [8, 12, 16], ids=["half of the job", "a third", "a quarter"])
def test_a_host_all_of_whose_ranks_are_slow_is_one_finding_about_the_host(ranks: int) -> None:
    (candidate,) = raised(Lockstep(ranks=ranks, compute=dict.fromkeys(range(4, 8), slow())))

    assert candidate.kind is FindingKind.STRAGGLER
    assert (candidate.scope.node, candidate.scope.rank, candidate.scope.uuid) == ("n1", None, None)
    assert candidate.summary.startswith("Host n1 (ranks 4, 5, 6 and 7) slows every step of job train")
    assert candidate.remedy.startswith("Drain n1 after the next checkpoint")
    assert candidate.impact is not None
    assert candidate.impact.slowdown_ratio == pytest.approx(1.61 / 1.11, rel=0.02)


@pytest.mark.parametrize("members", [(4, 5, 6, 7), (5,)], ids=["a host", "a rank"])
def test_a_power_limit_that_somebody_set_there_is_told_and_undone_before_anything_moves(members) -> None:
    (candidate,) = raised(
        Lockstep(ranks=12, compute=dict.fromkeys(members, slow()), limit_watts=dict.fromkeys(members, 400.0))
    )
    assert candidate.summary.endswith("Somebody set a power limit of 400 W there; the board's own is 700 W.")
    assert candidate.remedy.startswith("If that power limit is not meant, undo it first (nvidia-smi -pl 700 ")
    assert "start the job again" in candidate.remedy


@pytest.mark.parametrize("capped", [range(12), (0, 1, 2, 3), (4, 5, 6)], ids=["all", "others", "not all of it"])
def test_a_power_limit_of_others_or_of_all_explains_no_slow_host(capped) -> None:
    scene = Lockstep(ranks=12, compute=dict.fromkeys(range(4, 8), slow()), limit_watts=dict.fromkeys(capped, 400.0))
    (candidate,) = raised(scene)
    assert "power limit of" not in candidate.summary
    assert candidate.remedy.startswith("Drain n1")


def test_a_host_whose_newest_minutes_have_not_come_yet_is_not_judged() -> None:
    scene = Lockstep(ranks=12, compute=dict.fromkeys(range(4, 8), np.where(np.arange(90) < 70, 2.0, 1.0)))
    assert [one.scope.node for one in Straggler().detect(scene.frame()).candidates] == ["n1"]

    scene.late = {"n1": 14}

    assert not Straggler().detect(scene.frame()).candidates


def test_two_slow_ranks_of_a_host_of_four_are_not_the_host() -> None:
    found = raised(Lockstep(ranks=12, compute=dict.fromkeys((4, 5), slow())))

    assert sorted(one.scope.rank or 0 for one in found) == [4, 5]


def test_the_same_slowness_on_all_hosts_is_the_workload() -> None:
    assert not raised(Lockstep(compute=dict.fromkeys(range(8), slow())))


def test_a_rank_that_sends_longer_than_its_peers_has_a_slow_link() -> None:
    (candidate,) = raised(Lockstep(transfer={5: since(90, TEN_MINUTES, 0.4, 0.002)}))

    assert candidate.kind is FindingKind.NETWORK_BOUND
    assert (candidate.scope.node, candidate.scope.rank) == ("n1", 5)
    assert candidate.summary == (
        "The link of rank 5 on n1/gpu1 slows every step of job train: of each step of 1.5 s sending takes"
        " 400 ms there and 2 ms on 7 peers, waiting for others 100 ms there and 498 ms on the peers; steps take 1.36"
        " times as long as without it."
    )
    assert candidate.remedy.startswith("Look at the link of rank 5 on n1/gpu1")
    assert [row.metric for row in candidate.evidence] == [
        'training_phase_seconds_total{phase="transfer"}',
        'training_phase_seconds_total{phase="communication"}',
    ]


def test_hosts_that_send_slowly_together_point_at_their_switch() -> None:
    late = since(90, TEN_MINUTES, 0.4, 0.002)

    (candidate,) = raised(Lockstep(ranks=16, transfer=dict.fromkeys(range(8), late)))

    assert candidate.kind is FindingKind.NETWORK_BOUND
    assert (candidate.scope.node, candidate.scope.job_id) == (None, "train")
    assert candidate.summary.startswith("The network of n0 and n1, as if they shared a bad switch")
    assert candidate.remedy.startswith("Look at what n0 and n1 share: their switch")


@pytest.mark.parametrize("sends", [0.02, 0.06])
def test_sending_that_costs_less_than_a_tenth_of_a_step_is_no_bad_link(sends: float) -> None:
    assert not raised(Lockstep(transfer={5: sends}))


def test_a_network_that_is_slow_for_all_names_no_link() -> None:
    assert not raised(Lockstep(transfer=dict.fromkeys(range(8), 0.4)))


def test_sending_that_only_the_host_timed_says_nothing_about_an_accelerator() -> None:
    assert not raised(Lockstep(transfer={5: 0.4}, clock_of_phases="host"))


def neighbored(before: float = 0.05, after: float = 0.6) -> Lockstep:
    return Lockstep(
        has_devices=False, compute={5: slow(1.4)}, pressure={"n1": since(90, TEN_MINUTES, after, before), "n0": 0.05}
    )


def test_a_rank_that_became_slow_when_tasks_began_to_wait_for_cpus_has_a_noisy_neighbor() -> None:
    (candidate,) = raised(neighbored())

    assert candidate.kind is FindingKind.NOISY_NEIGHBOR
    assert (candidate.scope.node, candidate.scope.rank) == ("n1", 5)
    assert "Tasks on n1 wait for a CPU 60 % of the time, 5.0 % before." in candidate.summary
    assert candidate.remedy.startswith("Keep others off the CPUs and the device of rank 5")
    assert candidate.needs_processes


@pytest.mark.parametrize(("before", "after"), [(0.6, 0.6), (0.05, 0.08)], ids=["always", "hardly"])
def test_pressure_that_did_not_rise_with_it_makes_no_neighbor(before: float, after: float) -> None:
    (candidate,) = raised(neighbored(before, after))

    assert candidate.kind is FindingKind.STRAGGLER
    assert candidate.summary.startswith("Rank 5 on n1 holds job train back: ")
    assert candidate.remedy.startswith("Compare rank 5 with a sound one first: CPU frequency")


def test_a_loaded_host_without_a_slow_rank_raises_nothing() -> None:
    assert not raised(Lockstep(has_devices=False, pressure={"n1": since(90, TEN_MINUTES, 0.9, 0.05)}))


def test_a_neighbor_that_comes_to_the_device_is_told_by_its_processes() -> None:
    scene = Lockstep(compute={5: slow(1.4)}, processes={5: since(90, TEN_MINUTES, 2.0, 1.0)})

    (candidate,) = raised(scene)

    assert candidate.kind is FindingKind.NOISY_NEIGHBOR
    assert "More processes use n1/gpu1 than before." in candidate.summary
    assert candidate.evidence[-1].metric == device.PROCESSES.name


def test_a_neighbor_that_has_just_come_is_told_at_once() -> None:
    """The onset is the first slow step; the count of processes follows a scrape or two later."""
    scene = Lockstep(compute={5: slow(1.4)}, processes={5: since(90, 2, 2.0, 1.0)})

    assert [one.kind for one in raised(scene)] == [FindingKind.NOISY_NEIGHBOR]


@pytest.mark.parametrize(
    ("on_peers", "kind"), [(1.0, FindingKind.NOISY_NEIGHBOR), (2.0, FindingKind.STRAGGLER)], ids=["more", "as many"]
)
def test_a_neighbor_of_longer_than_the_frame_knows_is_told_from_the_peers(on_peers: float, kind: FindingKind) -> None:
    processes = dict.fromkeys(range(8), np.full(90, on_peers)) | {5: np.full(90, 2.0)}

    (candidate,) = raised(Lockstep(compute={5: 1.4}, processes=processes))

    assert candidate.kind is kind
    if kind is FindingKind.NOISY_NEIGHBOR:
        assert "More processes use n1/gpu1 than the devices of its peers." in candidate.summary
        assert candidate.evidence[-1].baseline == 1.0


@pytest.mark.parametrize(
    ("guests", "words", "whose"),
    [
        (("78",), "Job 78 holds n1/gpu1 too.", [Whose(job_id="78", scheduler="slurm", user="eve")]),
        (("78", "79"), "Job 78 and job 79 hold n1/gpu1 too.", []),
    ],
)
def test_another_job_on_the_device_is_blamed_if_it_is_the_only_one(
    guests: tuple[str, ...], words: str, whose: list[Whose]
) -> None:
    (candidate,) = raised(Lockstep(compute={5: slow(1.4)}, guests={5: guests}))

    assert candidate.kind is FindingKind.NOISY_NEIGHBOR
    assert words in candidate.summary
    assert [row.whose for row in candidate.evidence if row.whose] == whose


def test_the_jobs_own_processes_are_no_neighbor_of_it() -> None:
    """The device was free until the job came, five minutes before a rank of it became slow."""
    came = since(90, TEN_MINUTES - 30, 1.0, 0.0)
    scene = Lockstep(compute={5: slow(1.4)}, processes={5: came}, held=np.where(came, 1.0, np.nan))

    assert [one.kind for one in raised(scene)] == [FindingKind.STRAGGLER]


def test_a_device_whose_clock_is_low_is_slow_by_itself_whoever_else_is_there() -> None:
    scene = Lockstep(
        compute={5: slow(1.4)},
        sm_hertz={5: since(90, TEN_MINUTES, 1.4e9, 1.98e9)},
        processes={5: since(90, TEN_MINUTES, 2.0, 1.0)},
    )

    assert [one.kind for one in raised(scene)] == [FindingKind.STRAGGLER]


def test_a_clock_that_explains_a_little_of_it_hides_no_neighbor() -> None:
    """Who computes all the time while its peers wait draws more power, and may reach its limit."""
    scene = Lockstep(
        compute={5: slow(1.8)},
        sm_hertz={5: since(90, TEN_MINUTES, 1.84e9, 1.95e9)},
        processes={5: since(90, TEN_MINUTES, 2.0, 1.0)},
    )

    assert [one.kind for one in raised(scene)] == [FindingKind.NOISY_NEIGHBOR]


def test_the_processes_beside_the_rank_are_named_and_small_ones_are_not() -> None:
    (candidate,) = raised(neighbored())
    processes = (
        ProcessReading(pid=7, command="make", cpu_ratio=0.5, memory_bytes=1e6, user="ann"),
        ProcessReading(pid=8, command="sshd", cpu_ratio=0.01, memory_bytes=1e6),
    )

    named = Straggler().explain(candidate, processes)

    assert named.summary.endswith("before. make (pid 7, user ann) uses 50 % of all CPUs.")
    assert len(named.evidence) == len(candidate.evidence) + 1
    assert Straggler().explain(candidate, processes[1:]) == candidate


def test_the_other_job_that_loads_the_cpus_is_blamed_in_the_evidence_and_its_own_processes_are_not() -> None:
    (candidate,) = raised(neighbored())
    own, other = (
        ProcessReading(pid=pid, command="python", cpu_ratio=cpu, memory_bytes=1e6, job=job, scheduler="slurm")
        for pid, cpu, job in ((7, 0.6, "train"), (8, 0.3, "78"))
    )

    named = Straggler().explain(candidate, (own, other))

    assert named.summary.endswith(
        "python (pid 8) uses 30 % of all CPUs. Job 78 takes 30 % of all CPUs there, 100 % of what others take."
    )
    (blamed,) = [row for row in named.evidence if row.whose is not None]
    assert (blamed.value, blamed.whose) == (0.3, Whose(job_id="78", scheduler="slurm"))
    assert Straggler().explain(candidate, (own,)) == candidate
