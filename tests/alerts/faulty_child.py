# ruff: noqa: N802 - the names are NVML's own
"""The agent's real child program over a fake driver that a script makes ill: `faulty_child.py SCRIPT PROFILE...`.

Beside the words of `obey_script`, a line is `set GPU ATTRIBUTE NUMBER`, `remapped GPU N N N N`, `banks GPU LOW`,
`lanes GPU N`, `slow GPU SHARE`, `crawl GPU SECONDS` (of each reading), `field GPU NAME NUMBER [SCOPE]`,
`grow GPU NAME PER_SECOND SINCE` (monotonic time) or `fabric GPU STATE HEALTH`; GPU may be `all`. What is set is what a
board or its driver says, never a series of ours.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import pynvml

from tests.fakes.nvml_abi import FIELD, OK, FakeGpu, FakeNvml, installed, obey_script
from tests.fakes.nvml_abi_families import FakeFabric
from tests.fakes.nvml_profiles import PROFILES
from warpgauge.exporters.child import serve
from warpgauge.exporters.collectors.nvml import NvmlCollector

UNSIGNED = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG


class FaultyGpu(FakeGpu):
    """A board that can be ill."""

    def __init__(self, index, profile):
        super().__init__(index, profile)
        self.banks_low = 0
        self.lanes = 16
        self.clock_share = 1.0
        self.crawl_seconds = 0.0
        self.set_fields: dict[tuple[int, int | None], int] = {}
        self.growing: dict[int, tuple[float, float]] = {}

    def field(self, number, scope, seconds):
        if number in self.growing:
            rate, since = self.growing[number]
            return OK, UNSIGNED, int(rate * (time.monotonic() - since))
        for key in ((number, scope), (number, None)):
            if key in self.set_fields:
                return OK, UNSIGNED, self.set_fields[key]
        return super().field(number, scope, seconds)


class FaultyNvml(FakeNvml):
    """A driver that tells what is set."""

    def __init__(self, profiles):
        super().__init__(profiles)
        self.gpus = [FaultyGpu(index, profile) for index, profile in enumerate(profiles)]
        self.stamp = 0

    def obey(self, script: Path) -> None:
        """Take over what the script sets, if it is another one than before."""
        stamp = script.stat().st_mtime_ns
        if stamp == self.stamp:
            return
        self.stamp = stamp
        for word, *rest in map(str.split, script.read_text(encoding="ascii").splitlines()):
            for gpu in self.gpus:
                if rest and rest[0] in {str(gpu.index), "all"} and isinstance(gpu, FaultyGpu):
                    self.one(gpu, word, rest[1:])

    def one(self, gpu: FaultyGpu, word: str, rest: list[str]) -> None:
        match word, rest:
            case "set", [name, value]:
                setattr(gpu, name, int(value))
            case "remapped", values:
                gpu.remapped = tuple(map(int, values))
            case "banks", [low]:
                gpu.banks_low = int(low)
            case "lanes", [lanes]:
                gpu.lanes = int(lanes)
            case "slow", [share]:
                gpu.clock_share = float(share)
            case "crawl", [seconds]:
                gpu.crawl_seconds = float(seconds)
            case "field", [name, value, *scope]:
                gpu.set_fields[FIELD[f"NVML_FI_DEV_{name}"], int(scope[0]) if scope else None] = int(value)
            case "grow", [name, rate, since]:
                gpu.growing[FIELD[f"NVML_FI_DEV_{name}"]] = (float(rate), float(since))
            case "fabric", [state, health]:
                self.fabrics[gpu.index] = FakeFabric(state=int(state), summary=int(health))

    def _nvmlDeviceGetCurrPcieLinkWidth(self, _name, gpu, out) -> int:
        out._obj.value = gpu.lanes
        return OK

    def _nvmlDeviceGetMaxPcieLinkWidth(self, _name, _gpu, out) -> int:
        out._obj.value = 16
        return OK

    def _nvmlDeviceGetRowRemapperHistogram(self, _name, gpu, out) -> int:
        code = super()._nvmlDeviceGetRowRemapperHistogram(_name, gpu, out)
        out._obj.low = gpu.banks_low
        return code

    def _nvmlDeviceGetClockInfo(self, _name, gpu, kind, out) -> int:
        return self._clock(gpu, kind, out, 0.9 * gpu.clock_share)


if __name__ == "__main__":
    path, *profiles = sys.argv[1:]
    fake = FaultyNvml([PROFILES[name] for name in profiles])
    fake.ring_clock = time.monotonic
    obey_script(fake, path)
    suffer = fake.before_call

    def before_call(function, gpu):
        fake.obey(Path(path))
        if function == "nvmlDeviceGetUtilizationRates" and gpu is not None:
            time.sleep(gpu.crawl_seconds)
        return suffer(function, gpu)

    fake.before_call = before_call
    with installed(fake):
        serve(NvmlCollector())
