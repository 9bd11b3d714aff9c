"""What the analyzer finds, misses and cries out about for nothing, over scenarios drawn from seeds.

Each seed draws a fleet, jobs, faults and telemetry troubles from ranges wider than any threshold; the one fleet model
plays them and the analyzer watches through the way of the service (`Watch`: ingest, judge, accept; default
configuration, all detectors), a tick at each scrape. Seeds 0 to 199 are for tuning, 1000 to 1199 for reporting; three
of ten have no fault at all. A page is a finding above information, told for the first time. Faults of less than a
tenth of a step, or an error rate below what vendors call one to act upon, need not be found: the table of sizes has
them too. Beside it stands what plain thresholds from public rule files make of the same samples.

`--short` ends within a minute with the first of the reported seeds; `--jobs N` uses N processes; `--leave-one-out`
plays the tuning seeds as well; `--scenarios DIR` plays the TOML files of a directory instead of seeds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import pickle
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from detection_parts.drawing import draw
from detection_parts.matching import match
from detection_parts.playing import Outcome, watched
from detection_parts.recording import recorded
from detection_parts.report import by_kind, by_size, f1_interval, score, wilson
from detection_parts.tuning import leave_one_out

from warpgauge.core.errors import InputError
from warpgauge.core.table import table
from warpgauge.exporters.synthetic.scenario import CAUSES, read_scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from detection_parts.matching import Matched

TUNING: Final = range(200)
REPORTED: Final = range(1000, 1200)
SHORT_SECONDS: Final = 40.0
STRAGGLERS: Final = ("slow_clock", "slow_kernels")
SLOWING: Final = tuple(name for name, cause in CAUSES.items() if cause.slows)
TWICE: Final = (1.6, 2.2)  # the class of sizes that a straggler of twice the time falls into
BUDGETS: Final = {"precision": 0.95, "F1": 0.95, "F1 of a kind": 0.9, "delay": 3.0, "false pages": 1.0}

Row = dict[str, Any]


def of_seed(seed: int, samples: Path | None = None) -> Outcome:
    """What became of the scenario of a seed; its samples are kept in a directory, or found there."""
    drawn = draw(seed)
    return asyncio.run(watched(recorded(drawn.scenario, samples), drawn.scenario, drawn.true_of_jobs))


def of_file(path: Path) -> Outcome:
    """What became of the scenario in a file."""
    scenario = read_scenario(path)
    return asyncio.run(watched(recorded(scenario), scenario))


def played(todo: Sequence[Callable[[], Outcome]], jobs: int, within_seconds: float) -> Iterator[Outcome]:
    """Play one after the other, or in several processes; stop to begin new ones after some time."""
    end = time.monotonic() + within_seconds
    if jobs > 1:
        with ProcessPoolExecutor(jobs) as pool:
            yield from (one.result() for one in [pool.submit(each) for each in todo])
        return
    for each in todo:
        if time.monotonic() >= end:
            return
        yield each()


def kept(outcomes: Iterable[Outcome], args: argparse.Namespace) -> list[Outcome]:
    """All of them; meanwhile each is told and saved, as wanted, so that a run that is cut short is not lost."""
    found = []
    for outcome in outcomes:
        found.append(outcome)
        if args.save:
            args.save.write_bytes(pickle.dumps(found))
        if args.details:
            _tell(outcome)
    return found


# ---- figures


def row(name: str, value: float, unit: str = "", *, interval: tuple[float, float] | None = None, **more: object) -> Row:
    """One figure; `budget` names its limit, `peer` the plain thresholds' figure."""
    budget = more.get("budget")
    limit = BUDGETS.get(str(budget)) if budget else None
    is_most = budget in {"delay", "false pages"}
    ok = None if limit is None else value <= limit if is_most else value >= limit
    peer = more.get("peer")
    low, high = interval or (None, None)
    return {
        "name": name, "value": value, "unit": unit, "low": low, "high": high, "peer": peer, "budget": limit, "ok": ok,
    }  # fmt: skip


def figures(outcomes: Sequence[Outcome]) -> Iterator[Row]:
    """All figures of some scenarios."""
    ours = [match(one, one.pages) for one in outcomes]
    plain = [match(one, one.baseline) for one in outcomes]
    total, peer = score(ours), score(plain)
    days = sum(one.device_days for one in outcomes)
    yield row("scenarios", len(outcomes))
    yield row("of them without a fault", sum(not one.truth["faults"] for one in outcomes))
    yield row("GPU-days", days)
    yield row("faults that must be found", total.right + total.missed)
    told = total.right + total.small_found
    yield row(
        "precision", total.precision, interval=wilson(told, told + total.false), peer=peer.precision, budget="precision"
    )
    recalled = wilson(total.right, total.right + total.missed)
    yield row("recall", total.recall, interval=recalled, peer=peer.recall)
    yield row("F1", total.f1, interval=f1_interval(ours), peer=peer.f1, budget="F1")
    yield row("median delay", total.delay or 0.0, "intervals", peer=peer.delay)
    yield from _false_pages(outcomes, ours, plain, days)
    yield from _of_kinds(ours, plain)
    yield from _of_sizes("straggler", ours, STRAGGLERS)
    yield from _of_sizes("any slowdown", ours, SLOWING)


def _false_pages(
    outcomes: Sequence[Outcome], ours: Sequence[Matched], plain: Sequence[Matched], days: float
) -> Iterator[Row]:
    false, peer = (sum(len(one.false) for one in matched) for matched in (ours, plain))
    per = 1000.0 / days
    yield row(
        "false pages per 1,000 GPU-days", false * per, interval=_poisson(false, per), peer=peer * per,
        budget="false pages",
    )  # fmt: skip
    sound = [len(matched.false) for one, matched in zip(outcomes, ours, strict=True) if not one.truth["faults"]]
    yield row("false pages in fleets without a fault", sum(sound))
    yield row("pages that repeat one", sum(one.repeats for one in ours))
    yield row("pages that tell of a consequence", sum(one.consequences for one in ours))


def _poisson(events: int, per: float) -> tuple[float, float]:
    """95 % interval of a rate, by the Wilson-Hilferty approximation of the exact one."""
    low = events * (1 - 1 / (9 * events) - 1.96 / (3 * events**0.5)) ** 3 if events else 0.0
    more = events + 1
    high = more * (1 - 1 / (9 * more) + 1.96 / (3 * more**0.5)) ** 3
    return max(0.0, low) * per, high * per


def _of_kinds(ours: Sequence[Matched], plain: Sequence[Matched]) -> Iterator[Row]:
    peers = by_kind(plain)
    for kind, one in by_kind(ours).items():
        peer = peers[kind].f1 if kind in peers else None
        asked = one.right + one.missed
        about = f"{one.right} of {asked} found, {one.false} false"
        yield row(
            f"F1 {kind}", one.f1, about, interval=f1_interval(ours, kind), peer=peer,
            budget="F1 of a kind" if asked else None,
        )  # fmt: skip
        if one.delay is not None:
            yield row(f"median delay {kind}", one.delay, "intervals")


def _of_sizes(name: str, ours: Sequence[Matched], causes: Sequence[str]) -> Iterator[Row]:
    for low, high, one in by_size(ours, causes):
        asked = one.right + one.missed
        if not asked:
            continue
        sizes = f"{low:g}x to {high:.3g}x"
        about = f"{one.right} of {asked} found"
        yield row(f"recall {name} {sizes}", one.recall, about, interval=wilson(one.right, asked))
        if one.delay is not None:
            budget = "delay" if name == "straggler" and (low, high) == TWICE else None
            yield row(f"median delay {name} {sizes}", one.delay, "intervals", budget=budget)


def _left_out(tuning: Sequence[Outcome], reported: Sequence[Outcome]) -> Iterator[Row]:
    for one in leave_one_out(tuning, reported):
        about = f"from confidence {one.level_without:g} on; with it in the tuning {one.level_with:g}: {one.f1_with:.3f}"
        yield row(f"F1 {one.kind}, left out of tuning", one.f1_without, about, peer=one.f1_untuned)


# ---- the command


def main() -> None:
    args = _arguments()
    if args.load:
        outcomes = kept((one for path in args.load for one in _loaded(path)), args)
    elif args.scenarios:
        paths = sorted(args.scenarios.glob("*.toml"))
        if not paths:
            sys.exit(f"{args.scenarios} holds no file that ends in .toml")
        outcomes = kept(played([partial(of_file, path) for path in paths], args.jobs, float("inf")), args)
    else:
        within = SHORT_SECONDS if args.short else float("inf")
        todo = [partial(of_seed, seed, args.samples) for seed in args.seeds]
        outcomes = kept(played(todo, 1 if args.short else args.jobs, within), args)
    rows = list(figures(outcomes))
    if args.leave_one_out:
        todo = [partial(of_seed, seed, args.samples) for seed in TUNING]
        tuning = _loaded(args.tuning) if args.tuning else list(played(todo, args.jobs, float("inf")))
        rows += _left_out(tuning, outcomes)
    _print(rows, outcomes, args)


def _loaded(path: Path) -> list[Outcome]:
    """Outcomes that this program saved; never load somebody else's."""
    outcomes: list[Outcome] = pickle.loads(path.read_bytes())  # noqa: S301 - our own file, as the help says
    return outcomes


def _print(rows: Sequence[Row], outcomes: Sequence[Outcome], args: argparse.Namespace) -> None:
    if args.json:
        for figure in rows:
            print(json.dumps(figure))
        return
    if args.short:
        print(f"a subset: the first {len(outcomes)} of {len(args.seeds)} seeds; the full run says more")
    words = {True: "yes", False: "NO", None: ""}
    cells = [
        (
            one["name"],
            f"{one['value']:.4g}",
            "" if one["low"] is None else f"{one['low']:.3g} to {one['high']:.3g}",
            one["unit"],
            "" if one["peer"] is None else f"{one['peer']:.3g}",
            "" if one["budget"] is None else f"{one['budget']:g}",
            words[one["ok"]],
        )
        for one in rows
    ]
    print(table(("figure", "value", "95 %", "", "thresholds", "budget", "within"), cells, numeric=(1, 4, 5)))


def _tell(outcome: Outcome) -> None:
    """What was missed in a scenario and what was false."""
    matched = match(outcome, outcome.pages)
    start = outcome.truth["start"]
    for found in matched.found:
        if found.page is None and found.fault["must_be_found"]:
            fault = found.fault
            scope = {key: value for key, value in fault["scope"].items() if key not in {"cluster", "rack"}}
            print(
                f"{outcome.name}: missed {fault['cause']} of size {fault['size']:.3g}"
                f" at {fault['start'] - start:.0f} s, scrapes of {outcome.scrape_seconds:g} s, {scope}",
                file=sys.stderr,
                flush=True,
            )
    for page in matched.false:
        print(
            f"{outcome.name}: false {page.kind} at {page.told - start:.0f} s: {page.summary}",
            file=sys.stderr,
            flush=True,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=_seeds, default=REPORTED, metavar="A-B", help="default 1000-1199")
    parser.add_argument("--scenarios", type=Path, metavar="DIR", help="play its *.toml instead of seeds")
    parser.add_argument("--short", action="store_true", help="end within a minute, with a subset of the seeds")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--details", action="store_true", help="tell each miss and each false page")
    parser.add_argument("--leave-one-out", action="store_true", help="tune without one kind of fault, for each kind")
    parser.add_argument(
        "--samples", type=Path, metavar="DIR", help="keep what the fleet model made of a seed, for the next run"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep what was played")
    parser.add_argument(
        "--load", type=Path, nargs="+", metavar="FILE", help="report on what --save kept (your own files only)"
    )
    parser.add_argument(
        "--tuning", type=Path, metavar="FILE", help="for --leave-one-out: tuning seeds that --save kept"
    )
    args = parser.parse_args()
    try:
        if args.jobs < 1:
            parser.error("--jobs must be at least 1")
    except InputError as error:
        parser.error(str(error))
    return args


def _seeds(text: str) -> range:
    first, _, last = text.partition("-")
    if not (first.isdigit() and (last.isdigit() or not last)) or int(last or first) < int(first):
        msg = f"{text!r} is no range of seeds; write 1000-1199"
        raise argparse.ArgumentTypeError(msg)
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    main()
