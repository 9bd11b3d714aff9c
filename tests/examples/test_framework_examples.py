"""The step timer in frameworks: against stubs of what each calls, in its documented order.

No framework is installed for these tests. A stub stands for the few names that an example imports; it proves what the
example does when it is called so, not that a release of the framework calls it so: PyTorch's loops run with torch
itself in test_torch_loops.py, where there is one.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "01-step-timer"


class Diary:
    """A timer that writes down what begins and ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self) -> Any:
        return _Part(self.lines, "step")

    def phase(self, name: str) -> Any:
        return _Part(self.lines, name)

    def input(self, loader: Any) -> Any:
        for item in loader:
            self.lines.append("input")
            yield item

    def close(self) -> None:
        self.lines.append("closed")


class _Part:
    def __init__(self, lines: list[str], name: str) -> None:
        self.lines, self.name = lines, name

    def __enter__(self) -> None:
        self.lines.append(f"{self.name}(")

    def __exit__(self, *_: object) -> None:
        self.lines.append(f"){self.name}")


def stub(monkeypatch: pytest.MonkeyPatch, name: str, **contents: object) -> None:
    """A module under this name, and empty ones above it."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:end]), ModuleType(".".join(parts[:end])))
    vars(sys.modules[name]).update(contents)


def example(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.delitem(sys.modules, "between_steps", raising=False)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Tensor:
    """As much of a loss as a loop asks."""

    def __init__(self, did: list[str], value: float) -> None:
        self.did, self.value = did, value

    def backward(self) -> None:
        self.did.append("backward")

    def item(self) -> float:
        self.did.append("item")
        return self.value


def test_the_pytorch_loop_waits_for_the_loss_within_each_step(monkeypatch):
    stub(monkeypatch, "torch")
    diary = Diary()
    did = diary.lines
    optimizer = SimpleNamespace(zero_grad=lambda: did.append("zero"), step=lambda: did.append("update"))
    train = example(monkeypatch, "pytorch_loop").train

    loss = train(lambda x: x, [(1, 2), (3, 4)], optimizer, lambda _, wanted: Tensor(did, wanted), diary)

    one = ["input", "step(", "zero", "backward", "update", "item", ")step"]
    assert (loss, did) == (4, [*one, *one, "closed"])


def test_the_jax_loop_waits_for_the_loss_within_each_step(monkeypatch):
    diary = Diary()
    stub(monkeypatch, "jax", block_until_ready=lambda loss: diary.lines.append(f"waited for {loss}"))
    train = example(monkeypatch, "jax_loop").train

    state = train(lambda state, batch: (state + batch, -batch), 0, [1, 2], diary)

    one = ["input", "step(", "waited for -1", ")step"]
    assert (state, diary.lines) == (3, [*one, *[line.replace("-1", "-2") for line in one], "closed"])


def test_lightnings_validation_counts_as_no_wait_for_input(monkeypatch):
    stub(monkeypatch, "lightning.pytorch.callbacks", Callback=object)
    diary = Diary()
    times = example(monkeypatch, "lightning_callback").StepTimes(diary)

    times.on_train_epoch_start(None, None)
    times.on_train_batch_start(None, None, "batch", 0)
    times.on_train_batch_end(None, None, "outputs", "batch", 0)
    times.on_validation_start(None, None)
    times.on_validation_end(None, None)
    times.on_train_end(None, None)

    assert diary.lines == [
        *("input(", ")input", "step(", ")step", "input(", ")input"),
        *("other(", ")other", "input(", ")input", "closed"),
    ]


@pytest.mark.parametrize(
    ("evaluates", "saves", "between"),
    [
        (False, False, ["input"]),
        (True, False, ["other", "input"]),
        (False, True, ["checkpoint", "input"]),
        (True, True, ["other", "checkpoint", "input"]),
    ],
)
def test_what_a_trainer_of_transformers_does_between_steps_has_its_own_name(monkeypatch, evaluates, saves, between):
    stub(monkeypatch, "transformers", TrainerCallback=object)
    diary = Diary()
    times = example(monkeypatch, "transformers_callback").StepTimes(diary)
    control = SimpleNamespace(should_evaluate=evaluates, should_save=saves)

    times.on_epoch_begin("args", "state", control, model=None)
    times.on_step_begin("args", "state", control, model=None)
    times.on_step_end("args", "state", control, model=None)
    if evaluates:
        times.on_evaluate("args", "state", control, metrics={})
    if saves:
        times.on_save("args", "state", control)
    times.on_step_begin("args", "state", control, model=None)
    times.on_train_end("args", "state", control)

    begun = [line[:-1] for line in diary.lines if line.endswith("(")]
    assert begun == ["input", "step", *between, "step"]
    assert diary.lines[-2:] == [")step", "closed"]
