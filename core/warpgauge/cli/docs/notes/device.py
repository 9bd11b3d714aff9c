"""Notes on the metrics of accelerators and of training jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import device, training

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    device.DEVICE_INFO: Note(
        '`NAME{index="0", model="NVIDIA H100 80GB HBM3", numa_node="0", ...} 1`: multiply by it to bring the model'
        " onto another series: `x * on (cluster, uuid) group_left (model) NAME`.",
        "a count of devices by label values that stay: `index` changes with the next driver load, `uuid` does not.",
    ),
    device.DRIVER_INFO: Note(
        '`NAME{driver_version="580.95.05", runtime_version="13.0"} 1`: `count by (driver_version) (NAME)` shows'
        " a half-done driver rollout.",
        "the CUDA version a job uses; `runtime_version` is the newest the driver supports.",
    ),
    device.WORKLOAD_INFO: Note(
        '`NAME{job_id="llm-pretrain-70b", rank="0", scheduler="slurm"} 1`: this GPU is held by rank 0 of that job.',
        "one series per device: two jobs that share a GPU give two, so a sum over devices must not be joined with it.",
    ),
    device.INSTANCE_INFO: Note(
        '`NAME{compute_instance_id="0", instance_id="2", profile="1c.3g.40gb"} 1`: GPU instance 2 has 40 GB and three'
        " slices, one of which is this compute instance; `NAME * on (cluster, instance, uuid, instance_id)"
        " group_left () x` brings its profile onto x.",
        "one series per GPU instance: several compute instances share one, so count those by (uuid, instance_id).",
    ),
    device.DEVICE_UP: Note(
        "`NAME 0`: the last reading failed; the values beside it are gone, not 0.",
        "health: a device can answer every call and be degraded; read the state as well.",
    ),
    device.DEVICE_STATE: Note(
        '`NAME{state="ok"} 1` and 0 for the others: `NAME{state="lost"} == 1` is a GPU that fell off the bus;'
        " `released` was given away on order (POST /-/release), `denied` is one that a container or the system keeps us"
        " out of.",
        "a gauge whose number means something; the state is in the label, the number says only whether it holds.",
    ),
    device.LAST_SAMPLE: Note(
        "`time() - NAME` was 0.8: the newest reading of that device is less than a second old.",
        "the time of the scrape; a hung device is scraped on time while its last reading grows old.",
    ),
    device.UTILIZATION: Note(
        '`NAME{engine="compute"} 0.98` on the recorded H100 at a matrix product: at least one kernel ran for 98 % of'
        " the"
        " driver's sample period. The other engines are read with the normal tier.",
        "how much of the device works: at copies from the host, without any kernel, the same GPU showed 0.999 and at"
        " single additions 0.34, with 0.03 % of its SMs active.",
    ),
    device.COMPUTE_ACTIVE: Note(
        "`NAME 0.94` on the recorded H100 at a large matrix product, 0.0003 at single additions; below about 0.5 a"
        " large"
        " job leaves SMs empty.",
        "useful work: an SM that waits on memory with a resident warp is active.",
    ),
    device.GRAPHICS_ENGINE_ACTIVE: Note(
        "`NAME 0.98` on the recorded H100 at a matrix product, 0.35 at single additions that came one by one.",
        "all that keeps a device busy: at copies from the host it was 0.00006 where utilization showed 0.999.",
    ),
    device.COMPUTE_OCCUPANCY: Note(
        "`NAME 0.14` on the recorded H100 at its fastest matrix product, 0.79 at a copy within its memory.",
        "a score to maximize: matrix kernels reach full speed at 0.1 to 0.2.",
    ),
    device.PIPE_ACTIVE: Note(
        '`NAME{pipe="tensor"} 0.92` on the recorded H100 at a bf16 matrix product of 666 TFLOP/s, `{pipe="fp32"}'
        " 0.77` at one"
        " of 52 TFLOP/s in fp32; 0.3 is an ordinary value for pretraining.",
        "share of peak FLOPS: an active cycle counts alike for dense, sparse, fp8 and fp16.",
    ),
    device.MEMORY_BANDWIDTH_ACTIVE: Note(
        "`NAME 0.89` on the recorded H100 at a copy within its memory (3.0 TB/s), 0.24 at a matrix product; from"
        " about 0.6"
        " a kernel is likely bound by it.",
        "a ratio that can reach 1: 0.8 to 0.9 is the practical peak.",
    ),
    device.MEMORY_TOTAL: Note(
        "`NAME 85520809984` on the recorded H100: 79.6 GiB; 150754820096 on the recorded H200.",
        "what a job can take: subtract the reserved part. On a partitioned device the sum of the parts is less than the"
        " board has: what no instance holds is in none.",
    ),
    device.MEMORY_USED: Note(
        "`NAME 650969088` on the recorded H100: a process that did nothing but begin took 621 MiB for its context.",
        "memory that tensors fill: caching allocators keep what they once took.",
    ),
    device.MEMORY_FREE: Note(
        "`NAME 4202889216` on the recorded H100 after 95 % of what was free had been taken: 3.9 GiB are left.",
        "room for a bigger batch: inside a process the allocator's own cache may hold more.",
    ),
    device.MEMORY_RESERVED: Note(
        "`NAME 503316480` on the recorded H100: 480 MiB belong to driver and firmware; 615 MiB on the recorded H200.",
        "a leak: it is there on an idle device and moves only with driver, ECC or MIG settings.",
    ),
    device.TEMPERATURE: Note(
        '`NAME{sensor="core"} 58`, `{sensor="memory"} 53` on the recorded H100 at a matrix product, 50 and 63 at a'
        " copy within"
        " its memory.",
        "comparable across models; compare with the device's own limit and with its neighbors.",
    ),
    device.TEMPERATURE_LIMIT: Note(
        '`NAME{limit="slowdown"} 89` on the recorded H100: at 89 C the hardware lowers the clocks by itself.',
        "an alert threshold: clocks already fall before it, at the software limit for full clocks.",
    ),
    device.POWER: Note(
        "`NAME 691` of a 700 W limit on the recorded H100 at a matrix product of random numbers, 460 at one of all"
        " ones,"
        " 118 while a process held it and did nothing.",
        "an instantaneous peak: it is an average over a second on most boards, so short peaks are not in it.",
    ),
    device.POWER_LIMIT: Note(
        '`NAME{limit="enforced"} 700` equals `{limit="default"}`: nobody capped this GPU.',
        "a target: a device at its limit is doing what it was told, which is not a fault.",
    ),
    device.ENERGY: Note(
        "`increase(NAME[1h]) / 3.6e6` of 2.2: 2.2 kWh in that hour, 620 W on average. It agreed with the power to"
        " 0.1 % in"
        " every phase of the recording.",
        "energy since boot: it starts again with each driver load.",
    ),
    device.CLOCK: Note(
        '`NAME{clock="sm"} 1.47e9` on the recorded H100 at a matrix product at its power limit, 1.98e9 at all else.',
        "speed: a low clock on an idle device is power saving.",
    ),
    device.CLOCK_MAX: Note(
        '`NAME{clock="sm"} 1980000000`: the current clock divided by it shows throttling on a busy device.',
        "a clock that must be reached: dense kernels settle below it at the power limit.",
    ),
    device.THROTTLE_ACTIVE: Note(
        '`NAME{reason="sw_power_cap"} 1`: the power limit holds the clocks, normal under full load; on the recorded'
        " H100 also"
        " at 460 of 700 W, where more power would not have helped.",
        "a fault whatever the reason: `idle` and `sw_power_cap` are normal, `hw_thermal` and `hw_power_brake` are not.",
    ),
    device.THROTTLE_SECONDS: Note(
        '`rate(NAME{reason="hw_thermal"}[5m])` was 0.4: heat held the clocks down for 40 % of five minutes.',
        "parts of one whole: several reasons can hold at once, so their sum can pass 1 s per second; board_limit,"
        " low_utilization (idle, which is no fault) and reliability are timed only and never active.",
    ),
    device.FAN_SPEED: Note(
        "`NAME 0.45`: 45 % of the fan's intended maximum.",
        "measured cooling: it is what the driver asked for; a stuck fan can show 0.45. No fan, no series.",
    ),
    device.PCIE_TRANSMIT: Note(
        "`rate(NAME[1m])` was 1.2e9: the device sends 1.2 GB/s to the host.",
        "traffic to other GPUs only: with peer access over PCIe it is in here, over NVLink it is not.",
    ),
    device.PCIE_RECEIVE: Note(
        "`rate(NAME[1m])` of 5.7e10 on the recorded H100 (5.0 x16) at copies from pinned memory, 9.7e9 from pageable"
        " memory.",
        "the data loader's rate: checkpoints and peer traffic come the same way.",
    ),
    device.PCIE_REPLAY: Note(
        "`increase(NAME[1h])` of 0 is normal; hundreds an hour mean a bad slot, riser or cable.",
        "lost data: each of these packets was sent again and arrived.",
    ),
    device.PCIE_LINK_GENERATION: Note(
        "`NAME 5`: the link runs at its maximum; 1 on an idle device is power saving.",
        "a fault whenever it is low: judge it under load only.",
    ),
    device.PCIE_LINK_GENERATION_MAX: Note(
        "`NAME 5`: device and slot both do generation 5.",
        "what the board supports: a generation 5 GPU in a generation 4 slot shows 4.",
    ),
    device.PCIE_LINK_WIDTH: Note(
        "`NAME 16` of 16 lanes; 8 of 16 halves the bandwidth and points at seating or a riser.",
        "something that changes with load: unlike the generation it should not.",
    ),
    device.PCIE_LINK_WIDTH_MAX: Note(
        "`NAME 16`: the current width divided by it must be 1.",
        "what the board supports: it is the smaller of board and slot.",
    ),
    device.LINK_TRANSMIT: Note(
        '`rate(NAME{link="3"}[1m])` was 7.8e9: 7.8 GB/s of payload over that link; `sum by (uuid) (rate(NAME[1m]))` is'
        " the GPU's.",
        "a share of the quoted bandwidth as it stands: the quote counts both directions and overhead.",
    ),
    device.LINK_RECEIVE: Note(
        "`rate(NAME[1m])` much lower on one link than on its neighbors: that link is down, slow or routed around.",
        "traffic of this job only: in-switch reduction and other jobs' peer copies pass here as well.",
    ),
    device.ECC_ERRORS: Note(
        '`increase(NAME{severity="uncorrected", persistence="volatile"}[1h]) > 0`: that job\'s results are suspect.',
        "one number: volatile starts again with the driver, aggregate never does, and corrected errors harm nothing.",
    ),
    device.ROWS_REMAPPED: Note(
        '`NAME{cause="uncorrected"} 1`: one row of memory was replaced by a spare, once in the life of the board.',
        "a reason to replace the board: it has many spares; a failed remap is the reason.",
    ),
    device.ROW_REMAP_PENDING: Note(
        "`NAME 1`: drain and reset the device when convenient; until then the bad row is only blacklisted.",
        "an emergency: the row is already out of use.",
    ),
    device.ROW_REMAP_FAILED: Note(
        "`NAME 1`: no spares left in a bank; drain the node and replace the board.",
        "something a reset mends: it does not.",
    ),
    device.PROCESSES: Note(
        "`NAME 1` on a training GPU: one rank; 0 with memory held hints at a process in another container or a zombie.",
        "processes of all users: inside a container the driver may show only some.",
    ),
    device.MEMORY_ACCESS: Note(
        "`NAME 0.32` on the recorded H100 at a matrix product: something read or wrote device memory in a third of"
        " the time.",
        "how full memory is, or how much of its bandwidth is used: one small copy per period also shows 1.",
    ),
    device.PCIE_TRANSMIT_RATE: Note(
        "`NAME 3.4e9` on the recorded H100 while 57 GB/s came in: a sixteenth, for what it asks the host to send.",
        "a counter: it is a mean between two readings, so averages over it miss nothing and maxima do.",
    ),
    device.PCIE_RECEIVE_RATE: Note(
        "`NAME 5.7e10` on the recorded H100 at copies of 52.8 GB/s of payload from pinned memory.",
        "input alone: checkpoints that are restored and peer traffic over PCIe count as well.",
    ),
    device.LINK_TRANSMIT_RATE: Note(
        "`NAME 1.4e11`: 140 GB/s leave over NVLink, all links together, over the last second.",
        "one link: divide by the links whose state is active.",
    ),
    device.LINK_RECEIVE_RATE: Note(
        "`NAME 1.4e11` beside the same transmit rate: a ring all-reduce moves the same both ways.",
        "payload: GPM counts what crosses the links, the counters beside it count payload.",
    ),
    device.TEMPERATURE_MARGIN: Note(
        "`NAME 28` on the recorded H100 at 58 C: 28 degrees until its clocks may be lowered.",
        "a temperature: smaller is hotter, and the distance is to this device's own limit.",
    ),
    device.TEMPERATURE_MARGIN_LIMIT: Note(
        '`NAME{limit="shutdown"} -8` and `{limit="slowdown"} -2` on the recorded H100: at margin -2 the hardware'
        " slows it.",
        "an absolute temperature: it is compared with the margin, not with the temperature.",
    ),
    device.POWER_INSTANT: Note(
        "`NAME 726` beside an average of 691 on the recorded H100: a peak of this moment, above its limit of 700 W.",
        "energy: integrate nothing from it, the energy counter is exact.",
    ),
    device.PCIE_REPLAY_ROLLOVER: Note(
        "`increase(NAME[1h]) > 0`: the link was trained anew, which stalls every transfer meanwhile.",
        "ordinary wear: one replay is, four of the same packet in a row are not.",
    ),
    device.PCIE_ERRORS: Note(
        '`increase(NAME{error="bad_tlp"}[1h])` in the thousands: a bad slot, riser or cable.',
        "a sum over its kinds: one event on the wire can count in several of them.",
    ),
    device.LINK_STATE: Note(
        '`NAME{link="7", state="inactive"} 1`: link 7 is down; its peers still show theirs.',
        "a fault when it sleeps: links without traffic do.",
    ),
    device.LINK_SPEED: Note(
        '`NAME{link="0"} 2.6562e10`: 26.6 GB/s, as an NVLink 4 trains to.',
        "traffic: it is what the link could carry.",
    ),
    device.LINK_ERRORS: Note(
        '`increase(NAME{link="7", error="replay"}[1h])` above that of the other links: clean or replace that cable.',
        "lost data: a replay sent it again; `recovery_failed` is the one that lost the link.",
    ),
    device.ECC_LOCATION_ERRORS: Note(
        '`NAME{location="sram", severity="uncorrected"} 1`: on-chip memory; a row remap does not mend that.',
        "an addition to the totals: it is the same errors, told by place, and a board tells only some places.",
    ),
    device.ROW_REMAP_BANKS: Note(
        '`NAME{availability="low"} 1`: one bank has hardly a spare row left; plan the replacement of the board.',
        "rows: it counts banks, and on a new board all of them are at `max`.",
    ),
    device.PAGES_RETIRED: Note(
        '`NAME{cause="uncorrected"} 3`: three pages were taken out after double-bit errors; at 60 replace the board.',
        "something newer boards have: from Ampere on rows are remapped instead.",
    ),
    device.PAGE_RETIREMENT_PENDING: Note(
        "`NAME 1`: reload the driver or reset the device when convenient.",
        "lost memory: until then the page is still in use.",
    ),
    device.RECOVERY_ACTION: Note(
        '`NAME{action="gpu_reset"} 1`: drain the device, then reset it.',
        "an alarm by itself when it says drain_p2p: only peer traffic has to stop.",
    ),
    device.FIRMWARE_INFO: Note(
        '`NAME{vbios_version="96.00.74.00.01"} 1`: `count by (vbios_version) (NAME)` shows boards left behind.',
        "the driver's version: that is on the driver's info series.",
    ),
    device.PERSISTENCE_MODE: Note(
        "`NAME 0`: switch it on (nvidia-smi --persistence-mode=1 or nvidia-persistenced).",
        "a power setting: an idle device draws a few watts more with it and answers at once.",
    ),
    device.ECC_MODE: Note(
        '`NAME{when="current"} 1` and `NAME{when="pending"} 0`: ECC goes off with the next reset.',
        "the presence of errors: it only says whether they would be noticed.",
    ),
    device.MIG_MODE: Note(
        '`NAME{when="current"} 1`: the device is partitioned; utilization of the whole device is then absent.',
        "the number of instances: a partitioned device can have none, and is then read as a whole.",
    ),
    device.COMPUTE_MODE: Note(
        '`NAME{mode="exclusive_process"} 1`: a second process gets an error, whatever the scheduler says.',
        "who uses the device now: it says who may.",
    ),
    device.XID_EVENTS: Note(
        '`increase(NAME{xid="79"}[10m]) > 0`: that GPU fell off the bus within the last ten minutes.',
        "broken hardware whatever the number: 13, 31 and 43 are faults of the program, 63 and 92 are notes.",
    ),
    device.XID_LAST: Note(
        '`time() - NAME{xid="48"} < 300`: less than five minutes ago.',
        "the driver's own time: it is when the agent heard of it, at most a second later.",
    ),
    device.DEVICE_EVENTS: Note(
        '`NAME{event="single_bit_ecc_storm"} 1`: corrected errors came in faster than the driver likes.',
        "complete: which events a driver announces depends on board and version.",
    ),
    device.SXID_EVENTS: Note(
        '`NAME{sxid="12028"} 1`: one non-fatal error on a port of that switch.',
        "the culprit: errors of a link show on both its ends.",
    ),
    device.POWER_DISTRIBUTION: Note(
        '`increase(NAME_bucket{le="+Inf"}[30s]) - ignoring (le) increase(NAME_bucket{le="700.0"}[30s])` of 200:'
        " the board drew more than 700 W for 200 ms in that half minute, whenever the scrapes were.",
        "a count of readings: each count is a millisecond, so `rate(NAME_count[5m])` is about 1000 on every device.",
    ),
    device.UTILIZATION_DISTRIBUTION: Note(
        '`rate(NAME_bucket{engine="compute", le="0.0"}[5m]) / 1000` of 0.3: 30 % of the time no kernel ran at all.',
        "a spread over SMs: it is one over time, of the share of each sample's period in which the engine had work.",
    ),
    device.SAMPLE_PERIOD: Note(
        '`NAME{source="power"} 0.02`, `{source="compute_utilization"} 0.2` on the recorded H100 and H200: a power'
        " spike of 20 ms"
        " is seen in full.",
        "how often the agent asks: it asks before what the driver keeps is full, and gets all samples since the last"
        " time.",
    ),
    training.STEP_SECONDS: Note(
        "`rate(NAME_sum[5m]) / rate(NAME_count[5m])` was 3.5: a step takes 3.5 s on that rank.",
        "a difference between ranks: in a lockstep job all ranks show the slowest one's time; compare phases.",
    ),
    training.PHASE_SECONDS: Note(
        '`rate(NAME{phase="input"}[5m])` was 0.45: that rank spends 45 % of its time waiting for input.',
        "device time when `clock` is `host`: kernels run asynchronously, so host phases show where Python waited; and"
        " `transfer` as all of a step's exchange, which is `communication` beside it.",
    ),
    training.JOB_RANKS: Note(
        "8 on each rank that torchrun started with `WORLD_SIZE=8`; `count by (job_id) (NAME)` of 7: one is away.",
        "ranks on this node, or ranks that report: it is what the launcher told each of them about the whole job.",
    ),
}
