"""`warpgauge analyze` on a history finds what it finds on what the history was made of."""

from __future__ import annotations

import json

import pytest

from tests.cli.test_analyze import telemetry
from tests.history.conftest import START, Kept
from warpgauge.analyzer.sources import Page, Target
from warpgauge.cli.main import main


def judged(*args: str, capsys) -> list[dict]:
    main(["analyze", "--json", *args], environ={})
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def history_of(text: str, folder, flushes: int = 3) -> Kept:
    """A history that was written in several files, as a service does."""
    kept = Kept(folder, 10.0)
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    lines.sort(key=lambda line: float(line.split()[-1]))
    size = -(-len(lines) // flushes)
    kept.clock.seconds = START + 86_400
    for first in range(0, len(lines), size):
        part = "\n".join(lines[first : first + size])
        target = Target(name="http://box:9837/metrics", labels={"instance": "box:9837"})
        page = Page(target=target, text=f"{part}\n# EOF\n", is_openmetrics=True, time=None, interval_seconds=10.0)
        kept.intake.take(page)
        kept.writer.flush()
    return kept


@pytest.mark.slow
def test_the_same_findings_come_of_a_history(tmp_path, capsys):
    source = telemetry(tmp_path, busy=True)
    kept = history_of(source.read_text(), tmp_path / "history")

    of_source, of_history = (judged(str(path), capsys=capsys) for path in (source, kept.folder))

    def told(documents: list[dict]) -> list[tuple]:
        return [
            (one["kind"], one["scope"]["node"], one["since"], one["severity"], one["evidence"])
            for one in documents
            if one.get("type") == "finding"
        ]

    assert len(kept.files()) >= 3
    assert told(of_source)
    assert told(of_history) == told(of_source)


@pytest.mark.slow
def test_a_span_reads_only_the_files_of_its_hours(tmp_path, capsys):
    kept = history_of(telemetry(tmp_path, busy=True).read_text(), tmp_path / "history")
    (tmp_path / "history" / "date=2025-06-15" / "hour=03").mkdir()
    (tmp_path / "history" / "date=2025-06-15" / "hour=03" / "broken.parquet").write_bytes(b"PAR1")

    found = judged("--start", str(START), "--end", str(START + 600), str(kept.folder), capsys=capsys)

    assert any(one.get("type") == "finding" for one in found)


def test_a_file_that_is_no_parquet_is_named(tmp_path, capsys):
    (tmp_path / "t.parquet").write_bytes(b"PAR1")

    assert main(["analyze", str(tmp_path)], environ={}) == 2
    assert "t.parquet" in capsys.readouterr().err
