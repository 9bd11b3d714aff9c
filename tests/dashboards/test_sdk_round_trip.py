"""Grafana's own SDK reads every dashboard and writes it back: a field that it drops is one that Grafana ignores."""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from warpgauge.dashboards.generate import DASHBOARDS, DCGM_DASHBOARDS, files

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = files()


@pytest.fixture(scope="module")
def sdk() -> Any:
    """The SDK's dashboard model; 0.0.21 is the newest line, higher version numbers carry Grafana 10's schema."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it calls the format that Grafana provisions deprecated
        reason = "no Grafana SDK: pip install grafana-foundation-sdk==0.0.21"
        plugins = pytest.importorskip("grafana_foundation_sdk.cog.plugins", reason=reason)
        encoder = pytest.importorskip("grafana_foundation_sdk.cog.encoder").JSONEncoder()
        dashboard = pytest.importorskip("grafana_foundation_sdk.models.dashboard").Dashboard
        plugins.register_default_plugins()
    return lambda document: json.loads(encoder.encode(dashboard.from_json(document)))


def dropped(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Paths of everything in `before` that `after` lacks or changed."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from dropped(value, after[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from dropped(one, other, f"{path}[{number}]")
    elif before != after:
        yield path


@pytest.mark.parametrize("name", [*DASHBOARDS, *DCGM_DASHBOARDS])
def test_grafanas_own_sdk_drops_no_field(sdk: Any, name: str):
    document = json.loads(FILES[f"{name}.json"])
    assert list(dropped(document, sdk(json.loads(FILES[f"{name}.json"])))) == []


def test_the_check_sees_a_field_that_grafana_no_longer_knows(sdk: Any):
    document = json.loads(FILES["fleet.json"]) | {"sharedCrosshair": True}
    assert list(dropped(document, sdk(dict(document)))) == [".sharedCrosshair"]
