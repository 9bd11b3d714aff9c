"""The verbs, one module each, imported only when used.

A module gives `add_arguments(parser)`, `run(args, config) -> int` and, if its flags set configuration,
`overrides(args) -> dict[str, str]` with keys such as "agent.listen_address".
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol, cast

from warpgauge.core.errors import MissingExtraError

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config

__all__ = ["VERBS", "Verb", "VerbModule", "available", "missing_extra"]


class VerbModule(Protocol):
    """What a verb's module gives; `overrides(args)` is optional and looked up by name."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the verb's own flags."""

    def run(self, args: argparse.Namespace, config: Config) -> int:
        """Do it; 0 fine, 1 found something."""


@dataclass(frozen=True, slots=True)
class Verb:
    """A verb and its line in the help."""

    name: str
    help: str

    @property
    def module(self) -> str:
        """Where its code is."""
        return f"{__name__}.{self.name}"

    def load(self) -> VerbModule:
        """Import the verb's code; a missing extra is a MissingExtraError with the mend."""
        try:
            return cast(VerbModule, import_module(self.module))
        except ModuleNotFoundError as error:
            raise missing_extra(self.name, error) from error


VERBS: Final = (
    Verb("up", "agent, analyzer and console in one, on this machine"),
    Verb("agent", "read this machine's devices and serve them to Prometheus"),
    Verb("analyzer", "watch agents or a Prometheus; console, API and findings"),
    Verb("analyze", "look once at a Prometheus, a page or a file and print the findings"),
    Verb("findings", "print what a running analyzer has found, with the ids that dismiss takes"),
    Verb("explain", "say what a job is bound by, with its numbers and what to do about it"),
    Verb("silence", "mute the findings of a scope for a time, list or end that"),
    Verb("dismiss", "raise the bar for a finding's cause at its place"),
    Verb("detect", "score one series from a file: how unusual is each value"),
    Verb("plan", "say where waiting pods should go and which moves would make room, on CSV files or a live cluster"),
    Verb("simulate", "play a scenario: samples of a made-up fleet, and the truth about what is wrong with it"),
    Verb("executor", "follow recommendations on a scheduling core, and say how it went"),
    Verb("approve", "agree to a recommendation, so that an executor may follow it"),
    Verb("reject", "refuse a recommendation"),
    Verb("undo", "take back what was executed on a recommendation"),
    Verb("pause", "recommend nothing new and let nobody act"),
    Verb("resume", "go on after a pause"),
    Verb("mode", "show what another mode would change, and put it in force"),
    Verb("audit", "check that nobody changed the log of approvals, acks and verifications"),
    Verb("generate", "write dashboards, alerts or docs from the catalog"),
    Verb("catalog", "list every metric"),
    Verb("doctor", "say what can be read on this machine, what cannot and what to do about it"),
    Verb("record", "write down every call to the NVIDIA driver, with identities masked"),
    Verb("replay", "feed a recording to the collector again and print the page"),
    Verb("config", "show the settings in force, or check them"),
)

_EXTRAS: Final = {
    "numpy": ("numpy", "analyzer"),
    "grafanalib": ("grafanalib", "dashboards"),
    "yaml": ("PyYAML", "dashboards"),
    "standardwebhooks": ("standardwebhooks", "webhook"),
    "bcrypt": ("bcrypt", "web-config"),
    "backports": ("backports.zstd", "record"),
}


def available() -> dict[str, Verb]:
    """The verbs whose code is installed, by name."""
    return {verb.name: verb for verb in VERBS if find_spec(verb.module) is not None}


def missing_extra(verb: str, error: ModuleNotFoundError) -> Exception:
    """The error to show for a failed import: the extra that brings the package, or `error` if none does."""
    package, extra = _EXTRAS.get((error.name or "").partition(".")[0], ("", ""))
    return MissingExtraError(what=f"warpgauge {verb}", package=package, extra=extra) if extra else error
