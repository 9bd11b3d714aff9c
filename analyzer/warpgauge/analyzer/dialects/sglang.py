"""SGLang, the server's own page with `--enable-metrics` (https://docs.sglang.ai/references/production_metrics.html).

Names are those of python/sglang/srt/metrics/collector.py, labels those of srt/managers/scheduler_metrics_mixin.py. The
ranks of tensor and pipeline parallelism repeat the same numbers, so the one with `tp_rank` and `pp_rank` 0 speaks for
its engine; engines of data parallelism (`dp_rank`) add up. Where only attention runs data-parallel, the ranks share
one group of tensor parallelism, and what is read is the first one's share.

Can tell: that requests wait for most of five minutes, and whether for room in the KV cache (`token_usage`) or for their
turn; tokens. Pod and node as for vLLM.
Cannot tell: what the server's devices do, whether a request took too long, and requests that were retracted.
"""

from __future__ import annotations

from typing import Final

from warpgauge.analyzer.dialects.serving import ServingDialect
from warpgauge.core import inference_servers

__all__ = ["SGLANG"]

SGLANG: Final = ServingDialect(inference_servers.SGLANG)
