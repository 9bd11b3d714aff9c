"""`warpgauge executor --core NAME`: follows recommendations on a scheduling core until told to stop."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warpgauge.cli.cores import yarn_of
from warpgauge.cli.orders import add_order_arguments, address, client_of, token_reader
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import data_directory
from warpgauge.core.errors import ConfigError, StorageError
from warpgauge.core.kubernetes import Kubernetes, connect
from warpgauge.core.slurm import Slurm
from warpgauge.core.stop_signals import stop_signals
from warpgauge.executors import FileExecutor, StreamExecutor
from warpgauge.executors.inbox import ApiAcks, ApiInbox, FileAcks, FileInbox
from warpgauge.executors.kubernetes import KubernetesExecutor, ObjectExecutor
from warpgauge.executors.kubernetes.mailbox import ObjectAcks, ObjectInbox
from warpgauge.executors.running import Process
from warpgauge.executors.slurm import SlurmExecutor
from warpgauge.executors.slurm.keeping import KeepingPartitions
from warpgauge.executors.yarn import Admin, Exclusion, YarnExecutor

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping

    from warpgauge.core.config import Config
    from warpgauge.executors import Executor

__all__ = ["CORES", "add_arguments", "run"]


def _stdout(_args: argparse.Namespace, _config: Config) -> Executor:
    return StreamExecutor(sys.stdout)


def _file(args: argparse.Namespace, _config: Config) -> Executor:
    return FileExecutor(args.orders)


def _slurm(_args: argparse.Namespace, config: Config) -> Executor:
    slurm = Slurm(os.environ)
    kept = config.acting.keep_partitions
    return KeepingPartitions(SlurmExecutor(slurm), slurm, kept) if kept else SlurmExecutor(slurm)


def _yarn(_args: argparse.Namespace, config: Config) -> Executor:
    settings = config.yarn
    return YarnExecutor(
        yarn_of(settings),
        Admin(settings.rmadmin),
        Exclusion(Path(settings.exclude_file)) if settings.exclude_file else None,
        avoid_label=settings.avoid_label,
        decommission_seconds=settings.decommission_timeout_seconds,
    )


def _kubernetes(_args: argparse.Namespace, config: Config) -> Executor:
    return KubernetesExecutor(_api(config))


def _objects(_args: argparse.Namespace, config: Config) -> Executor:
    return ObjectExecutor(_api(config), config.kubernetes.namespace)


def _api(config: Config) -> Kubernetes:
    return Kubernetes(connect(config.kubernetes, os.environ))


CORES: Final[Mapping[str, Callable[[argparse.Namespace, Config], Executor]]] = {
    "stdout": _stdout,
    "file": _file,
    "kubernetes": _kubernetes,
    "kubernetes-objects": _objects,
    "slurm": _slurm,
    "yarn": _yarn,
}
"""Each core's executor, made from flags and settings; the one place where a new core is entered."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `executor`."""
    parser.add_argument("--core", required=True, choices=sorted(CORES), help="what to act on")
    parser.add_argument("--dry-run", action="store_true", help="go as far as the core's own dry run and act on nothing")
    parser.add_argument("--cluster", metavar="NAME",
                        help="follow only what is about this cluster of the analyzer's (default: all)")  # fmt: skip
    parser.add_argument("--once", action="store_true", help="one round, then end")
    parser.add_argument("--state-directory", type=Path, metavar="DIR",
                        help="journal, acks, audit log (default: executor-NAME in the data directory)")  # fmt: skip
    parser.add_argument("--from-file", type=Path, metavar="JSONL",
                        help="read this file, not the analyzer; acks go to acks.jsonl")  # fmt: skip
    parser.add_argument("--from-cluster", action="store_true",
                        help="of --core kubernetes: read Recommendation objects; acks are their status")  # fmt: skip
    parser.add_argument("--orders", type=Path, default=Path("orders.jsonl"), metavar="FILE",
                        help="of --core file: where orders are written (default orders.jsonl)")  # fmt: skip
    add_order_arguments(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Work until Ctrl-C, SIGTERM or the end of the terminal."""
    clock, folder = SystemClock(), _folder(args, config)
    inbox, acks = _ends(args, config, folder)
    process = Process(
        CORES[args.core](args, config), inbox, acks, folder, clock=clock, dry_run=args.dry_run, cluster=args.cluster
    )
    stop = threading.Event()
    for number in stop_signals():
        signal.signal(number, lambda *_: stop.set())
    try:
        if args.once:
            return 0 if process.step() else 2  # the log says what could not be read
        process.run(stop, parent_watch(os.environ))
    finally:
        process.close()
    return 0


def parent_watch(environ: Mapping[str, str], descriptor: int = 0) -> Callable[[], bool]:
    """Whether who started us is gone: our standard input has ended, with WARPGAUGE_EXIT_WITH_PARENT=1; else never."""
    if environ.get("WARPGAUGE_EXIT_WITH_PARENT") != "1":
        return lambda: False
    return lambda: bool(select.select([descriptor], [], [], 0)[0]) and not os.read(descriptor, 4096)


def _ends(args: argparse.Namespace, config: Config, folder: Path) -> tuple[Any, Any]:
    """Where recommendations come from and where acks go."""
    if args.from_cluster:
        if args.core != "kubernetes" or args.from_file is not None:
            msg = "--from-cluster is of --core kubernetes, and instead of --from-file"
            raise ConfigError(msg)
        api, namespace = _api(config), config.kubernetes.namespace
        return ObjectInbox(api, namespace), ObjectAcks(api, namespace)
    if args.from_file is not None:
        return FileInbox(args.from_file), FileAcks(folder / "acks.jsonl")
    url, client, token = address(args, config), client_of(args), token_reader(args, config)
    return ApiInbox(url, client, token), ApiAcks(url, client, token, SystemClock())


def _folder(args: argparse.Namespace, config: Config) -> Path:
    folder: Path = args.state_directory or data_directory(config, os.environ) / f"executor-{args.core}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot make {folder}: {error.strerror or error}; --state-directory names another"
        raise StorageError(msg) from error
    return folder
