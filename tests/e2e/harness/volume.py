"""Real file systems in files, that hang or have a quota. Skipped, with the reason, where none can be mounted."""

import pathlib
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


def _done(*command: object, what: str) -> str:
    try:
        done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not installed (tools/packages install test)")
    if done.returncode != 0:
        pytest.skip(f"cannot {what} here: {done.stderr.strip()}")
    return done.stdout


class Volume:
    """Mounted at `place`."""

    def __init__(self, folder: pathlib.Path, kind: str, megabytes: int) -> None:
        self.place, image = folder / "volume", folder / "image"
        self.place.mkdir()
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        _done(f"mkfs.{kind}", "-q", image, what=f"make an {kind}")
        _done("mount", "-o", "loop", image, self.place, what=f"mount an {kind}")
        self.place.chmod(0o755)
        self._watchdog: subprocess.Popen[bytes] | None = None

    def freeze(self) -> None:
        """Whoever writes waits until thaw(), or the end of this process, however it ends."""
        # Its end of file is our end.
        self._watchdog = subprocess.Popen(
            ["bash", "-c", 'read -r -t 110; fsfreeze --unfreeze "$1"', "thaw", self.place],
            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        _done("fsfreeze", "--freeze", self.place, what="freeze a volume")

    def thaw(self) -> None:
        if self._watchdog is None:
            return
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        self._watchdog.wait(30)
        self._watchdog = None

    def close(self) -> None:
        self.thaw()
        subprocess.run(["umount", self.place], check=True)


@contextmanager
def mounted(kind: str, megabytes: int) -> Iterator[Volume]:
    """Where the servers' user gets, too."""
    with tempfile.TemporaryDirectory(prefix="pganalytics-") as folder:
        pathlib.Path(folder).chmod(0o755)
        volume = Volume(pathlib.Path(folder), kind, megabytes)
        try:
            yield volume
        finally:
            volume.close()


class Quota:
    """A folder of a btrfs `volume` that takes so many bytes; root is not exempt. No limit at first."""

    def __init__(self, volume: Volume) -> None:
        self._volume, self.place = volume.place, volume.place / "limited"
        _done("btrfs", "quota", "enable", volume.place, what="have a quota")
        _done("btrfs", "subvolume", "create", self.place, what="make a subvolume")
        self.place.chmod(0o755)
        self._group = "0/" + _done("btrfs", "inspect-internal", "rootid", self.place, what="find a subvolume").strip()

    def limit(self, size: int | None) -> None:
        # Asked for by the whole volume's name: within the folder there would be no room for the change.
        _done("btrfs", "qgroup", "limit", "none" if size is None else size, self._group, self._volume, what="set a quota")
