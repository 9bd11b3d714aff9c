"""Triton with the TensorRT-LLM backend, the server's own page (https://github.com/triton-inference-server).

Names are those of the backend's README (`nv_trt_llm_*`, custom metrics of the batch manager).

Can tell: that requests wait for most of five minutes, and whether for room in the KV cache or for their turn. Pod and
node as for vLLM.
Cannot tell: queues of other backends. `nv_inference_pending_request_count` counts those, and counts the requests of a
TensorRT-LLM model once more; no series says which backend a model has. Our agent, which reads the whole page, can tell.
"""

from __future__ import annotations

from typing import Final

from warpgauge.analyzer.dialects.serving import ServingDialect
from warpgauge.core import inference_servers

__all__ = ["TRITON"]

TRITON: Final = ServingDialect(inference_servers.TRITON)
