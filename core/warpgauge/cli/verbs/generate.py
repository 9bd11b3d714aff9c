"""`warpgauge generate dashboards|alerts|docs`: write what comes from the catalog, the same bytes each time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.core.atomic import write_atomically
from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "overrides", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own flags."""
    parser.add_argument("target", choices=sorted(_TARGETS), help="what to write")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to write to (default: its place in the checkout, seen from here)",
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
    default, write = _TARGETS[args.target]
    for path in write(args.out or Path(default), config):
        sys.stdout.write(f"{path}\n")
    return 0


def _dashboards(out: Path, _config: Config) -> Sequence[Path]:
    from warpgauge.dashboards.generate import files  # noqa: PLC0415 - needs the extra dashboards

    return _written(out, files())


def _alerts(out: Path, config: Config) -> Sequence[Path]:
    from warpgauge.alerts.generate import files  # noqa: PLC0415 - needs the extra dashboards
    from warpgauge.alerts.settings import site_of  # noqa: PLC0415 - as above

    return _written(out, files(site_of(config.alerts)))


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


_TARGETS: Final[dict[str, tuple[str, Callable[[Path, Config], Sequence[Path]]]]] = {
    "alerts": ("alerts/generated", _alerts),
    "dashboards": ("dashboards/generated", _dashboards),
    "docs": ("docs/reference", _docs),
}
