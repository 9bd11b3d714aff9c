"""A job whose rank 0 of RANKS makes steps until HANGS is there, a file: `stepping_job.py SOCKET JOB RANKS HANGS`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from warpgauge.exporters.training import StepTimer

socket_path, job_id, ranks, hangs = sys.argv[1:]
timer = StepTimer(job_id=job_id, rank=0, ranks=int(ranks), socket_path=socket_path)
while not Path(hangs).exists():
    with timer.step():
        time.sleep(0.25)
time.sleep(3600)
