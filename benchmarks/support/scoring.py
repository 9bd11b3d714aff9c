"""Score series with somebody else's library and print what a sample cost; runs in that library's own environment.

`scoring.py SCORER FILE.npy` takes [series, sample], leaves gaps out and prints one JSON object. Nothing of ours is
imported here.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Series = NDArray[np.float64]

FIRST_SAMPLES: Final = 50  # for imports, and whatever is compiled at first


def _river_gaussian(series: Series) -> None:
    scorer: Any = importlib.import_module("river.anomaly").GaussianScorer()
    for value in series.tolist():
        scorer.score_one(None, value)
        scorer.learn_one(None, value)


def _river_trees(series: Series) -> None:
    trees: Any = importlib.import_module("river.anomaly").HalfSpaceTrees(seed=42)
    for value in (series / (2 * max(float(np.median(series)), 1e-9))).tolist():
        trees.score_one({"value": value})
        trees.learn_one({"value": value})


def _pyod(module: str, cls: str) -> Callable[[Series], None]:
    def score(series: Series) -> None:
        model: Any = getattr(importlib.import_module(f"pyod.models.{module}"), cls)()
        model.fit(series[:, None])

    return score


def _isolation_forest(series: Series) -> None:
    ensemble: Any = importlib.import_module("sklearn.ensemble")
    ensemble.IsolationForest(random_state=42).fit(series[:, None]).score_samples(series[:, None])


SCORERS: Final[dict[str, Callable[[Series], None]]] = {
    "river-gaussian": _river_gaussian,
    "river-trees": _river_trees,
    "pyod-mad": _pyod("mad", "MAD"),
    "pyod-ecod": _pyod("ecod", "ECOD"),
    "isolation-forest": _isolation_forest,
}


def main() -> None:
    """CPU time of scoring every series by itself, one after the other."""
    warnings.simplefilter("ignore")  # pyod divides by the spread of series that stand still
    score, values = SCORERS[sys.argv[1]], np.load(sys.argv[2])
    series = [one[~np.isnan(one)] for one in values]
    score(series[0][:FIRST_SAMPLES])
    began = time.process_time()
    for one in series:
        score(one)
    samples = sum(map(len, series))
    print(json.dumps({"ns_per_sample": (time.process_time() - began) / samples * 1e9, "samples": samples}))


if __name__ == "__main__":
    main()
