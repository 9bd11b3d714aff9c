"""The executor for Slurm: drains, resumes, reserves and weighs nodes, and moves jobs by requeueing them."""

from __future__ import annotations

from warpgauge.executors.slurm.executor import SlurmExecutor

__all__ = ["SlurmExecutor"]
