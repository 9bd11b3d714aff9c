"""The logging handler on fluent-logger: what arrives, and that what it loses is what its page says."""

from __future__ import annotations

import logging

import pytest

from tests.real_servers import free_port, wait_until
from warpgauge.exporters.fluent_handler import FluentLogging


def logger_with(handler):
    logger = logging.Logger("train")  # noqa: LOG001 - of this test alone
    logger.addHandler(handler)
    return logger


@pytest.mark.real
def test_a_record_arrives_with_its_fields(fluent_server):
    server = fluent_server()
    handler = FluentLogging("train", port=server.port)
    logger_with(handler).warning("loss is %s", "nan", extra={"step": 12, "where": {"rank": 3}})
    handler.close()
    wait_until(lambda: server.entries, what="the record arrived")
    (entry,) = server.entries
    assert entry["tag"] == "train"
    assert {**entry["record"], "host": ""} == {
        "level": "WARNING", "logger": "train", "message": "loss is nan", "host": "", "step": 12, "where": "{'rank': 3}",
    }  # fmt: skip
    assert handler.failures == 0


@pytest.mark.real
def test_a_receiver_that_demands_a_key_gets_nothing_and_the_first_records_do_not_show_it(fluent_server):
    server = fluent_server(shared_key="key")
    handler = FluentLogging("train", port=server.port)
    logger_with(handler).warning("lost")
    assert handler.failures == 0  # it said True
    handler.close()
    assert server.entries == []


def test_while_nobody_listens_records_are_failures_and_a_full_buffer_is_thrown_away_whole():
    handler = FluentLogging("train", port=free_port(), most_bytes=2000, timeout_seconds=0.5)
    logger = logger_with(handler)
    for _ in range(20):
        logger.warning("x" * 200)
    handler.close()
    assert handler.failures == 20
    assert handler.overflows > 0


def test_a_record_that_cannot_be_packed_costs_only_itself(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler = FluentLogging("train", port=free_port())
    logger_with(handler).warning("big", extra={"number": 1 << 70})
    handler.close()
    assert handler.failures == 1
