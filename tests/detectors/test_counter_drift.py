"""Errors that creep: too few at any time to be seen, too many in an hour to be chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.detectors.scenes import in_columns, since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.health.counter_drift import CounterDrift, Prior, prior_of
from warpgauge.analyzer.health.ecc import EccDegradation
from warpgauge.analyzer.health.links import LinkErrors
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from warpgauge.analyzer.detection import Candidate
    from warpgauge.analyzer.frame import Frame

COLUMNS = 360
DEVICES = 16


def creeping(every: int = 15, errors: float = 1.0, first: int = 0) -> np.ndarray:
    """Some errors in every so-manieth column, as a rate."""
    rate = np.zeros(COLUMNS)
    rate[first::every] = errors / 10.0
    return rate


def memory(rates: Mapping[int, ArrayLike], *, devices: int = DEVICES, usual: ArrayLike = 0.0) -> Frame:
    builder = FrameBuilder(columns=COLUMNS)
    for number in range(devices):
        labels = {"node": "n1", "uuid": f"GPU-{number}", "index": str(number)}
        builder.device("n1", f"GPU-{number}", index=number)
        rate = rates.get(number, usual)
        builder.rate(device.ECC_ERRORS, rate, severity="corrected", persistence="volatile", **labels)
    return builder.build()


def links(rates: Mapping[tuple[int, int], ArrayLike]) -> Frame:
    builder = FrameBuilder(columns=COLUMNS)
    for number in range(4):
        labels = {"node": "n1", "uuid": f"GPU-{number}", "index": str(number)}
        builder.device("n1", f"GPU-{number}", index=number)
        for link in range(6):
            builder.rate(device.LINK_ERRORS, rates.get((number, link), 0.0), link=str(link), error="crc_flit", **labels)
    return builder.build()


def seen(frame: Frame) -> tuple[Candidate, ...]:
    return CounterDrift().detect(frame).candidates


def test_memory_that_errs_now_and_then_all_hour_is_named_though_no_ten_minutes_are_remarkable() -> None:
    frame = memory({3: creeping()})

    (found,) = seen(frame)

    assert EccDegradation().detect(frame).candidates == ()
    assert (found.kind, found.severity, found.scope.uuid) == (FindingKind.ECC_DEGRADATION, Severity.INFO, "GPU-3")
    assert found.evidence[0].value == pytest.approx(24, abs=1)
    assert found.chance is not None
    assert found.chance < 1e-6


def test_a_link_that_errs_now_and_then_is_named_with_its_number() -> None:
    frame = links({(2, 4): creeping()})

    (found,) = seen(frame)

    assert LinkErrors().detect(frame).candidates == ()
    assert (found.kind, found.scope.uuid) == (FindingKind.LINK_ERRORS, "GPU-2")
    assert "of NVLink 4" in found.summary


def test_a_fleet_that_errs_as_much_is_normal() -> None:
    assert seen(memory({}, usual=creeping())) == ()


def test_one_burst_is_not_a_creep() -> None:
    assert seen(memory({3: in_columns(COLUMNS, slice(100, 104), 1.0, 0.0)})) == ()


def test_few_errors_are_chance() -> None:
    assert seen(memory({3: creeping(every=60)})) == ()


def test_a_counter_that_was_watched_for_minutes_only_is_not_judged() -> None:
    young = np.where(since(COLUMNS, 60, 1.0) > 0, creeping(every=4), np.nan)
    assert seen(memory({3: young})) == ()


def test_a_gap_and_a_reset_are_no_errors() -> None:
    builder, reset = FrameBuilder(columns=COLUMNS), np.full(COLUMNS, 5000.0)
    reset[200:] = 0.0  # the driver was loaded anew
    reset[100:140] = np.nan
    for number in range(DEVICES):
        labels = {"node": "n1", "uuid": f"GPU-{number}", "index": str(number)}
        builder.device("n1", f"GPU-{number}", index=number)
        value = reset if number == 3 else 0.0
        builder.gauge(device.ECC_ERRORS, value, severity="corrected", persistence="volatile", **labels)
    frame = builder.build()
    assert seen(frame) == ()
    assert EccDegradation().detect(frame).candidates == ()


def test_three_devices_are_no_fleet() -> None:
    detection = CounterDrift().detect(memory({1: creeping()}, devices=3))
    assert (detection.candidates, detection.judged) == ((), None)


def test_an_uneven_fleet_makes_a_high_count_less_odd() -> None:
    seconds, random = np.full(1000, 3600.0), np.random.default_rng(2)
    even = prior_of(random.poisson(4.0, 1000).astype(float), seconds)
    uneven = prior_of(random.poisson(random.gamma(1.0, 4.0, 1000)).astype(float), seconds)

    assert uneven.shape < even.shape
    assert uneven.chance(30, 3600.0) > 100 * even.chance(30, 3600.0)


def test_of_a_fleet_like_its_prior_next_to_none_is_beyond_the_limit() -> None:
    """Fifty thousand counters: a chance of one in a million each."""
    random, prior = np.random.default_rng(4), Prior(shape=2.0, mean=1e-3)
    counts = random.poisson(random.gamma(2.0, 1e-3 / 2.0, 50_000) * 3600.0)
    assert prior.chance(int(counts.max()), 3600.0) > 1e-7
