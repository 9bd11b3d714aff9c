"""What a recording of a real GPU shows: a comparison with nvidia-smi, every id, and the signature of each phase."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from benchmarks.workloads import smi
from warpgauge.core.catalog import Tier, device
from warpgauge.core.table import table
from warpgauge.exporters.collectors.nvml_api import PYNVML, constant
from warpgauge.exporters.messages import Found, Read
from warpgauge.exporters.recording import Playback, read_recording
from warpgauge.exporters.recording.batches import FIELDS, GPM, field_slots, gpm_slots
from warpgauge.exporters.recording.lines import Buffer, Call, Mark
from warpgauge.exporters.recording.summary import code_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from warpgauge.exporters.messages import Message
    from warpgauge.exporters.recording import Recording

_MEMBERS: Final = {
    constant("NVML_VALUE_TYPE_DOUBLE"): "dVal",
    constant("NVML_VALUE_TYPE_UNSIGNED_INT"): "uiVal",
    constant("NVML_VALUE_TYPE_UNSIGNED_LONG"): "ulVal",
    constant("NVML_VALUE_TYPE_UNSIGNED_LONG_LONG"): "ullVal",
    constant("NVML_VALUE_TYPE_SIGNED_LONG_LONG"): "sllVal",
    constant("NVML_VALUE_TYPE_SIGNED_INT"): "siVal",
    constant("NVML_VALUE_TYPE_UNSIGNED_SHORT"): "usVal",
}
"""Type of a field's value -> the member of nvmlValue_t that holds it."""
SIGNATURE: Final = (
    (device.UTILIZATION, ("compute",)),
    (device.COMPUTE_ACTIVE, ()),
    (device.COMPUTE_OCCUPANCY, ()),
    (device.PIPE_ACTIVE, ("tensor",)),
    (device.PIPE_ACTIVE, ("fp32",)),
    (device.MEMORY_BANDWIDTH_ACTIVE, ()),
    (device.PCIE_RECEIVE_RATE, ()),
    (device.PCIE_TRANSMIT_RATE, ()),
    (device.MEMORY_USED, ()),
    (device.POWER, ()),
    (device.CLOCK, ("sm",)),
    (device.TEMPERATURE, ("core",)),
)
"""What tells the phases apart."""

EDGE_SECONDS: Final = 2.0  # at both ends of a phase, where averages still hold something of its neighbor


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One id of the dump: what the driver said, and how long it took."""

    kind: str  # field or gpm
    gpu: int
    id: int
    names: tuple[str, ...]  # in nvidia-ml-py
    code: str
    value: float | None
    microseconds: float
    text: str = ""  # the driver's own name and unit, where it gives one


def series_of(recording: Recording) -> dict[smi.Series, list[tuple[float, float]]]:
    """Everything that a replay reads: times (seconds since the epoch) and values, by PCI address, metric and labels."""
    found: dict[smi.Series, list[tuple[float, float]]] = defaultdict(list)
    addresses: dict[str, str] = {}
    said: list[Message] = []
    playback = Playback(recording, said.append)
    for time in playback.moments():
        for message in said:
            if isinstance(message, Found):
                addresses[message.device.uuid] = message.device.pci_bus_id
            for sample in message.samples if isinstance(message, Read) else ():
                if sample.device is not None and isinstance(sample.value, float):
                    found[addresses[sample.device], sample.metric, sample.labels[2:]].append((time, sample.value))
        said.clear()
    return dict(found)


def machine(path: Path) -> tuple[str, str]:
    """Model of the first GPU and version of the driver."""
    recording = read_recording(path)
    said: list[Message] = []
    Playback(recording, said.append).run()
    models = [message.device.model for message in said if isinstance(message, Found)]
    return (models[0] if models else "no-gpu"), recording.header.driver or "no-driver"


def write_comparison(folder: Path, path: Path, asked: Sequence[tuple[str, float, str]]) -> str:
    """Compare with each of nvidia-smi's answers; says in words how it went."""
    ours = series_of(read_recording(path))
    verdicts = [
        verdict
        for place, at, document in asked
        for verdict in smi.compare(smi.values(document), ours, at, place)
        if verdict.place not in {"before", "after"} or _is_still(verdict)
    ]
    rows = [_shown(verdict) for verdict in sorted(verdicts, key=lambda one: (one.word != "DISAGREE", one.word))]
    counts: dict[str, int] = defaultdict(int)
    for verdict in verdicts:
        counts[verdict.word] += 1
    header = ("VERDICT", "METRIC", "LABELS", "NVIDIA-SMI", "OURS LEAST", "OURS MOST", "TOLERANCE", "WHEN", "GPU")
    (folder / "comparison.txt").write_text(table(header, rows, numeric=range(3, 7)) + "\n", encoding="utf-8")
    documents = [dict(zip(header, row, strict=True)) for row in rows]
    (folder / "comparison.json").write_text(json.dumps(documents, indent=1) + "\n", encoding="utf-8")
    if not verdicts:
        return "FAILED: nothing to compare"
    return ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))


def write_every_id(folder: Path, path: Path) -> str:
    """The dump as a table; says how many ids gave a value."""
    found = list(every_id(read_recording(path)))
    header = ("KIND", "GPU", "ID", "NAME", "CODE", "VALUE", "us", "DRIVER SAYS")
    rows = [
        (one.kind, one.gpu, one.id, ", ".join(one.names), one.code, _number(one.value), one.microseconds, one.text)
        for one in found
    ]
    (folder / "every-id.txt").write_text(table(header, rows, numeric=(2, 5, 6)) + "\n", encoding="utf-8")
    documents = [dict(zip(header, row, strict=True)) for row in rows]
    (folder / "every-id.json").write_text(json.dumps(documents) + "\n", encoding="utf-8")
    given = sum(one.code == "SUCCESS" for one in found)
    return f"{given} of {len(found)} ids gave a value" if found else "FAILED: no dump in the recording"


def write_signature(folder: Path, path: Path, labels: Path) -> str:
    """The mean of each telling metric in each phase, per GPU."""
    if not labels.exists():
        return "no phases were run"
    ours = series_of(read_recording(path))
    phases = json.loads(labels.read_text(encoding="utf-8"))["phases"]
    gpus = sorted({gpu for gpu, _, _ in ours})
    names = [" ".join((metric.name.removeprefix("accel_"), *texts)) for metric, texts in SIGNATURE]
    rows = [
        (phase["label"], phase["expected"], gpu, *(_mean(ours.get((gpu, *key), ()), phase) for key in SIGNATURE))
        for gpu in gpus
        for phase in phases
    ]
    text = table(("PHASE", "EXPECTED", "GPU", *names), rows, numeric=range(3, 3 + len(names)))
    (folder / "signature.txt").write_text(text + "\n", encoding="utf-8")
    failed = [f"{phase['label']}: {phase['error']}" for phase in phases if phase.get("error")]
    return f"FAILED: {'; '.join(failed)}" if failed else f"{len(phases)} phases"


def every_id(recording: Recording) -> Iterator[Asked]:
    """What was answered between the marks of the dump."""
    gpu: int | None = None
    for entry in recording.entries:
        if isinstance(entry, Mark):
            gpu = entry.position if entry.do == "dump" else None
        elif gpu is not None and isinstance(entry, Call) and entry.function in {FIELDS, GPM}:
            yield from _asked(entry, gpu)


def _asked(call: Call, gpu: int) -> Iterator[Asked]:
    place, slots = (2, field_slots) if call.function == FIELDS else (0, gpm_slots)
    buffer = call.arguments[place]
    if not isinstance(buffer, Buffer):
        return
    kind, prefix = ("field", "NVML_FI_") if call.function == FIELDS else ("gpm", "NVML_GPM_METRIC_")
    texts = " ".join(text for _, _, text in call.texts)
    for slot in slots(call.outputs.get(place, buffer.content), buffer.size):
        number = int(slot.fieldId if kind == "field" else slot.metricId)
        code = call.code or int(slot.nvmlReturn)
        about: dict[str, Any] = {"kind": kind, "id": number, "names": _names(prefix, number), "text": texts}
        value = (_member(int(slot.valueType), slot.value) if kind == "field" else slot.value) if not code else None
        yield Asked(**about, gpu=gpu, code=code_name(code), value=value, microseconds=call.microseconds)


def _member(value_type: int, union: Any) -> float:  # noqa: ANN401 - nvmlValue_t
    return float(getattr(union, _MEMBERS.get(value_type, "ullVal")))


def _names(prefix: str, number: int) -> tuple[str, ...]:
    every = ((name, value) for name, value in vars(PYNVML).items() if name.startswith(prefix))
    return tuple(
        name.removeprefix(prefix) for name, value in every if value == number and "MAX" not in name.split("_")[-1:]
    )


def _is_still(verdict: smi.Verdict) -> bool:
    """Before and after the recording only what does not move can be compared: limits, modes, identities."""
    return verdict.row.metric.tier is Tier.SLOW and not verdict.row.is_counter


def _shown(verdict: smi.Verdict) -> tuple[str, ...]:
    row = verdict.row
    numbers = tuple(map(_number, (verdict.theirs, verdict.least, verdict.greatest, verdict.slack)))
    return (verdict.word, row.metric.name, " ".join(row.labels), *numbers, verdict.place, verdict.gpu)


def _mean(points: Sequence[tuple[float, float]], phase: dict[str, Any]) -> str:
    edge = min(EDGE_SECONDS, (phase["end"] - phase["start"]) / 4)
    inside = [value for time, value in points if phase["start"] + edge <= time <= phase["end"] - edge]
    return _number(fmean(inside)) if inside else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
