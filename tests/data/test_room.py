"""The memory a training may take is the least of what the user, the container and the system allow."""

import sys
from pathlib import Path

import pytest

from trainwell.base import InputError
from trainwell.data.room import parse_size, room, told

GIB = 1 << 30


def system(root: Path, *, free: int = 100 * GIB, groups: str = "", files: dict[str, str] | None = None) -> Path:
    """A machine: /proc, and files of control groups."""
    written = {
        "proc/meminfo": f"MemTotal:  1 kB\nMemAvailable:   {free // 1024} kB\n",
        "proc/self/status": "VmData:\t 2097152 kB\nVmSize:\t 4194304 kB\n",
        "proc/self/cgroup": groups,
        **(files or {}),
    }
    for name, text in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRAINWELL_MEMORY", raising=False)


def test_free_memory_counts_where_nothing_else_is_said(tmp_path: Path) -> None:
    assert room(system(tmp_path, free=3 * GIB)) == 3 * GIB


def test_a_control_group_and_those_above_it_limit_and_files_they_cache_count_as_free(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/app/job/memory.max": "max\n",
        "sys/fs/cgroup/app/memory.max": f"{4 * GIB}\n",
        "sys/fs/cgroup/app/memory.current": f"{3 * GIB}\n",
        "sys/fs/cgroup/app/memory.stat": f"anon 5\ninactive_file {GIB}\n",
    }
    assert room(system(tmp_path, groups="0::/app/job\n", files=files)) == 2 * GIB


def test_control_groups_of_the_first_version_limit_too(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{2 * GIB}\n",
        "sys/fs/cgroup/memory/job/memory.usage_in_bytes": f"{GIB}\n",
        "sys/fs/cgroup/memory/job/memory.stat": "total_inactive_file 1024\n",
    }
    found = room(system(tmp_path, groups="5:cpu:/\n4:memory:/job\n", files=files))
    assert found == GIB + 1024


def test_a_full_control_group_leaves_nothing_and_not_less(tmp_path: Path) -> None:
    files = {"sys/fs/cgroup/memory.max": "1000\n", "sys/fs/cgroup/memory.current": "5000\n"}
    assert room(system(tmp_path, groups="0::/\n", files=files)) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no such limits there")
def test_half_of_what_the_limits_of_the_process_leave_may_be_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    limits = {resource.RLIMIT_DATA: 6 * GIB, resource.RLIMIT_AS: resource.RLIM_INFINITY}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limits[which], resource.RLIM_INFINITY))
    assert room(system(tmp_path)) == 2 * GIB
    limits[resource.RLIMIT_AS] = 5 * GIB
    assert room(tmp_path) == GIB // 2


def test_the_user_has_the_last_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINWELL_MEMORY", "200GiB")
    assert room(system(tmp_path)) == 200 * GIB


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("500MB", 500_000_000), ("2 GiB", 2 * GIB), ("1.5k", 1500), ("1tib", 1 << 40), (" 7b ", 7)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-1GB", "0", "2 gigs", "1e9", "GiB"])
def test_what_is_no_size_is_refused_in_one_line(text: str) -> None:
    line = rf"^TRAINWELL_MEMORY is '{text}', which is no amount of memory; write bytes, or such as 500MB or 2GiB\.$"
    with pytest.raises(InputError, match=line):
        parse_size(text)


def test_sizes_are_told_in_the_largest_unit_that_fits() -> None:
    assert [told(size) for size in (0, 1023, 1024, 5 << 20, 1536 << 30)] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "5.0 MiB",
        "1,536.0 GiB",
    ]
