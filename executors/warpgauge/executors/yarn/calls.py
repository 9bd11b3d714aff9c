"""The changes that the executor makes, as plain words, and the one who makes them.

A call is a tuple such as `("move", "application_1_0001", "root.batch")`: it can be compared, shown and taken back.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import InputError
from warpgauge.core.yarn import KEEP_MILLISECONDS, Resources
from warpgauge.executors.yarn.exclusion import host_name

if TYPE_CHECKING:
    from warpgauge.core.yarn import Yarn
    from warpgauge.executors.yarn.admin import Admin
    from warpgauge.executors.yarn.exclusion import Exclusion

__all__ = ["REFRESH", "Call", "Caller", "app_id", "exclude", "include", "label", "move", "prioritize", "resize"]

Call = tuple[str, ...]

_APP: Final = re.compile(r"application_[0-9]{1,19}_[0-9]{1,10}", re.ASCII)
_QUEUE: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,511}")
_LABEL: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,254}")
_NODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}:[0-9]{1,5}", re.ASCII)
REFRESH: Final[Call] = ("refresh",)


def app_id(text: str) -> str:
    """`text`, if it is the id of an application; InputError if not."""
    return _matched(_APP, text, "the id of a YARN application")


def move(app: str, queue: str) -> Call:
    """Into another queue."""
    return ("move", app_id(app), _matched(_QUEUE, queue, "the name of a queue"))


def prioritize(app: str, priority: int) -> Call:
    """Another place among the applications of its queue."""
    return ("prioritize", app_id(app), str(priority))


def label(node_id: str, labels: tuple[str, ...]) -> Call:
    """Other labels for a node, none for the default partition."""
    return ("label", _node(node_id), *(_matched(_LABEL, one, "a node label") for one in labels))


def resize(node_id: str, resources: Resources) -> Call:
    """Another amount that a node hands out; what runs there goes on."""
    return ("resize", _node(node_id), str(resources))


def exclude(host: str, mark: str) -> Call:
    """Into the file of excluded hosts; of effect with a refresh."""
    return ("exclude", host_name(host), mark)


def include(host: str) -> Call:
    """Out of the file of excluded hosts; of effect with a refresh."""
    return ("include", host_name(host))


class Caller:
    """Makes the calls: by REST where YARN takes them so, else with rmadmin and the file of excluded hosts."""

    def __init__(self, yarn: Yarn, admin: Admin, exclusion: Exclusion | None, *, decommission_seconds: int) -> None:
        self.yarn = yarn
        self.exclusion = exclusion
        self._admin = admin
        self._seconds = decommission_seconds

    def make(self, call: Call) -> None:
        """Make one call.

        Raises:
            YarnError: YARN refused or did not answer.
            StorageError: the file of excluded hosts cannot be read or written.

        """
        match call:
            case ("move", app, queue):
                self.yarn.move(app, queue)
            case ("prioritize", app, priority):
                self.yarn.prioritize(app, int(priority))
            case ("label", node, *labels):
                self.yarn.label(node, labels)
            case ("resize", node, amounts):
                self._resize(node, Resources.read(amounts))
            case ("exclude", host, mark):
                self._file.add(host, mark)
            case ("include", host):
                self._file.remove(host)
            case _:
                self._admin.call(self._refresh)

    def shown(self, call: Call) -> str:
        """The call as a person could make it."""
        match call:
            case ("move" | "prioritize", app, value):
                key = "queue" if call[0] == "move" else "priority"
                return f"PUT apps/{app}/{key} {value}"
            case ("label", node, *labels):
                return f"POST nodes/{node}/replace-labels {','.join(labels) or 'none'}"
            case ("resize", node, amounts):
                by_rest = Resources.read(amounts).is_plain
                return f"POST nodes/{node}/resource {amounts}" if by_rest else _typed(_update(node, amounts))
            case ("exclude", host, mark):
                return f"add '{host} # {mark}' to {self._file.path}"
            case ("include", host):
                return f"remove {host} from {self._file.path}"
            case _:
                return _typed(self._refresh)

    def _resize(self, node: str, resources: Resources) -> None:
        """REST knows memory and cores only, and sets what else a node has to 0 (Hadoop 3.5.0)."""
        if resources.is_plain:
            self.yarn.resize(node, resources)
        else:
            self._admin.call(_update(node, str(resources)))

    @property
    def _refresh(self) -> tuple[str, ...]:
        return ("-refreshNodes", "-g", str(self._seconds), "-server")

    @property
    def _file(self) -> Exclusion:
        if self.exclusion is None:
            msg = "yarn.exclude_file is not set, so no node can be decommissioned"
            raise InputError(msg)
        return self.exclusion


def _typed(words: tuple[str, ...]) -> str:
    return " ".join(("rmadmin", *words))


def _update(node: str, amounts: str) -> tuple[str, ...]:
    sized = re.sub(r"\bmemory-mb=([0-9]+)", r"memory-mb=\1Mi", amounts)
    return ("-updateNodeResource", node, sized, str(KEEP_MILLISECONDS))


def _node(text: str) -> str:
    return _matched(_NODE, text, "the id of a node")


def _matched(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        msg = f"{text[:80]!r} is not {what}"
        raise InputError(msg)
    return text
