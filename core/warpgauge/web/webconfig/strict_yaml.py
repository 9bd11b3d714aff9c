"""YAML in which a key may stand once only, as Go's strict decoder has it."""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["StrictLoader"]


class StrictLoader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML has no types
    """Plain data only, and a second key of the same name is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        """As SafeLoader, but refuse what would silently win over an earlier line."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _wrong("a key must be plain text", key)
            if key.value in seen:
                raise _wrong(f"the key {key.value[:80]!r} stands there twice", key)
            seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def _wrong(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
