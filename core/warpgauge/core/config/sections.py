"""The sections of the configuration: every key with its default, unit and one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from warpgauge.core.config.settings import setting

__all__ = [
    "FAULTS",
    "ActingConfig",
    "AgentConfig",
    "AlertsConfig",
    "AnalyzerConfig",
    "DemoConfig",
    "KubernetesConfig",
    "PushConfig",
    "RemoteWriteConfig",
    "WebConfig",
]

FAULTS: Final = ("straggler", "thermal_limited", "idle_allocated", "input_bound")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """The agent on each node."""

    listen_address: str = setting("127.0.0.1:9837", help="Address and port of the agent's pages.")
    fast_interval_seconds: float = setting(1.0, help="Time between readings of the fast tier.", unit="seconds", above=0)
    normal_interval_seconds: float = setting(
        10.0, help="Time between readings of the normal tier.", unit="seconds", above=0
    )
    slow_interval_seconds: float = setting(
        60.0, help="Time between readings of the slow tier.", unit="seconds", above=0
    )
    deadline_seconds: float = setting(
        2.0, help="A driver call that takes longer counts as hung; its child process is replaced.",
        unit="seconds", above=0,
    )  # fmt: skip
    disabled_collectors: tuple[str, ...] = setting((), help="Collectors that are not started, by name.")
    training_socket: str = setting(
        "", help="Socket that step timers write to; empty means warpgauge-train.sock in the runtime directory."
    )
    proc_root: str = setting("/proc", help="Where the host's /proc is; in a container often a mount of it.")
    dcgm_view: bool = setting(default=False, help="Serve /metrics/dcgm: the same values under dcgm-exporter's names.")
    kernel_log: str = setting("/dev/kmsg", help="Kernel log to watch for driver errors; empty means none.")
    gpm: str = setting(
        "auto",
        help="Whether GPM (SM, tensor and memory activity) is read: auto leaves it to DCGM while that runs here.",
        choices=("auto", "on", "off"),
    )
    gpm_interval_seconds: float = setting(
        10.0,
        help="How often GPM is asked for what takes the driver 2 ms of CPU (graphics engine) or moves seldom (video "
        "engines); all else of it is read with the fast tier.",
        unit="seconds",
        above=0,
    )
    process_metrics: bool = setting(
        default=False,
        help="Give each compute process on a GPU series of its own (memory and utilization by pid), and each process "
        "that has a device open its CPU time, memory and disk traffic.",
    )
    process_metrics_limit: int = setting(
        64,
        help="Processes per GPU, and of the node, that get series, those with most memory first.",
        unit="processes",
        at_least=1,
    )
    pod_resources_socket: str = setting(
        "/var/lib/kubelet/pod-resources/kubelet.sock",
        help="The kubelet's pod-resources socket, which tells pods' devices; empty means not to ask. Needs the extra "
        "kubernetes.",
    )
    docker_socket: str = setting(
        "",
        help="Socket of the Docker or Podman engine that is asked for containers' names, often /run/docker.sock; empty "
        "means none. Whoever may use it is as good as root.",
    )
    job_mapping_directory: str = setting(
        "", help="Directory of dcgm-exporter's job mapping files, which Slurm's prolog writes; empty means none."
    )
    gpustat_directory: str = setting(
        "/run/gpustat", help="Directory of jobstats' files that tell each GPU's Slurm job; empty means none."
    )
    tpu_metrics_addresses: tuple[str, ...] = setting(
        ("localhost:8431",), help="Where the runtimes of TPU workloads on this machine tell their metrics (gRPC)."
    )
    serving_urls: tuple[str, ...] = setting(
        (), help="Metrics pages of inference servers on this node: vLLM, SGLang, Triton, TGI.", unit="URL", urls=True
    )
    serving_discovery: bool = setting(
        default=False,
        help="Also look for such servers on the ports they usually listen on: 8000, 8002, 8080, 3000, 30000.",
    )
    sys_root: str = setting("/sys", help="Where the host's /sys is; in a container often a mount of it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzerConfig:
    """The analyzer and its console."""

    listen_address: str = setting("127.0.0.1:9838", help="Address and port of the analyzer's console and API.")
    targets: tuple[str, ...] = setting((), help="Agents' metrics pages to read directly.", unit="URL", urls=True)
    discovery: tuple[str, ...] = setting(
        (), help="Prometheus http_sd documents that list more agents' pages.", unit="URL", urls=True
    )
    prometheus_url: str = setting(
        "", help="Base URL of a Prometheus to read instead of agents; empty means none.", unit="URL", urls=True
    )
    prometheus_match: str = setting(
        "", help='Selector such as {cluster="a"} that the series of that Prometheus must match; empty means all.'
    )
    prometheus_bearer_token_file: str = setting("", help="File that holds the token for that Prometheus.")
    prometheus_basic_auth_file: str = setting("", help="File that holds one line USER:PASSWORD for that Prometheus.")
    prometheus_tenant: str = setting("", help="Tenant of a Mimir or Cortex (header X-Scope-OrgID).")
    prometheus_ca_file: str = setting(
        "", help="Certificate authorities to trust for that Prometheus instead of the system's."
    )
    prometheus_client_cert: str = setting("", help="Certificate (PEM) to show to that Prometheus.")
    prometheus_client_key: str = setting("", help="Its key, if it is not in the same file.")
    replica_labels: tuple[str, ...] = setting(
        ("prometheus_replica", "replica", "__replica__"),
        help="Labels that tell the Prometheus of an HA pair apart: of series that differ in these only, one counts.",
    )
    remote_write: bool = setting(
        default=False,
        help="Take what Prometheus writes to POST /api/v1/write (remote write 1.0); needs the extra remote-write.",
    )
    remote_write_token_file: str = setting(
        "", help="File with the bearer token that writers must show; needed unless only this machine is listened to."
    )
    interval_seconds: float = setting(10.0, help="Time between passes of the detectors.", unit="seconds", above=0)
    window_seconds: float = setting(
        3600.0, help="How much past the detectors look at; memory grows with it.",
        unit="seconds", at_least=60, at_most=604_800,
    )  # fmt: skip
    agent_scrape_interval_seconds: float = setting(
        10.0, help="Time between scrapes of agents; agents on this machine are read each second.",
        unit="seconds", above=0,
    )  # fmt: skip
    agent_ca_file: str = setting("", help="Certificate authorities to trust for agents instead of the system's.")
    agent_basic_auth_file: str = setting("", help="File that holds one line USER:PASSWORD for agents.")
    agent_bearer_token_file: str = setting("", help="File that holds the token for agents.")
    agent_client_cert: str = setting("", help="Certificate (PEM) to show to agents.")
    agent_client_key: str = setting("", help="Its key, if it is not in the same file.")
    cluster: str = setting("local", help="Cluster label of agents whose targets do not name one.")
    topology_file: str = setting(
        "",
        help="CSV that says in which rack, switch, rail and power domain each node (or device index) stands, where"
        " target labels do not; empty means none.",
    )
    data_directory: str = setting(
        "",
        help="Where history, the outbox and the operator's token are kept, the agent's too; empty means "
        "STATE_DIRECTORY of systemd, else warpgauge in the user's data directory.",
    )
    snapshot_interval_seconds: float = setting(
        60.0, help="Time between snapshots of what the analyzer knows, which a restart goes on from; 0 keeps none.",
        unit="seconds", at_least=0,
    )  # fmt: skip
    xid_overrides: tuple[str, ...] = setting(
        (), help="What to do on an XID where this site decides otherwise than the catalog, as NUMBER=ACTION."
    )
    alertmanagers: tuple[str, ...] = setting(
        (), help="Base URLs of the Alertmanagers that findings and recommendations are pushed to.", unit="URL",
        urls=True,
    )  # fmt: skip
    mode: str = setting(
        "propose",
        help="observe finds only, propose also recommends, approve lets executors follow what a person approved, auto "
        "also what needs no approval. `warpgauge mode` overrides it until it is set back.",
        choices=("observe", "propose", "approve", "auto"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingConfig:
    """What is allowed of recommendations, and where they go."""

    scheduler: str = setting(
        "none",
        help="Scheduling core of jobs that report steps and that no device series attributes to one.",
        choices=("none", "kubernetes", "slurm", "yarn"),
    )
    executors: tuple[str, ...] = setting(
        (), help="Scheduling cores whose executors `up` starts beside itself, each in a process of its own.",
        choices=("kubernetes", "kubernetes-objects", "slurm", "yarn"),
    )  # fmt: skip
    site_rules_file: str = setting(
        "", help="TOML file with racks, opt-outs and freeze windows; read anew when it changes. Empty means none."
    )
    keep_partitions: tuple[str, ...] = setting(
        (), help="Partitions of Slurm whose nodes and jobs its executor leaves alone, whatever is recommended."
    )
    lease_file: str = setting(
        "",
        help="File on storage that several analyzers share: one of them recommends at a time. Empty means a lock in "
        "the data directory.",
    )
    webhook_url: str = setting(
        "", help="Where recommendations are posted, signed; empty means nowhere.", unit="URL", urls=True
    )
    webhook_secret_file: str = setting(
        "",
        help="File, mode 0600, with one whsec_ secret per line, the newest first; empty means the environment "
        "variable WARPGAUGE_WEBHOOK_SECRET.",
    )
    webhook_ca_file: str = setting("", help="Certificate authorities to trust for the webhook instead of the system's.")
    webhook_client_cert: str = setting("", help="Certificate (PEM) to show to the webhook.")
    webhook_client_key: str = setting("", help="Its key, if it is not in the same file.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesConfig:
    """The API server that `--core kubernetes` reads and acts on."""

    server: str = setting(
        "", help="Its address; empty means that of the cluster that the process runs in.", unit="URL", urls=True
    )
    token_file: str = setting(
        "", help="File with the bearer token, read anew for each request; empty means that of the pod, if in one."
    )
    ca_file: str = setting("", help="Certificate authorities to trust; empty means the pod's, else the system's.")
    client_cert: str = setting("", help="Certificate (PEM) to show instead of a token.")
    client_key: str = setting("", help="Its key, if it is not in the same file.")
    timeout_seconds: float = setting(10.0, help="How long to wait for an answer.", unit="seconds", above=0)
    namespace: str = setting("warpgauge", help="Where Recommendation objects are written.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """The door of both services."""

    config_file: str = setting(
        "",
        help="Prometheus web-config.yml: TLS, client certificates, users, headers, rate limit; empty means plain HTTP "
        "for everybody who reaches the address; needs the extra web-config.",
    )
    operators: tuple[str, ...] = setting(
        (), help="Users of that file who may change something, as the operator's token may; all others only read."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PushConfig:
    """What the agent pushes by itself, and what waits while a receiver does not take it."""

    interval_seconds: float = setting(15.0, help="Time between two pushes of the page.", unit="seconds", above=0)
    external_labels: tuple[str, ...] = setting(
        (),
        help="Labels for all that is pushed, as NAME=VALUE; job and instance (the machine) are there unless set.",
    )
    keep: str = setting("", help="Regular expression of whole metric names to push; empty means all.")
    drop: str = setting("", help="Regular expression of whole metric names not to push; empty means none.")
    queue_max_bytes: int = setting(
        1 << 30, help="What may wait on disk for each sink; beyond it the oldest is dropped and counted.",
        unit="bytes", at_least=1_000_000,
    )  # fmt: skip
    queue_max_age_seconds: float = setting(
        604800.0, help="How long it may wait; what is older is dropped and counted.", unit="seconds", above=0
    )
    pace_seconds: float = setting(
        0.05, help="Pause between two batches, so that what waited for long is no flood.", unit="seconds", at_least=0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteWriteConfig:
    """Push to a Prometheus or what takes its remote write."""

    url: str = setting(
        "", help="Where to write (remote write 1.0), mostly .../api/v1/write; empty means nowhere.",
        unit="URL", urls=True,
    )  # fmt: skip
    native_histograms: bool = setting(
        default=False,
        help="Send distributions of time as native histograms too, finer than their buckets; the receiver must take "
        "them.",
    )
    headers_file: str = setting(
        "", help="File with one header per line as Name: value, such as Authorization or X-Scope-OrgID."
    )
    ca_file: str = setting("", help="Certificate authorities to trust instead of the system's.")
    client_cert: str = setting("", help="Certificate (PEM) to show.")
    client_key: str = setting("", help="Its key, if it is not in the same file.")
    timeout_seconds: float = setting(10.0, help="How long to wait for an answer.", unit="seconds", above=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoConfig:
    """The simulated fleet."""

    mode: str = setting(
        "never", help="Show a simulated fleet: never, auto (only where no accelerator is found) or always.",
        choices=("never", "auto", "always"),
    )  # fmt: skip
    seed: int = setting(42, help="Seed of the simulated fleet; another seed moves the faults.", at_least=0)
    faults: tuple[str, ...] = setting(FAULTS, help="Faults that the simulated fleet has.", choices=FAULTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsConfig:
    """What this site has otherwise in the generated rules; the analyzer names its alerts by it too."""

    selector: str = setting(
        "", help='Matchers without braces, such as env="prod", that every series a rule reads must match.'
    )
    cluster_label: str = setting("cluster", help="Label that names the cluster at this site.")
    thresholds: tuple[str, ...] = setting((), help="Thresholds that differ, as ALERT=NUMBER.")
    holds: tuple[str, ...] = setting((), help="How long a condition must last where it differs, as ALERT=DURATION.")
    severities: tuple[str, ...] = setting(
        (), help="Severities that differ, as ALERT=SEVERITY: info, warning or critical."
    )
    disabled: tuple[str, ...] = setting((), help="Alerts that are left out, by name.")
    extra_labels: tuple[str, ...] = setting((), help="Labels that every rule adds, as NAME=VALUE.")
    runbooks_url: str = setting(
        "http://127.0.0.1:9838", help="Where /runbooks/NAME is served; the analyzer does.", unit="URL", urls=True
    )
    grafana_url: str = setting("http://127.0.0.1:3000", help="Where Grafana is.", unit="URL", urls=True)
    prometheus: str = setting(
        "2.42",
        help="Oldest Prometheus that must load the rules; older ones lack keep_firing_for, newer ones have labels of "
        "groups.",
        choices=("2.37", "2.42", "3.0"),
    )
    webhook_url: str = setting("", help="Where Alertmanager posts; empty means nowhere.", unit="URL", urls=True)
    slack_url_file: str = setting("", help="File with the address of Slack's webhook; empty means no Slack.")
    slack_channel: str = setting("#alerts", help="Slack's channel.")
    email_to: str = setting("", help="Who gets mail; empty means nobody.")
    email_from: str = setting("warpgauge@localhost", help="Sender of the mail.")
    smtp_server: str = setting("localhost:25", help="Server that takes the mail, as HOST:PORT.")
    pagerduty_key_file: str = setting(
        "", help="File with PagerDuty's integration key (Events API v2); empty means no PagerDuty."
    )
