"""CPU and memory of processes, read from the kernel and from nothing of ours.

CPU of a living process is its CPU clock: nanoseconds, all threads, ended ones included (the sum
the kernel also shows in /proc/PID/schedstat, which names one thread only). CPU of children that
ended is what the kernel added up in their parent (cutime, cstime), in clock ticks: so it is read
over several cycles together.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


def cpu_ms(pid: int) -> float:
    """Milliseconds of CPU of a living process."""
    clock = (~pid << 3) | 2  # CPUCLOCK_SCHED of the process, as clock_getcpuclockid() makes it
    return time.clock_gettime_ns(clock) / 1e6


def ended_children_ms(pid: int) -> float:
    """Milliseconds of CPU of all ended children of a process."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) * TICK_MS


def children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except OSError:
        return []


def title(pid: int) -> str:
    """The command line as ps shows it; a server process writes its role there."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def private_dirty_kb(pid: int) -> int:
    """Memory that is this process's alone and would have to be found again: its own pages."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            for line in file:
                if line.startswith("Private_Dirty:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


class Peak(NamedTuple):
    total_kb: int  # highest sum over the processes at one moment
    parts_kb: dict[str, int]  # name: highest of each by itself
    samples: int


class MemorySampler:
    """Samples the private memory of processes fifty times a second while the block runs.

    `processes` names them anew for each sample, because visitors come and go.
    """

    def __init__(self, processes: Callable[[], Iterable[tuple[str, int]]], every: float = 0.02):
        self._processes = processes
        self._every = every
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak = Peak(0, {}, 0)

    def __enter__(self) -> "MemorySampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def _run(self) -> None:
        highest, parts, samples = 0, {}, 0
        while True:
            sums: dict[str, int] = {}
            for name, pid in self._processes():
                sums[name] = sums.get(name, 0) + private_dirty_kb(pid)
            samples += 1
            highest = max(highest, sum(sums.values()))
            for name, size in sums.items():
                parts[name] = max(parts.get(name, 0), size)
            self.peak = Peak(highest, dict(parts), samples)
            if self._ends.wait(self._every):
                return


def median(values: Iterable[float]) -> float:
    return percentile(values, 50)


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    if not ordered:
        return float("nan")
    place = -(-len(ordered) * percent // 100)
    return ordered[max(0, min(len(ordered), int(place)) - 1)]
