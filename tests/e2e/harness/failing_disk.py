"""A program whose calls for files fail (tests/tools/failing_disk.cpp).

    disk = FailingDisk(installation, folder)
    Ship(program, state, environment=disk.environment)
    disk.fail(WRITE | SYNC, errno.EIO, per_thousand=100, seed=7)
    ... what it does meanwhile ...
    disk.heal()
"""

import ctypes
import pathlib

from .installation import Installation
from .preload import Preload

OPEN, WRITE, SYNC, RENAME, UNLINK, TRUNCATE = (1 << place for place in range(6))
EVERY_CALL = (1 << 6) - 1


class Control(ctypes.Structure):
    _fields_ = [
        ("calls", ctypes.c_uint32),
        ("error", ctypes.c_uint32),
        ("per_thousand", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
        ("failed", ctypes.c_uint64),
        ("random", ctypes.c_uint64),
    ]


class FailingDisk:
    def __init__(self, installation: Installation, folder: pathlib.Path) -> None:
        loaded = Preload(installation, folder, "failing_disk", "FAIL_DISK", ctypes.sizeof(Control))
        self._control = Control.from_buffer(loaded.control)
        self.environment = loaded.environment

    def fail(self, calls: int, error: int, per_thousand: int, seed: int) -> None:
        control = self._control
        control.error, control.per_thousand, control.random = error, per_thousand, seed
        control.calls = calls

    def heal(self) -> None:
        self._control.calls = 0

    @property
    def failed(self) -> int:
        """So many calls in all."""
        return int(self._control.failed)
