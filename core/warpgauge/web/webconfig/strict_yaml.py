"""YAML in which a key may stand once only, as Go's strict decoder has it; the services read YAML nowhere else."""

from __future__ import annotations

from typing import Any

from warpgauge.core.errors import ConfigError, MissingExtraError

try:
    import yaml
except ImportError as error:
    raise MissingExtraError(what="A web-config", package="PyYAML", extra="web-config") from error

__all__ = ["parsed"]


def parsed(content: bytes) -> object:
    """The plain data of a document.

    Raises:
        ConfigError: it is no such document; the message has the line but nothing of the text, which may be a key.

    """
    try:
        return yaml.load(content, _StrictLoader)  # noqa: S506 - a SafeLoader that refuses even more
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        msg = f"not valid YAML: {_one_line(error)}"
        raise ConfigError(msg) from error


class _StrictLoader(yaml.SafeLoader):  # type: ignore[misc] # PyYAML has no types
    """Plain data only, and a second key of the same name is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's
        """As SafeLoader, but refuse what would silently win over an earlier line."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                problem = "a key must be plain text"
                raise _wrong(problem, key)
            if key.value in seen:
                problem = f"the key {key.value[:80]!r} stands there twice"
                raise _wrong(problem, key)
            seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def _wrong(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _one_line(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is None or problem is None:
        return type(error).__name__
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"
