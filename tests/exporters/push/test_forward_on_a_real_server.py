"""The Fluentd sink against npm's FluentServer: shared key, TLS, acknowledgements, failover, and a server that dies."""

from __future__ import annotations

import signal
import socket
import ssl
import threading
from functools import partial

import pytest

from tests.real_servers import free_port, wait_until
from tests.web.certificates import authority, issue
from warpgauge.core.clock import ManualClock, SystemClock
from warpgauge.core.queue import DurableQueue
from warpgauge.core.retry import Backoff
from warpgauge.exporters.log_record import LogRecord, Severity
from warpgauge.exporters.push.forward.connection import Connection, Server
from warpgauge.exporters.push.forward.handshake import Credentials
from warpgauge.exporters.push.forward.sink import ForwardSink
from warpgauge.exporters.push.sink import Acked, Dead, Retry
from warpgauge.exporters.push.worker import Delivery

pytestmark = pytest.mark.real

KEY = "the shared key"


def record(number, **fields):
    return LogRecord(
        id=str(number), time=1_750_000_000.25, source="kernel", kind="xid", severity=Severity.CRITICAL,
        message="NVRM: Xid", node="n1", **fields,
    )  # fmt: skip


def connect_with(key="", context=None, timeout_seconds=5.0):
    return partial(
        Connection,
        credentials=Credentials(hostname="sender", shared_key=key),
        context=context,
        timeout_seconds=timeout_seconds,
    )


def sink_to(*ports, clock=None, **options):
    servers = [Server("127.0.0.1", port) for port in ports]
    return ForwardSink(servers, connect_with(**options), tag="warpgauge.logs", clock=clock)


def ids(server):
    return [entry["record"]["id"] for entry in server.entries]


def test_a_batch_arrives_as_it_was_logged(fluent_server):
    server = fluent_server()
    sink = sink_to(server.port)
    assert sink.send(sink.encode([record(1, uuid="GPU-1", job_id="77", attributes={"xid": 79})])) == Acked()
    sink.close()
    (entry,) = server.entries
    assert entry["tag"] == "warpgauge.logs"
    assert entry["record"] == {
        "id": "1", "source": "kernel", "kind": "xid", "severity": "critical", "message": "NVRM: Xid", "node": "n1",
        "uuid": "GPU-1", "job_id": "77", "xid": 79,
    }  # fmt: skip


def test_both_sides_prove_the_shared_key(fluent_server):
    server = fluent_server(shared_key=KEY)
    sink = sink_to(server.port, key=KEY)
    assert sink.check() == f"127.0.0.1:{server.port} knows the shared key"
    assert sink.send(sink.encode([record(1)])) == Acked()
    sink.close()
    assert ids(server) == ["1"]


def test_a_wrong_key_is_told_and_the_batch_waits(fluent_server):
    server = fluent_server(shared_key=KEY)
    sink = sink_to(server.port, key="another")
    outcome = sink.send(sink.encode([record(1)]))
    assert isinstance(outcome, Retry)
    assert "refused our shared key" in outcome.reason
    assert server.entries == []


def test_a_server_that_demands_a_key_we_do_not_have_takes_nothing_and_says_which_setting_is_missing(fluent_server):
    server = fluent_server(shared_key=KEY)
    sink = sink_to(server.port)
    outcome = sink.send(sink.encode([record(1)]))
    sink.close()
    assert isinstance(outcome, Retry)
    assert "set fluentd.shared_key_file" in outcome.reason


def test_a_server_without_a_key_is_not_trusted_with_ours(fluent_server):
    server = fluent_server()
    sink = sink_to(server.port, key=KEY, timeout_seconds=0.2)
    outcome = sink.send(sink.encode([record(1)]))
    assert isinstance(outcome, Retry)
    assert "does it have a shared key?" in outcome.reason


def test_tls_and_shared_key_together(fluent_server, tmp_path):
    made, ca_file = authority(tmp_path)
    server = fluent_server(shared_key=KEY, tls=issue(made, tmp_path, "127.0.0.1"))
    sink = sink_to(server.port, key=KEY, context=ssl.create_default_context(cafile=ca_file))
    assert sink.send(sink.encode([record(1)])) == Acked()
    sink.close()
    assert ids(server) == ["1"]


def test_a_server_whose_certificate_nobody_vouches_for_gets_nothing(fluent_server, tmp_path):
    made, _ = authority(tmp_path)
    server = fluent_server(tls=issue(made, tmp_path, "127.0.0.1"))
    sink = sink_to(server.port, context=ssl.create_default_context())
    outcome = sink.send(sink.encode([record(1)]))
    assert isinstance(outcome, Retry)
    assert "certificate verify failed" in outcome.reason


def test_while_the_first_server_is_down_the_second_one_takes_it_and_then_the_first_again(fluent_server):
    clock = ManualClock()
    first, second = fluent_server(), fluent_server()
    sink = sink_to(first.port, second.port, clock=clock)
    assert sink.send(sink.encode([record(1)])) == Acked()
    first.kill()
    assert sink.send(sink.encode([record(2)])) == Acked()
    first.start()
    assert sink.send(sink.encode([record(3)])) == Acked()  # left alone for some seconds
    clock.advance(10)
    assert sink.send(sink.encode([record(4)])) == Acked()
    sink.close()
    assert (ids(first), ids(second)) == (["1", "4"], ["2", "3"])


def test_a_connection_that_the_server_closed_meanwhile_costs_no_attempt(fluent_server):
    server = fluent_server()
    sink = sink_to(server.port)
    assert sink.send(sink.encode([record(1)])) == Acked()
    server.kill()
    server.start()
    assert sink.send(sink.encode([record(2)])) == Acked()
    sink.close()
    assert ids(server) == ["1", "2"]


def test_nobody_there_is_a_reason_to_wait_not_to_drop():
    sink = sink_to(free_port(), free_port())
    outcome = sink.send(sink.encode([record(1)]))
    assert isinstance(outcome, Retry)
    assert outcome.reason.count("refused") == 2


def test_bytes_that_are_no_message_are_set_aside():
    assert isinstance(sink_to(free_port()).send(b"\xc1 rubbish"), Dead)


def test_a_server_that_takes_bytes_and_says_nothing_has_not_acknowledged():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = sink_to(silent.getsockname()[1], timeout_seconds=0.1)
        outcome = sink.send(sink.encode([record(1)]))
        sink.close()
    assert isinstance(outcome, Retry)
    assert "in vain for an acknowledgement" in outcome.reason


@pytest.mark.parametrize("answer", [b"\x81\xa3ack\xa5wrong", b"\xc1", b"\x01", b"\x91\x01", b"\xdb" + b"x" * 70_000])
def test_no_answer_but_the_right_one_counts(answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        sink = sink_to(server.getsockname()[1], timeout_seconds=1.0)
        assert isinstance(sink.send(sink.encode([record(1)])), Retry)


def test_what_a_frozen_server_took_and_never_read_is_sent_again_to_the_one_that_comes_after_it(fluent_server):
    server = fluent_server()
    sink = sink_to(server.port, timeout_seconds=0.3)
    assert sink.send(sink.encode([record(0)])) == Acked()
    server.process.send_signal(signal.SIGSTOP)
    body = sink.encode([record(1)])
    assert isinstance(sink.send(body), Retry)  # the kernel took it all the same
    server.kill()
    server.start()
    assert sink.send(body) == Acked()
    sink.close()
    assert ids(server) == ["0", "1"]


@pytest.mark.slow
def test_a_server_that_is_killed_again_and_again_gets_every_record(fluent_server, tmp_path):
    server = fluent_server(shared_key=KEY)
    queue = DurableQueue(tmp_path / "q.db", max_bytes=1 << 24, max_age_seconds=3600)
    backoff = Backoff(first_seconds=0.05, max_seconds=0.2)
    delivery = Delivery(sink_to(server.port, key=KEY), queue, clock=SystemClock(), backoff=backoff)
    delivery.start()
    for number in range(300):
        assert delivery.store([record(number)])
        if number % 60 == 30:
            server.kill()
        if number % 60 == 50:
            server.start()
    wait_until(lambda: delivery.stats().records == 0, what="the queue is empty")
    delivery.close()
    assert set(ids(server)) == {str(number) for number in range(300)}
