"""The same samples through libraries that keep a model per series: what a sample costs there.

Each library runs in an environment of its own (`tools/peers.py` makes it) and in one process with one thread, so none
of them is a dependency of ours. One that cannot be installed is named with the reason and left out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from tools.peers import PeerMissingError, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["figures"]

SCORING: Final = Path(__file__).with_name("scoring.py")
LONGEST_SECONDS: Final = 300
ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A scorer of `scoring.py` and the environment that it needs."""

    name: str
    scorer: str
    environment: str


PEERS: Final = (
    Peer(name="river GaussianScorer, streaming", scorer="river-gaussian", environment="river"),
    Peer(name="river HalfSpaceTrees, streaming", scorer="river-trees", environment="river"),
    Peer(name="pyod MAD, batch", scorer="pyod-mad", environment="pyod"),
    Peer(name="pyod ECOD, batch", scorer="pyod-ecod", environment="pyod"),
    Peer(name="scikit-learn IsolationForest per series, batch", scorer="isolation-forest", environment="scikit-learn"),
)


def figures(values: NDArray[np.float64]) -> Iterator[tuple[str, float]]:
    """(name, nanoseconds of CPU per sample) of each peer, over [series, sample]; gaps are left out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "series.npy"
        np.save(path, values)
        for peer in PEERS:
            try:
                yield f"peer: {peer.name}", _nanoseconds(peer, path)
            except (PeerMissingError, subprocess.SubprocessError) as error:
                print(f"{peer.name}: {error}", file=sys.stderr)


def _nanoseconds(peer: Peer, path: Path) -> float:
    command = [str(environment(peer.environment) / "bin" / "python"), str(SCORING), peer.scorer, str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=LONGEST_SECONDS, env=os.environ | ONE_THREAD
    )
    return float(json.loads(done.stdout)["ns_per_sample"])
