"""The recorded load of nodes on a real Prometheus, read as the descheduler reads it (LowNodeUtilization, Prometheus).

Its prometheusUsageClient (pkg/framework/plugins/nodeutilization/usageclients.go) asks for an instant vector, takes the
label `instance` for the node's name, refuses values outside 0 to 1 and fails if a node of its selection has no entry.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import yaml

from tests.live_pages import serve
from tests.real_servers import get_json, prometheus_config, start_prometheus, wait_until
from warpgauge.alerts.generate import files
from warpgauge.alerts.site import Site
from warpgauge.core.catalog import device
from warpgauge.core.exposition import FamilyRenderer, Format, page
from warpgauge.core.sample import Sample

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real_servers import Servers

pytestmark = [pytest.mark.real, pytest.mark.slow]

QUERY = 'node:accel_load:ratio{cluster="prod"}'
BUSY = {"gpu-a": (1.0, 0.5), "gpu-b": (0.0, 0.0), "gpu-c": (0.25,)}  # of each device of a node


def metrics_of(node: str) -> bytes:
    samples = [
        Sample(device.COMPUTE_ACTIVE, (f"{node}-{number}", str(number)), busy) for number, busy in enumerate(BUSY[node])
    ]
    return page([FamilyRenderer().render(samples)], Format.TEXT)


def scrape_of(node: str, address: str) -> dict[str, Any]:
    """A target as Kubernetes' service discovery gives it: an address for an instance, the node's name in a label."""
    labels = {"cluster": "prod", "node": node, "instance": f"10.0.0.1:9837/{node}"}
    return {
        "job_name": node,
        "metrics_path": f"/{node}",
        "static_configs": [{"targets": [address], "labels": labels}],
    }


def usage_of(vector: Any) -> dict[str, int]:
    """What the descheduler makes of the answer: percent by node name."""
    assert vector["resultType"] == "vector"
    usage = {}
    for sample in vector["result"]:
        value = float(sample["value"][1])
        assert 0 <= value <= 1
        usage[sample["metric"]["instance"]] = int(value * 100)
    return usage


def test_the_descheduler_finds_every_node_by_its_name(servers: Servers, tmp_path: Path) -> None:
    rules = yaml.safe_load(files(Site())["device.yml"])
    for group in rules["groups"]:
        group["interval"] = "1s"
    (tmp_path / "device.yml").write_text(json.dumps(rules))
    with serve({f"/{node}": (lambda node=node: metrics_of(node)) for node in BUSY}) as address:
        scrape = [scrape_of(node, address) for node in BUSY]
        config = prometheus_config(scrape, [tmp_path / "device.yml"], [], "1s")
        url = start_prometheus(servers, config)

        def answer() -> Any:
            found = get_json(f"{url}/api/v1/query?query={quote(QUERY)}")["data"]
            return found if len(found["result"]) == len(BUSY) else None

        vector = wait_until(answer, what="the rule was evaluated", seconds=60)
    assert usage_of(vector) == {"gpu-a": 75, "gpu-b": 0, "gpu-c": 25}
