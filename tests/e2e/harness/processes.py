"""What /proc says about processes. A process is (pid, start time), so that a reused pid is another."""

import os
import signal
from typing import NamedTuple


class Process(NamedTuple):
    pid: int
    started: int  # clock ticks since boot


class Stat(NamedTuple):
    process: Process
    name: str
    state: str
    parent: int


def stat(pid: int) -> Stat | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(Process(pid, int(fields[19])), name, fields[0], int(fields[1]))


def all_processes() -> dict[int, Stat]:
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (one := stat(int(entry))):
            found[one.process.pid] = one
    return found


def descendants(pid: int) -> list[Stat]:
    """The process and all below it, zombies left out."""
    everything = all_processes()
    wanted, result = [pid], []
    while wanted:
        current = wanted.pop()
        if current in everything and everything[current].state != "Z":
            result.append(everything[current])
        wanted += [one.process.pid for one in everything.values() if one.parent == current]
    return result


def alive(process: Process) -> bool:
    one = stat(process.pid)
    return one is not None and one.process == process and one.state not in "ZX"


def command_line(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return [part.decode(errors="replace") for part in file.read().split(b"\0")[:-1]]
    except (FileNotFoundError, ProcessLookupError):
        return []


def kill(process: Process) -> None:
    if alive(process):
        os.kill(process.pid, signal.SIGKILL)
