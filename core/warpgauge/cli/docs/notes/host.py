"""Notes on the metrics of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import host

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    host.HOST_INFO: Note(
        '`NAME{nodename="node7", release="6.1.0-35-amd64", machine="x86_64"} 1`: `count by (release) (NAME)` shows'
        " which kernels the fleet runs.",
        "the node label of other series: that one comes from the scrape configuration.",
    ),
    host.WORKLOAD_INFO: Note(
        '`NAME{scheduler="slurm", job_id="4711", rank="3", user="ada"} 1`: rank 3 of job 4711 runs here;'
        " `count by (job_id) (NAME)` shows on how many places a job sits.",
        "jobs that wait on the CPU alone: a job with a device is in here as well as beside its device.",
    ),
    host.BOOT_TIME: Note(
        "`time() - NAME` was 1390: the machine started 23 minutes ago.",
        "exact to the second: it moves a little when the clock is set; a reboot moves it by minutes.",
    ),
    host.CPU_SECONDS: Note(
        '`1 - avg(rate(NAME{mode="idle"}[1m]))` was 0.06: 6 % of both CPUs were in use.',
        "a sum over modes that passes 1 s per second and CPU: guest time is inside user and nice, so it is not added.",
    ),
    host.CPU_COUNT: Note(
        "`NAME 2`: two logical CPUs; divide CPU seconds per second by it to get a share of the machine.",
        "what a container may use: a cgroup limit is not in here.",
    ),
    host.CPU_FREQUENCY: Note(
        '`NAME{cpu="0"} 3471000000`: 3.47 GHz when read (simulated fleet; few virtual machines have it).',
        "throttling whenever it is low: an idle core clocks down by design.",
    ),
    host.LOAD1: Note(
        "`NAME 0.24` on 2 CPUs: on average a quarter of one task ran or waited.",
        "CPU use: tasks in uninterruptible disk waits count as well.",
    ),
    host.LOAD5: Note(
        "`NAME 0.20`: over five minutes; below the one-minute load of 0.24, so the load is rising.",
        "an average of the last five minutes only: it decays, older load still weighs in.",
    ),
    host.LOAD15: Note(
        "`NAME 0.15`: divide by the number of CPUs before comparing machines.",
        "comparable between machines as it stands.",
    ),
    host.MEMORY_TOTAL: Note(
        "`NAME 25276514304`: 24684096 kB in /proc/meminfo, 23.5 GiB.",
        "the size of the modules: firmware and kernel keep a part.",
    ),
    host.MEMORY_AVAILABLE: Note(
        "`NAME 24849997824`: 23.1 GiB could be taken without swapping, 98 % of the machine.",
        "the same as free: it includes caches that the kernel would give back.",
    ),
    host.MEMORY_FREE: Note(
        "`NAME 24530604032`: on a machine that ran for a week this is small, and that is good.",
        "what is left: page cache is counted as used here.",
    ),
    host.SWAP_TOTAL: Note(
        "`NAME 0`: no swap is configured, usual on GPU nodes.",
        "missing data: 0 is what the kernel said.",
    ),
    host.SWAP_FREE: Note(
        "equal to the total: nothing is swapped out.",
        "pressure by itself: full swap that is never read back costs nothing; watch the traffic.",
    ),
    host.SWAP_IN: Note(
        "`rate(NAME[5m])` of 0 is normal; megabytes a second mean that work waits for swap.",
        "bytes in swap: it is traffic.",
    ),
    host.SWAP_OUT: Note(
        "a short burst of `rate(NAME[5m])` without any swap-in: cold pages were put away.",
        "a shortage in every case: only both directions together are one.",
    ),
    host.PRESSURE_SECONDS: Note(
        '`rate(NAME{resource="cpu", scope="some"}[1m])` was 0.002: some task waited for a CPU 0.2 % of the time.',
        "a share of CPU time: it is a share of wall time, and `full` is the part in which nothing else ran either.",
    ),
    host.DISK_READ: Note(
        "`NAME 4768437248` since boot on `vda`: 9313354 sectors of 512 bytes in /proc/diskstats.",
        "bytes that programs read: what came from the page cache never reached the disk.",
    ),
    host.DISK_WRITTEN: Note(
        "`rate(NAME[1m])` rises some seconds after a checkpoint was written: the kernel writes back late.",
        "the time of the write call.",
    ),
    host.DISK_READS: Note(
        "`NAME 143596`: with 4.77 GB read that is 33 kB a read on average.",
        "calls of read(): the kernel merges and reads ahead.",
    ),
    host.DISK_WRITES: Note(
        "`NAME 18946`: divide bytes by it for the mean size; 4 kB means small synchronous writes.",
        "calls of write().",
    ),
    host.DISK_IO_TIME: Note(
        "`rate(NAME[1m])` was 0.011: requests were in flight 1.1 % of the time.",
        "utilization of an SSD: at 1 an SSD or an array may still take many times the load.",
    ),
    host.FILESYSTEM_SIZE: Note(
        '`NAME{mountpoint="/"} 270553174016`: 252 GiB.',
        "something to sum up: bind mounts and images can list one file system twice.",
    ),
    host.FILESYSTEM_AVAILABLE: Note(
        '`NAME{mountpoint="/"} 83400429568`: 77.7 GiB; size minus used is more, a part is reserved for root.',
        "free inodes: a file system can be full of small files with space left.",
    ),
    host.NETWORK_RECEIVE: Note(
        '`rate(NAME{device="eth0"}[1m]) * 8 / 1e9` is gigabits a second on that interface.',
        "traffic of GPUs over InfiniBand or RoCE: RDMA passes the kernel by and is not counted here.",
    ),
    host.NETWORK_TRANSMIT: Note(
        '`NAME{device="lo"} 405988`: loopback counts what processes of the machine said to each other.',
        "something to sum over devices: a bond and its members count the same bytes.",
    ),
    host.NETWORK_RECEIVE_ERRORS: Note(
        "`increase(NAME[1h]) > 0` on a physical interface: cable, optics or switch port.",
        "drops for want of buffers: those are counted elsewhere in the kernel.",
    ),
    host.NETWORK_TRANSMIT_ERRORS: Note(
        "0 on a healthy machine for months.",
        "retransmissions: those happen in TCP and are not seen by the interface.",
    ),
    host.PROCESS_CPU: Note(
        '`NAME{pid="4711", command="python"} 0.51` as evidence of a finding: one core of two, all of the time.',
        "share of one CPU as in top: here 1 is the whole machine.",
    ),
    host.PROCESS_MEMORY: Note(
        '`NAME{pid="4711"} 2147483648` as evidence of a finding: 2 GiB resident.',
        "something to sum up: shared pages are in every process that maps them.",
    ),
}
