"""A server whose wall clock, and its programs', a test steps (tests/tools/stepping_clock.cpp).

    clock = Clock(world.installation, world.folder)
    server.start(env=clock.environment)
    clock.ahead = 3600          seconds that it is wrong from now on
"""

import mmap
import os
import pathlib
import struct
import subprocess

from .installation import CHECKOUT, Installation

US = 1_000_000


def build(installation: Installation, library: pathlib.Path) -> None:
    source = CHECKOUT / "tests/tools/stepping_clock.cpp"
    command = ["c++", "-std=c++20", "-O1", "-shared", "-fPIC", "-fno-exceptions", "-fno-rtti", "-D_GNU_SOURCE"]
    subprocess.run([*command, str(source), "-o", str(library)], check=True)
    installation.own(library)


class Clock:
    """One for each server: `name` tells them apart."""

    def __init__(self, installation: Installation, folder: pathlib.Path, name: str = "server") -> None:
        library = folder / "stepping_clock.so"
        if not library.exists():
            build(installation, library)
        path = folder / f"stepping_clock.{name}"
        path.write_bytes(bytes(8))
        installation.own(path)
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        # After a sanitizer's runtime, which has to be the first.
        before = installation.environment().get("LD_PRELOAD")
        preload = f"{before}:{library}" if before else str(library)
        self.environment = {"LD_PRELOAD": preload, "STEPPING_CLOCK": os.fspath(path)}

    @property
    def ahead(self) -> float:
        return float(struct.unpack("q", self._map[:8])[0]) / US

    @ahead.setter
    def ahead(self, seconds: float) -> None:
        self._map[:8] = struct.pack("q", round(seconds * US))
