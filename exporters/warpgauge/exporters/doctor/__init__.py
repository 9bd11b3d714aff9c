"""`warpgauge doctor`: what keeps the agent from telling all it could on this machine, and the mend for each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from warpgauge.exporters.doctor import attribution
from warpgauge.exporters.doctor.check import Check, Verdict
from warpgauge.exporters.doctor.infiniband import infiniband
from warpgauge.exporters.doctor.journal import journal
from warpgauge.exporters.doctor.machine import container_limits, hostengine, kernel_log, process_files
from warpgauge.exporters.doctor.nvidia import nvidia_checks
from warpgauge.exporters.doctor.others import other_accelerators
from warpgauge.exporters.doctor.privileges import PRIVILEGES, Privilege
from warpgauge.exporters.doctor.released import released_check, seconds_released
from warpgauge.exporters.doctor.sinks import sink_checks
from warpgauge.exporters.logs.shipping import log_sinks
from warpgauge.exporters.push.pusher import metric_sinks

if TYPE_CHECKING:
    from warpgauge.core.config import Config

__all__ = ["PRIVILEGES", "Check", "Privilege", "Verdict", "examine"]


def examine(config: Config) -> list[Check]:
    """Every check, on this machine, with the roots of the agent's settings; takes seconds where something hangs.

    Raises:
        ConfigError: a setting of a sink is unfit, or its extra is missing.

    """
    agent = config.agent
    released = seconds_released(agent.listen_address)
    return [
        *([released_check(released)] if released is not None else nvidia_checks(sys_root=agent.sys_root)),
        *other_accelerators(sys_root=agent.sys_root, tpu_addresses=agent.tpu_metrics_addresses),
        *([host] if (host := process_files(agent.proc_root)) else []),
        hostengine(agent.proc_root, agent.gpm),
        kernel_log(agent.kernel_log),
        container_limits(agent.sys_root, agent.proc_root),
        *([ports] if (ports := infiniband(agent.sys_root)) else []),
        attribution.environments(agent.proc_root),
        *([found] if (found := attribution.pods(agent.pod_resources_socket)) else []),
        *([found] if (found := attribution.containers(agent.docker_socket)) else []),
        *([entries] if (entries := journal(config.logs)) else []),
        *sink_checks([*metric_sinks(config, os.environ), *log_sinks(config, os.environ)]),
    ]
