"""The figures of the detection benchmark: one row each, with interval, budget and what plain thresholds make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from detection_parts.matching import INFORMATION, match
from detection_parts.report import at_most, by_kind, by_size, f1_interval, poisson, score, wilson
from detection_parts.tuning import leave_one_out
from detection_parts.unknown import without_names

from warpgauge.exporters.synthetic.scenario import CAUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from detection_parts.matching import Matched
    from detection_parts.playing import Outcome

__all__ = ["Row", "figures", "left_out", "row", "unknown"]

STRAGGLERS: Final = ("slow_clock", "slow_kernels")
SLOWING: Final = tuple(name for name, cause in CAUSES.items() if cause.slows)
TWICE: Final = (1.6, 2.2)  # the class of sizes that a straggler of twice the time falls into
BUDGETS: Final = {"precision": 0.95, "F1": 0.95, "F1 of a kind": 0.9, "delay": 3.0, "false pages": 1.0}

Row = dict[str, Any]


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
    yield from _of_information(outcomes)
    yield from _of_sizes("straggler", ours, STRAGGLERS)
    yield from _of_sizes("any slowdown", ours, SLOWING)


def _false_pages(
    outcomes: Sequence[Outcome], ours: Sequence[Matched], plain: Sequence[Matched], days: float
) -> Iterator[Row]:
    false, peer = (sum(len(one.false) for one in matched) for matched in (ours, plain))
    per = 1000.0 / days
    yield row(
        "false pages per 1,000 GPU-days", false * per, interval=_rate(false, per), peer=peer * per,
        budget="false pages",
    )  # fmt: skip
    yield from _without_fault(outcomes, ours)
    yield row("pages that repeat one", sum(one.repeats for one in ours))
    yield row("pages that tell of a consequence", sum(one.consequences for one in ours))


def _without_fault(outcomes: Sequence[Outcome], ours: Sequence[Matched]) -> Iterator[Row]:
    """False pages of the fleets in which each page is one, and what that says of the rate."""
    sound = [(one, len(matched.false)) for one, matched in zip(outcomes, ours, strict=True) if not one.truth["faults"]]
    false, days = sum(number for _, number in sound), sum(one.device_days for one, _ in sound)
    yield row("false pages in fleets without a fault", false, f"in {days:.0f} GPU-days")
    if days:
        per = 1000.0 / days
        yield row("those per 1,000 GPU-days", false * per, interval=_rate(false, per))
        yield row("they are at most, 95 % sure", at_most(false) * per)
        struck = sum(number > 0 for _, number in sound)
        yield row("of the fleets, those with one", struck / len(sound), interval=wilson(struck, len(sound)))


def _rate(events: int, per: float) -> tuple[float, float]:
    low, high = poisson(events)
    return low * per, high * per


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


def _of_information(outcomes: Sequence[Outcome]) -> Iterator[Row]:
    """Of what only the own history of a device or machine tells, how much it told."""
    informed = [match(one, [hint for hint in one.hints if hint.kind in INFORMATION], informs=True) for one in outcomes]
    for kind, one in by_kind(informed).items():
        asked = one.right + one.missed
        if not asked:
            continue
        about = f"{one.right} of {asked} told, as information; {one.false} elsewhere"
        yield row(f"recall {kind}", one.recall, about, interval=wilson(one.right, asked))
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


def left_out(tuning: Sequence[Outcome], reported: Sequence[Outcome]) -> Iterator[Row]:
    """What the confidence set without a kind makes of it."""
    for one in leave_one_out(tuning, reported):
        about = f"from confidence {one.level_without:g} on; with it in the tuning {one.level_with:g}: {one.f1_with:.3f}"
        yield row(f"F1 {one.kind}, left out of tuning", one.f1_without, about, peer=one.f1_untuned)


def unknown(played: Iterable[tuple[str, Outcome, Outcome]]) -> Iterator[Row]:
    """What was said of each kind without a rule for it; the value is the share of its faults of which anything was."""
    for one in without_names(played):
        about = (
            f"of {one.faults}: {one.symptom} by a symptom, {one.misnamed} misnamed, {one.informed} as information,"
            f" {one.silent} silent; {one.unattributed} unattributed, {one.false_more} more false pages"
        )
        about += "".join(f"; {name} {times}" for name, times in one.names.most_common() if one.kind != "all")
        seen = one.faults - one.silent
        yield row(f"seen without a rule: {one.kind}", seen / one.faults, about, interval=wilson(seen, one.faults))
