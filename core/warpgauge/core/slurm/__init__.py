"""What a Slurm cluster says about itself, and the one way to run Slurm's own programs.

Shared by the planner, which reads, and by the executor, which also acts. Standard library only.
"""

from __future__ import annotations

from warpgauge.core.slurm.programs import Slurm, SlurmError
from warpgauge.core.slurm.state import Allocation, Asked, SlurmJob, SlurmNode, parse_jobs, parse_nodes

__all__ = ["Allocation", "Asked", "Slurm", "SlurmError", "SlurmJob", "SlurmNode", "parse_jobs", "parse_nodes"]
