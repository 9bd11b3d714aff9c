"""Findings, incidents and recommendations beside the samples: a row whenever one changes, for reports."""

from __future__ import annotations

import json
from dataclasses import replace

import duckdb

from tests.analyzer.test_alerting import finding
from tests.detectors.test_recommendation_document import example
from tests.history.conftest import START
from warpgauge.analyzer.history.told import MOST_WAITING, Teller, Told
from warpgauge.analyzer.incidents.engine import EngineState, Result
from warpgauge.core.finding import Incident, Severity, finding_from_json


def result(*findings, ended=(), incidents=()) -> Result:
    return Result(
        time=START, findings=findings, ended=ended, incidents=incidents, ended_incidents=(), judged=(), not_judged=(),
        wanted=frozenset(), state=EngineState(),
    )  # fmt: skip


def test_a_finding_is_told_when_it_is_new_and_when_it_ends_and_not_at_each_tick():
    teller, one = Teller(), finding()

    told = [
        teller.changes(result(one), (), START),
        teller.changes(result(replace(one, confidence=0.5)), (), START + 10),
        teller.changes(result(ended=(replace(one, ended=START + 15),)), (), START + 20),
        teller.changes(result(ended=(replace(one, ended=START + 15),)), (), START + 30),
    ]

    assert [[(row.time, row.ended) for row in rows] for rows in told] == [
        [(START, None)], [], [(START + 20, START + 15)], []
    ]  # fmt: skip


def test_a_finding_that_grew_worse_is_told_again():
    teller, one = Teller(), finding()
    teller.changes(result(replace(one, severity=Severity.WARNING)), (), START)

    (row,) = teller.changes(result(replace(one, severity=Severity.CRITICAL)), (), START + 10)

    assert row.severity == "critical"


def test_what_is_simulated_is_not_told():
    assert Teller().changes(result(replace(finding(), simulated=True)), (), START) == []


def test_the_three_sorts_stand_in_one_table_with_their_whole_documents(kept):
    history, one = kept(), finding()
    incident = Incident(
        id="i1", severity=one.severity, since=one.since, findings=(one.id,), summary="one", scope=one.scope
    )
    history.writer.note(Teller().changes(result(one, incidents=(incident,)), (example(),), START))
    history.writer.flush()

    table = duckdb.read_parquet(f"{history.folder}-findings/**/*.parquet")
    rows = {row[0]: row[1:] for row in table.project("type, id, kind, epoch(time), document").fetchall()}

    assert set(rows) == {"finding", "incident", "recommendation"}
    assert rows["finding"][:3] == (one.id, str(one.kind), START)
    assert finding_from_json(json.loads(rows["finding"][3])) == one
    assert json.loads(rows["recommendation"][3])["data"]["kind"] == str(example().kind)


def test_the_samples_folder_holds_samples_only(kept):
    history = kept()
    history.writer.note(Teller().changes(result(finding()), (), START))
    history.writer.flush()

    assert history.files() == []


def test_a_week_is_counted_by_kind(kept):
    """The report that docs/howto/history.md shows."""
    history, teller, one = kept(), Teller(), finding()
    for at, which in ((0, one), (10, replace(one, ended=START + 5)), (20, replace(one, id="f2"))):
        history.writer.note(teller.changes(result(which), (), START + at))
    history.writer.flush()

    table = duckdb.read_parquet(f"{history.folder}-findings/**/*.parquet").filter("type = 'finding'")
    found = table.aggregate("kind, count(distinct id) as times").fetchall()

    assert found == [(str(one.kind), 2)]


def test_what_finds_no_room_is_counted(kept):
    history = kept()
    row = Told(time=START, type="finding", id="f", summary="", document="{}")

    history.writer.note([row] * (MOST_WAITING + 5))

    assert history.writer.stats().dropped["queue"] == 5


def test_a_disk_that_fails_leaves_them_waiting(kept):
    history = kept()
    folder = history.folder.with_name("history-findings")
    (folder / "date=2025-06-15").write_text("in the way")
    history.writer.note(Teller().changes(result(finding()), (), START))
    history.writer.flush()
    (folder / "date=2025-06-15").unlink()
    history.writer.flush()

    assert len(list(folder.rglob("*.parquet"))) == 1
