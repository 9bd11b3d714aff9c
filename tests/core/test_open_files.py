"""The limit of open files is raised as far as the system lets a process."""

from __future__ import annotations

import sys

import pytest

from warpgauge.core.open_files import allow_open_files

resource = pytest.importorskip("resource", reason="limits are asked for elsewhere than on Windows only")


def test_the_soft_limit_becomes_the_hard_one():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = 256, before[1]
    most = min(65_536, sys.maxsize if hard == resource.RLIM_INFINITY else hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert allow_open_files() == most
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, hard)
        assert allow_open_files() == most  # and stays
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
