"""What each policy prefers, in pools small enough to see it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.planning.pools import filled, node, pod, workload
from warpgauge.analyzer.planning.arrivals import arrivals, place_all
from warpgauge.analyzer.planning.cluster import Cluster, Seat
from warpgauge.analyzer.planning.policies import POLICY_NAMES, placer_for
from warpgauge.analyzer.planning.pool import Location, Place, Pod, Request
from warpgauge.analyzer.planning.typical import TypicalPods


def where(nodes, before, asked, policy, fleet=()):
    """Name of the node and the devices that `asked` is given once `before` are in their seats."""
    cluster = Cluster(nodes)
    for one, name, gpus in before:
        cluster.place(one.request, Seat(cluster.index[name], gpus))
    seat = placer_for(policy, cluster, [asked, *(one for one, _, _ in before), *fleet]).best(asked.request)
    return seat and (cluster.nodes[seat.node].name, seat.gpus)


def test_best_fit_takes_the_fullest_node_and_spread_the_emptiest():
    nodes, before = [node("a"), node("b")], [(pod("p"), "b", (0,))]
    assert where(nodes, before, pod("q"), "bestfit") == ("b", (1,))
    assert where(nodes, before, pod("q"), "spread") == ("a", (0,))


def test_best_fit_puts_a_share_on_the_fullest_device_with_room():
    before = [(pod("p", 0.3), "a", (2,)), (pod("q", 0.6), "a", (5,)), (pod("r", 0.9), "a", (6,))]
    assert where([node("a")], before, pod("s", 0.4), "bestfit") == ("a", (5,))


def test_fgd_keeps_whole_devices_whole():
    before = [(pod("p", 0.5), "b", (0,))]
    whole = [pod(f"w{number}", 1) for number in range(8)]
    assert where([node("a"), node("b")], before, pod("q", 0.5), "fgd", whole) == ("b", (0,))


@pytest.mark.parametrize("policy", ["spread", "bestfit", "fgd", "filling"])
def test_equal_nodes_go_by_name(policy):
    assert where([node("c"), node("a"), node("b")], [], pod("p"), policy) == ("a", (0,))


@pytest.mark.parametrize("policy", ["spread", "bestfit", "fgd", "filling"])
def test_equal_nodes_go_by_price_first_and_an_unknown_price_is_no_low_one(policy):
    nodes = [node("a"), node("b", price_per_hour=3.0), node("c", price_per_hour=2.0)]
    assert where(nodes, [], pod("p"), policy) == ("c", (0,))


def test_a_pod_goes_only_where_model_and_place_allow():
    nodes = [
        node("a", model="T4"),
        node("b", model="H100", location=Location.CLOUD, zone="x", price_per_hour=9.0),
        node("c", model="H100", location=Location.EDGE, zone="y", price_per_hour=1.0, uplink_bytes_per_second=1e9),
    ]
    places = {
        "b": Place(locations=frozenset({Location.CLOUD})),
        "c": Place(highest_price_per_hour=2.0, least_uplink_bytes_per_second=1e8),
        None: Place(zones=frozenset({"z"})),
    }
    for expected, place in places.items():
        request = Request(cpu_milli=1000, gpu_count=1, gpu_milli=1000, models=frozenset({"H100"}), place=place)
        cluster = Cluster(nodes)
        seat = placer_for("bestfit", cluster, [Pod(name="p", request=request)]).best(request)
        assert (seat and cluster.nodes[seat.node].name) == expected


def test_of_nodes_that_differ_in_their_zone_alone_only_the_right_one_is_taken():
    request = Request(cpu_milli=1000, place=Place(zones=frozenset({"y"})))
    cluster = Cluster([node("a", zone="x"), node("b", zone="y")])
    seat = placer_for("bestfit", cluster, [Pod(name="p", request=request)]).best(request)
    assert cluster.nodes[seat.node].name == "b"


def test_what_is_unknown_of_a_node_fails_a_limit():
    place = Place(highest_price_per_hour=100.0)
    assert not Request(cpu_milli=1, place=place).allows(node("a"))


def test_there_is_no_seat_where_the_memory_is_gone():
    cluster = Cluster([node("a", cores=8)])
    hungry = Request(cpu_milli=1, memory_mib=4096 * 8 + 1)
    placer = placer_for("bestfit", cluster, [Pod(name="p", request=hungry)])
    assert placer.best(hungry) is None


def test_random_places_repeat_with_their_seed_and_differ_with_another():
    nodes, pods = [node(f"n{number}") for number in range(9)], workload(1, 40)

    def seats(seed):
        return filled(nodes, pods, "random", seed=seed).seats

    assert seats(1) == seats(1)
    assert seats(1) != seats(2)


def test_an_unknown_policy_is_told_with_the_known_ones():
    with pytest.raises(ValueError, match="no policy 'x'; there are random, spread, bestfit, fgd, filling"):
        placer_for("x", Cluster([node("a")]), [])


def fragmented(cores_left, gpus_left, pods, model="A"):
    typical = TypicalPods(pods)
    states = np.array([gpus_left], dtype=np.int64)
    return typical.fragmented(np.array([1000 * cores_left]), states, typical.weights(model))[0]


def stranded(cores_left, gpus_left, pods):
    typical = TypicalPods(pods)
    states = np.array([gpus_left], dtype=np.int64)
    return typical.stranded(np.array([1000 * cores_left]), states, typical.demand_weights("A"))[0]


def test_idle_gpu_is_fragmented_for_the_pods_that_can_not_use_it():
    half = [pod("p", 0.5), pod("q", 1)]
    assert fragmented(96, [1000, 400], half) == pytest.approx(400)  # too small for either
    assert fragmented(96, [600, 600], half) == pytest.approx(0.5 * 1200)  # no whole device for half of the pods
    assert fragmented(4, [1000, 1000], half) == pytest.approx(2000)  # no cores: nobody can use any
    assert fragmented(96, [1000, 1000], [pod("p", 1), pod("c", 0)]) == pytest.approx(1000)  # half ask for no GPU
    assert fragmented(96, [1000, 1000], [pod("p", 1, models=["B"])]) == pytest.approx(2000)  # another model


def test_typical_pods_leave_out_the_rarest_twentieth():
    typical = TypicalPods(
        [*(pod(f"p{number}") for number in range(96)), *(pod(f"q{number}", 2) for number in range(4))]
    )
    assert typical.count.tolist() == [1]
    assert typical.frequency.tolist() == [1.0]


def test_devices_without_cores_for_them_are_stranded_though_the_next_pod_fits():
    assert fragmented(16, [1000] * 8, [pod("p", cores=8)]) == pytest.approx(0)
    assert stranded(16, [1000] * 8, [pod("p", cores=8)]) == pytest.approx(6000)


def test_the_rest_of_a_device_that_copies_do_not_fill_is_stranded():
    assert stranded(96, [1000], [pod("p", 0.47, cores=4)]) == pytest.approx(60)


def test_filling_spares_cores_that_idle_devices_need():
    """A pod of 24 cores and no GPU: FGD and best fit would take them from the node whose devices need them."""
    nodes = [node("a", 8, cores=96), node("z", 4, cores=512)]
    fleet = [pod(f"g{number}", cores=12) for number in range(10)]
    asked = pod("c", 0, cores=24)
    cluster = Cluster(nodes)
    seats = {
        policy: cluster.nodes[placer_for(policy, cluster, [*fleet, asked]).best(asked.request).node].name
        for policy in ("fgd", "filling")
    }
    assert seats == {"fgd": "a", "filling": "z"}


def test_arrivals_are_all_pods_and_then_clones_up_to_the_load():
    nodes, pods = [node("a"), node("b")], [pod(f"p{number}") for number in range(10)]
    order = arrivals(pods, nodes, seed=3)
    assert sorted(one.name for one in order[:10]) == sorted(one.name for one in pods)
    assert sum(one.request.total_gpu_milli for one in order) == 20_000  # 130 % of 16 devices in whole pods
    assert order == arrivals(pods, nodes, seed=3)
    assert order != arrivals(pods, nodes, seed=4)


def test_too_large_a_workload_is_thinned_to_the_load():
    order = arrivals([pod(f"p{number}") for number in range(50)], [node("a")], seed=1, load_ratio=1.0)
    assert len(order) == 8


def test_no_policy_turns_a_pod_away_while_there_is_room():
    """All policies are work-conserving: what waits in the end has no node with room for it."""
    nodes, pods = [node(f"n{number}") for number in range(4)], workload(5, 120)
    for policy in POLICY_NAMES:
        cluster = Cluster(nodes)
        placer = placer_for(policy, cluster, pods)
        waiting = place_all(placer, pods)
        assert waiting
        assert all(placer.best(one.request) is None for one in waiting)
