"""How full the memory is that the kernel grants us, read from the control group."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_NO_LIMIT_BYTES = 1 << 60
"""Version 1 says so by the largest number of pages."""


@dataclass(frozen=True, slots=True)
class Memory:
    """One control group with a limit. Everything in it counts: every worker, and its children."""

    limit_bytes: int
    _usage: Path
    _stat: Path
    _reclaimable: str

    def used_share(self) -> float:
        """The part in use, without file pages that the kernel can drop; about 50 µs."""
        used_bytes = int(self._usage.read_text())
        for line in self._stat.read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == self._reclaimable:
                used_bytes -= int(value)
        return max(0, used_bytes) / self.limit_bytes


def find_memory(root: Path = _ROOT, membership: Path = _MEMBERSHIP) -> Memory | None:
    """The tightest limit above this process, by cgroup version 2 or 1; None where there is none."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    found = [memory for line in lines for memory in _limits(root, line)]
    return min(found, key=lambda memory: memory.limit_bytes, default=None)


def _limits(root: Path, line: str) -> Iterator[Memory]:
    _, controllers, path = line.split(":", 2)
    if controllers == "":
        names = ("memory.max", "memory.current", "inactive_file")
    elif "memory" in controllers.split(","):
        root /= "memory"
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    else:
        return
    limit, usage, reclaimable = names
    folder = root / path.lstrip("/")
    # Inside a container the path of the host may not be there: the root of the mount is its own.
    for place in (folder, *folder.parents):
        if place == root.parent:
            return
        try:
            text = (place / limit).read_text().strip()
        except OSError:
            continue
        if text.isdigit() and int(text) < _NO_LIMIT_BYTES:
            yield Memory(int(text), place / usage, place / "memory.stat", reclaimable)
