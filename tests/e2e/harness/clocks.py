"""A server whose wall clock, and its programs', a test steps (tests/tools/stepping_clock.cpp).

    clock = Clock(world.installation, world.folder)
    server.start(env=clock.environment)
    clock.ahead = 3600          seconds that it is wrong from now on
    clock.stop()                the monotonic clock goes no further ...
    clock.go(3600)              ... but where it is told to
"""

import pathlib
import struct
import time

from .installation import Installation
from .preload import Preload

US = 1_000_000


class Clock:
    """One for each server: `name` tells them apart."""

    def __init__(self, installation: Installation, folder: pathlib.Path, name: str = "server") -> None:
        loaded = Preload(installation, folder, "stepping_clock", "STEPPING_CLOCK", 16, name)
        self._map, self.environment = loaded.control, loaded.environment

    @property
    def ahead(self) -> float:
        return float(struct.unpack("q", self._map[:8])[0]) / US

    @ahead.setter
    def ahead(self, seconds: float) -> None:
        self._map[:8] = struct.pack("q", round(seconds * US))

    def stop(self) -> None:
        self._steady = round(time.monotonic() * US)
        self.go(0)

    def go(self, seconds: float) -> None:
        self._steady += round(seconds * US)
        self._map[8:16] = struct.pack("q", self._steady)
