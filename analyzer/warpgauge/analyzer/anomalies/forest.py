"""Isolation forests fitted beside the ticks, which say whether they would have found a device odd too.

scikit-learn's IsolationForest (Liu, Ting and Zhou, 2008) learns what sound devices of a model look like together.
Fitting takes a good part of a second, so it happens in a thread of its own on a copy of the numbers; the finished model
replaces the old one as a whole. It never raises anything by itself: it says how sure one may be of what distances
raised. Without scikit-learn (extra `forest`) there is no second opinion.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

__all__ = ["Forests"]

REFIT_SECONDS: Final = 600.0
TREES: Final = 100
MOST_ROWS: Final = 4096  # devices that a model learns from
LEAST_ROWS: Final = 64
ODD_SHARE: Final = 0.01  # of what it learnt from: a device that scores lower than that share is odd to it
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Model:
    """A fitted forest; `limit` is the score below which a device is odd."""

    forest: Any
    limit: float


class Forests:
    """A model for each sort of device; owned by one thread, the fitting runs in another."""

    def __init__(self, *, refit_seconds: float = REFIT_SECONDS, package: str = "sklearn") -> None:
        self._package = package
        self._refit_seconds = refit_seconds
        self._models: dict[Hashable, _Model] = {}
        self._fitted: dict[Hashable, float] = {}  # when the last fit was begun, in seconds since the epoch
        self._under_way: dict[Hashable, Future[_Model]] = {}
        self._random = np.random.default_rng(20)
        self._fitter: ThreadPoolExecutor | None = None

    @property
    def is_installed(self) -> bool:
        """Whether scikit-learn is there."""
        return importlib.util.find_spec(self._package) is not None

    def learn(self, key: Hashable, rows: Doubles, now: float) -> None:
        """Offer sound rows [device, signal]; a fit begins where the last one is old enough, and none is waited for."""
        self._take_finished()
        is_due = now - self._fitted.get(key, -np.inf) >= self._refit_seconds
        if not is_due or key in self._under_way or len(rows) < LEAST_ROWS or not self.is_installed:
            return
        self._fitted[key] = now
        chosen = rows if len(rows) <= MOST_ROWS else rows[self._random.choice(len(rows), MOST_ROWS, replace=False)]
        if self._fitter is None:
            self._fitter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forest")
        self._under_way[key] = self._fitter.submit(_fit, self._package, chosen.copy())

    def odd(self, key: Hashable, rows: Doubles) -> NDArray[np.bool_] | None:
        """Whether each row [device, signal] is odd; None as long as there is no model of as many signals."""
        self._take_finished()
        model = self._models.get(key)
        if model is None or model.forest.n_features_in_ != rows.shape[1]:
            return None
        return np.asarray(model.forest.score_samples(rows) < model.limit)

    def settle(self) -> None:
        """Wait for fits that are under way."""
        for future in list(self._under_way.values()):
            future.exception()
        self._take_finished()

    def _take_finished(self) -> None:
        for key in [key for key, future in self._under_way.items() if future.done()]:
            future = self._under_way.pop(key)
            error = future.exception()
            if error is None:
                self._models[key] = future.result()
            else:
                _LOG.warning("forest not fitted", extra={"error": str(error)})


def _fit(package: str, rows: Doubles) -> _Model:
    """Runs in the fitting thread; one core at most, because the fleet's ticks need the others."""
    ensemble = importlib.import_module(f"{package}.ensemble")
    forest = ensemble.IsolationForest(n_estimators=TREES, random_state=20, n_jobs=1).fit(rows)
    return _Model(forest, float(np.quantile(forest.score_samples(rows), ODD_SHARE)))
