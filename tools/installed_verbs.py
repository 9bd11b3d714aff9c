"""Run every verb of an installation that has one extra: `python -m tools.installed_verbs EXTRA`; none and all are some.

A verb that the extra carries must work; any other must end with exit 2 and the one line that names the missing extra.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tools.readme_commands import SERVES, run

PAGE: Final = '# HELP host_load1 Load.\n# TYPE host_load1 gauge\nhost_load1{node="n1"} 0.5 1750000000\n# EOF\n'
RECORDING: Final = (  # a header and an end: {"schema": "warpgauge.recording/v1", ...} {"t": 0.0, "end": "done"}
    "KLUv/SC4BQQA0scYGJA7B2j6vQVrmp/dINtxd9HMDDTy5GgKAkD0ZWU9v3jz8RAQsWtK39sIH8hKi8/C7nha+3DJ05/vbVyvp2U65tciUN/TEAyF"
    "QeRja4RPJxqBsVutqO1gGaNsaXWe17dNwUMBCgB1EIPULWCUl1EyA0pcAAYwIYzCHO8DKAM="
)
TABLE: Final = (  # Parquet: timestamp, metric, value and node of one sample of host_load1
    "UEFSMRUAFRwVHCwVAhUAFQYVBhwAAAACAAAAAgEAYFugnTcGABUAFSgVKCwVAhUAFQYVBhwAAAACAAAAAgEKAAAAaG9zdF9sb2FkMRUAFRwVHCwV"
    "AhUAFQYVBhwAAAACAAAAAgEAAAAAAADgPxUAFRgVGCwVAhUAFQYVBhwAAAACAAAAAgECAAAAbjEVBBlcNQAYBnNjaGVtYRUIABUEJQIYCXRpbWVz"
    "dGFtcCUUTIwRHCwAAAAAABUMJQIYBm1ldHJpYyUATBwAAAAVCiUCGAV2YWx1ZQAVDCUCGARub2RlJQBMHAAAABYCGRwZTCYAHBUEGSUGABkYCXRp"
    "bWVzdGFtcBUAFgIWQhZCJghJHBUAFQAVAgA8KQYZJgACAAAAJgAcFQwZJQYAGRgGbWV0cmljFQAWAhZOFk4mSkkcFQAVABUCADwWFBkGGSYAAgAA"
    "ACYAHBUKGSUGABkYBXZhbHVlFQAWAhZCFkImmAFJHBUAFQAVAgA8KQYZJgACAAAAJgAcFQwZJQYAGRgEbm9kZRUAFgIWPhY+JtoBSRwVABUAFQIA"
    "PBYEGQYZJgACAAAAFpACFgImCBaQAgAoIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjYuMC4xGUwcAAAcAAAcAAAcAAAAYAEAAFBBUjE="
)
HISTORY: Final = '[analyzer]\ndata_directory = "data"\n[history]\nenabled = true\n'
WEB_CONFIG: Final = "basic_auth_users:\n  prometheus: $2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi\n"
PUSH: Final = """[analyzer]
data_directory = "data"
[remote_write]
url = "http://127.0.0.1:9/api/v1/write"
[otlp]
url = "http://127.0.0.1:9/v1/metrics"
"""
GRPC: Final = """[analyzer]
data_directory = "data"
[otlp]
url = "http://127.0.0.1:9"
protocol = "grpc"
[otlp_logs]
url = "http://127.0.0.1:9"
protocol = "grpc"
"""
FLUENTD: Final = '[analyzer]\ndata_directory = "data"\n[fluentd]\nservers = ["127.0.0.1:9"]\n'
EXTRAS: Final = {
    "none": frozenset[str](),
    "analyzer": frozenset({"analyzer"}),
    "dashboards": frozenset({"dashboards"}),
    "fluentd": frozenset({"fluentd"}),
    "forest": frozenset({"analyzer", "forest"}),
    "grpc": frozenset({"push", "grpc"}),
    "history": frozenset({"analyzer", "history"}),
    "push": frozenset({"push"}),
    "record": frozenset({"record"}),
    "remote-write": frozenset({"analyzer", "remote-write"}),
    "web-config": frozenset({"web-config"}),
    "all": frozenset(
        {
            "analyzer",
            "dashboards",
            "fluentd",
            "forest",
            "grpc",
            "history",
            "push",
            "record",
            "remote-write",
            "web-config",
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A verb with arguments that must work where the extras it needs are installed."""

    arguments: str
    needs: frozenset[str] = frozenset()
    works_with: frozenset[str] = frozenset()  # an extra that happens to bring the same library


CALLS: Final = (
    Call("--help"),
    Call("catalog --family training"),
    Call("config check"),
    Call("simulate scenario.toml --out simulated"),
    Call("doctor"),
    Call("agent --web.listen-address=127.0.0.1:0"),
    Call("--config guarded.toml config check", frozenset({"web-config"})),
    Call("agent --config fluentd.toml --web.listen-address=127.0.0.1:0", frozenset({"fluentd"})),
    Call("agent --config push.toml --web.listen-address=127.0.0.1:0", frozenset({"push"})),
    Call("agent --config grpc.toml --web.listen-address=127.0.0.1:0", frozenset({"push", "grpc"})),
    Call("analyze page.om", frozenset({"analyzer"})),
    Call("analyze table.csv", frozenset({"analyzer"})),
    Call("analyze table.parquet", frozenset({"analyzer", "history"})),
    Call("detect series.csv", frozenset({"analyzer"})),
    Call("analyzer --web.listen-address=127.0.0.1:0", frozenset({"analyzer"})),
    Call("analyzer --config history.toml --web.listen-address=127.0.0.1:0", frozenset({"analyzer", "history"})),
    Call("analyzer --remote-write --web.listen-address=127.0.0.1:0", frozenset({"analyzer", "remote-write"})),
    Call("up --web.listen-address=127.0.0.1:0 --agent.listen-address=127.0.0.1:0", frozenset({"analyzer"})),
    Call("generate dashboards --out dashboards", frozenset({"dashboards"})),
    Call("generate alerts --out alerts", frozenset({"dashboards"}), works_with=frozenset({"web-config"})),  # PyYAML
    Call("record --help"),
    Call("replay recording.jsonl.zst", frozenset({"record"})),
    Call("generate docs --out docs", frozenset({"analyzer"})),
)


def problem_of(call: Call, extras: frozenset[str], program: str, directory: Path) -> str | None:
    """None if the call behaves as it must with these extras installed, else what it did instead."""
    command = f"{shlex.quote(program)} {call.arguments}"
    if call.needs <= extras or call.works_with & extras:
        return run(command, directory)
    done = subprocess.run(["sh", "-c", command], cwd=directory, text=True, capture_output=True, check=False, timeout=60)
    names_extra = any(f"pip install '.[{extra}]'" in done.stderr for extra in call.needs - extras)
    if done.returncode == 2 and names_extra and len(done.stderr.splitlines()) == 1:  # noqa: PLR2004 - wrong use, as everywhere
        return None
    return f"expected one line that names the missing extra, got exit {done.returncode}: {done.stderr.strip()}"


def main(arguments: list[str]) -> int:
    """Run all calls with the program beside this Python."""
    extras = EXTRAS[arguments[0]]
    program = str(Path(sys.executable).parent / "warpgauge")
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, "page.om").write_text(PAGE)
        Path(scratch, "table.csv").write_text("timestamp,metric,value,node\n1750000000,host_load1,0.5,n1\n")
        Path(scratch, "table.parquet").write_bytes(b64decode(TABLE))
        Path(scratch, "history.toml").write_text(HISTORY)
        Path(scratch, "web-config.yml").write_text(WEB_CONFIG)
        Path(scratch, "guarded.toml").write_text('[web]\nconfig_file = "web-config.yml"\n')
        Path(scratch, "push.toml").write_text(PUSH)
        Path(scratch, "grpc.toml").write_text(GRPC)
        Path(scratch, "fluentd.toml").write_text(FLUENTD)
        Path(scratch, "recording.jsonl.zst").write_bytes(b64decode(RECORDING))
        Path(scratch, "scenario.toml").write_text('schema = "warpgauge.scenario/v1"\nduration_seconds = 60\n')
        Path(scratch, "series.csv").write_text("timestamp,value\n1750000000,1.5\n")
        for call in CALLS:
            print(
                f"$ warpgauge {call.arguments}{' (serves)' if SERVES.search(f'warpgauge {call.arguments}') else ''}",
                flush=True,
            )
            problem = problem_of(call, extras, program, Path(scratch))
            if problem:
                print(f"warpgauge {call.arguments} with {arguments[0]}: {problem}", file=sys.stderr)
                failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
