"""vLLM, the server's own page (V0 and V1; https://docs.vllm.ai/en/latest/usage/metrics.html).

Names are those of vllm/engine/metrics.py (V0) and vllm/v1/metrics/loggers.py (V1, which has a label `engine` and calls
the cache `kv_cache_usage_perc`; both names mean the same). The engines of data parallelism behind one page add up, of
their caches the fullest counts.

Can tell: that requests wait for most of five minutes, and whether for room in the KV cache or for their turn; requests
that were put back for want of room, tokens. Which pod, if `pod` and `namespace` stand on the series (PodMonitor,
ServiceMonitor), and which node, if kube-state-metrics or a label `node` tells.
Cannot tell: what the server's devices do (dcgm-exporter and others tell), and whether a request took too long: no
verdict reads its histograms of latency. Through Ray Serve the names are others, which are not read.
"""

from __future__ import annotations

from typing import Final

from warpgauge.analyzer.dialects.serving import ServingDialect
from warpgauge.core import inference_servers

__all__ = ["VLLM"]

VLLM: Final = ServingDialect(inference_servers.VLLM)
