"""Faults of every kind for minutes: `python -m tests.fault.soak [--minutes 5]` (row 128).

Callers ask, cancel and run out of time while upstream fails in every way that a script knows.
Memory, descriptors and tasks are sampled, and what counts is how they grow: the slope of a line
through the samples after the first fifth, which is warm-up.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.fault.invariants import MIB
from tests.fault.stage import WIRES, Stage, open_stage

SCRIPTS = (
    *("ok", "ok", "ok", "ok~tokens=60", "ok~tokens=30~gap_ms=3", "toolparallel", "nousage"),
    *("429", "500", "503", "529", "400", "404", "409", "html200", "empty200", "json200"),
    *("rst", "rst~at=0", "trunc", "nodone", "truncmidevent", "hangmid", "hang", "pinghang"),
    *("badjson~at=2", "errevent", "errevent~at=2", "badutf8", "nullchoices", "hugeline~mib=2"),
    *("garbage", "extrabytes", "stale", "utf8split", "wrongtypes~at=3", "gzip", "slowhdr"),
)
CALLERS = 16


@dataclass(slots=True)
class Sample:
    """The process at one moment."""

    at_s: float
    calls: int
    rss_mib: float
    descriptors: int
    tasks: int


@dataclass(slots=True)
class Soak:
    """What happened, and how the process fared."""

    codes: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """Calls made."""
        return self.codes.total()

    def growth_per_10_000_calls(self, name: str) -> float:
        """Slope of one quantity after the warm-up, by least squares."""
        warm = self.samples[len(self.samples) // 5 :]
        xs = [sample.calls / 10_000 for sample in warm]
        ys = [getattr(sample, name) for sample in warm]
        mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
        spread = sum((x - mean_x) ** 2 for x in xs)
        return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread


async def soak(stage: Stage, duration_s: float, *, every_s: float, seed: int = 128) -> Soak:
    """Ask for so long, and sample every so often when all is quiet."""
    result, source = Soak(), random.Random(seed)
    ends_s = time.monotonic() + duration_s
    while time.monotonic() < ends_s:
        round_ends_s = time.monotonic() + every_s
        callers = (_ask_until(round_ends_s, stage, source, result) for _ in range(CALLERS))
        await asyncio.gather(*callers)
        await stage.upstream.wait_until_idle(within_s=5)
        result.samples.append(await _sample(stage, result))
    return result


async def _ask_until(ends_s: float, stage: Stage, source: random.Random, result: Soak) -> None:
    while time.monotonic() < ends_s:
        provider, script = source.choice(WIRES), source.choice(SCRIPTS)
        options = {"spare": source.random() < 0.5, "first_output_s": 0.15, "stall_s": 0.15}
        timeout_s = source.choice((0.05, 0.5, 1.5, 1.5))
        ask = stage.complete if source.random() < 0.2 else stage.ask
        calling = asyncio.ensure_future(ask(provider, script, timeout=timeout_s, **options))
        if source.random() < 0.15:
            await asyncio.sleep(source.uniform(0, 0.03))
            calling.cancel()
        with suppress(asyncio.CancelledError):
            told = await calling
            result.codes[told.code] += 1
            continue
        result.codes["CANCELLED"] += 1


async def _sample(stage: Stage, result: Soak) -> Sample:
    _forget(stage)
    await asyncio.sleep(0.05)
    process = psutil.Process()
    servers = (stage.upstream, stage.spare)
    return Sample(
        at_s=time.monotonic(),
        calls=result.calls,
        rss_mib=process.memory_info().rss / MIB,
        descriptors=process.num_fds() - 2 * sum(server.open_connections for server in servers),
        tasks=sum(not t.get_name().startswith("faultd") for t in asyncio.all_tasks()),
    )


def _forget(stage: Stage) -> None:
    """Empty what the harness itself keeps of each call, which would look like a leak."""
    for server in (stage.upstream, stage.spare):
        server.requests.clear()
        server.stale_closes = 0
    stage.unsent_attempts = 0
    stage.calls.statuses.clear()
    stage.calls.texts.clear()
    stage.sinks.seen.forget()
    stage.sinks.spans.texts.clear()


def report(result: Soak) -> str:
    """The figures in a few lines."""
    slopes = {
        name: result.growth_per_10_000_calls(name) for name in ("rss_mib", "descriptors", "tasks")
    }
    first, last = result.samples[0], result.samples[-1]
    codes = ", ".join(f"{code} {count}" for code, count in result.codes.most_common())
    peak_mib = max(sample.rss_mib for sample in result.samples)
    return (
        f"{result.calls} calls: {codes}\n"
        f"memory {first.rss_mib:.1f} -> {last.rss_mib:.1f} MiB "
        f"(most {peak_mib:.1f}), "
        f"descriptors {first.descriptors} -> {last.descriptors}, "
        f"tasks {first.tasks} -> {last.tasks}\n"
        "growth in 10,000 calls after the warm-up: "
        f"{slopes['rss_mib']:+.2f} MiB, {slopes['descriptors']:+.1f} descriptors, "
        f"{slopes['tasks']:+.1f} tasks"
    )


async def _main(minutes: float) -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with open_stage(Path(folder)) as stage:
            stage.max_rss_growth_bytes = 256 * MIB
            result = await soak(stage, minutes * 60, every_s=5.0)
            _forget(stage)
            print(report(result), flush=True)
    return int(result.growth_per_10_000_calls("rss_mib") > 1.0)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=5.0)
    sys.exit(asyncio.run(_main(arguments.parse_args().minutes)))
