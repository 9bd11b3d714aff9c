"""File systems: which are shown, and that one that hangs holds up nobody."""

from __future__ import annotations

import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import host
from warpgauge.core.errors import InputError
from warpgauge.core.sample import Unavailable
from warpgauge.exporters.collectors.host_filesystems import Mount, Size, SizeProbe, mounts, size_of, to_samples

MOUNTS = """\
proc /proc proc rw,relatime 0 0
tmpfs /dev/shm tmpfs rw 0 0
/dev/sda1 / ext4 rw 0 0
/dev/sda1 / ext4 rw 0 0
server:/export /mnt/big\\040data nfs4 rw,hard 0 0
overlay /var/lib/docker/overlay2/abc/merged overlay rw 0 0
tmpfs /run tmpfs rw 0 0
cgroup2 /sys/fs/cgroup cgroup2 rw 0 0
/dev/sdb1 /data/cgroup2 xfs rw 0 0
"""


class Server:
    """Answers for every path, except that those in `dead` block until `heal` is called."""

    def __init__(self, *dead):
        self.dead = set(dead)
        self.alive = threading.Event()
        self.asked = []

    def __call__(self, path):
        self.asked.append(path)
        if path in self.dead:
            self.alive.wait(timeout=30)
        return Size(100.0, 40.0)

    def heal(self):
        self.alive.set()


def probe(server, **limits):
    return SizeProbe(server, patience_seconds=0.02, **{"deadline_seconds": 0.5, **limits})


def wait_until(condition):
    until = time.monotonic() + 5
    while not condition() and time.monotonic() < until:
        time.sleep(0.001)
    assert condition()


@pytest.fixture
def dead_server():
    server = Server("/nfs")
    yield server
    server.heal()


def test_only_file_systems_with_a_size_of_their_own_are_shown_and_each_once():
    assert mounts(MOUNTS, place="p") == [
        Mount("/dev/sda1", "/", "ext4"),
        Mount("server:/export", "/mnt/big data", "nfs4"),
        Mount("tmpfs", "/run", "tmpfs"),
        Mount("/dev/sdb1", "/data/cgroup2", "xfs"),
    ]


def test_sizes_are_what_statvfs_says(tmp_path):
    answer = os.statvfs(tmp_path)
    assert size_of(str(tmp_path)).size_bytes == answer.f_blocks * answer.f_frsize


def test_available_space_is_what_an_ordinary_user_could_fill(tmp_path):
    answer = os.statvfs(tmp_path)
    assert size_of(str(tmp_path)).available_bytes == pytest.approx(answer.f_bavail * answer.f_frsize, rel=0.01)


def test_all_healthy_mounts_answer():
    paths = [f"/{number}" for number in range(50)]
    assert probe(Server()).sizes(paths) == dict.fromkeys(paths, Size(100.0, 40.0))


def test_a_hung_mount_costs_its_own_answer_only(dead_server):
    answers = probe(dead_server).sizes(["/a", "/nfs", "/b"])
    assert answers == {
        "/a": Size(100.0, 40.0),
        "/nfs": Unavailable("statvfs has not returned"),
        "/b": Size(100.0, 40.0),
    }


def test_a_hung_mount_is_not_asked_again_while_it_hangs(dead_server):
    sizes = probe(dead_server)
    for _ in range(5):
        sizes.sizes(["/a", "/nfs"])
    assert dead_server.asked.count("/nfs") == 1


def test_a_hung_mount_leaks_one_thread_however_often_it_is_read(dead_server):
    sizes = probe(dead_server)
    sizes.sizes(["/nfs", "/a"])
    before = threading.active_count()
    for _ in range(5):
        sizes.sizes(["/nfs", "/a"])
    wait_until(lambda: threading.active_count() <= before)


def test_a_mount_that_answers_again_is_shown_again(dead_server):
    sizes = probe(dead_server)
    sizes.sizes(["/nfs"])
    dead_server.heal()
    wait_until(lambda: not sizes.hung())
    assert sizes.sizes(["/nfs"]) == {"/nfs": Size(100.0, 40.0)}


def test_threads_are_bounded_when_everything_hangs():
    paths = [f"/{number}" for number in range(20)]
    server = Server(*paths)
    sizes = probe(server, max_hung=3)
    for _ in range(4):
        sizes.sizes(paths)
    assert len(server.asked) <= 4
    server.heal()


def test_a_mount_that_nobody_had_time_for_says_so():
    server = Server("/a", "/b")
    answers = probe(server, max_hung=1).sizes(["/a", "/b"])
    assert answers["/b"] == Unavailable("not asked: other mounts hang")
    server.heal()


def test_a_refusal_is_a_reason_and_no_zero():
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    samples = to_samples({Mount("d", "/m", "t"): "/m"}, SizeProbe(refuse).sizes(["/m"]))
    assert [(one.metric, one.value) for one in samples] == [
        (host.FILESYSTEM_SIZE, Unavailable("statvfs: Permission denied")),
        (host.FILESYSTEM_AVAILABLE, Unavailable("statvfs: Permission denied")),
    ]


def test_a_mount_point_that_is_no_path_is_a_reason():
    assert isinstance(SizeProbe().sizes(["/a\0b"])["/a\0b"], Unavailable)


@given(st.text(alphabet="/ab \\0147\n", max_size=200) | st.text(max_size=100))
def test_whatever_the_table_of_mounts_holds_only_an_input_error_comes_out(text):
    try:
        mounts(text, place="p")
    except InputError as error:
        assert str(error).startswith("p:")  # noqa: PT017 - raising is allowed, not demanded
