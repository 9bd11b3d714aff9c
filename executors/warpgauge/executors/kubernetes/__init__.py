"""The executors for Kubernetes: one cordons, taints, evicts and tells, the other keeps Recommendation objects."""

from __future__ import annotations

from warpgauge.executors.kubernetes.executor import KubernetesExecutor
from warpgauge.executors.kubernetes.objects import ObjectExecutor

__all__ = ["KubernetesExecutor", "ObjectExecutor"]
