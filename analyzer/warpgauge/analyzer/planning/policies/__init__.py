"""The placement policies, by the names that the command line knows."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.planning.placer import Placer
from warpgauge.analyzer.planning.policies.best_fit import BestFit
from warpgauge.analyzer.planning.policies.even import Even
from warpgauge.analyzer.planning.policies.fgd import Fgd
from warpgauge.analyzer.planning.policies.filling import Filling
from warpgauge.analyzer.planning.policies.spread import Spread
from warpgauge.analyzer.planning.typical import TypicalPods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.planning.cluster import Cluster
    from warpgauge.analyzer.planning.placer import Policy
    from warpgauge.analyzer.planning.pool import Pod

__all__ = ["POLICY_NAMES", "BestFit", "Even", "Fgd", "Filling", "Spread", "placer_for"]

POLICY_NAMES: Final = ("random", "spread", "bestfit", "fgd", "filling")


def placer_for(name: str, cluster: Cluster, pods: Sequence[Pod], *, seed: int = 0) -> Placer:
    """A placer on this cluster under the policy of this name; `pods` are the workload that its typical pods come from.

    Only "random" uses the seed; all others break ties by the cluster's order of nodes.
    """
    # A word beside the seed keeps these draws apart from those that shuffled the arrivals with the same seed.
    rng = random.Random(f"placement {seed}") if name == "random" else None  # noqa: S311 - no cryptography
    return Placer(cluster, (pod.request for pod in pods), _policy(name, pods), rng=rng)


def _policy(name: str, pods: Sequence[Pod]) -> Policy:
    if name == "random":
        return Even()
    if name == "spread":
        return Spread()
    if name == "bestfit":
        return BestFit()
    if name == "fgd":
        return Fgd(TypicalPods(pods))
    if name == "filling":
        return Filling(TypicalPods(pods))
    msg = f"there is no policy {name!r}; there are {', '.join(POLICY_NAMES)}"
    raise ValueError(msg)
