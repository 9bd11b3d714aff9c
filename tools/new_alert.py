"""`make new-alert NAME=DeviceTooHot`: a complete alert to change into your own: rule, runbook, unit test, registration.

What it writes works and passes CI as it is: the example fires for a device whose core stays above 85 degrees.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]

RULE: Final = '''\
"""Rules about devices that stay hot; an example to change into your own."""

from __future__ import annotations

from typing import Final

from warpgauge.alerts.rule import Group, Rule
from warpgauge.core.catalog import device
from warpgauge.core.finding import Severity
from warpgauge.core.promql import aggregate, select

__all__ = ["GROUP"]

DEVICE: Final = ("cluster", "node", "uuid", "index")

_HOTTEST: Final = aggregate("max", select(device.TEMPERATURE, sensor="core"), by=DEVICE)

GROUP: Final = Group(
    name="@STEM@",
    rules=(
        Rule(
            alert="@NAME@",
            expr=f"{_HOTTEST} > 85",
            hold="10m",
            labels=DEVICE,
            severity=Severity.WARNING,
            scope="device",
            dashboard="fleet",
            summary="{{ $labels.node }}/gpu{{ $labels.index }} is at {{ $value }} °C",
            description="""
                The core of device {{ $labels.uuid }} on {{ $labels.node }} stayed above 85 °C for 10 minutes. First
                look: its neighbors' temperatures.
            """,
        ),
    ),
)
'''

RUNBOOK: Final = """\
# @NAME@

## Meaning

The core of a device stayed above 85 °C for ten minutes.

## First look

The temperature beside the neighbors in the same node: `accel_temperature_celsius{node="NODE",sensor="core"}`. One hot
device is its own cooling; all of them are the inlet air.

## Mend

Check fans, air filter and heat sink of the device; until then lower its power limit a little.

## When to silence

During planned work on the cooling.

## How it was tested

`promtool test rules alerts/unit/@STEM@.yaml` on the generated file: it fires after ten minutes at 90 °C; it stays
silent at 80 °C and for a peak of five minutes.
"""

UNIT_TEST: Final = """\
# Rule tests for promtool: `promtool test rules alerts/unit/@STEM@.yaml`. One case fires, one stays silent.
rule_files:
  - ../generated/@STEM@.yml
evaluation_interval: 30s
tests:
  - name: @NAME@ fires for a device that stays hot
    interval: 30s
    input_series:
      - series: 'accel_temperature_celsius{cluster="c1",node="n1",uuid="GPU-1",index="0",sensor="core"}'
        values: '90x60'
    alert_rule_test:
      - eval_time: 12m
        alertname: @NAME@
        exp_alerts:
          - exp_labels:
              cluster: c1
              node: n1
              uuid: GPU-1
              index: '0'
              severity: warning
              scope: device
            exp_annotations:
              summary: n1/gpu0 is at 90 °C
              description: >-
                The core of device GPU-1 on n1 stayed above 85 °C for 10 minutes. First look: its neighbors'
                temperatures.
              runbook_url: http://127.0.0.1:9838/runbooks/@NAME@
              dashboard_url: http://127.0.0.1:3000/d/warpgauge-fleet/fleet?var-cluster=c1&var-node=n1
  - name: @NAME@ stays silent for a warm device and for a short peak
    interval: 30s
    input_series:
      - series: 'accel_temperature_celsius{cluster="c1",node="n1",uuid="GPU-1",index="0",sensor="core"}'
        values: '80x60'
      - series: 'accel_temperature_celsius{cluster="c1",node="n1",uuid="GPU-2",index="1",sensor="core"}'
        values: '70x4 90x10 70x40'
    alert_rule_test:
      - eval_time: 6m
        alertname: @NAME@
        exp_alerts: []
      - eval_time: 20m
        alertname: @NAME@
        exp_alerts: []
"""

EXCUSES: Final = {
    "alerts/warpgauge/alerts/dcgm.py": '    "@NAME@": "it was not written over DCGM\'s series yet",\n',
    "tests/alerts/faults.py": '    "@NAME@": "promtool only so far",\n',
}
"""Where tests ask for every alert: over DCGM's series too, and fired by its fault."""


class WrongUseError(Exception):
    """The name cannot be an alert's; one sentence."""


def main(arguments: list[str]) -> int:
    """Write the files, regenerate what follows from them, say what to do next."""
    try:
        name, stem = names(arguments[0] if arguments else "")
        paths = write(name, stem, ROOT)
    except WrongUseError as error:
        sys.stderr.write(f"new-alert: {error}\n")
        return 2
    for target in (("alerts",), ("alerts", "--format", "kubernetes"), ("docs",)):
        command = [sys.executable, "-m", "warpgauge", "generate", *target]
        subprocess.run(command, cwd=ROOT, check=True, stdout=sys.stderr)
    sys.stdout.write("".join(f"{path.relative_to(ROOT)}\n" for path in paths))
    sys.stdout.write(
        f"Change the example in alerts/warpgauge/alerts/{stem}.py into your rule, then: make generate test\n"
    )
    return 0


def names(given: str) -> tuple[str, str]:
    """CamelCase name of the alert and snake_case name of its file, from either; WrongUseError for anything else."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([_-][A-Za-z0-9]+)*", given):
        msg = f"NAME must be letters and digits such as DeviceTooHot, got {given!r}: make new-alert NAME=DeviceTooHot"
        raise WrongUseError(msg)
    name = "".join(word[0].upper() + word[1:] for word in re.split(r"[_-]", given))
    stem = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    return name, stem


def write(name: str, stem: str, root: Path) -> list[Path]:
    """Write rule, runbook and unit test, and register the group; WrongUseError if any of them is taken."""
    texts = {
        root / f"alerts/warpgauge/alerts/{stem}.py": RULE,
        root / f"alerts/runbooks/{name}.md": RUNBOOK,
        root / f"alerts/unit/{stem}.yaml": UNIT_TEST,
    }
    taken = [str(path.relative_to(root)) for path in texts if path.exists()]
    if taken:
        msg = f"{', '.join(taken)} is there already: take another NAME"
        raise WrongUseError(msg)
    for path, text in texts.items():
        path.write_text(text.replace("@NAME@", name).replace("@STEM@", stem), encoding="utf-8")
    groups = root / "alerts/warpgauge/alerts/groups.py"
    groups.write_text(registered(groups.read_text(encoding="utf-8"), stem), encoding="utf-8")
    return [*texts, groups, *(_excused(root / path, line.replace("@NAME@", name)) for path, line in EXCUSES.items())]


def _excused(path: Path, line: str) -> Path:
    """Say at the head of a table what the new alert does not have yet, until somebody writes it."""
    source = path.read_text(encoding="utf-8")
    head = re.search(r"^NOT_[A-Z]+: Final = \{\n", source, re.MULTILINE)
    if head is None:
        msg = f"{path} has no table to say in what the alert lacks"
        raise WrongUseError(msg)
    path.write_text(f"{source[: head.end()]}{line}{source[head.end() :]}", encoding="utf-8")
    return path


def registered(source: str, stem: str) -> str:
    """The text of groups.py with one more group, in alphabetical order."""
    stems = sorted({*re.findall(r"^    (\w+)\.GROUP,$", source, re.MULTILINE), stem})
    one_line = f"from warpgauge.alerts import {', '.join(stems)}\n"
    lines = "from warpgauge.alerts import (\n" + "".join(f"    {one},\n" for one in stems) + ")\n"
    imports = one_line if len(one_line) <= 120 else lines  # noqa: PLR2004 - ruff's line length
    source = re.sub(r"from warpgauge\.alerts import (\([^)]*\)|[^\n]*)\n", lambda _: imports, source, count=1)
    return re.sub(r"(    \w+\.GROUP,\n)+", "".join(f"    {one}.GROUP,\n" for one in stems), source, count=1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
