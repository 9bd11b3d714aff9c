"""Fleets as they are: label sets of each usual setting lead to the right node, workload and verdict."""

from __future__ import annotations

import pytest

from tests.analyzer.fleets import (
    DCGM_IDLE,
    EXPORTER_POD,
    OPERATOR_TARGET,
    WORKLOAD,
    Fleet,
    dcgm,
    honored,
    idle_device,
    jobs_of,
    kinds_of,
    lacks_of,
    pod_info,
    renamed,
    uname,
)
from warpgauge.core.catalog import device, training

TARGET = OPERATOR_TARGET | EXPORTER_POD


def kubernetes(rule) -> Fleet:
    """A held and a free device on one node, scraped through the GPU operator's ServiceMonitor."""
    fleet = Fleet()
    fleet.add("kube_pod_info", pod_info(EXPORTER_POD, "gpu-node-1", "10.244.3.17"), 1)
    fleet.add("kube_pod_info", pod_info(WORKLOAD, "gpu-node-1", "10.244.3.40"), 1)
    idle_device(fleet, rule(dcgm(0, **WORKLOAD), TARGET), DCGM_IDLE)
    idle_device(fleet, rule(dcgm(1, namespace="", pod="", container=""), TARGET), DCGM_IDLE)
    return fleet


@pytest.mark.parametrize("rule", [honored, renamed], ids=["honorLabels-true", "honorLabels-false"])
def test_an_idle_device_is_named_with_the_pod_that_holds_it_and_the_node_of_that_pod(rule):
    report = kubernetes(rule).report()

    (finding,) = report.findings
    assert finding.kind.value == "idle_allocated"
    assert (finding.scope.job_id, finding.scope.node) == ("ml/train-0", "gpu-node-1")
    assert finding.scope.uuid == dcgm(0)["UUID"]


@pytest.mark.parametrize("rule", [honored, renamed], ids=["honorLabels-true", "honorLabels-false"])
def test_the_exporters_own_pod_holds_no_device_even_if_nothing_else_names_it(rule):
    fleet = Fleet()
    idle_device(fleet, rule(dcgm(1), TARGET), DCGM_IDLE)

    assert fleet.report().findings == ()


def test_an_exporter_pod_of_any_name_is_known_by_its_address():
    fleet = Fleet()
    own = {"namespace": "monitoring", "pod": "gpu-telemetry-x7", "container": "main"}
    fleet.add("kube_pod_info", pod_info(own, "gpu-node-1", "10.244.3.17"), 1)
    idle_device(fleet, honored(dcgm(0), OPERATOR_TARGET | own), DCGM_IDLE)

    assert fleet.report().findings == ()


def test_a_static_configuration_joins_a_nodes_two_exporters():
    fleet = Fleet()
    fleet.add("node_uname_info", uname("gpu-node-1", "gpu1.example:9100"), 1)
    fleet.add("node_memory_MemTotal_bytes", {"instance": "gpu1.example:9100"}, 1e12)
    fleet.add("nvidia_smi_gpu_info", {"instance": "gpu1.example:9835", "uuid": "abc", "name": "A10", "index": "0"}, 1)
    fleet.add("nvidia_smi_utilization_gpu_ratio", {"instance": "gpu1.example:9835", "uuid": "abc"}, 0.5)

    report = fleet.report()
    assert (report.nodes, report.devices) == (1, 1)
    assert report.last is not None


def test_a_hostname_that_node_exporter_knows_is_the_node():
    fleet = Fleet()
    fleet.add("node_uname_info", uname("gpu-node-1", "10.0.0.5:9100"), 1)
    idle_device(fleet, {"instance": "dcgm.gpu.svc:9400", **dcgm(0, **WORKLOAD)}, DCGM_IDLE)

    (finding,) = fleet.report().findings
    assert finding.scope.node == "gpu-node-1"


def test_a_batch_job_of_the_hpc_directory_holds_its_device():
    fleet = Fleet()
    idle_device(fleet, {"instance": "gpu1:9400", **dcgm(0, hpc_job="4711")}, DCGM_IDLE)

    assert jobs_of(fleet.report()) == {"4711"}


def test_mig_instances_are_judged_one_by_one():
    fleet = Fleet()
    for instance, busy in (("1", 0.0), ("2", 0.9)):
        mig = {"GPU_I_PROFILE": "3g.40gb", "GPU_I_ID": instance, "namespace": "ml", "pod": f"mig-{instance}"}
        labels = {"instance": "gpu1:9400", **dcgm(0, **mig)}
        fleet.add("DCGM_FI_PROF_GR_ENGINE_ACTIVE", labels, busy)
        fleet.add("DCGM_FI_DEV_FB_USED", labels, 30_000)

    report = fleet.report()
    assert report.devices == 2
    assert jobs_of(report) == {"ml/mig-1"}


def test_pods_that_share_a_device_by_time_slicing_all_hold_it():
    fleet = Fleet()
    for number in range(3):
        shared = {"vgpu": str(number), "namespace": "ml", "pod": f"notebook-{number}", "container": "main"}
        idle_device(fleet, {"instance": "gpu1:9400", **dcgm(0, **shared)}, DCGM_IDLE)

    report = fleet.report()
    assert report.devices == 1
    assert kinds_of(report) == {"idle_allocated"}
    assert jobs_of(report) <= {f"ml/notebook-{number}" for number in range(3)}


def test_what_the_default_fields_of_dcgm_exporter_cannot_tell_is_named():
    lacks = lacks_of(kubernetes(renamed).report())

    assert training.PHASE_SECONDS.name in lacks["input_bound"]
    assert device.THROTTLE_ACTIVE.name in lacks["thermal_limited"]
    assert device.DEVICE_STATE.name in lacks["device_state"]


@pytest.mark.parametrize("interval", [15.0, 30.0, 60.0])
def test_the_verdict_is_the_same_at_every_usual_scrape_interval(interval: float):
    fleet = kubernetes(renamed)
    fleet.interval = interval

    report = fleet.report()
    assert kinds_of(report) == {"idle_allocated"}
    assert jobs_of(report) == {"ml/train-0"}


def test_devices_of_which_nothing_tells_the_node_are_counted():
    fleet = Fleet()
    idle_device(fleet, dcgm(0), DCGM_IDLE)

    assert fleet.report().unresolved_devices == 1
