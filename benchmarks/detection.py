"""What the analyzer finds, misses and cries out about for nothing, over scenarios drawn from seeds.

Each seed draws a fleet, jobs, faults and telemetry troubles from ranges wider than any threshold; the one fleet model
plays them and the analyzer watches through the way of the service (`Watch`: ingest, judge, accept; default
configuration, all detectors), a tick at each scrape. Seeds 0 to 199 are for tuning, 1000 to 1199 for reporting; three
of ten have no fault at all. A page is a finding above information, told for the first time. Faults of less than a
tenth of a step, or an error rate below what vendors call one to act upon, need not be found: the table of sizes has
them too. Beside it stands what plain thresholds from public rule files make of the same samples.

`--short` ends within a minute with the first of the reported seeds; `--jobs N` uses N processes; `--scenarios DIR`
plays the TOML files of a directory instead of seeds; `--sound` plays only fleets without a fault, which tells how many
false pages there are in less time, and in less still with `--devices N --hours H`: each seed then draws one large fleet
that is watched for hours, with jobs that follow one another and troubles as frequent as in the small ones.

Some sorts of fault came later and are rare in the seeds, which stay what they were; `--added` plays the same fleets
with these alone, wherever there is a place for one.

Two runs leave a kind out of what was tuned: `--unknown-kinds` plays each fault once more with no rule for its kind,
`--leave-one-out` plays the tuning seeds as well and sets the confidence that all kinds share.
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
from typing import TYPE_CHECKING, Final

from detection_parts.drawing import draw, is_sound
from detection_parts.figures import figures, left_out, unknown
from detection_parts.large import MOST_DEVICES, draw_large
from detection_parts.matching import INFORMATION, match
from detection_parts.playing import Outcome, watched
from detection_parts.recording import recorded, streamed
from detection_parts.unknown import detectors_without, kinds_to_forget

from warpgauge.core.errors import InputError
from warpgauge.core.table import table
from warpgauge.exporters.synthetic.scenario import read_scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from detection_parts.figures import Row

TUNING: Final = range(200)
REPORTED: Final = range(1000, 1200)
SHORT_SECONDS: Final = 40.0
FEWEST_DEVICES: Final = 8
LONGEST_HOURS: Final = 24.0


def of_seed(seed: int, samples: Path | None = None, *, only_added: bool = False) -> Outcome:
    """What became of the scenario of a seed; its samples are kept in a directory, or found there."""
    drawn = draw(seed, only_added=only_added)
    return asyncio.run(watched(recorded(drawn.scenario, samples), drawn.scenario, drawn.true_of_jobs))


def of_large(seed: int, devices: int, hours: float) -> Outcome:
    """What became of the large fleet of a seed; what it tells is shown to the analyzer as it is made."""
    drawn = draw_large(seed, devices, hours)
    return asyncio.run(watched(streamed(drawn.scenario), drawn.scenario, drawn.true_of_jobs))


def of_seed_without(seed: int, kind: str, samples: Path | None = None) -> Outcome:
    """What becomes of the scenario of a seed if no detector knows a kind."""
    drawn = draw(seed)
    detectors = detectors_without(kind)
    return asyncio.run(
        watched(recorded(drawn.scenario, samples), drawn.scenario, drawn.true_of_jobs, detectors=detectors)
    )


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


def without_rules(outcomes: Sequence[Outcome], args: argparse.Namespace) -> Iterator[tuple[str, Outcome, Outcome]]:
    """(kind, outcome with all rules, outcome without those for it): the seeds once more for each of their kinds."""
    asked = [(kind, one) for one in outcomes for kind in kinds_to_forget(one)]
    todo = [partial(of_seed_without, int(one.name.removeprefix("seed-")), kind, args.samples) for kind, one in asked]
    without = played(todo, args.jobs, float("inf"))
    yield from ((kind, known, unknown) for (kind, known), unknown in zip(asked, without, strict=True))


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
        outcomes = kept(played(_wanted(args), 1 if args.short else args.jobs, within), args)
    rows = list(figures(outcomes))
    if args.leave_one_out:
        todo = [partial(of_seed, seed, args.samples) for seed in TUNING]
        tuning = _loaded(args.tuning) if args.tuning else list(played(todo, args.jobs, float("inf")))
        rows += left_out(tuning, outcomes)
    if args.unknown_kinds:
        rows += unknown(without_rules(outcomes, args))
    _print(rows, outcomes, args)


def _wanted(args: argparse.Namespace) -> list[Callable[[], Outcome]]:
    """What to play of the seeds that were asked for."""
    if args.devices:
        return [partial(of_large, seed, args.devices, args.hours) for seed in args.seeds]
    seeds = [seed for seed in args.seeds if is_sound(seed) or not args.sound]
    if args.added:
        seeds = [seed for seed in seeds if draw(seed, only_added=True).scenario.faults]
    return [partial(of_seed, seed, args.samples, only_added=args.added) for seed in seeds]


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
    informed = match(outcome, [hint for hint in outcome.hints if hint.kind in INFORMATION], informs=True)
    start = outcome.truth["start"]
    for found in (*matched.found, *informed.found):
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
    parser.add_argument("--sound", action="store_true", help="play only those seeds whose fleets have no fault")
    parser.add_argument(
        "--added", action="store_true", help="play the seeds' fleets with only those kinds of fault that came later"
    )
    parser.add_argument(
        "--devices", type=int, default=0, metavar="N", help="with --sound: draw fleets of N devices, 8 to 1024"
    )
    parser.add_argument("--hours", type=float, default=8.0, metavar="H", help="with --devices: for so long, 1 to 24")
    parser.add_argument("--short", action="store_true", help="end within a minute, with a subset of the seeds")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    parser.add_argument("--details", action="store_true", help="tell each miss and each false page")
    parser.add_argument("--leave-one-out", action="store_true", help="tune without one kind of fault, for each kind")
    parser.add_argument("--unknown-kinds", action="store_true", help="play each fault again with no rule for its kind")
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
        if args.added and (args.sound or args.unknown_kinds or args.leave_one_out):
            parser.error("--added plays fleets with other faults than the seeds have: ask nothing else of them")
        if args.devices and (not args.sound or args.unknown_kinds or args.leave_one_out):
            parser.error("--devices draws fleets without a fault: say --sound, and ask nothing about faults")
        if args.devices and not FEWEST_DEVICES <= args.devices <= MOST_DEVICES:
            parser.error(f"--devices must be {FEWEST_DEVICES} to {MOST_DEVICES}")
        if not 1.0 <= args.hours <= LONGEST_HOURS:
            parser.error(f"--hours must be 1 to {LONGEST_HOURS:g}")
        if args.scenarios and args.unknown_kinds:
            parser.error("--unknown-kinds plays seeds again; it knows no files")
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
