"""The ways in which boards can be cut by MIG.

https://docs.nvidia.com/datacenter/tesla/mig-user-guide/supported-mig-profiles.html
A board has seven slices of compute and eight of memory (four and four on the smaller ones). Media and graphics variants
(`+me`, `+gfx`) have the same sizes and are left out. A board that is not in the table is not judged: `nvidia-smi mig
-lgip` tells its profiles.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.planning.sizing import Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["profiles_of"]

# The driver keeps a part of each instance: 1g.5gb of an A100 has 4.75 GiB, 1g.10gb of an H100 9.75, 3g.40gb 39.5.
_USABLE: Final = 0.95
_NEAR: Final = 0.1  # of the size that the name says: boards tell what is left of it after ECC and firmware
_GB: Final = 1e9

_SEVEN: Final = ((1, 1 / 7, 1 / 8), (1, 1 / 7, 2 / 8), (2, 2 / 7, 2 / 8), (3, 3 / 7, 4 / 8), (4, 4 / 7, 4 / 8))
_FOUR: Final = ((1, 1 / 4, 1 / 4), (2, 2 / 4, 2 / 4))
_BOARDS: Final[tuple[tuple[str, int, tuple[tuple[int, float, float], ...], tuple[int, ...]], ...]] = (
    # in the model's name, GB of the board, its cuts (compute slices, share of SMs, share of memory), GB in their names
    (r"\bA30\b", 24, _FOUR, (6, 12)),
    (r"\bA100\b", 40, _SEVEN, (5, 10, 10, 20, 20)),
    (r"\bA100\b", 80, _SEVEN, (10, 20, 20, 40, 40)),
    (r"\bH100\b", 80, _SEVEN, (10, 20, 20, 40, 40)),
    (r"\bH200\b", 141, _SEVEN, (18, 35, 35, 71, 71)),
    (r"\bB200\b", 180, _SEVEN, (23, 45, 45, 90, 90)),
    (r"\bRTX PRO 6000\b", 96, _FOUR, (24, 48)),
)


@lru_cache(maxsize=256)  # a fleet has few sorts of boards, and is asked about device by device
def profiles_of(model: str, memory_bytes: float) -> Sequence[Profile]:
    """The instances smaller than the whole board that it can be cut into, smallest first; none if it is not known."""
    for name, gigabytes, cuts, names in _BOARDS:
        if re.search(name, model) and abs(memory_bytes / (gigabytes * _GB) - 1) <= _NEAR:
            return tuple(
                Profile(
                    name=f"{slices}g.{size}gb",
                    memory_bytes=int(memory_bytes * memory * _USABLE),
                    compute_ratio=compute,
                )
                for (slices, compute, memory), size in zip(cuts, names, strict=True)
            )
    return ()
