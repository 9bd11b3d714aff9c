"""Text Generation Inference, the router's own page (https://github.com/huggingface/text-generation-inference).

Names are those of docs/source/reference/metrics.md. No series names the model.

Can tell: that requests wait for their turn for most of five minutes; tokens. Pod and node as for vLLM.
Cannot tell: how full the KV cache is, so a queue for want of room is called one for a turn.
"""

from __future__ import annotations

from typing import Final

from warpgauge.analyzer.dialects.serving import ServingDialect
from warpgauge.core import inference_servers

__all__ = ["TGI"]

TGI: Final = ServingDialect(inference_servers.TGI)
