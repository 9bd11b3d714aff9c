"""Records through every push sink while both ends fail: does each that was taken arrive, and what does it cost.

Each sink sends records with ids from a process of its own to a receiver that logs the ids it got. First as fast as it
can without faults (records a second, CPU). Then through a life in which the receiver is killed, frozen, slow, cut off
in the middle of messages and, over HTTP, answers 429, 500 and 400. Then through lives that end with -9 before or after
each step and SQL statement of append, send and acknowledgement, and at random moments. In the end every record whose
append had returned must be in the receiver's log, or in the queue's dead letters where the receiver answered 400. The
usual libraries go through the same, but for the boundaries, which they do not have. `--records N` (1,000,000 unless
told otherwise) is how many are sent fast; `--short` does about a minute of everything, `--json` prints an object per
sender.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.delivery_parts.run import Plan, commands_of, run
from benchmarks.delivery_parts.sender import BOUNDARIES
from benchmarks.delivery_parts.sinks import SINKS
from tools.peers import PeerMissingError, environment
from warpgauge.core.table import table

if TYPE_CHECKING:
    from benchmarks.delivery_parts.run import Outcome

TICK_SECONDS = 0.1
CADENCE_RATIO = 0.1  # of the tick that the mean distance between samples may be off
GROWTH_BYTES = 32 << 20  # of memory over the life through all faults, beyond which it is not flat
SHORT_BOUNDARIES = 3


def plan_of(*, is_short: bool, records: int, turn: int) -> Plan:
    """A short one tries other boundaries at each sink."""
    if is_short:
        first = turn * SHORT_BOUNDARIES
        return Plan(
            burst=10_000,
            fault_seconds=0.5,
            rest_seconds=0.3,
            boundaries=[BOUNDARIES[at % len(BOUNDARIES)] for at in range(first, first + SHORT_BOUNDARIES)],
            kills=2,
            life_seconds=(0.1, 0.5),
        )
    return Plan(
        burst=records, fault_seconds=5.0, rest_seconds=3.0, boundaries=BOUNDARIES, kills=50, life_seconds=(0.2, 1.5)
    )


def figures_of(sink: str, sender: str, outcome: Outcome, plan: Plan, *, is_ours: bool) -> dict[str, Any]:
    clean, long, burst = outcome.clean, outcome.long, plan.burst
    growth = max(outcome.memory, default=0) - (outcome.memory[0] if outcome.memory else 0)
    interval = long.get("mean_interval", float("nan"))
    figures = {
        "sink": sink,
        "sender": sender,
        "given": outcome.given,
        "arrived": outcome.arrived,
        "set_aside_on_400": outcome.set_aside,
        "lost": outcome.lost,
        "duplicates": outcome.duplicates,
        "lives": outcome.lives,
        "records_a_second": round(burst / clean["seconds"]),
        "cpu_ms_per_1000": round(1e6 * clean["cpu_seconds"] / burst, 2),
        "tick_off_by_percent": round(100 * abs(interval / TICK_SECONDS - 1), 1),
        "worst_tick_ms": round(1000 * long.get("worst", float("nan"))),
        "memory_growth_mb": round(growth / (1 << 20), 1),
    }
    is_kept = abs(interval / TICK_SECONDS - 1) <= CADENCE_RATIO
    return figures | ({"ok": outcome.lost == 0 and is_kept and growth <= GROWTH_BYTES} if is_ours else {"ok": ""})


def measure(names: list[str], *, is_short: bool, records: int, seed: int) -> list[dict[str, Any]]:
    figures = []
    for turn, name in enumerate(names):
        entry, plan = SINKS[name], plan_of(is_short=is_short, records=records, turn=turn)
        try:
            commands = list(commands_of(entry, lambda env: str(environment(env) / "bin" / "python")))
        except PeerMissingError as error:
            print(f"{name}: {error}", file=sys.stderr)
            commands = list(commands_of(entry, lambda _: ""))[:1]
        for sender, command, is_ours in commands:
            with tempfile.TemporaryDirectory() as folder:
                outcome = run(entry, command, Path(folder), plan, seed=seed, is_ours=is_ours)
            figures.append(figures_of(name, sender, outcome, plan, is_ours=is_ours))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="about a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object per sender")
    parser.add_argument("--records", type=int, default=1_000_000, help="sent fast by each (default 1,000,000)")
    parser.add_argument("--seed", type=int, default=1, help="of moments, cuts and faults (default 1)")
    parser.add_argument("--sink", action="append", choices=SINKS, help="only this one; may be given again")
    args = parser.parse_args()
    names = args.sink or list(SINKS)
    if "fluentd" in names and (missing := [one for one in ("node", "npm") if shutil.which(one) is None]):
        print(f"fluentd is not measured: {missing[0]} is not here: sudo apt-get install nodejs npm", file=sys.stderr)
        names.remove("fluentd")
    print(f"seed {args.seed}", file=sys.stderr)
    figures = measure(names, is_short=args.short, records=args.records, seed=args.seed)
    if args.json:
        print("\n".join(map(json.dumps, figures)))
    else:
        columns = [list(map(str, (key, *(figure[key] for figure in figures)))) for key in figures[0]]
        print(table(columns[0], columns[1:]))
    return int(any(figure["ok"] is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
