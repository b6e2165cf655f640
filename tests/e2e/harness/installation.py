"""The server installation under test, and the unprivileged user its processes run as."""

import functools
import os
import pathlib
import pwd
import subprocess
from typing import Any

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
# Program and library were built with sanitizers (make sanitized). Their figures of memory are not what they would be.
SANITIZED = bool(os.environ.get("PGANALYTICS_SANITIZED"))


class Installation:
    def __init__(self) -> None:
        bindir = os.environ.get("PGANALYTICS_BINDIR")
        if not bindir:
            bindir = subprocess.run(
                [CHECKOUT / "tools/private-install"], check=True, stdout=subprocess.PIPE, text=True
            ).stdout.splitlines()[-1]
        self.bindir = pathlib.Path(bindir)
        version = subprocess.run(
            [self.bindir / "postgres", "--version"], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        self.major = int("".join(c if c.isdigit() else " " for c in version).split()[0])
        # initdb and postgres refuse root.
        self.user = None
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            self.user = "postgres" if "postgres" in names else "nobody"

    def own(self, path: os.PathLike[str]) -> None:
        """Gives a path to the server's user."""
        if self.user:
            entry = pwd.getpwnam(self.user)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def run(self, command: list[Any], **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs a command as the server's user; text, both outputs kept, checked unless said."""
        options = {"text": True, "check": True, "timeout": 120, "cwd": "/"} | options
        if "stdout" not in options and "stderr" not in options:
            options["capture_output"] = True
        if self.user:
            group = pwd.getpwnam(self.user).pw_gid
            options |= {"user": self.user, "group": group, "extra_groups": []}
        if "input" not in options:
            options["stdin"] = subprocess.DEVNULL
        options["env"] = self.environment() | options.pop("env", {})
        command = [str(part) for part in command]
        try:
            return subprocess.run(command, **options)
        except subprocess.CalledProcessError as error:
            raise AssertionError(
                f"{command} ended with {error.returncode}: {error.stdout or ''}{error.stderr or ''}"
            ) from None

    def environment(self) -> dict[str, str]:
        """The little a server needs; PGHOST and its like would lead tests astray."""
        kept = {"PATH": f"{self.bindir}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        for name, value in os.environ.items():
            if name in ("TMPDIR", "LD_PRELOAD") or name.startswith(("ASAN_", "UBSAN_", "GCOV_")):
                kept[name] = value
        return kept | (sanitizer_environment() if SANITIZED else {})


@functools.cache
def sanitizer_environment() -> dict[str, str]:
    """What a server needs that loads a sanitized library: their runtime, which wants the C++ one to be there, first.
    Leaks are the unit tests' to find: a server ends without tidying up."""

    def file(name: str) -> str:
        command = ["gcc", f"-print-file-name={name}"]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    return {
        "LD_PRELOAD": f"{file('libasan.so')}:{file('libstdc++.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:disable_coredump=1",
    }
