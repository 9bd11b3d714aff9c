"""What NVIDIA's driver errors (XIDs) mean, who is at fault and what to do: the one table of them.

Facts are those of NVIDIA's public catalog (https://docs.nvidia.com/deploy/xid-errors/, state of 2025-10-29), beside
what NVSentinel (its mapping for Kubernetes) and gpud make of the same numbers. Where the three disagree the entry says
so, and `with_overrides` lets a site decide otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import ConfigError
from warpgauge.core.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["CATALOG", "STICKY", "Action", "Blame", "Xid", "entry_of", "with_overrides"]

SOURCE: Final = "NVIDIA XID catalog, 2025-10-29"
STICKY: Final = frozenset({74, 79, 95, 109, 119})
"""These come back for hours until the device is reset or replaced (NVSentinel, charts/health-events-analyzer)."""


class Blame(StrEnum):
    """Who is at fault most of the time; hardware advice needs `hardware`."""

    APPLICATION = "application"
    HARDWARE = "hardware"
    INFORMATIONAL = "informational"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What to do at once."""

    IGNORE = "ignore"
    RESTART_APPLICATION = "restart_application"
    RESTART_FABRIC_MANAGER = "restart_fabric_manager"
    RESET_DEVICE = "reset_device"
    RESTART_NODE = "restart_node"
    CHECK_POWER_CABLES = "check_power_cables"
    INSPECT = "inspect"  # NVIDIA gives a workflow: the details of the line decide
    READ_RECOVERY_ACTION = "read_recovery_action"
    CONTACT_SUPPORT = "contact_support"

    @property
    def severity(self) -> Severity:
        """How soon a person should look when the hardware is at fault."""
        if self in {Action.IGNORE, Action.RESTART_APPLICATION}:
            return Severity.INFO
        is_mild = self in {Action.RESTART_FABRIC_MANAGER, Action.READ_RECOVERY_ACTION}
        return Severity.WARNING if is_mild else Severity.CRITICAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Xid:
    """One number of the catalog; `then` is what to do when the immediate action did not help."""

    number: int
    meaning: str
    blame: Blame
    action: Action
    then: str = ""
    disagreement: str = ""  # what other public tables make of it
    source: str = SOURCE

    @property
    def severity(self) -> Severity:
        """Information for what an application did, else as urgent as the action."""
        if self.blame in {Blame.APPLICATION, Blame.INFORMATIONAL}:
            return Severity.INFO
        return Severity.WARNING if self.action is Action.RESTART_APPLICATION else self.action.severity


_SUPPORT: Final = "If it comes back, contact NVIDIA's support with nvidia-bug-report.sh."
_DIAGNOSE: Final = "If it repeats on the same TPC and GPC, run the field diagnostic; alone, check the application."
_DIFFER: Final = "the public tables differ on how serious it is"
_APP, _HW, _INFO = Blame.APPLICATION, Blame.HARDWARE, Blame.INFORMATIONAL


def _application(number: int, meaning: str, then: str = "", disagreement: str = "") -> Xid:
    return Xid(
        number=number,
        meaning=meaning,
        blame=_APP,
        action=Action.RESTART_APPLICATION,
        then=then,
        disagreement=disagreement,
    )


def _reset(number: int, meaning: str, disagreement: str = "") -> Xid:
    return Xid(
        number=number, meaning=meaning, blame=_HW, action=Action.RESET_DEVICE, then=_SUPPORT, disagreement=disagreement
    )


def _ignored(number: int, meaning: str, then: str = "", disagreement: str = "") -> Xid:
    return Xid(number=number, meaning=meaning, blame=_INFO, action=Action.IGNORE, then=then, disagreement=disagreement)


_ENTRIES: Final = (
    _application(13, "graphics engine exception", _DIAGNOSE),
    _application(
        31,
        "GPU memory page fault",
        "If it repeats on one device with different applications, run a diagnostic.",
        "NVSentinel runs a diagnostic from two on one device in 24 h on",
    ),
    _application(32, "invalid or corrupted push buffer", _SUPPORT, _DIFFER),
    _application(38, "driver firmware error", _SUPPORT, _DIFFER),
    _application(43, "GPU stopped processing"),
    _ignored(44, "context switch fault", _SUPPORT, "gpud calls it fatal"),
    Xid(
        number=45,
        meaning="preemptive cleanup, due to previous errors",
        blame=_INFO,
        action=Action.RESTART_FABRIC_MANAGER,
        then="After another XID it is only its consequence: follow that one.",
        disagreement="NVSentinel called it fatal until PR 1629 (672 false events on 3 nodes in 3 h); gpud ignores it",
    ),
    _reset(46, "GPU stopped processing (timeout)"),
    Xid(
        number=48,
        meaning="double-bit ECC error",
        blame=_HW,
        action=Action.INSPECT,
        then="Reset the device; see 63 and 64 for whether its row was remapped, 171 and 172 for where it was.",
        disagreement="gpud restarts the node, then has it inspected",
    ),
    Xid(
        number=54,
        meaning="auxiliary power is not connected",
        blame=_HW,
        action=Action.CHECK_POWER_CABLES,
        then=_SUPPORT,
        disagreement="gpud only warns",
    ),
    _reset(62, "internal micro-controller halt"),
    _ignored(
        63,
        "ECC page retirement or row remapping recorded",
        "It takes effect with the next reset of the device: reset it when its work is done.",
        "gpud calls it fatal, NVSentinel does not",
    ),
    _reset(64, "ECC page retirement or row remapping failed"),
    _application(68, "video decoder exception", disagreement="gpud calls it fatal"),
    _application(69, "graphics engine class error", disagreement=_DIFFER),
    Xid(
        number=74,
        meaning="NVLink error (fourth generation and older)",
        blame=_HW,
        action=Action.INSPECT,
        then="The bits of the registers in the line name the cause: reset the device, then check the link's two ends.",
    ),
    Xid(
        number=79,
        meaning="GPU has fallen off the bus",
        blame=_HW,
        action=Action.RESTART_NODE,
        then="If it falls off again, have power, riser and seat inspected.",
    ),
    _ignored(92, "high single-bit ECC error rate", _SUPPORT),
    Xid(
        number=94,
        meaning="contained ECC error",
        blame=_HW,
        action=Action.RESTART_APPLICATION,
        then="The application that touched it is lost, others are not. Reset the device when its work is done.",
        disagreement="gpud calls it fatal, NVSentinel does not",
    ),
    _reset(95, "uncontained ECC error"),
    _reset(109, "context switch timeout", "gpud only warns"),
    _reset(110, "security fault"),
    _reset(119, "GSP RPC timeout"),
    _reset(120, "GSP error"),
    _ignored(121, "C2C link error", _SUPPORT, "gpud calls it fatal"),
    _reset(136, "link training failed", "gpud only warns"),
    _reset(140, "unrecovered ECC error"),
    _reset(143, "GPU initialization error"),
    Xid(
        number=154,
        meaning="recovery action changed",
        blame=_INFO,
        action=Action.READ_RECOVERY_ACTION,
        then="accel_recovery_action says which: none, reset, drain or restart.",
    ),
    _reset(155, "NVLink software-defined error"),
    _reset(156, "resource retirement event"),
    _reset(158, "fatal timeout", "gpud only warns"),
    _ignored(
        160, "channel retirement", _SUPPORT, "an older map of NVIDIA's restarts the node; NVSentinel calls it fatal"
    ),
    _ignored(162, "power smoothing re-engaged", "It cancels a 163 before it (NVSentinel#1252)."),
    Xid(
        number=163,
        meaning="power smoothing disengaged",
        blame=_HW,
        action=Action.INSPECT,
        then="A 162 after it cancels it; without one look at the board's power and firmware.",
        disagreement="gpud restarts the node",
    ),
)
_RANGES: Final = (
    *(_application(number, "copy engine exception") for number in (39, 40, 41, 70, 71, 72, 75, 76, 77, 85)),
    *(_application(number, "copy engine exception") for number in range(126, 136)),
    *(_application(number, "video or image engine exception") for number in (82, 83, 84, 86, 88, 89)),
    *(_application(number, "video or image engine exception") for number in range(96, 106)),
    *(_ignored(number, "informational event", disagreement="gpud warns") for number in (137, 141, 152, 153, 157, 161)),
    *(
        Xid(
            number=number,
            meaning="NVLink error (fifth generation)",
            blame=_HW,
            action=Action.INSPECT,
            then="Sub-unit and status in the line name the cause: reset the device, then check both ends of the link.",
            disagreement="gpud restarts the node",
        )
        for number in range(144, 151)
    ),
)

CATALOG: Final[Mapping[int, Xid]] = {
    entry.number: entry for entry in sorted((*_ENTRIES, *_RANGES), key=lambda it: it.number)
}
"""By number."""


def entry_of(number: int, catalog: Mapping[int, Xid] = CATALOG) -> Xid:
    """The entry of a number; one that says so for a number that the table does not know."""
    unknown = Xid(
        number=number,
        meaning="unknown number, see the XID catalog of the driver",
        blame=Blame.UNKNOWN,
        action=Action.READ_RECOVERY_ACTION,
        source="none",
    )
    return catalog.get(number, unknown)


def with_overrides(lines: Iterable[str], catalog: Mapping[int, Xid] = CATALOG) -> Mapping[int, Xid]:
    """The catalog with what a site decided: lines such as `94=reset_device` or `13=ignore`.

    An entry that is overridden to `ignore` is information, to `restart_application` the application's fault, and to
    anything else the hardware's.

    Raises:
        ConfigError: a line has another form, or names no number or no action.

    """
    changed = dict(catalog)
    for line in lines:
        number, equals, name = (part.strip() for part in line.partition("="))
        if not equals or not number.isdecimal() or name not in set(Action):
            msg = f"analyzer.xid_overrides: {line!r} must be NUMBER=ACTION, with one of {', '.join(Action)}"
            raise ConfigError(msg)
        changed[int(number)] = _overridden(entry_of(int(number), catalog), Action(name))
    return changed


def _overridden(entry: Xid, action: Action) -> Xid:
    blame = {Action.IGNORE: Blame.INFORMATIONAL, Action.RESTART_APPLICATION: Blame.APPLICATION}.get(
        action, Blame.HARDWARE
    )
    return replace(entry, action=action, blame=blame, source="analyzer.xid_overrides")
