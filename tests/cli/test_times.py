"""Times and durations of the command line."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.cli.times import read_duration, read_instant
from warpgauge.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("90m", 5400), ("1h30m", 5400), ("2d", 172_800), ("1.5h", 5400), ("250ms", 0.25)]
)
def test_durations_are_read_as_prometheus_writes_them(text: str, seconds: float):
    assert read_duration(text, "--since") == seconds


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "0s", "1h ", "1y", "99999w", "1e3s"])
def test_what_is_no_duration_is_refused_with_the_flag(text: str):
    with pytest.raises(ConfigError, match="--since"):
        read_duration(text, "--since")


@pytest.mark.parametrize(
    "text", ["1750000000", "1750000000.0", "2025-06-15T15:06:40Z", "2025-06-15T17:06:40+02:00", "2025-06-15 15:06:40"]
)
def test_instants_are_seconds_or_rfc_3339_and_utc_without_a_zone(text: str):
    assert read_instant(text, "--end") == 1_750_000_000.0


def test_a_time_without_a_zone_is_utc_wherever_the_machine_stands(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        assert read_instant("2025-06-15 15:06:40", "--end") == 1_750_000_000.0
    time.tzset()


@pytest.mark.parametrize("text", ["", "noon", "nan", "inf", "-5", "2025-13-01", "0001-01-01"])
def test_what_is_no_instant_is_refused_with_the_flag(text: str):
    with pytest.raises(ConfigError, match="--end"):
        read_instant(text, "--end")


@given(st.text(max_size=30))
def test_any_text_is_a_time_or_a_config_error(text: str):
    with suppress(ConfigError):
        assert read_duration(text, "--since") > 0
    with suppress(ConfigError):
        assert math.isfinite(read_instant(text, "--end"))
