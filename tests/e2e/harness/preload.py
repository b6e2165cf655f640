"""Libraries that are loaded before everything else into a server or a program (tests/tools/*.cpp, preload.hpp), and the
files by which a test tells them what to do."""

import mmap
import os
import pathlib
import subprocess

from .installation import CHECKOUT, Installation


def build(name: str, library: pathlib.Path) -> None:
    pg_config = os.environ.get("PG_CONFIG", "pg_config")
    include = subprocess.run([pg_config, "--includedir-server"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    command = ["c++", "-std=c++20", "-O1", "-shared", "-fPIC", "-fno-exceptions", "-fno-rtti", "-isystem", include]
    command += ["-D_GNU_SOURCE", str(CHECKOUT / f"tests/tools/{name}.cpp"), "-o", str(library)]
    subprocess.run(command, check=True)


class Preload:
    """tests/tools/`name`.cpp, for a process with `environment`; `control` is the file of `size` bytes, named in `variable`,
    that it maps. One for each process and what it starts: `owner` tells them apart."""

    def __init__(
        self, installation: Installation, folder: pathlib.Path, name: str, variable: str, size: int, owner: str = "server"
    ) -> None:
        library, path = folder / f"{name}.so", folder / f"{name}.{owner}"
        if not library.exists():
            build(name, library)
            installation.own(library)
        path.write_bytes(bytes(size))
        installation.own(path)
        with path.open("r+b") as file:
            self.control = mmap.mmap(file.fileno(), 0)
        # After a sanitizer's runtime, which has to be the first.
        before = installation.environment().get("LD_PRELOAD")
        self.environment = {"LD_PRELOAD": f"{before}:{library}" if before else str(library), variable: str(path)}
