"""A server that is a hub too, and what people and collectors do with it."""

import json
import pathlib
import subprocess
from typing import Any, NamedTuple

import psycopg
import psycopg.rows
import psycopg.sql

from .installation import Installation
from .server import Server, free_port
from .waiting import wait_until


class Answer(NamedTuple):
    status: int  # 0: no answer at all
    headers: dict[str, str]  # names in lower case
    body: str
    error: str  # what curl said

    def json(self) -> Any:
        return json.loads(self.body)


class Hub(Server):
    def __init__(
        self,
        installation: Installation,
        folder: pathlib.Path,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.collector_port = free_port()
        self.console_port = free_port()
        super().__init__(
            installation,
            folder,
            {
                "shared_preload_libraries": "pganalytics",
                "pganalytics.hub": "on",
                "pganalytics.hub_port": self.collector_port,
                "pganalytics.hub_console_port": self.console_port,
                "pganalytics.collect_interval": "1s",
            }
            | (settings or {}),
        )

    @property
    def ca_file(self) -> pathlib.Path:
        return self.state / "hub" / "ca.crt"

    @property
    def console_url(self) -> str:
        return f"https://localhost:{self.console_port}"

    @property
    def collector_url(self) -> str:
        return f"https://localhost:{self.collector_port}"

    def make_ready(self, deadline: float = 30) -> "Hub":
        self.execute("create extension if not exists pganalytics", dbname=self.database)
        wait_until(self._healthy, deadline, f"{self.name} answers GET /api/v1/health")
        return self

    @property
    def database(self) -> str:
        return str(self.settings.get("pganalytics.hub_database", "postgres"))

    def _healthy(self) -> bool:
        if not self.ca_file.exists():
            return False
        answer = self.request("/api/v1/health")
        return answer.status == 200 and answer.json()["database_ok"] is True

    def health(self) -> Any:
        answer = self.request("/api/v1/health")
        assert answer.status == 200, answer
        return answer.json()

    def request(
        self,
        path: str,
        *,
        method: str | None = None,
        headers: dict[str, str] | None = None,
        body: bytes | str | None = None,
        cert: Any = None,
        key: Any = None,
        port: int | None = None,
        arguments: list[str] | None = None,
    ) -> Answer:
        """One HTTPS request by the curl program, verified against the hub's own CA."""
        url = f"https://localhost:{port or self.console_port}{path}"
        command = ["curl", "--silent", "--show-error", "--max-time", "30", "--cacert", str(self.ca_file)]
        command += ["--include", "--noproxy", "*", "--http1.1", "--suppress-connect-headers"]
        command += ["--header", "Expect:"]
        for name, value in (headers or {}).items():
            command += ["--header", f"{name}: {value}"]
        if method:
            command += ["--request", method]
        if cert:
            command += ["--cert", str(cert), "--key", str(key)]
        if body is not None:
            command += ["--data-binary", "@-"]
        done = subprocess.run(
            [*command, *(arguments or []), url],
            input=body.encode() if isinstance(body, str) else (body or b""),
            capture_output=True,
            check=False,
            timeout=60,
        )
        head, _, text = done.stdout.decode(errors="replace").partition("\r\n\r\n")
        lines = head.split("\r\n")
        status = int(lines[0].split()[1]) if lines[0].startswith("HTTP/") else 0
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        lower = {name.lower(): value for name, value in fields.items()}
        return Answer(status, lower, text, done.stderr.decode(errors="replace"))

    # --- enrolment

    def create_token(self, name: str, valid_for: str = "1 hour") -> str:
        return str(
            self.value(
                "select pganalytics_create_token(%s, %s::interval)", (name, valid_for), self.database
            )
        )

    def enrol(self, server: Server, name: str | None = None) -> str:
        """Enrols a server by the program; its collector_id."""
        name = name or server.name
        token = server.folder / "token"
        token.write_text(self.create_token(name) + "\n")
        token.chmod(0o600)
        server.installation.own(token)
        server.program(
            "register",
            *("--state-directory", server.state),
            *("--url", self.console_url),
            *("--token-file", token),
        )
        token.unlink()
        return self.collectors()[name]

    def collectors(self) -> dict[str, str]:
        return {
            name: str(collector)
            for name, collector in self.query(
                "select name, collector_id from pganalytics.collectors", None, self.database
            )
        }

    # --- what arrived

    def stored(
        self, rowset: str, collector: str | None = None, where: str = "true"
    ) -> list[dict[str, Any]]:
        """Rows of pganalytics.<rowset>, oldest first; none where the table is not there yet."""
        if not self.value("select to_regclass(%s) is not null", (f"pganalytics.{rowset}",), self.database):
            return []
        query = psycopg.sql.SQL("select * from {} where ({})").format(
            psycopg.sql.Identifier("pganalytics", rowset), psycopg.sql.SQL(where)
        )
        params: list[str] = []
        if collector:
            query += psycopg.sql.SQL(" and collector_id = %s")
            params.append(self.collectors().get(collector, "00000000-0000-0000-0000-000000000000"))
        return self.rows(query + psycopg.sql.SQL(" order by time"), params or None, self.database)

    def wait_rows(
        self,
        rowset: str,
        collector: str | None = None,
        more_than: int = 0,
        where: str = "true",
        deadline: float = 20,
    ) -> list[dict[str, Any]]:
        def rows() -> list[dict[str, Any]] | None:
            found = self.stored(rowset, collector, where)
            return found if len(found) > more_than else None

        found = wait_until(rows, deadline, f"more than {more_than} rows of {rowset} in {self.name}")
        assert found is not None
        return found
