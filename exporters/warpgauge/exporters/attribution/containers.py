"""A process in a container: which, and in which pod, from its cgroup.

Forms seen: /docker/ID, /system.slice/docker-ID.scope, .../cri-containerd-ID.scope, .../crio-ID.scope,
/kubepods/burstable/podUID/ID, /kubepods.slice/...-podUID_WITH_UNDERSCORES.slice/..., .../libpod-ID.scope.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["SHORT_ID", "Container", "container_of"]

_ID: Final = r"(?P<id>[0-9a-f]{64})"
_CONTAINER: Final = re.compile(rf"(?:/|(?P<runtime>docker|cri-containerd|crio|libpod)-){_ID}(?:\.scope)?(?:/|:|\n|$)")
_UID: Final = r"[0-9a-f]{8}[-_](?:[0-9a-f]{4}[-_]){3}[0-9a-f]{12}|[0-9a-f]{32}"  # 32 digits: a static pod
_POD: Final = re.compile(rf"kubepods[^\n]*?[/-]pod(?P<uid>{_UID})")
SHORT_ID: Final = 12  # characters, as `docker ps` shows them


@dataclass(frozen=True, slots=True)
class Container:
    """One container; `pod_uid` is None outside Kubernetes."""

    short_id: str
    pod_uid: str | None


def container_of(cgroup: str) -> Container | None:
    """The innermost container of a process, None if it is in none."""
    found = None
    for found in _CONTAINER.finditer(cgroup):  # noqa: B007 - the last one is wanted
        pass
    pod = _POD.search(cgroup)
    if found is None:
        return None
    return Container(found["id"][:SHORT_ID], pod["uid"].replace("_", "-") if pod else None)
