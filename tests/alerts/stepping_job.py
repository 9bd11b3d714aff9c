"""A job of one rank that makes steps until it hangs: `stepping_job.py SOCKET JOB HANGS`; the last is a file to come."""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from warpgauge.exporters.training import StepTimer

socket_path, job_id, hangs = sys.argv[1:]
timer = StepTimer(job_id=job_id, rank=0, socket_path=socket_path)
while not Path(hangs).exists():
    with timer.step():
        time.sleep(0.25)
time.sleep(3600)
