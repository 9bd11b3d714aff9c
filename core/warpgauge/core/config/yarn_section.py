"""The section for a YARN cluster, which the planner reads and the executor acts on."""

from __future__ import annotations

from dataclasses import dataclass

from warpgauge.core.config.settings import setting

__all__ = ["YarnConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class YarnConfig:
    """A YARN cluster: `plan --core yarn` reads it, `executor --core yarn` acts on it."""

    urls: tuple[str, ...] = setting(
        (), help="Base URLs of the ResourceManager, of both of a pair; none means no YARN.", unit="URL", urls=True
    )
    user: str = setting("", help="Who we say we are (user.name of Hadoop's simple authentication); empty says nothing.")
    headers_file: str = setting(
        "", help="File with one header per line as Name: value, such as Authorization for a proxy before YARN."
    )
    ca_file: str = setting("", help="Certificate authorities to trust instead of the system's.")
    timeout_seconds: float = setting(30.0, help="How long to wait for an answer.", unit="seconds", above=0)
    rmadmin: tuple[str, ...] = setting(
        ("yarn", "rmadmin"),
        help="How the admin's program is called, word by word and without a shell, for what REST cannot do.",
    )
    exclude_file: str = setting(
        "",
        help="YARN's plain file of excluded hosts (yarn.resourcemanager.nodes.exclude-path); empty means no node is "
        "decommissioned.",
    )
    decommission_timeout_seconds: int = setting(
        3600, help="How long containers may run on in a node that is decommissioned.", unit="seconds", at_least=1
    )
    avoid_label: str = setting(
        "", help="A node label, not exclusive, for nodes that are to be taken last; empty means no node is avoided."
    )
