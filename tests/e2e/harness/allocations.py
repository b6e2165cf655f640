"""A server in which the n-th allocation of one of its processes fails (tests/tools/failing_allocation.cpp).

    allocations = Allocations(world)
    server.start(env=allocations.environment)
    allocations.arm("pganalytics collector", at=17)     counting begins; 0: count only
    ... what allocates ...
    allocations.calls, allocations.failed, allocations.where
"""

import ctypes
import pathlib

from .installation import Installation
from .preload import Preload

MALLOC, PALLOC, MAP = 1, 2, 4
EVERYTHING = MALLOC | PALLOC | MAP


class Control(ctypes.Structure):
    _fields_ = [
        ("armed", ctypes.c_uint32),
        ("kinds", ctypes.c_uint32),
        ("ever_after", ctypes.c_uint32),
        ("failed_kind", ctypes.c_uint32),
        ("fail_at", ctypes.c_uint64),
        ("calls", ctypes.c_uint64),
        ("failed", ctypes.c_uint64),
        ("target", ctypes.c_char * 64),
        ("where", ctypes.c_char * 3800),
    ]


class Allocations:
    """One for each server: `name` tells them apart."""

    def __init__(self, installation: Installation, folder: pathlib.Path, name: str = "server") -> None:
        size = ctypes.sizeof(Control)
        loaded = Preload(installation, folder, "failing_allocation", "FAIL_ALLOCATION", size, name)
        self._control = Control.from_buffer(loaded.control)
        self.environment = loaded.environment

    def arm(self, target: str, at: int = 0, kinds: int = EVERYTHING, ever_after: bool = False) -> None:
        """Of the processes with the worker's or program's name `target` ("pganalytics ship"), or of the sessions with that
        application_name."""
        self.disarm()
        control = self._control
        control.calls = control.failed = control.failed_kind = 0
        control.where = b""
        control.target, control.fail_at, control.kinds = target.encode(), at, kinds
        control.ever_after = ever_after
        control.armed = 1

    def disarm(self) -> None:
        self._control.armed = 0

    @property
    def calls(self) -> int:
        return int(self._control.calls)

    @property
    def failed(self) -> int:
        return int(self._control.failed)

    @property
    def where(self) -> str:
        """What called what when the first failed: file, place in it, and the symbol where it has a name."""
        return bytes(self._control.where).decode(errors="replace")
