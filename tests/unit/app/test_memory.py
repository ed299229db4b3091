from pathlib import Path

import pytest

from turnout_server.app.memory import find_memory
from turnout_server.app.watchdog import pressure_at
from turnout_server.dispatch.admission import Pressure

MIB = 1 << 20


def group(folder: Path, **files: object) -> None:
    """The files of one control group; `__` in a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def membership(folder: Path, *lines: str) -> Path:
    file = folder / "membership"
    file.write_text("\n".join(lines) + "\n")
    return file


def test_version_2_counts_what_the_kernel_cannot_drop(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    stat = f"anon {50 * MIB}\ninactive_file {60 * MIB}"
    group(root / "pod", memory__max=200 * MIB, memory__current=160 * MIB, memory__stat=stat)
    memory = find_memory(root, membership(tmp_path, "0::/pod"))
    assert memory is not None
    assert memory.limit_bytes == 200 * MIB
    assert memory.used_share() == pytest.approx(0.5)


def test_the_tightest_limit_above_the_process_holds(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    group(root, memory__max="max")
    for path, limit in (("pod", 100 * MIB), ("pod/box", 400 * MIB), ("pod/box/me", "max")):
        group(root / path, memory__max=limit, memory__current=50 * MIB, memory__stat="anon 1")
    memory = find_memory(root, membership(tmp_path, "0::/pod/box/me"))
    assert memory is not None
    assert memory.used_share() == pytest.approx(0.5)


def test_inside_a_container_the_mount_is_the_group(tmp_path: Path) -> None:
    root = tmp_path / "cgroup"
    group(root, memory__max=100 * MIB, memory__current=90 * MIB, memory__stat="inactive_file 0")
    memory = find_memory(root, membership(tmp_path, "0::/host/path/that/is/not/here"))
    assert memory is not None
    assert memory.used_share() == pytest.approx(0.9)


def test_version_1(tmp_path: Path) -> None:
    group(
        tmp_path / "cgroup/memory/box",
        memory__limit_in_bytes=100 * MIB,
        memory__usage_in_bytes=80 * MIB,
        memory__stat=f"inactive_file 1\ntotal_inactive_file {30 * MIB}",
    )
    lines = ("12:cpu,cpuacct:/", "7:memory:/box", "0::/")
    memory = find_memory(tmp_path / "cgroup", membership(tmp_path, *lines))
    assert memory is not None
    assert memory.used_share() == pytest.approx(0.5)


@pytest.mark.parametrize("limit", ["max", 0x7FFFFFFFFFFFF000])
def test_without_a_limit_there_is_nothing_to_watch(tmp_path: Path, limit: object) -> None:
    group(tmp_path / "cgroup/pod", memory__max=limit, memory__current=1, memory__stat="")
    assert find_memory(tmp_path / "cgroup", membership(tmp_path, "0::/pod")) is None
    assert find_memory(tmp_path / "cgroup", tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("share", "pressure"),
    [
        (0.0, Pressure.NONE),
        (0.849, Pressure.NONE),
        (0.85, Pressure.SHED_BATCH),
        (0.92, Pressure.SHED_NEW),
        (0.95, Pressure.RESET_LARGEST),
        (1.2, Pressure.RESET_LARGEST),
    ],
)
def test_the_ladder(share: float, pressure: Pressure) -> None:
    assert pressure_at(share) is pressure
