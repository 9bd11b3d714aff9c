"""How well `warpgauge detect` finds what is wrong in single series, beside simple detectors, and what it costs a row.

The series are made (`tests/detectors/labeled_series.py`): fifteen kinds, half of them free of faults. Our thresholds
were set on seeds 0-199; this reports seeds 1000-1199. An alarm within the window of an anomaly counts once, any other
alarm after the first 15 % of a series is false; the NAB score is that of its standard profile (Lavin, Ahmad 2015).
river's detectors run where river is installed. `--short` takes a quarter of the series, `--json` prints one JSON
object per figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
import time
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the labeled series are the tests' too

from tests.detectors.labeled_series import Labeled, labeled_series
from warpgauge.analyzer.scoring import scored
from warpgauge.analyzer.sources.series_file import Piece
from warpgauge.core.table import table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

SEEDS: Final = range(1000, 1200)
SHORT_SEEDS: Final = range(1000, 1050)
FALSE_ALARM_COST: Final = 0.11  # of NAB's standard profile
COST_BUDGET_MICROSECONDS: Final = 10.0
SIGMAS: Final = 3.0  # of the simple detectors
FALSE_ALARM_BUDGET: Final = 2.0  # per 10,000 rows


@dataclass
class Tally:
    """What a detector did over all series."""

    rows: int = 0
    judged_rows: int = 0
    seconds: float = 0.0
    found: int = 0
    missed: int = 0
    false: int = 0
    nab: float = 0.0
    by_anomaly: dict[str, list[int]] = field(default_factory=dict)

    def add(self, series: Labeled, alarms: Sequence[int], seconds: float) -> None:
        """Count what was found, missed and false in one series."""
        self.rows += len(series.values)
        self.judged_rows += len(series.values) - series.probation
        self.seconds += seconds
        counted = [row for row in alarms if row >= series.probation]
        for name, (first, last) in zip(series.anomalies, series.windows, strict=True):
            hits = [row for row in counted if first <= row < last]
            self.by_anomaly.setdefault(name, []).append(bool(hits))
            self.found += bool(hits)
            self.missed += not hits
            self.nab += sigmoid((hits[0] - last) / (last - first)) / sigmoid(-1.0) if hits else -1.0
        outside = [row for row in counted if not any(first <= row < last for first, last in series.windows)]
        self.false += len(outside)
        self.nab += FALSE_ALARM_COST * sum(weight_of(row, series.windows) for row in outside)

    @property
    def precision(self) -> float:
        """Share of alarms that were right."""
        return self.found / max(self.found + self.false, 1)

    @property
    def recall(self) -> float:
        """Share of anomalies that were found."""
        return self.found / max(self.found + self.missed, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-9)

    @property
    def nab_score(self) -> float:
        """0 for a detector that says nothing, 100 for one that finds all at once."""
        windows = self.found + self.missed
        return 100 * (self.nab + windows) / (2 * windows)


def sigmoid(position: float) -> float:
    """NAB's weight of an alarm: 0.99 at the start of a window (-1), 0 at its end, -1 long after."""
    return 2 / (1 + math.exp(min(5 * position, 50.0))) - 1


def weight_of(row: int, windows: Sequence[tuple[int, int]]) -> float:
    """Between 0 right after a window and -1 far from any."""
    before = [(last, last - first) for first, last in windows if last <= row]
    return sigmoid((row - before[-1][0] + 1) / before[-1][1]) if before else -1.0


# ---- detectors: a series -> rows that alarm


def ours(series: Labeled) -> list[int]:
    texts = [""] * len(series.values)
    parts = list(scored([Piece(texts, series.times, series.values)]))
    return np.flatnonzero(np.concatenate([part.alarms for part in parts])).tolist()


def onsets(flags: NDArray[np.bool_]) -> list[int]:
    """First rows of runs: what any person would make of a detector that flags every row."""
    return np.flatnonzero(flags & ~np.concatenate([[False], flags[:-1]])).tolist()


def naive_threshold(series: Labeled) -> list[int]:
    """Three standard deviations around the mean of the first 15 %."""
    past = series.values[: series.probation]
    return onsets(np.abs(series.values - np.nanmean(past)) > SIGMAS * np.nanstd(past))


def rolling_z(series: Labeled, window: int = 288) -> list[int]:
    """|z| > 3 against the last 288 rows."""
    values = np.where(np.isnan(series.values), np.nanmean(series.values[: series.probation]), series.values)
    windows = np.lib.stride_tricks.sliding_window_view(values, window)[:-1]
    z = np.abs(values[window:] - windows.mean(axis=1)) / np.maximum(windows.std(axis=1), 1e-12)
    return [row + window for row in onsets(z > SIGMAS)]


def river_detector(make: Callable[[], Any], *, scale: bool) -> Callable[[Labeled], list[int]]:
    """A river detector behind its quantile filter at 0.999, as its documentation has it."""
    from river import anomaly, preprocessing  # noqa: PLC0415 - only where it is installed

    def detect(series: Labeled) -> list[int]:
        model = anomaly.QuantileFilter(make(), q=0.999)
        scaler = preprocessing.MinMaxScaler()
        flags = np.zeros(len(series.values), dtype=bool)
        for row, value in enumerate(series.values.tolist()):
            if math.isnan(value):
                continue
            features = {"value": value}
            if scale:
                scaler.learn_one(features)
                features = scaler.transform_one(features)
            arguments = (features,) if scale else (None, value)
            with contextlib.suppress(TypeError):  # its rolling variance rounds below 0 on constants (river 0.26)
                flags[row] = model.classify(model.score_one(*arguments))
                model.learn_one(*arguments)
        return onsets(flags)

    return detect


def detectors() -> dict[str, Callable[[Labeled], list[int]]]:
    found: dict[str, Callable[[Labeled], list[int]]] = {
        "warpgauge": ours,
        "z-score 288 rows": rolling_z,
        "threshold of first 15 %": naive_threshold,
    }
    if find_spec("river"):
        from river import anomaly  # noqa: PLC0415 - only where it is installed

        found["river GaussianScorer"] = river_detector(lambda: anomaly.GaussianScorer(window_size=288), scale=False)
        found["river HalfSpaceTrees"] = river_detector(lambda: anomaly.HalfSpaceTrees(seed=1), scale=True)
    return found


def measure(seeds: range) -> dict[str, Tally]:
    tallies = {name: Tally() for name in detectors()}
    for seed in seeds:
        series = labeled_series(seed)
        for name, detect in detectors().items():
            start = time.process_time()
            alarms = detect(series)
            tallies[name].add(series, alarms, time.process_time() - start)
    return tallies


def figures(tallies: dict[str, Tally]) -> list[dict[str, object]]:
    mine = tallies["warpgauge"]
    peers = {name: tally for name, tally in tallies.items() if tally is not mine}
    best = max(peers, key=lambda name: peers[name].f1)
    shares = {name: f"{sum(hits)} of {len(hits)}" for name, hits in sorted(mine.by_anomaly.items())}
    cost, false = mine.seconds / mine.rows * 1e6, 1e4 * mine.false / mine.judged_rows
    rows: list[tuple[str, float, str, str, str, bool]] = [
        ("detect precision", mine.precision, "ratio", f"{best} {peers[best].precision:.3f}", "", True),
        ("detect recall", mine.recall, "ratio", f"{best} {peers[best].recall:.3f}", "", True),
        ("detect F1", mine.f1, "ratio", f"{best} {peers[best].f1:.3f}", f"> {best}", mine.f1 > peers[best].f1),
        ("detect false alarms", false, "per 10,000 rows", "", f"<= {FALSE_ALARM_BUDGET}", false <= FALSE_ALARM_BUDGET),
        ("detect NAB score", mine.nab_score, "points", f"{best} {peers[best].nab_score:.1f}", "", True),
        ("detect cost", cost, "us/row", "", f"<= {COST_BUDGET_MICROSECONDS}", cost <= COST_BUDGET_MICROSECONDS),
    ]
    found = [(f"detect {name}", float(share.split()[0]), share, "", "", True) for name, share in shares.items()]
    keys = ("name", "value", "unit", "peer", "budget", "ok")
    return [dict(zip(keys, (name, round(value, 3), *rest), strict=True)) for name, value, *rest in rows + found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="a quarter of the series")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    tallies = measure(SHORT_SEEDS if arguments.short else SEEDS)
    if arguments.json:
        print("\n".join(json.dumps(row) for row in figures(tallies)))
        return
    headers = ("DETECTOR", "PRECISION", "RECALL", "F1", "FALSE PER 10,000", "NAB", "US/ROW")
    lines = [
        (
            name,
            f"{tally.precision:.3f}",
            f"{tally.recall:.3f}",
            f"{tally.f1:.3f}",
            f"{1e4 * tally.false / tally.judged_rows:.1f}",
            f"{tally.nab_score:.1f}",
            f"{tally.seconds / tally.rows * 1e6:.2f}",
        )
        for name, tally in tallies.items()
    ]
    print(table(headers, lines, numeric=set(headers[1:])))


if __name__ == "__main__":
    main()
