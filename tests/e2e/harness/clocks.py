"""A server whose wall clock, and its programs', a test steps (tests/tools/stepping_clock.cpp).

    clock = Clock(world.installation, world.folder)
    server.start(env=clock.environment)
    clock.ahead = 3600          seconds that it is wrong from now on
"""

import pathlib
import struct

from .installation import Installation
from .preload import Preload

US = 1_000_000


class Clock:
    """One for each server: `name` tells them apart."""

    def __init__(self, installation: Installation, folder: pathlib.Path, name: str = "server") -> None:
        loaded = Preload(installation, folder, "stepping_clock", "STEPPING_CLOCK", 8, name)
        self._map, self.environment = loaded.control, loaded.environment

    @property
    def ahead(self) -> float:
        return float(struct.unpack("q", self._map[:8])[0]) / US

    @ahead.setter
    def ahead(self, seconds: float) -> None:
        self._map[:8] = struct.pack("q", round(seconds * US))
