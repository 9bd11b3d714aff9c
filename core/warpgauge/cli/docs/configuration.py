"""Every configuration key: default, unit, bounds, variable."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.markdown import code, page_of, rows
from warpgauge.core.config import Config, origins

if TYPE_CHECKING:
    from warpgauge.core.config import Setting

__all__ = ["page"]

_INTRO: Final = """
One TOML file, given with `--config FILE`. A flag wins over an environment variable, that over the file, that over
the default. An unknown key is an error that suggests the nearest known one. `warpgauge config show` prints every
setting in force and where its value came from; `warpgauge config check` only checks, the files that they name included.

Settings are read when a process starts: to change one, restart it (an analyzer goes on from its snapshot). SIGHUP
ends it, as SIGTERM does. Read anew while it runs are `web.config_file` and what it names, `acting.site_rules_file`,
`acting.webhook_secret_file`, `kubernetes.token_file`, and the tokens and logins of `[analyzer]`.

```toml
[agent]
listen_address = "0.0.0.0:9837"

[analyzer]
prometheus_url = "http://127.0.0.1:9090"
```
"""

_SECTIONS: Final = {
    "agent": "The agent on each node: `warpgauge agent`, and the agent that `warpgauge up` starts.",
    "analyzer": "The analyzer with its console: `warpgauge analyzer`, `warpgauge up` and in part `analyze`.",
    "acting": "What may be done on recommendations, and where they go: see `docs/howto/act.md`.",
    "kubernetes": "The API server of `--core kubernetes`: [act on Kubernetes](../howto/kubernetes-executor.md).",
    "alerts": "The generated rules and Alertmanager's configuration; the analyzer names what it pushes by it too.",
    "dashboards": "What the dashboards of `warpgauge generate dashboards` hold for this site.",
    "demo": "The simulated fleet. Nothing simulated appears unless `mode` says so.",
    "web": "The door of agent and analyzer: [guard them with TLS and users](../howto/tls-and-users.md).",
    "push": "What the agent pushes, and the queue under it: [push metrics](../howto/push.md).",
    "remote_write": "The sink for Prometheus and whatever takes its remote write; needs the extra push.",
    "otlp": "The sink for OpenTelemetry receivers; needs the extra push, over gRPC grpc.",
    "otlp_logs": "Where log records go as OTLP: [send logs](../howto/logs.md); needs the extra push, over gRPC grpc.",
    "fluentd": "Where log records go: [send logs to Fluentd](../howto/fluentd.md).",
    "history": "What the analyzer takes in and tells, as Parquet files: [keep a history](../howto/history.md).",
    "logs": "What is collected for it: [send logs to Fluentd](../howto/fluentd.md).",
    "yarn": "A YARN cluster that `plan` reads and `executor` acts on: [plan and act on YARN](../howto/yarn.md).",
    "planning": "The plan that the console shows: [plan placements and moves](../howto/plan.md).",
}


def page() -> str:
    """The page of all sections in their order."""
    settings = [origin.setting for origin in origins(Config())]
    blocks = [_section(name, [row for row in settings if row.key.startswith(f"{name}.")]) for name in Config.sections()]
    return page_of("Configuration", _INTRO, *blocks)


def _section(name: str, settings: list[Setting]) -> str:
    table = rows(("Key", "Default", "Unit", "Rule", "Meaning"), [_cells(setting) for setting in settings])
    return f"## [{name}]\n\n{_SECTIONS[name]} Variables: `WARPGAUGE_{name.upper()}_KEY`.\n\n{table}"


def _cells(setting: Setting) -> tuple[str, ...]:
    default = list(setting.default) if isinstance(setting.default, tuple) else setting.default
    return code(setting.key), code(json.dumps(default)), setting.unit, _rule(setting), setting.help


def _rule(setting: Setting) -> str:
    rules = [
        f"> {setting.above:g}" if setting.above is not None else "",
        f">= {setting.at_least:g}" if setting.at_least is not None else "",
        f"<= {setting.at_most:g}" if setting.at_most is not None else "",
        ", ".join(code(choice) for choice in setting.choices),
        "http or https" if setting.urls else "",
    ]
    return "; ".join(rule for rule in rules if rule)
