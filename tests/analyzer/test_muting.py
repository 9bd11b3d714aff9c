"""Silences by scope and time, dismissals that raise a bar, both on disk before they count."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from warpgauge.analyzer.incidents.muting import DISMISSED_SECONDS, NOTHING_MUTED, excess_of
from warpgauge.analyzer.incidents.muting_book import MUTINGS_FILE, MutingBook, read_mutings
from warpgauge.core.audit import AUDIT_FILE, AuditLog, verify
from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import InputError, StorageError
from warpgauge.core.finding import Evidence, Finding, FindingKind, MutedBy, Scope, Severity

if TYPE_CHECKING:
    from pathlib import Path

T0 = 1_750_000_000.0
WHY = {"reason": "fan swap", "by": "ann"}


def hot(value: float = 92.0, *, severity: Severity = Severity.WARNING, **place: Any) -> Finding:
    """20 degrees above its usual 70; the limit is 80."""
    scope = Scope(**({"cluster": "c", "node": "n1", "uuid": "GPU-1", "job_id": "j1", "rank": 3} | place))
    row = Evidence(metric="accel_temperature_celsius", value=value, unit="celsius", baseline=70.0, threshold=80.0)
    return Finding(
        id="f1", kind=FindingKind.THERMAL_LIMITED, severity=severity, scope=scope, since=T0, confirmed=T0,
        confidence=0.9, evidence=(row,), summary="hot", remedy="cool it",
    )  # fmt: skip


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(seconds=T0)


def book_in(folder: Path, clock: ManualClock) -> MutingBook:
    return MutingBook(folder, clock, AuditLog(folder / AUDIT_FILE, clock))


@pytest.fixture
def book(tmp_path: Path, clock: ManualClock) -> MutingBook:
    return book_in(tmp_path, clock)


def is_muted(book: MutingBook, finding: Finding, now: float = T0) -> bool:
    return book.mutings.of(finding, now) is not None


@pytest.mark.parametrize(
    "scope",
    [
        {"node": "n1"},
        {"kind": "thermal_limited"},
        {"cluster": "c", "uuid": "GPU-1"},
        {"job_id": "j1"},
        {"node": "n?"},
        {"kind": "thermal_limited", "node": "n*"},
    ],
)
def test_a_silence_covers_what_is_in_its_scope(book: MutingBook, scope: dict[str, str]):
    silence = book.silence({**scope, "seconds": 60, **WHY})

    mute = book.mutings.of(hot(), T0)

    assert mute is not None
    assert (mute.by, mute.id, mute.reason, mute.until) == (MutedBy.SILENCE, silence.id, "fan swap", T0 + 60)


@pytest.mark.parametrize(
    "scope", [{"node": "n2"}, {"kind": "straggler"}, {"node": "n1", "job_id": "j2"}, {"cluster": "d", "node": "n1"}]
)
def test_a_silence_covers_nothing_else(book: MutingBook, scope: dict[str, str]):
    book.silence({**scope, "seconds": 60, **WHY})

    assert not is_muted(book, hot())


def test_a_silence_of_a_node_says_nothing_about_a_job_without_one(book: MutingBook):
    book.silence({"node": "*", "seconds": 60, **WHY})

    assert not is_muted(book, hot(node=None, uuid=None))


def test_a_silence_ends_by_itself_or_by_order(book: MutingBook):
    silence = book.silence({"node": "n1", "seconds": 60, **WHY})
    assert [is_muted(book, hot(), T0 + seconds) for seconds in (59, 60)] == [True, False]

    book.end(silence.id)

    assert not is_muted(book, hot())
    with pytest.raises(KeyError):
        book.end(silence.id)


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"seconds": 60, **WHY}, "needs a scope"),
        ({"node": "n1", **WHY}, "seconds must be"),
        ({"node": "n1", "seconds": True, **WHY}, "seconds must be"),
        ({"node": "n1", "seconds": 31 * 86_400, **WHY}, "seconds must be"),
        ({"node": "n1", "seconds": float("nan"), **WHY}, "seconds must be"),
        ({"node": "n1", "seconds": 60}, "reason must be"),
        ({"node": "n1", "seconds": 60, "reason": " "}, "reason must be"),
        ({"node": "n\n1", "seconds": 60, **WHY}, "node must be"),
        ({"node": 7, "seconds": 60, **WHY}, "node must be"),
        ({"kind": "bad_luck", "seconds": 60, **WHY}, "no kind of finding 'bad_luck'"),
        ({"host": "n1", "seconds": 60, **WHY}, "no field 'host'"),
    ],
)
def test_a_malformed_wish_is_refused_and_leaves_no_trace(book: MutingBook, tmp_path: Path, wish: Any, why: str):
    with pytest.raises(InputError, match=why):
        book.silence(wish)

    assert book.mutings == NOTHING_MUTED
    assert not (tmp_path / MUTINGS_FILE).exists()
    assert not (tmp_path / AUDIT_FILE).exists()


def test_what_is_dismissed_is_heard_again_only_when_it_is_much_worse(book: MutingBook):
    book.dismiss(hot(92.0), WHY)  # 2.2 times the way from usual to limit; the bar is 3.3 times

    assert [is_muted(book, hot(value)) for value in (85.0, 92.0, 102.9, 103.1)] == [True, True, True, False]


def test_a_dismissal_holds_for_that_cause_at_that_device_whatever_runs_on_it(book: MutingBook):
    book.dismiss(hot(), WHY)

    assert is_muted(book, replace(hot(job_id="j2", rank=0), id="f2"))
    assert not is_muted(book, hot(uuid="GPU-2"))
    assert not is_muted(book, replace(hot(), kind=FindingKind.STRAGGLER))
    assert not is_muted(book, hot(severity=Severity.CRITICAL))


def test_a_dismissal_is_forgotten_after_a_month_or_taken_back(book: MutingBook):
    dismissal = book.dismiss(hot(), WHY)
    assert not is_muted(book, hot(), T0 + DISMISSED_SECONDS)

    book.hear_again(dismissal.id)

    assert not is_muted(book, hot())


def test_dismissing_again_raises_the_bar_again(book: MutingBook):
    book.dismiss(hot(92.0), WHY)
    book.dismiss(replace(hot(104.0), id="f2"), WHY)

    (dismissal,) = book.mutings.dismissals
    assert dismissal.bar == pytest.approx(1.5 * 3.4)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"value": 30.0, "threshold": 20.0, "baseline": 10.0}, 2.0),
        ({"value": 5.0, "threshold": 8.0, "baseline": 10.0}, 2.5),  # the lower the worse
        ({"value": 30.0, "threshold": 20.0}, 1.5),
        ({"value": 0.1, "threshold": 0.2}, 2.0),
        ({"value": 0.0, "threshold": 0.0}, None),
        ({"value": 3.0}, None),
    ],
)
def test_how_far_beyond_its_threshold_a_finding_is(row: dict[str, float], expected: float | None):
    finding = replace(hot(), evidence=(Evidence(metric="m", unit="", **row),))

    assert excess_of(finding) == expected


# ---- on disk


def test_both_survive_a_restart(book: MutingBook, tmp_path: Path, clock: ManualClock):
    book.silence({"node": "n1", "kind": "straggler", "seconds": 60, **WHY})
    book.dismiss(hot(), WHY)

    assert book_in(tmp_path, clock).mutings == book.mutings
    assert (tmp_path / MUTINGS_FILE).stat().st_mode & 0o777 == 0o600


def test_everything_that_was_ordered_is_in_the_audit_log(book: MutingBook, tmp_path: Path):
    silence = book.silence({"node": "n1", "seconds": 60, **WHY}, remote="10.0.0.1")
    book.end(silence.id, by="bob")
    book.dismiss(hot(), WHY)
    book.hear_again("f1", by="bob")

    records = [json.loads(line) for line in (tmp_path / AUDIT_FILE).read_text().splitlines()]
    assert [(one["what"], one["who"], one["about"]["id"]) for one in records] == [
        ("silence", "ann", silence.id), ("silence_ended", "bob", silence.id),
        ("finding_dismissed", "ann", "f1"), ("dismissal_ended", "bob", "f1"),
    ]  # fmt: skip
    about = records[0]["about"]
    assert (about["remote"], about["reason"], about["node"]) == ("10.0.0.1", "fan swap", "n1")
    assert verify(tmp_path / AUDIT_FILE).lines == 4


def test_what_is_not_in_the_audit_log_does_not_count(book: MutingBook, tmp_path: Path):
    (tmp_path / AUDIT_FILE).mkdir()  # nothing can be written there

    with pytest.raises(StorageError):
        book.silence({"node": "n1", "seconds": 60, **WHY})

    assert book.mutings == read_mutings(tmp_path) == NOTHING_MUTED


def test_what_is_over_leaves_the_file_at_the_next_change(book: MutingBook, tmp_path: Path, clock: ManualClock):
    book.silence({"node": "n1", "seconds": 60, **WHY})
    clock.seconds += 61
    book.silence({"node": "n2", "seconds": 60, **WHY})

    assert [one.node for one in read_mutings(tmp_path).silences] == ["n2"]


@pytest.mark.parametrize(
    "content", ["", "rubbish", "[]", "{}", '{"schema": "x"}', '{"schema":"warpgauge.silences/v1","silences":[{}]}']
)
def test_a_damaged_file_is_said_and_not_taken_for_silence(tmp_path: Path, clock: ManualClock, content: str):
    (tmp_path / MUTINGS_FILE).write_text(content)

    with pytest.raises(StorageError, match=r"silences\.json is damaged"):
        book_in(tmp_path, clock)
