"""The DCGM view on a real Prometheus: queries written for dcgm-exporter run unchanged."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from tests.exporters.test_dcgm_view import Page
from tests.fakes.nvml_profiles import H100
from tests.real_servers import get_json, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.real, pytest.mark.slow]

# Of Grafana dashboard 12239, with its variables filled in as Grafana does for "All".
DASHBOARD = (
    'DCGM_FI_DEV_GPU_TEMP{instance=~".+", gpu=~"0|1"}',
    'avg(DCGM_FI_DEV_GPU_TEMP{instance=~".+", gpu=~"0|1"})',
    'DCGM_FI_DEV_POWER_USAGE{instance=~".+", gpu=~"0|1"}',
    'sum(DCGM_FI_DEV_POWER_USAGE{instance=~".+", gpu=~"0|1"})',
    'DCGM_FI_DEV_SM_CLOCK{instance=~".+", gpu=~"0|1"} * 1000000',
    'DCGM_FI_DEV_GPU_UTIL{instance=~".+", gpu=~"0|1"}',
    'DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{instance=~".+", gpu=~"0|1"}',
    'DCGM_FI_DEV_FB_USED{instance=~".+", gpu=~"0|1"}',
)
# Of the kind that sites write against dcgm-exporter; each must find the device it is about.
ALERTS = (
    "DCGM_FI_DEV_XID_ERRORS > 0",
    "DCGM_FI_DEV_GPU_TEMP > 50",
    "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL > 10",
    "DCGM_FI_DEV_ROW_REMAP_FAILURE == 0",
    "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL > 100",
    "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE) > 0.2",
)


@contextmanager
def served(body: bytes) -> Iterator[str]:
    """A page at an address."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics/dcgm"
    finally:
        server.shutdown()
        server.server_close()


def test_queries_for_dcgm_exporter_find_what_they_look_for(prometheus_server):
    page = Page(H100, H100)
    page.readings.happened(page.devices[1], "xid", 79, source="nvml")
    with served(page.text().encode()) as url:
        base = prometheus_server([url])

        def found(query: str) -> list[object]:
            return get_json(f"{base}/api/v1/query?query={quote(query)}")["data"]["result"]

        wait_until(lambda: found("DCGM_FI_DEV_GPU_TEMP"), what="Prometheus has read the page")
        for query in (*DASHBOARD, *ALERTS):
            assert found(query), query
        assert [row["metric"]["gpu"] for row in found("DCGM_FI_DEV_XID_ERRORS == 79")] == ["1"]

        assert found("DCGM_FI_DEV_ENC_UTIL") == []  # this board has none: absent, not 0
