"""All servers of one test in one folder; closed and checked together."""

import os
import pathlib
import shutil
import tempfile
from typing import Any

from . import ledger, scorecard
from .hub import Hub
from .installation import Installation
from .server import Server, make_folder


class World:
    def __init__(self, installation: Installation, keep: bool = False) -> None:
        self.installation = installation
        self.keep = keep
        # Short, because socket paths are limited; open, because the servers run as another user.
        self.folder = pathlib.Path(
            tempfile.mkdtemp(prefix="pganalytics-", dir=os.environ.get("TMPDIR", "/tmp"))
        )
        self.folder.chmod(0o755)
        installation.own(self.folder)
        self.servers: list[Server] = []

    def path(self, name: str) -> pathlib.Path:
        return self.folder / name

    def server(
        self,
        name: str = "server",
        settings: dict[str, Any] | None = None,
        initdb: list[str] | None = None,
        start: bool = True,
    ) -> Server:
        given = {"shared_preload_libraries": "pganalytics"} | (settings or {})
        return self._make(Server(self.installation, self.folder / name, given), initdb, start)

    def hub(
        self,
        name: str = "hub",
        settings: dict[str, Any] | None = None,
        initdb: list[str] | None = None,
        start: bool = True,
        ready: bool = True,
    ) -> Hub:
        hub = Hub(self.installation, self.folder / name, settings)
        self._make(hub, initdb, start)
        if start and ready:
            hub.make_ready()
        return hub

    def standby(
        self, primary: Server, name: str = "standby", settings: dict[str, Any] | None = None, **more: Any
    ) -> Server:
        standby = primary.standby(name, settings, **more)
        self.servers.append(standby)
        return standby

    def _make(self, server: Server, initdb: list[str] | None, start: bool) -> Server:
        make_folder(self.installation, server.folder)
        self.servers.append(server)
        server.initialise(initdb)
        if start:
            server.start()
        return server

    def logs(self, lines: int = 60) -> str:
        parts = []
        for server in self.servers:
            tail = "\n".join(server.log().splitlines()[-lines:])
            parts.append(f"--- log of {server.name}\n{tail}")
        return "\n".join(parts)

    def close(self) -> None:
        complaints = []
        # Standbys first, so that no primary waits for them.
        for server in reversed(self.servers):
            complaints += server.close()
        wrong = ledger.complaints(self.servers)
        complaints += wrong
        scorecard.score_wrong(
            restarts=sum(server.unexpected_restarts() for server in self.servers),
            unexplained=sum(ledger.unexplained(one) for one in wrong),
        )
        if self.keep:
            print(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        assert not complaints, "\n".join(complaints)
