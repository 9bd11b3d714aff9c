"""Settings of the push over OTLP: metrics and log records."""

from __future__ import annotations

from dataclasses import dataclass

from warpgauge.core.config.settings import setting

__all__ = ["OtlpConfig", "OtlpLogsConfig", "OtlpReceiverConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpReceiverConfig:
    """What every OpenTelemetry receiver is reached by."""

    url: str = setting(
        "",
        help="Where metrics go: over HTTP mostly .../v1/metrics, over gRPC http://HOST:PORT, or https:// for TLS; "
        "empty means nowhere.",
        unit="URL",
        urls=True,
    )
    protocol: str = setting(
        "http", help="How OTLP is spoken there; grpc needs the extra grpc.", choices=("http", "grpc")
    )
    compression: str = setting("gzip", help="How bodies are compressed.", choices=("gzip", "none"))
    headers_file: str = setting(
        "",
        help="File with one header per line as Name: value, metadata over gRPC; empty means the environment variable "
        "OTEL_EXPORTER_OTLP_HEADERS.",
    )
    ca_file: str = setting("", help="Certificate authorities to trust instead of the system's.")
    client_cert: str = setting("", help="Certificate (PEM) to show.")
    client_key: str = setting("", help="Its key, if it is not in the same file.")
    timeout_seconds: float = setting(10.0, help="How long to wait for an answer.", unit="seconds", above=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpConfig(OtlpReceiverConfig):
    """Push metrics to an OpenTelemetry receiver."""

    exponential_histograms: bool = setting(
        default=False,
        help="Send distributions of time as exponential histograms instead, finer than their buckets; the receiver "
        "must take them.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpLogsConfig(OtlpReceiverConfig):
    """Push log records to an OpenTelemetry receiver."""

    url: str = setting(
        "",
        help="Where log records go: over HTTP mostly .../v1/logs, over gRPC http://HOST:PORT, or https:// for TLS; "
        "empty means nowhere.",
        unit="URL",
        urls=True,
    )
