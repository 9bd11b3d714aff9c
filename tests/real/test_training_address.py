"""The step timer's lines where no agent is: a real VictoriaMetrics imports them."""

from __future__ import annotations

import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[push]'")

from tests.real.test_push import victoria_command
from tests.real_servers import get_json, servers_in, wait_until
from warpgauge.exporters.training import StepTimer

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_victoria_metrics_has_every_step(tmp_path: Path):
    with servers_in(tmp_path) as running:
        base = running.start("victoria-metrics", victoria_command, ready="/health")
        timer = StepTimer(job_id="vm", rank=5, address=f"{base}/api/v1/import/prometheus")
        for _ in range(300):
            with timer.step(), timer.phase("allreduce"):
                pass
        timer.close()
        urllib.request.urlopen(f"{base}/internal/force_flush").close()  # else it shows new samples after ten seconds

        def counted() -> list[float]:
            query = urllib.parse.urlencode({"query": 'training_step_seconds_count{job_id="vm",rank="5"}', "nocache": 1})
            return [float(one["value"][1]) for one in get_json(f"{base}/api/v1/query?{query}")["data"]["result"]]

        wait_until(lambda: counted() == [300.0], what="all steps are there")
