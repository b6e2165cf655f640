"""A program whose calls for files fail (tests/tools/failing_disk.cpp).

    disk = FailingDisk(folder)
    Ship(program, state, environment=disk.environment)
    disk.fail(WRITE | SYNC, errno.EIO, per_thousand=100, seed=7)
    ... what it does meanwhile ...
    disk.heal()
"""

import ctypes
import mmap
import pathlib
import subprocess

from .installation import CHECKOUT

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
    def __init__(self, folder: pathlib.Path) -> None:
        library, path = folder / "failing_disk.so", folder / "failing_disk"
        command = ["c++", "-std=c++20", "-O1", "-shared", "-fPIC", "-fno-exceptions", "-fno-rtti", "-D_GNU_SOURCE"]
        subprocess.run([*command, str(CHECKOUT / "tests/tools/failing_disk.cpp"), "-o", str(library)], check=True)
        path.write_bytes(bytes(ctypes.sizeof(Control)))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._control = Control.from_buffer(self._map)
        self.environment = {"LD_PRELOAD": str(library), "FAIL_DISK": str(path)}

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
