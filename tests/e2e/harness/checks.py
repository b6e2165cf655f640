"""What must be true of every server at the end of its life."""

import pathlib
import re

# Lines that say a process crashed, the server panicked, an assertion failed, or a process of ours
# made somebody's DDL wait.
CRASHES = re.compile(
    r"was terminated by signal|terminating any other active server processes|PANIC:|TRAP:"
    r"|AddressSanitizer|runtime error:|stack smashing|terminate called"
)
CRASH_RESTART = "terminating any other active server processes"
ENDED = re.compile(r"was terminated by signal (\d+)|exited with exit code \d+")
BARRIER = re.compile(r"still waiting for backend with PID \d+ to accept ProcSignalBarrier")


def log_complaints(log: str, crash_expected: bool, tolerated: list[str]) -> list[str]:
    complaints = []
    for line in log.splitlines():
        if BARRIER.search(line) or (CRASHES.search(line) and not crash_expected):
            if not any(re.search(pattern, line) for pattern in tolerated):
                complaints.append(line)
    return complaints


def crash_restarts(log: str, by_test: tuple[str, ...] = ()) -> int:
    """How often PostgreSQL began anew with all its processes, but for ends by the signals in `by_test`."""
    restarts, signal = 0, None
    for line in log.splitlines():
        if ended := ENDED.search(line):
            signal = ended[1]
        elif CRASH_RESTART in line:
            restarts += signal not in by_test
    return restarts


def last_words(state: pathlib.Path) -> list[str]:
    """Contents of the last-words files that are not empty."""
    if not state.is_dir():
        return []
    return [
        f"{path.name}: {path.read_text(errors='replace')}"
        for path in sorted(state.glob("*.last_words"))
        if path.stat().st_size > 0
    ]
