"""The agent: runs the collectors, keeps what they say, and serves it.

A scrape gets bytes that were made when the readings changed; it never reaches a driver, a file of /proc or a lock.
"""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Tier, own
from warpgauge.core.catalog import device as rows
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.exporters.attribution.owners import Owners, Pods
from warpgauge.exporters.attribution.procfs import ProcFs
from warpgauge.exporters.attribution.speaking import Speaking
from warpgauge.exporters.collectors import COLLECTORS, enabled, make
from warpgauge.exporters.dcgm import DcgmView
from warpgauge.exporters.demo import Demo
from warpgauge.exporters.gpm_mode import GpmMode
from warpgauge.exporters.inprocess import InProcess
from warpgauge.exporters.link import GATHER_SECONDS, Program
from warpgauge.exporters.logs.kernel_log import KernelLog
from warpgauge.exporters.logs.nvrm import DriverMessages, pci_address
from warpgauge.exporters.pages import Pages, packed
from warpgauge.exporters.processes import Process, ProcessTable
from warpgauge.exporters.readings import Readings
from warpgauge.exporters.release import Release
from warpgauge.exporters.supervisor import Supervisor
from warpgauge.exporters.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping

    from warpgauge.core.config import Config
    from warpgauge.core.sample import Sample
    from warpgauge.exporters.logs.shipping import LogShipping
    from warpgauge.exporters.push.pusher import Pusher
    from warpgauge.exporters.readings import Standing

__all__ = ["Agent", "stop_with_parent"]

_COALESCE_SECONDS: Final = GATHER_SECONDS + 0.03  # readings of one tick arrive within this and make one page
_AHEAD_TICKS: Final = 1.2  # whoever asks before the next fast tick is over, and a late one has its page ready
_PROCESSES_SECONDS: Final = 2.0  # how long an answer about processes is good
_MOST_PROCESSES: Final = 100


class Agent:
    """Everything but the web server."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        programs: Mapping[str, Program] | None = None,
        processes: ProcessTable | None = None,
    ) -> None:
        """`programs` replaces the child program of isolated collectors, by name."""
        self._clock = clock or SystemClock()
        self._phase = self._clock.monotonic()  # all ticks together: each time that we wake up costs more than a reading
        self.readings = Readings(self._clock, self._schedule_publish)
        ahead_seconds = _AHEAD_TICKS * config.agent.fast_interval_seconds
        self.pages = Pages(self.readings, self._clock, ahead_seconds=ahead_seconds, pack=self._pack)
        self._packer = Worker("pages")
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references
        self._dcgm = DcgmView(self.readings)
        self.demo = Demo(config.demo, self._clock)
        self._config = config
        self._programs = programs or {}
        self._is_publishing = False  # and has not yet looked at the readings
        self._unwanted_until = 0.0  # monotonic seconds: nobody wants a page that soon
        self._is_ready = False
        self._gpm_mode = GpmMode(config.agent.gpm, config.agent.proc_root, self.readings.tally)
        self._pusher = self._push()
        self._kernel_log = KernelLog(config.agent.kernel_log, self._hear_kernel)
        self._driver_messages = DriverMessages()
        self._is_kernel_log_open: bool | None = None  # None: nobody asked for it yet
        self._logs = self._shipping()
        self._has_met_nvidia = False
        self._speaking, self._pods = Speaking(), Pods()
        self._busiest = _Busiest(processes or self._process_table(), self._clock)
        self.collectors = [self._collector(name) for name in self._wanted()]
        supervisors = [collector for collector in self.collectors if isinstance(collector, Supervisor)]
        self.release = Release(supervisors, self.readings.tally, self._clock)

    def _process_table(self) -> ProcessTable:
        """The busiest processes, with whose they are unless nobody is to say so."""
        agent = self._config.agent
        if "attribution" in agent.disabled_collectors:
            return ProcessTable(proc_root=agent.proc_root)
        owners = Owners(ProcFs(agent.proc_root), pods=self._pods.ask, spoken=self._speaking.ask)
        return ProcessTable(proc_root=agent.proc_root, whose=owners.of)

    def _push(self) -> Pusher | None:
        """Who pushes metrics; None, without loading what that takes, where nobody wants any."""
        if not (self._config.remote_write.url or self._config.otlp.url):
            return None
        from warpgauge.exporters.push.pusher import Pusher  # noqa: PLC0415 - see above

        return Pusher(self._config, self.readings, self._clock, os.environ)

    def _shipping(self) -> LogShipping | None:
        """Who ships logs; None, without loading what that takes (a quarter of our start), where nobody wants any."""
        if not (self._config.fluentd.servers or self._config.otlp_logs.url):
            return None
        from warpgauge.exporters.logs.shipping import LogShipping  # noqa: PLC0415 - see above

        return LogShipping(self._config, self.readings, self._clock)

    def _wanted(self) -> list[str]:
        return [name for name in enabled(self._config.agent.disabled_collectors) if self._may_be_here(name)]

    def _may_be_here(self, name: str) -> bool:
        """Whether it is worth starting: a device that is not plugged in must cost nothing, not even a process."""
        agent = self._config.agent
        if name == "serving" and not (agent.serving_urls or agent.serving_discovery):
            return False
        hardware = COLLECTORS[name].pci
        return hardware is None or name in self._programs or bool(hardware.find(agent.sys_root))

    def _collector(self, name: str) -> Supervisor | InProcess:
        agent = self._config.agent
        intervals = {
            Tier.FAST: agent.fast_interval_seconds,
            Tier.NORMAL: agent.normal_interval_seconds,
            Tier.SLOW: agent.slow_interval_seconds,
        }
        if COLLECTORS[name].isolated:
            command = (sys.executable, "-m", "warpgauge.exporters.child", name)
            program = self._programs.get(name) or Program(command=command, deadline_seconds=agent.deadline_seconds)
            return Supervisor(
                name, self.readings, intervals=intervals, program=program, clock=self._clock, phase=self._phase
            )
        return InProcess(
            make(name, **self._settings(name)),
            self.readings,
            intervals=intervals,
            deadline_seconds=agent.deadline_seconds,
            clock=self._clock,
            phase=self._phase,
        )

    def _settings(self, name: str) -> dict[str, object]:
        agent = self._config.agent
        settings: dict[str, dict[str, object]] = {
            "host": {"proc_root": agent.proc_root, "sys_root": agent.sys_root},
            "serving": {
                "urls": agent.serving_urls,
                "discovers": agent.serving_discovery,
                "proc_root": agent.proc_root,
            },
            "infiniband": {
                "sys_root": agent.sys_root,
                "accelerators": lambda: [standing.device for standing in self.readings.standings],
            },
            "training": {
                "socket_path": agent.training_socket,
                "proc_root": agent.proc_root,
                "speaking": self._speaking,
            },
            "attribution": {
                "held": self.readings.held,
                "spoken": self._speaking.ask,
                "pods": self._pods,
                "proc_root": agent.proc_root,
                "sys_root": agent.sys_root,
                "pod_resources": agent.pod_resources_socket,
                "docker": agent.docker_socket,
                "most_processes": agent.process_metrics_limit if agent.process_metrics else 0,
                "job_mapping": agent.job_mapping_directory,
                "gpustat": agent.gpustat_directory,
                "look_seconds": agent.normal_interval_seconds / 2,  # named within one, however ticks fall
            },
        }
        return settings.get(name, {})

    async def run(self) -> None:
        """Read until cancelled."""
        self.pages.publish()
        if self._logs is not None and self._logs.wants_kernel:
            self._open_kernel_log()
        await self._gpm_mode.first_look()
        self._adjust()
        tasks = [asyncio.create_task(collector.run()) for collector in self.collectors]
        tasks.append(asyncio.create_task(self._settle()))
        tasks += [asyncio.create_task(one.run()) for one in (self._pusher, self._logs) if one is not None]
        tasks.append(asyncio.create_task(self._gpm_mode.keep(self._config.agent.slow_interval_seconds, self._adjust)))
        try:
            await asyncio.gather(*tasks)
            await asyncio.Event().wait()
        finally:
            self.release.close()
            for task in tasks:
                if not task.cancelling():  # a second time would break off what a collector does on leaving
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for task in self._tasks:
                task.cancel()
            self._kernel_log.close()

    def unready(self) -> str | None:
        """Why not ready: a collector has not had its first reading yet, nor its deadline for one."""
        if self._is_ready:
            return None
        waiting = [collector.name for collector in self.collectors if not collector.is_settled.is_set()]
        return f"waiting for the first reading of {', '.join(waiting)}"

    def devices(self) -> list[dict[str, Any]]:
        """Every device ever seen, for the API; what is unknown is absent."""
        node = platform.node()
        return [
            {**_device(standing, node), **_instances(self.readings.samples_of(standing.device.uuid))}
            for standing in self.readings.standings
        ]

    def dcgm_page(self) -> bytes | None:
        """The page under dcgm-exporter's names, None unless the settings switch it on."""
        if not self._config.agent.dcgm_view:
            return None
        self.pages.refresh()
        return self._dcgm.body(self.pages.version)

    async def processes(self, top: int) -> list[dict[str, Any]]:
        """The busiest processes, most CPU first."""
        return await self._busiest.ask(min(max(top, 1), _MOST_PROCESSES))

    def states(self) -> list[tuple[str, str]]:
        """Each collector and how it does, in words."""
        left = self.release.seconds_left
        released = None if left is None else f"released, taken back in {left:.0f} s"
        return [
            (one.name, (released if isinstance(one, Supervisor) else None) or one.absence or "reading")
            for one in self.collectors
        ]

    def _adjust(self) -> None:
        """Tell the isolated collectors what they are to obey from the next reading on."""
        agent = self._config.agent
        processes = agent.process_metrics_limit if agent.process_metrics else 0
        has_fine = self._config.remote_write.native_histograms or self._config.otlp.exponential_histograms
        for collector in self.collectors:
            if isinstance(collector, Supervisor):
                collector.settings = {
                    "fine": has_fine,  # narrow buckets are pushed where that is wanted, and stand on no page
                    "gpm": self._gpm_mode.is_on,
                    "gpm_every": agent.gpm_interval_seconds,
                    "processes": processes,
                    "proc_root": agent.proc_root,
                    "holders": "attribution" not in agent.disabled_collectors,
                    "sys_root": agent.sys_root,
                    "tpu_addresses": ",".join(agent.tpu_metrics_addresses),
                }

    async def _settle(self) -> None:
        """Once every collector has had its say: put it on the page, be ready, and decide about the demo."""
        for collector in self.collectors:
            await collector.is_settled.wait()
        self.pages.publish()
        self._is_ready = True
        gc.freeze()  # modules and tables live as long as we do: looking through them again would hold up scrapes
        await self.demo.decide(has_devices=bool(self.readings.standings))

    def _meet_nvidia(self) -> None:
        """Begin what only such a device needs, once there is one: elsewhere nobody misses it."""
        if self._has_met_nvidia or not any(it.device.vendor == "nvidia" for it in self.readings.standings):
            return
        self._has_met_nvidia = True
        self._gpm_mode.show()
        if self._config.agent.kernel_log:
            self.readings.tally.put(own.KERNEL_LOG_READABLE, value=float(self._open_kernel_log()))

    def _open_kernel_log(self) -> bool:
        if self._is_kernel_log_open is None:
            self._is_kernel_log_open = self._kernel_log.open()
        return self._is_kernel_log_open

    def _hear_kernel(self, line: str) -> None:
        """File what the driver wrote into the kernel log; of a GPU that nobody knows it stays in that log only."""
        if self._logs is not None:
            self._logs.hear(line)
        message = self._driver_messages.read(line)
        if message is None:
            return
        if message.kind == "sxid":
            domain, bus, slot = message.address
            self.readings.events.sxid(f"{domain:04x}:{bus:02x}:{slot:02x}.0", message.number, message.detail)
            self._schedule_publish()
        for standing in self.readings.standings:
            if message.kind == "xid" and pci_address(standing.device.pci_bus_id) == message.address:
                self.readings.happened(
                    standing.device, "xid", message.number, source="kernel_log", detail=message.detail
                )

    def _schedule_publish(self) -> None:
        """Begin to make a page if one is wanted; who asks at each change of a tick gets the same answer."""
        now = self._clock.monotonic()
        if self._is_publishing or (self.pages.is_stale and now < self._unwanted_until):
            return
        self._meet_nvidia()
        if self.pages.is_wanted():
            self._is_publishing = True
            self._begin(self._publish())
        else:
            self._unwanted_until = now + _COALESCE_SECONDS

    async def _publish(self) -> None:
        await asyncio.sleep(_COALESCE_SECONDS)
        self._is_publishing = False  # what changes from now on is for the next time
        for _ in self.pages.offer():
            await asyncio.sleep(0)  # whoever scrapes meanwhile is served between two portions

    def _pack(self, plain: bytes, take: Callable[[bytes], None]) -> None:
        """Compress a page in a thread: it takes longer than all the rest of a scrape."""

        async def pack() -> None:
            take(await self._packer.ask(lambda: packed(plain)))

        self._begin(pack())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Busiest:
    """One look at the processes serves everybody who asks within two seconds; it takes one, in a thread."""

    def __init__(self, table: ProcessTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._worker = Worker("processes")
        self._turn = asyncio.Lock()
        self._answer: tuple[float, list[dict[str, Any]]] | None = None

    async def ask(self, top: int) -> list[dict[str, Any]]:
        async with self._turn:
            if self._answer is None or self._clock.monotonic() - self._answer[0] > _PROCESSES_SECONDS:
                found = await self._worker.ask(lambda: self._table.busiest(_MOST_PROCESSES))
                self._answer = (self._clock.monotonic(), [_process(one) for one in found])
            return self._answer[1][:top]


def _process(one: Process) -> dict[str, Any]:
    document = asdict(one)
    if one.workload is None:
        del document["workload"]  # unknown is absent
    return document


def _device(standing: Standing, node: str) -> dict[str, Any]:
    device = standing.device
    known = {
        "uuid": device.uuid,
        "index": device.index,
        "kind": device.kind.value,
        "vendor": device.vendor,
        "model": device.model,
        "pci_bus_id": device.pci_bus_id,
        "node": node,
        "state": standing.state.value,
        "last_sample": standing.last_sample,
    }
    return {name: value for name, value in known.items() if value not in {None, ""}}


def _instances(samples: Iterable[Sample]) -> dict[str, Any]:
    """The parts of a partitioned device, by the names that its info series has; nothing for a whole one."""
    names = ("instance_id", "compute_instance_id", "instance_uuid", "profile")
    found = [sample for sample in samples if sample.metric is rows.INSTANCE_INFO]
    return {"instances": [{name: sample.label(name) for name in names} for sample in found]} if found else {}


def stop_with_parent(stop: asyncio.Event, environ: Mapping[str, str] = os.environ) -> None:
    """Set `stop` when standard input ends, if WARPGAUGE_EXIT_WITH_PARENT=1: whoever started us holds its other end."""
    if environ.get("WARPGAUGE_EXIT_WITH_PARENT") != "1":
        return
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def look() -> None:
        if not os.read(descriptor, 4096):
            loop.remove_reader(descriptor)
            stop.set()

    with suppress(PermissionError):  # a file or /dev/null: it has no other end
        loop.add_reader(descriptor, look)
