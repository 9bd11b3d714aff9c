"""Everything that is to be learnt from a real GPU in one unattended run of about four minutes.

    python benchmarks/workloads/record_gpu.py --out captures      on a machine with a driver, and torch if there is
    python benchmarks/workloads/record_gpu.py --out captures --seconds 5 --no-phases

1. `nvidia-smi -q -x` before; 2. `warpgauge record --all-ids`, and beside it gpu_phases.py, with `nvidia-smi -q -x` in
the middle of each phase; 3. `nvidia-smi -q -x` after; 4. what came of it, in the folder:

    MACHINE-DRIVER.jsonl.zst   the recording, identities masked: goes to tests/recordings
    phases.json                which phase ran when, and the finding that is expected of it
    smi-*.xml                  nvidia-smi's answers, identities taken out
    comparison.txt, .json      every value that both have, and whether they agree
    every-id.txt, .json        each field id and GPM id: name, return code, value, latency
    signature.txt              what each phase looks like in the metrics
    report.txt                 what worked and what did not

A part that fails is noted in the report and the others go on. Exit 1 if a value disagrees or a part failed.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.workloads import results, smi

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import IO

HERE = Path(__file__).resolve().parent
START_SECONDS = 20.0  # for the recorder to open the driver and ask for every id
SMI_SECONDS = 60.0
FAREWELL_SECONDS = 60.0


@dataclass
class Outcome:
    """What worked and what did not."""

    parts: list[tuple[str, str]] = field(default_factory=list)  # part, "ok" or what went wrong
    asked: list[tuple[str, float, str]] = field(default_factory=list)  # place, time, nvidia-smi's answer

    def attempt(self, part: str, do: Callable[[], str | None]) -> None:
        """Do a part; whatever it raises is noted."""
        try:
            self.parts.append((part, do() or "ok"))
        except Exception as error:  # noqa: BLE001 - unattended: the other parts are worth having
            self.parts.append((part, f"FAILED: {error!r}"))
        print(f"{part}: {self.parts[-1][1]}", flush=True)

    @property
    def has_failed(self) -> bool:
        """Whether a part failed or a value disagrees."""
        return any("FAILED" in what or "DISAGREE" in what for _, what in self.parts)


class Run:
    """One run into one folder."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._out: Path = args.out
        self._outcome = Outcome()
        self._recording = args.out  # the file, once there is one
        self._dump: Path | None = None  # the file with every id; the same one if all goes well
        self._phases = args.out / "phases.json"

    def go(self) -> int:
        """All parts in order; the exit status."""
        self._out.mkdir(parents=True, exist_ok=True)
        attempt = self._outcome.attempt
        attempt("nvidia-smi before", lambda: self._ask_smi("before"))
        attempt("recording and phases", self._record)
        attempt("nvidia-smi after", lambda: self._ask_smi("after"))
        attempt("name", self._name)
        attempt("comparison", lambda: results.write_comparison(self._out, self._recording, self._outcome.asked))
        attempt("every id", lambda: results.write_every_id(self._out, self._dump or self._recording))
        attempt("signature", lambda: results.write_signature(self._out, self._recording, self._phases))
        lines = [f"{part}: {what}\n" for part, what in self._outcome.parts]
        (self._out / "report.txt").write_text("".join(lines), encoding="utf-8")
        self._show_disagreements()
        return int(self._outcome.has_failed)

    def _show_disagreements(self) -> None:
        """The head of the table, where they stand; all of it is in the folder."""
        table = self._out / "comparison.txt"
        if table.exists():
            lines = table.read_text(encoding="utf-8").splitlines()
            print("\n".join([lines[0], *(line for line in lines[1:] if line.startswith("DISAGREE"))]))

    def _ask_smi(self, place: str) -> str:
        """nvidia-smi's answer; the time is the middle of the call."""
        begun = time.time()
        command = [self._args.nvidia_smi, "-q", "-x"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SMI_SECONDS)
        took = time.time() - begun
        kept = smi.masked(done.stdout)
        (self._out / f"smi-{place}.xml").write_text(kept, encoding="utf-8")
        self._outcome.asked.append((place, begun + took / 2, kept))
        return f"ok, took {took:.2f} s"

    def _record(self) -> str:
        """Record, and beside it run the phases; ends well whatever happens to either."""
        with (self._out / "record.json").open("w") as summary:
            recorder = self._start(summary)
            if recorder is None:
                return "FAILED: nothing can be recorded here, see stderr"
            try:
                said = "no phases asked for" if self._args.no_phases else self._run_phases()
                if not self._phases.exists():
                    self._idle()
            finally:
                if recorder.poll() is None:
                    recorder.send_signal(signal.SIGINT)
                status = recorder.wait(FAREWELL_SECONDS)
        return f"{'' if status == 0 else 'FAILED: '}recorder ended with {status}; {said}"

    def _start(self, summary: IO[str]) -> subprocess.Popen[Any] | None:
        """A recorder that has asked for every id; one that broke over them is followed by one that asks for none."""
        for name, more in (("recording.jsonl.zst", ["--all-ids"]), ("recording-without-ids.jsonl.zst", [])):
            self._recording = self._out / name
            self._dump = self._dump or self._recording
            command = [sys.executable, "-m", "warpgauge", "record", "--out", str(self._recording), "--json", *more]
            command += ["--seconds", str(self._args.most_seconds)]
            recorder = subprocess.Popen(command, stdout=summary)
            _wait_while(recorder, self._args.start_seconds)
            if recorder.poll() is None:
                return recorder
            self._outcome.parts.append((name, f"FAILED: the recorder ended with {recorder.returncode} at its start"))
        return None

    def _idle(self) -> None:
        """Without a workload an idle GPU is recorded: that is worth having too."""
        time.sleep(self._args.seconds / 2)
        self._outcome.attempt("nvidia-smi during idle", lambda: self._ask_smi("idle"))
        time.sleep(self._args.seconds / 2)

    def _run_phases(self) -> str:
        """Follow the workload; nvidia-smi is asked in the middle of each phase."""
        command = [sys.executable, str(HERE / "gpu_phases.py"), "--device", self._args.device]
        command += ["--seconds", str(self._args.seconds), "--out", str(self._phases)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as workload:
            for line in workload.stdout or ():
                begins = json.loads(line)["begins"]
                time.sleep(self._args.seconds / 2)
                self._outcome.attempt(f"nvidia-smi during {begins}", lambda name=begins: self._ask_smi(name))
            status = workload.wait()
        return "phases ok" if status == 0 else f"FAILED: phases ended with {status}, see stderr"

    def _name(self) -> str:
        """Name the recording after its machine and driver."""
        if not self._recording.is_file():
            return "FAILED: there is no recording"
        model, driver = results.machine(self._recording)
        word = re.sub(r"[^a-z0-9]+", "-", f"{model}-{driver}".lower()).strip("-")
        named = self._out / f"{word}.jsonl.zst"
        self._dump = named if self._dump == self._recording else self._dump
        self._recording = self._recording.rename(named)
        return named.name


def _wait_while(process: subprocess.Popen[Any], seconds: float) -> None:
    """Give it time to start; no longer than it lives."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="new folder")
    parser.add_argument("--device", default="cuda", help="of the workload: cuda or cpu")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase (default 20)")
    parser.add_argument("--start-seconds", type=float, default=START_SECONDS, help="head start of the recorder")
    parser.add_argument("--most-seconds", type=float, default=1500.0, help="after which the recorder ends by itself")
    parser.add_argument("--no-phases", action="store_true", help="record an idle GPU only")
    parser.add_argument("--nvidia-smi", default=shutil.which("nvidia-smi") or "nvidia-smi", help="the program")
    args = parser.parse_args(arguments)
    if args.out.exists() and any(args.out.iterdir()):
        print(f"{args.out} is not empty; name a new folder", file=sys.stderr)
        return 2
    return Run(args).go()


if __name__ == "__main__":
    sys.exit(main())
