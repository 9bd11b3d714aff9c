"""The second example says what it finds; hold it to that."""

from __future__ import annotations

from pathlib import Path

from tests.running import warpgauge

RECORDING = Path(__file__).parents[2] / "examples" / "02-analyze-a-recording" / "hog-on-two-cpus.om"


def test_the_recorded_hog_is_found_and_nothing_else(tmp_path: Path):
    ended = warpgauge("analyze", str(RECORDING), home=tmp_path)

    assert ended.returncode == 1
    assert ended.stdout.count("WARNING") == 1
    assert "host_saturated since 2026-11-23 11:15:00Z" in ended.stdout
    assert "CRITICAL" not in ended.stdout
