"""Words the project does without: addresses that do not exist, names that say nothing, work left for later."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Hosts that exist and that we mean: specifications and upstream projects.
REAL_HOSTS = {
    "docs.nvidia.com",
    "docs.sglang.ai",
    "docs.vllm.ai",
    "github.com",
    "grafana.com",
    "html.spec.whatwg.org",
    "json-schema.org",
    "keepachangelog.com",
    "kubernetes.io",
    "maven.apache.org",  # the name of a namespace in XML
    "opentelemetry.io",
    "prometheus.io",
    "www.apache.org",
    "www.sqlite.org",
    "www.w3.org",
}
OURS_OR_PLACEHOLDER = re.compile(r"127(\.0\.0\.1)?|localhost|node|NODE|HOST|prometheus|.*\.(svc|example|invalid|test)")
URL = re.compile(r"https?://([A-Za-z0-9._-]+)")
EMPTY_NAMES = re.compile(r"(Manager|Handler|Helper|Util)s?$")
LATER = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("this checkout is no git repository")
    paths = [ROOT / name for name in done.stdout.split("\0") if name]
    return [
        path
        for path in paths
        if path.is_file() and path.suffix not in {".png", ".ico", ".jpeg", ".zst"} and "vendor" not in path.parts
    ]


def test_every_address_exists_or_is_plainly_a_placeholder():
    strange = {
        f"{path.relative_to(ROOT)}: {host}"
        for path in tracked()
        if "tests" not in path.relative_to(ROOT).parts
        for host in URL.findall(path.read_text(encoding="utf-8", errors="replace"))
        if host not in REAL_HOSTS and not OURS_OR_PLACEHOLDER.fullmatch(host)
    }
    assert strange == set()


def test_no_class_or_module_is_named_after_nothing():
    named = {
        *(path.stem for path in tracked() if path.suffix == ".py"),
        *(
            name
            for path in tracked()
            if path.suffix == ".py"
            for name in re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)
        ),
    }
    assert {name for name in named if EMPTY_NAMES.search(name) or name in {"utils", "helpers", "util", "misc"}} == set()


def test_nothing_is_left_for_later():
    assert {
        path
        for path in tracked()
        if path != Path(__file__) and LATER.search(path.read_text(encoding="utf-8", errors="replace"))
    } == set()
