"""The names under which we write to a cluster: interface, since what was written is found again by them."""

from __future__ import annotations

from typing import Final

__all__ = ["KEEP", "OWNER", "PREFIX"]

PREFIX: Final = "warpgauge.internal"  # .internal is reserved for private use: no such name can ever be somebody else's
OWNER: Final = "warpgauge-executor"  # the field manager of all that we write
KEEP: Final = f"{PREFIX}/keep"  # label or annotation of a node, pod or namespace that is not to be disturbed
