"""Inference servers whose requests wait: for room in the KV cache, for their turn, or not long enough to speak of."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.scenes import add_host, since
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.bottlenecks.serving_bound import ServingBound
from warpgauge.analyzer.detection import Strength
from warpgauge.core.catalog import serving
from warpgauge.core.finding import FindingKind

COLUMNS = 60
MODEL = {"node": "n0", "server": "vllm", "endpoint": "http://127.0.0.1:8000/metrics", "model": "m"}


def detect(waiting, cache=0.95, running=24.0):
    builder = FrameBuilder(columns=COLUMNS)
    add_host(builder, "n0", busy=0.2)
    builder.gauge(serving.WAITING, waiting, **MODEL)
    if cache is not None:
        builder.gauge(serving.KV_CACHE, cache, **MODEL)
    builder.gauge(serving.RUNNING, running, **MODEL)
    return ServingBound().detect(builder.build())


@pytest.mark.parametrize(
    ("cache", "kind"),
    [
        (0.97, FindingKind.KV_CACHE_BOUND),
        (0.91, FindingKind.KV_CACHE_BOUND),
        (0.89, FindingKind.QUEUE_BOUND),
        (0.20, FindingKind.QUEUE_BOUND),
        (None, FindingKind.QUEUE_BOUND),
    ],
)
def test_a_standing_queue_has_the_reason_that_the_cache_tells(cache, kind):
    (found,) = detect(since(COLUMNS, 40, 12.0), cache).candidates
    assert (found.kind, found.strength, found.scope.node) == (kind, Strength.RAISE, "n0")
    assert "12 requests of vllm m wait" in found.summary
    assert "24 that run" in found.summary


def test_the_cache_counts_while_requests_wait_and_not_before():
    """The first columns of the window are calm."""
    (found,) = detect(since(COLUMNS, 25, 12.0), since(COLUMNS, 25, 0.95, 0.4)).candidates
    assert found.kind is FindingKind.KV_CACHE_BOUND
    assert "the KV cache is 95 % full" in found.summary
    (other,) = detect(since(COLUMNS, 25, 12.0), since(COLUMNS, 25, 0.85, 1.0)).candidates
    assert other.kind is FindingKind.QUEUE_BOUND


@pytest.mark.parametrize(
    "waiting",
    [0.0, 0.9, since(COLUMNS, 10, 50.0), since(COLUMNS, 5, 1000.0)],
    ids=["nobody waits", "hardly anybody", "a hundred seconds", "a burst"],
)
def test_queues_that_come_and_go_are_nothing(waiting):
    assert detect(waiting).candidates == ()


def test_a_full_cache_without_a_queue_is_well_used():
    assert detect(0.0, 1.0).candidates == ()


def test_a_queue_that_is_being_worked_off_keeps_a_finding_and_opens_none():
    waiting = np.where(np.arange(COLUMNS) % 10 < 6, 5.0, 0.0)  # six tenths of the window
    (found,) = detect(waiting).candidates
    assert found.strength is Strength.HOLD


def test_a_server_that_was_just_started_is_not_judged():
    waiting = np.full(COLUMNS, np.nan)
    waiting[-5:] = 50.0
    detection = detect(waiting)
    assert detection.candidates == ()
    assert detection.judged is None
    assert detection.not_judged[0].missing == (serving.WAITING.name,)


def test_without_servers_nothing_is_said():
    builder = FrameBuilder(columns=COLUMNS)
    add_host(builder, "n0", busy=0.2)
    detection = ServingBound().detect(builder.build())
    assert (detection.candidates, detection.judged, detection.not_judged) == ((), None, ())


def test_of_two_models_on_one_node_the_longer_queue_is_named():
    builder = FrameBuilder(columns=COLUMNS)
    add_host(builder, "n0", busy=0.2)
    for model, waiting in (("short", 3.0), ("long", 30.0)):
        builder.gauge(serving.WAITING, waiting, **{**MODEL, "model": model})
    (found,) = ServingBound().detect(builder.build()).candidates
    assert "30 requests of vllm long" in found.summary


@pytest.mark.parametrize(("waiting", "running"), [(1.4, 53.0), (4.9, 50.0), (25.0, 256.0)])
def test_a_short_queue_beside_a_large_batch_costs_nobody_a_tenth(waiting, running):
    assert detect(waiting, 0.72, running).candidates == ()


@pytest.mark.parametrize(("waiting", "running", "bar"), [(5.2, 50.0, 5.0), (26.0, 256.0, 25.6), (1.0, 4.0, 1.0)])
def test_a_queue_of_a_tenth_of_the_batch_is_named_with_that_bar(waiting, running, bar):
    (found,) = detect(waiting, 0.72, running).candidates
    assert found.kind is FindingKind.QUEUE_BOUND
    assert found.evidence[0].threshold == pytest.approx(bar)


def test_where_nobody_tells_how_many_run_one_that_waits_is_a_queue():
    (found,) = detect(1.0, 0.72, np.nan).candidates
    assert "1 request of vllm m waits for its turn; the" in found.summary


def test_a_server_that_serves_nobody_while_requests_wait_is_named():
    (found,) = detect(2.0, 0.1, 0.0).candidates
    assert "2 requests of vllm m wait" in found.summary
