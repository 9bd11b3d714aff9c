"""The same kind of samples through libraries that keep a model per series: what a sample costs there.

None of them is a dependency of ours. One that is not installed prints the command that installs it.
"""

from __future__ import annotations

import importlib
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = ["figures"]

SERIES: Final = 40
POINTS: Final = 360
USUAL: Final = 600.0
FAULT: Final = 1.5
FAULTY: Final = 5


def _samples() -> NDArray[np.float64]:
    """[series, point]: a gauge of devices, a few of which shift by half, as in the fleet."""
    random = np.random.default_rng(42)
    values = USUAL * (1.0 + 0.01 * random.standard_normal((SERIES, POINTS)))
    values[:FAULTY, POINTS // 2 :] *= FAULT
    return values


def figures() -> Iterator[tuple[str, float, str]]:
    """(name, nanoseconds per sample, unit) of each peer that is installed."""
    values = _samples()
    for name, package, score in PEERS:
        try:
            importlib.import_module(package.partition(" ")[0].replace("scikit-learn", "sklearn"))
        except ImportError:
            print(f"{name}: not installed; pip install {package}", file=sys.stderr)
            continue
        began = time.process_time()
        for series in values:
            score(series)
        yield (f"peer: {name}", (time.process_time() - began) / values.size * 1e9, "ns a sample")


def _river_gaussian(series: NDArray[np.float64]) -> None:
    anomaly = importlib.import_module("river.anomaly")
    scorer = anomaly.GaussianScorer()
    for value in series.tolist():
        scorer.score_one(None, value)
        scorer.learn_one(None, value)


def _river_trees(series: NDArray[np.float64]) -> None:
    anomaly = importlib.import_module("river.anomaly")
    trees = anomaly.HalfSpaceTrees(seed=42)
    for value in (series / (2 * USUAL)).tolist():
        trees.score_one({"value": value})
        trees.learn_one({"value": value})


def _pyod(module: str, cls: str) -> Callable[[NDArray[np.float64]], None]:
    def score(series: NDArray[np.float64]) -> None:
        model: Any = getattr(importlib.import_module(f"pyod.models.{module}"), cls)()
        model.fit(series[:, None])

    return score


def _isolation_forest(series: NDArray[np.float64]) -> None:
    ensemble = importlib.import_module("sklearn.ensemble")
    ensemble.IsolationForest(random_state=42).fit(series[:, None]).score_samples(series[:, None])


PEERS: Final[tuple[tuple[str, str, Callable[[NDArray[np.float64]], None]], ...]] = (
    ("river GaussianScorer, streaming", "river", _river_gaussian),
    ("river HalfSpaceTrees, streaming", "river", _river_trees),
    ("pyod MAD, batch", "pyod", _pyod("mad", "MAD")),
    ("pyod ECOD, batch", "pyod", _pyod("ecod", "ECOD")),
    ("scikit-learn IsolationForest per series, batch", "scikit-learn", _isolation_forest),
)
