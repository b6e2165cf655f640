"""A private PostgreSQL server with this build."""

import fcntl
import functools
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from typing import Any

import psycopg
import psycopg.rows

from . import checks, ledger, processes
from .installation import Installation
from .waiting import stretch, wait_until

# Small and quick, nothing that hides what a real server would do.
DEFAULTS: dict[str, Any] = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": 60,
    "fsync": "off",
    "log_line_prefix": "%m [%p] %b %d: ",
    "log_checkpoints": "off",
    "log_lock_waits": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_wal_size": "256MB",
}

ENDS_WITH_PROGRAM = re.compile(r"/pganalytics$")


@functools.cache
def reservations() -> int:
    """A file in which each test process locks the byte of each port it has chosen, until it ends: several that run side
    by side would choose the same between looking and listening."""
    path = os.path.join(tempfile.gettempdir(), f"pganalytics-ports-{os.getuid()}")
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


chosen: set[int] = set()


def free_port() -> int:
    """A TCP port of the loopback nobody listens on, below those the kernel gives to clients."""
    locks = reservations()
    while True:
        port = random.SystemRandom().randrange(20000, 32000)
        if port in chosen:
            continue
        try:
            fcntl.lockf(locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        chosen.add(port)
        return port


class Server:
    def __init__(
        self,
        installation: Installation,
        folder: pathlib.Path,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.installation = installation
        self.folder = folder
        self.name = folder.name
        self.data = folder / "data"
        self.state = folder / "data.pganalytics"
        self.socket = folder
        self.bindir = installation.bindir
        self.major = installation.major
        self.port = free_port()
        self.log_file = folder / "server.log"
        self.settings = DEFAULTS | {"port": self.port, "unix_socket_directories": str(folder)}
        self.settings |= settings or {}
        self._crash_expected = False
        self._tolerated: list[str] = []
        self._seen: set[processes.Process] = set()
        self.no_ledger: str | None = None

    # --- life

    def initialise(self, initdb: list[str] | None = None) -> None:
        self.installation.run(
            [self.bindir / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-N"]
            + (initdb if initdb is not None else ["-E", "UTF8", "--locale=C.UTF-8"])
        )
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as file:
            file.write("include_if_exists 'harness.conf'\n")

    def start(self, deadline: int = 60, env: dict[str, str] | None = None) -> "Server":
        self._write_settings()
        ledger.make_journal(self)
        try:
            self.installation.run(
                [self.bindir / "pg_ctl", "start", "-w", "-t", str(deadline), "-D", self.data]
                + ["-l", self.log_file],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=deadline + 10,
                env=env or {},
            )
        except AssertionError:
            raise AssertionError(f"{self.name} does not start:\n{self.log()[-4000:]}") from None
        return self

    def stop(self, mode: str = "fast", deadline: int = 60) -> None:
        if not self.running():
            return
        self._note_processes()
        self.installation.run(
            [self.bindir / "pg_ctl", "stop", "-w", "-m", mode, "-t", str(deadline), "-D", self.data],
            timeout=deadline + 10,
        )

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def reload(self) -> None:
        self.installation.run([self.bindir / "pg_ctl", "reload", "-D", self.data])

    def promote(self) -> None:
        self.installation.run([self.bindir / "pg_ctl", "promote", "-w", "-D", self.data])

    def kill(self) -> None:
        """SIGKILL to the postmaster, as the kernel's out-of-memory killer would."""
        self._note_processes()
        self._crash_expected = True
        os.kill(self.postmaster_pid(), signal.SIGKILL)
        wait_until(self._all_gone, 20, f"processes of {self.name} end after the postmaster's death")
        # Where nobody has waited for it yet it counts as alive.
        for left in (self.data / "postmaster.pid", self.socket / f".s.PGSQL.{self.port}.lock"):
            left.unlink(missing_ok=True)

    def postmaster_pid(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def running(self) -> bool:
        try:
            one = processes.stat(self.postmaster_pid())
        except (FileNotFoundError, IndexError):
            return False
        return one is not None and one.state != "Z"

    # --- settings

    def set(self, settings: dict[str, Any], reload: bool = True) -> None:
        self.settings |= settings
        self.settings = {name: value for name, value in self.settings.items() if value is not None}
        self._write_settings()
        if reload and self.running():
            self.reload()

    def _write_settings(self) -> None:
        quoted = ((name, str(value).replace("'", "''")) for name, value in self.settings.items())
        path = self.data / "harness.conf"
        path.write_text("".join(f"{name} = '{value}'\n" for name, value in quoted))
        self.installation.own(path)

    # --- SQL

    def conninfo(self, dbname: str = "postgres", user: str = "postgres") -> str:
        return psycopg.conninfo.make_conninfo(
            host=str(self.socket), port=self.port, dbname=dbname, user=user, connect_timeout=10
        )

    def connect(
        self, dbname: str = "postgres", user: str = "postgres", **options: Any
    ) -> "psycopg.Connection[Any]":
        return psycopg.connect(self.conninfo(dbname, user), **({"autocommit": True} | options))

    def query(self, sql: Any, params: Any = None, dbname: str = "postgres") -> list[tuple[Any, ...]]:
        with self.connect(dbname) as connection:
            return connection.execute(sql, params).fetchall()

    def rows(self, sql: Any, params: Any = None, dbname: str = "postgres") -> list[dict[str, Any]]:
        with self.connect(dbname, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(sql, params).fetchall()

    def value(self, sql: Any, params: Any = None, dbname: str = "postgres") -> Any:
        ((value,),) = self.query(sql, params, dbname)
        return value

    def execute(self, sql: Any, params: Any = None, dbname: str = "postgres") -> None:
        with self.connect(dbname) as connection:
            connection.execute(sql, params)

    def psql(
        self, *arguments: Any, dbname: str = "postgres", check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        base = [self.bindir / "psql", "-X", "-h", self.socket, "-p", self.port, "-U", "postgres"]
        base += ["-v", "ON_ERROR_STOP=1", "-d", dbname]
        # The client is not ours, and Debian's now and then does not end with a sanitizer in it.
        return self.installation.run([*base, *arguments], check=check, env={"LD_PRELOAD": ""}, **options)

    def program(
        self, *arguments: Any, check: bool = True, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        return self.installation.run(
            [self.bindir / "pganalytics", *arguments], check=check, **options
        )

    # --- what it does

    def log(self, after: int = 0) -> str:
        try:
            with open(self.log_file, "rb") as file:
                file.seek(after)
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def log_size(self) -> int:
        return self.log_file.stat().st_size if self.log_file.exists() else 0

    def wait_log(self, pattern: str, after: int = 0, deadline: float = 15) -> str:
        """The first line after the offset that matches."""

        def line() -> str | None:
            for one in self.log(after).splitlines():
                if re.search(pattern, one):
                    return one
            return None

        found = wait_until(line, deadline, f"a log line of {self.name} with {pattern!r}")
        assert found is not None
        return found

    def workers(self) -> dict[str, list[int]]:
        """Our background workers by backend type."""
        found: dict[str, list[int]] = {}
        for pid, kind in self.query(
            "select pid, backend_type from pg_stat_activity where backend_type like 'pganalytics %%'",
            (),
        ):
            found.setdefault(kind, []).append(pid)
        return found

    def programs(self) -> dict[str, list[int]]:
        """Our programs under this server by sub-command."""
        found: dict[str, list[int]] = {}
        for one in processes.descendants(self.postmaster_pid()):
            arguments = processes.command_line(one.process.pid)
            if len(arguments) >= 2 and ENDS_WITH_PROGRAM.search(arguments[0]):
                found.setdefault(arguments[1], []).append(one.process.pid)
        return found

    # --- replication

    def standby(
        self, name: str, settings: dict[str, Any] | None = None, slot: str | None = None
    ) -> "Server":
        """A streaming standby beside this server; with its own state directory, not enrolled."""
        other = Server(self.installation, self.folder.parent / name)
        make_folder(self.installation, other.folder)
        if (self.bindir / "pg_basebackup").exists():
            command = [self.bindir / "pg_basebackup", "-D", other.data, "-R", "-X", "stream"]
            command += ["-c", "fast", "-d", f"{self.conninfo()} application_name={name}"]
            if slot:
                command += ["-C", "-S", slot]
            self.installation.run(command)
        else:
            self._copy_for_standby(other, slot)
        own = {"port", "unix_socket_directories"}
        inherited = {k: v for k, v in self.settings.items() if not k.startswith("pganalytics.hub")}
        other.settings |= {k: v for k, v in inherited.items() if k not in own}
        other.settings |= settings or {}
        other.start()
        wait_until(
            lambda: self.value(
                "select count(*) from pg_stat_replication where application_name = %s"
                " and state = 'streaming'",
                (name,),
            ),
            20,
            f"{name} streams from {self.name}",
        )
        return other

    def _copy_for_standby(self, other: "Server", slot: str | None) -> None:
        """What pg_basebackup does, for an installation without it; the WAL comes by streaming."""
        start, stop = "pg_backup_start(%s, fast => true)", "pg_backup_stop(wait_for_archive => false)"
        if int(self.value("show server_version_num")) < 150000:
            start, stop = "pg_start_backup(%s, true, false)", "pg_stop_backup(false, false)"
        if slot:
            self.query("select pg_create_physical_replication_slot(%s, true)", (slot,))
            other.settings["primary_slot_name"] = slot
        with self.connect() as session:
            session.execute(f"select {start}", (other.name,))
            # Files of a server that runs come and go.
            self.installation.run(["sh", "-c", 'cp -a "$1" "$2" 2>/dev/null; test -d "$2/base"', "cp", self.data, other.data])
            label = session.execute(f"select labelfile from {stop}").fetchone()
        assert label
        leftovers = ["postmaster.pid", "postmaster.opts", "pg_replslot/*", "pg_wal/0*", "pg_stat_tmp/*"]
        self.installation.run(["sh", "-c", f'cd "$1" && rm -rf {" ".join(leftovers)}', "rm", other.data])
        for file, content in (("backup_label", label[0]), ("standby.signal", "")):
            (other.data / file).write_text(content)
            self.installation.own(other.data / file)
        other.settings["primary_conninfo"] = f"{self.conninfo()} application_name={other.name}"

    # --- the end

    def expect_crash(self) -> None:
        self._crash_expected = True

    def tolerate(self, pattern: str) -> None:
        self._tolerated.append(pattern)

    def expect_no_ledger(self, why: str) -> None:
        """What this test does takes snapshots from outside, so that their ledger can't be in balance."""
        self.no_ledger = why

    def _note_processes(self) -> None:
        self._seen |= {one.process for one in processes.descendants(self.postmaster_pid())}

    def _all_gone(self) -> bool:
        return not any(processes.alive(process) for process in self._seen)

    def close(self) -> list[str]:
        """Stops the server for good; what was wrong with it, one line a complaint."""
        complaints = []
        if self.running():
            try:
                self.stop("fast", deadline=round(20 * stretch()))
            except (AssertionError, subprocess.TimeoutExpired) as error:
                complaints.append(f"fast shutdown failed: {error}")
                self.stop("immediate", deadline=20)
        try:
            wait_until(self._all_gone, 5, "all processes gone")
        except AssertionError:
            for process in self._seen:
                if processes.alive(process):
                    left = " ".join(processes.command_line(process.pid))
                    complaints.append(f"left running: {process.pid} {left}")
                    processes.kill(process)
        complaints += checks.log_complaints(self.log(), self._crash_expected, self._tolerated)
        complaints += checks.last_words(self.state)
        return [f"{self.name}: {complaint}" for complaint in complaints]

    def unexpected_restarts(self) -> int:
        return 0 if self._crash_expected else checks.crash_restarts(self.log())

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def make_folder(installation: Installation, folder: pathlib.Path) -> None:
    folder.mkdir(mode=0o755)
    installation.own(folder)
