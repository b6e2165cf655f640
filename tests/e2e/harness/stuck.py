"""Peers of a collector that leave it waiting: a hub that hangs, one that ends half way through the TLS handshake,
a name server that never answers, a state directory whose volume is full, or does not come back from a write; and
sessions that write to the log without end.
"""

import os
import pathlib
import socket
import ssl
import subprocess
import threading
from contextlib import suppress
from typing import Any

import psycopg

from .installation import Installation
from .server import Server
from .waiting import wait_until


class SilentHub:
    """Accepts connections at a port and never says a word."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_server(("127.0.0.1", port))
        self.accepted: list[socket.socket] = []
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        try:
            while True:
                self._take(self.socket.accept()[0])
        except OSError:
            return

    def _take(self, stream: socket.socket) -> None:
        self.accepted.append(stream)

    def __enter__(self) -> "SilentHub":
        return self

    def __exit__(self, *_: Any) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
        for one in self.accepted:
            one.close()


class HalfHandshake(SilentHub):
    """Answers the client's hello with its own and half of the rest, and that was it."""

    def __init__(self, port: int, certificate: pathlib.Path, key: pathlib.Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        super().__init__(port)

    def _take(self, stream: socket.socket) -> None:
        taken, given = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self.context.wrap_bio(taken, given, server_side=True)
        stream.settimeout(10)
        try:
            while not given.pending:
                if not (piece := stream.recv(65536)):
                    return
                taken.write(piece)
                try:
                    tls.do_handshake()
                except ssl.SSLWantReadError:
                    pass
            answer = given.read()
            stream.sendall(answer[: len(answer) // 2])
        except (OSError, ssl.SSLError):
            return
        self.accepted.append(stream)


class SilentNames:
    """A name server that takes questions and answers none; `wrap` starts a command that knows no other."""

    ADDRESS = "127.47.11.53"

    def __init__(self, folder: pathlib.Path) -> None:
        self.file = folder / "resolv.conf"
        self.file.write_text(f"nameserver {self.ADDRESS}\noptions timeout:30 attempts:5\n")
        self.file.chmod(0o644)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.ADDRESS, 53))
        self.asked = 0
        self.thread = threading.Thread(target=self._count)
        self.thread.start()

    def _count(self) -> None:
        while data := self.socket.recv(4096):
            self.asked += len(data) > 1

    @staticmethod
    def why_not() -> str:
        if os.geteuid() != 0:
            return "needs root for a name server of its own"
        done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else f"needs a mount namespace: {done.stderr.strip()}"

    def start(self, server: Server) -> None:
        """The server and all its programs ask here."""
        server._write_settings()
        user = server.installation.user or "postgres"
        inside = (
            'mount --bind "$1" "$(readlink -f /etc/resolv.conf)" && shift && exec setpriv --reuid "$1" --regid "$1"'
            ' --clear-groups -- "$2" start -w -D "$3" -l "$4"'
        )
        command = ["unshare", "--mount", "sh", "-c", inside, "sh", self.file, user, server.bindir / "pg_ctl"]
        command += [server.data, server.log_file]
        subprocess.run(
            [str(one) for one in command], check=True, timeout=60, env=server.installation.environment(), cwd="/",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def __enter__(self) -> "SilentNames":
        return self

    def __exit__(self, *_: Any) -> None:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"", (self.ADDRESS, 53))
        self.thread.join()
        self.socket.close()


class SmallVolume:
    """A file system of its own at `place`, which `fill` fills."""

    def __init__(self, installation: Installation, place: pathlib.Path, size: str = "24m") -> None:
        self.place, self.filler = place, place / "filler"
        place.mkdir(mode=0o700)
        installation.own(place)
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", place], capture_output=True, text=True, check=False
        )
        self.why_not = done.stderr.strip() if done.returncode != 0 else ""
        if not self.why_not:
            installation.own(place)

    def fill(self) -> None:
        with self.filler.open("wb") as file:
            try:
                while True:
                    file.write(b"x" * 65536)
                    file.flush()
            except OSError:
                pass

    def __enter__(self) -> "SmallVolume":
        return self

    def __exit__(self, *_: Any) -> None:
        if not self.why_not:
            subprocess.run(["umount", "-l", self.place], check=True)


class FrozenVolume:
    """A file system of its own at `place`. While it is frozen whoever writes there waits, beyond SIGKILL."""

    LONGEST = 60.0  # it thaws after, whatever becomes of the test

    def __init__(self, installation: Installation, place: pathlib.Path, image: pathlib.Path) -> None:
        self.place = place
        self.frozen: threading.Timer | None = None
        place.mkdir(mode=0o700)
        with image.open("wb") as file:
            file.truncate(32 << 20)
        self.why_not = self._run("mkfs.ext4", "-q", "-F", image) or self._run("mount", "-o", "loop", image, place)
        if not self.why_not:
            installation.own(place)
            place.chmod(0o700)

    @staticmethod
    def _run(*command: object) -> str:
        """What was wrong."""
        try:
            done = subprocess.run([str(one) for one in command], capture_output=True, text=True, check=False, timeout=30)
        except FileNotFoundError as error:
            return str(error)
        return (done.stderr.strip() or f"{command[0]} failed") if done.returncode != 0 else ""

    def freeze(self) -> None:
        self.frozen = threading.Timer(self.LONGEST, self._run, ("fsfreeze", "-u", self.place))
        self.frozen.start()
        problem = self._run("fsfreeze", "-f", self.place)
        assert not problem, problem

    def thaw(self) -> None:
        if self.frozen is None:
            return
        self.frozen.cancel()
        self.frozen = None
        problem = self._run("fsfreeze", "-u", self.place)
        assert not problem, problem

    def __enter__(self) -> "FrozenVolume":
        return self

    def __exit__(self, *_: Any) -> None:
        if not self.why_not:
            self.thaw()
            subprocess.run(["umount", "-l", self.place], check=True)


class LogStorm:
    """Sessions of a server that write to its log as long as it runs."""

    LINES = "do $$ begin loop raise log 'storm %', repeat('x', 100); perform pg_sleep(0.002); end loop; end $$"

    def __init__(self, server: Server, sessions: int = 4) -> None:
        self.sessions = [server.connect() for _ in range(sessions)]
        self.threads = [threading.Thread(target=self._write, args=(one,)) for one in self.sessions]
        for thread in self.threads:
            thread.start()
        wait_until(lambda: "storm x" in server.log()[-10000:], 20, "the log fills")

    def _write(self, session: "psycopg.Connection[Any]") -> None:
        with suppress(psycopg.Error), session:
            session.execute(self.LINES)

    def join(self) -> None:
        """After the server's end."""
        for thread in self.threads:
            thread.join()
