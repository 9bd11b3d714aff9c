"""Keeping new pods off one device, not its node: a DeviceTaintRule, where devices are handed out by DRA.

https://kubernetes.io/docs/concepts/scheduling-eviction/dynamic-resource-allocation/#device-taints-and-tolerations
Effect NoSchedule only: NoExecute would end pods past their disruption budgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.ack import NativeRef
from warpgauge.core.errors import InputError
from warpgauge.core.kubernetes import PREFIX, Call
from warpgauge.core.recommendation import TargetType
from warpgauge.executors.kubernetes import calls
from warpgauge.executors.kubernetes.actions import Step, node_of, unfit_node

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.recommendation import Recommendation
    from warpgauge.executors.kubernetes.look import Look

__all__ = ["CORDONED", "CordonDevice"]

CORDONED: Final = f"{PREFIX}/cordoned"
_GROUP: Final = "/apis/resource.k8s.io"
_RULES: Final = "devicetaintrules"


class CordonDevice:
    """Taints one device for new claims; whoever has it keeps it."""

    def objection(self, advice: Recommendation, look: Look) -> str | None:
        """The node is unfit, taints of devices are not served, or no driver offers the device."""
        if (why := unfit_node(advice, look)) is not None:
            return why
        if _version(look) is None:
            return "the cluster serves no DeviceTaintRule (resource.k8s.io): cordon the node instead"
        device = _device(advice, look)
        return None if device else f"no DRA driver offers device {_uuid(advice)} on {node_of(advice)}"

    def steps(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """One rule, unless it is there."""
        version, device = _version(look), _device(advice, look)
        if version is None or device is None or look.object(_path(version, advice)) is not None:
            return ()
        name = _rule(advice)
        body = {
            "apiVersion": f"resource.k8s.io/{version}",
            "kind": "DeviceTaintRule",
            "metadata": {"name": name},
            "spec": {
                "deviceSelector": device,
                "taint": {"key": CORDONED, "value": calls.advice_id(advice.id), "effect": "NoSchedule"},
            },
        }
        words = f"create devicetaintrule {name} for device {device['device']} of {device['driver']}"
        call = Call(method="POST", path=f"{_GROUP}/{version}/{_RULES}", body=body, words=words)
        return (Step(call=call, undo=f"delete devicetaintrule {name}"),)

    def refs(self, advice: Recommendation, look: Look) -> tuple[NativeRef, ...]:  # noqa: ARG002 - the protocol's shape
        """The rule."""
        return (NativeRef(kind="devicetaintrule", name=_rule(advice)),)

    def way_back(self, advice: Recommendation, look: Look) -> tuple[Step, ...]:
        """Delete the rule, this very one."""
        version = _version(look)
        found = look.object(_path(version, advice)) if version else None
        if version is None or found is None:
            return ()
        body = {"preconditions": {"uid": str((found.get("metadata") or {}).get("uid"))}}
        words = f"delete devicetaintrule {_rule(advice)}"
        call = Call(method="DELETE", path=_path(version, advice), body=body, words=words)
        return (Step(call=call, undo=f"create devicetaintrule {_rule(advice)}"),)


def _uuid(advice: Recommendation) -> str:
    target = advice.target[0]
    uuid = target.gpu_uuid or (target.name if target.type is TargetType.DEVICE else "")
    if not uuid:
        msg = "the recommendation names no device"
        raise InputError(msg)
    return uuid


def _rule(advice: Recommendation) -> str:
    return calls.object_name(f"warpgauge-{calls.advice_id(advice.id).lower()}")


def _path(version: str, advice: Recommendation) -> str:
    return f"{_GROUP}/{version}/{_RULES}/{_rule(advice)}"


def _version(look: Look) -> str | None:
    """The version of resource.k8s.io that has rules, the server's favorite first; None if none has."""
    group = look.object(_GROUP) or {}
    for one in group.get("versions") or []:
        version = str(one.get("version"))
        resources = (look.object(f"{_GROUP}/{version}") or {}).get("resources") or []
        if any(resource.get("name") == _RULES for resource in resources):
            return version
    return None


def _device(advice: Recommendation, look: Look) -> dict[str, str] | None:
    """Driver, pool and name of the device with this UUID on this node, as its driver published it."""
    group = look.object(_GROUP) or {}
    favorite = str((group.get("preferredVersion") or {}).get("version"))
    slices = look.objects(f"{_GROUP}/{favorite}/resourceslices", fieldSelector=f"spec.nodeName={node_of(advice)}")
    for one in slices:
        spec = one.get("spec") or {}
        for device in spec.get("devices") or []:
            if _has_uuid(device, _uuid(advice)):
                pool = str((spec.get("pool") or {}).get("name"))
                return {"driver": str(spec.get("driver")), "pool": pool, "device": str(device.get("name"))}
    return None


def _has_uuid(device: Mapping[str, Any], uuid: str) -> bool:
    attributes = device.get("attributes") or {}
    return any(
        name.rpartition("/")[2] == "uuid" and isinstance(value, dict) and value.get("string") == uuid
        for name, value in attributes.items()
    )
