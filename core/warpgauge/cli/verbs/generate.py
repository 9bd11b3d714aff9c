"""`warpgauge generate dashboards|alerts|docs`: write what comes from the catalog, the same bytes each time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.core.atomic import write_atomically
from warpgauge.core.errors import ConfigError, StorageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "overrides", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own flags."""
    parser.add_argument("target", choices=("alerts", "dashboards", "docs"), help="what to write")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to write to (default: its place in the checkout, seen from here)",
    )
    parser.add_argument(
        "--format",
        choices=("files", "kubernetes"),
        default="files",
        help="files for Prometheus and Grafana, or manifests: alerts as PrometheusRule, dashboards as ConfigMap with "
        "the label grafana_dashboard; what a site has otherwise is in [alerts] and [dashboards] (default: files)",
    )
    alerts = parser.add_argument_group("alerts; all else about them is in the section [alerts] of the configuration")
    alerts.add_argument("--runbooks-url", metavar="URL", help="where /runbooks/NAME is served (default: the analyzer)")
    alerts.add_argument("--grafana-url", metavar="URL", help="where Grafana is (default: port 3000 of this machine)")
    alerts.add_argument("--webhook-url", metavar="URL", help="where Alertmanager posts (default: nowhere)")
    alerts.add_argument(
        "--target-prometheus", metavar="RELEASE", help="oldest Prometheus that must load the rules: 2.37, 2.42 or 3.0"
    )


def overrides(args: argparse.Namespace) -> dict[str, str]:
    """Settings that the flags stand for."""
    given = {"runbooks_url": args.runbooks_url, "grafana_url": args.grafana_url, "webhook_url": args.webhook_url,
             "prometheus": args.target_prometheus}  # fmt: skip
    return {f"alerts.{name}": value for name, value in given.items() if value is not None}


def run(args: argparse.Namespace, config: Config) -> int:
    """Write the files of one target and print their paths."""
    default, write = _TARGETS[_target(args)]
    for path in write(args.out or Path(default), config):
        sys.stdout.write(f"{path}\n")
    return 0


def _target(args: argparse.Namespace) -> tuple[str, str]:
    if (args.target, args.format) not in _TARGETS:
        msg = f"there are no {args.target} for {args.format}: leave --format out"
        raise ConfigError(msg)
    return args.target, args.format


def _dashboards(out: Path, config: Config) -> Sequence[Path]:
    from warpgauge.dashboards.generate import files  # noqa: PLC0415 - needs the extra dashboards
    from warpgauge.dashboards.settings import site_of  # noqa: PLC0415 - as above

    return _written(out, files(site_of(config)))


def _config_maps(out: Path, config: Config) -> Sequence[Path]:
    from warpgauge.dashboards.generate import config_maps  # noqa: PLC0415 - needs the extra dashboards
    from warpgauge.dashboards.settings import site_of  # noqa: PLC0415 - as above

    return _written(out, config_maps(site_of(config)))


def _alerts(out: Path, config: Config) -> Sequence[Path]:
    from warpgauge.alerts.generate import files  # noqa: PLC0415 - needs the extra dashboards
    from warpgauge.alerts.settings import site_of  # noqa: PLC0415 - as above

    return _written(out, files(site_of(config.alerts)))


def _rules(out: Path, config: Config) -> Sequence[Path]:
    from warpgauge.alerts.generate import manifests  # noqa: PLC0415 - needs the extra dashboards
    from warpgauge.alerts.settings import site_of  # noqa: PLC0415 - as above

    return _written(out, manifests(site_of(config.alerts)))


def _docs(out: Path, _config: Config) -> Sequence[Path]:
    from warpgauge.cli.docs import generate_docs  # noqa: PLC0415 - imports every part

    return generate_docs(out)


def _written(out: Path, files: Mapping[str, str]) -> list[Path]:
    for name, text in files.items():
        folder = (out / name).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"cannot make the folder {folder}: {error.strerror}; name another with --out"
            raise StorageError(msg) from error
        write_atomically(out / name, text.encode())
    return [out / name for name in files]


_TARGETS: Final[dict[tuple[str, str], tuple[str, Callable[[Path, Config], Sequence[Path]]]]] = {
    ("alerts", "files"): ("alerts/generated", _alerts),
    ("alerts", "kubernetes"): ("deploy/kubernetes/monitoring/rules", _rules),
    ("dashboards", "files"): ("dashboards/generated", _dashboards),
    ("dashboards", "kubernetes"): ("deploy/kubernetes/monitoring/dashboards", _config_maps),
    ("docs", "files"): ("docs/reference", _docs),
}
