"""The same kind of samples through libraries that keep a model per series: what a sample costs there.

None of them is a dependency of ours. One that is not installed prints the command that installs it.
"""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = ["figures"]

USUAL: Final = 1.0


def figures(values: NDArray[np.float64]) -> Iterator[tuple[str, float]]:
    """(name, nanoseconds per sample) of each peer that is installed, over [series, sample]; gaps are left out."""
    warnings.simplefilter("ignore")  # pyod divides by the spread of series that stand still
    series = [one[~np.isnan(one)] for one in values]
    for name, package, score in PEERS:
        try:
            score(series[0][:50])  # imports, and whatever is compiled at first
        except ImportError:
            print(f"{name}: not installed; pip install {package}", file=sys.stderr)
            continue
        began = time.process_time()
        for one in series:
            score(one)
        yield f"peer: {name}", (time.process_time() - began) / sum(map(len, series)) * 1e9


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
