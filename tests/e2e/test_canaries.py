"""Marked secrets planted wherever a monitor could pick them up (canaries.py), and a search for them in all that it
writes, sends, stores and shows. None may be found.

What is declared to leave the server is no secret, and nothing is planted there: names of objects (also those of
prepared transactions), application_name, values of settings that do not say they are secret (docs/metrics.md,
pg_settings.settings: by name, or after `password=` and its like; a bare word in a command, `-u user:word`, is a value as
any other), what a user's own rowset is defined to read. These carry the control marks instead, which must be found: else
the search finds nothing at all. The message of a rowset that fails, with the value it fails with, is for the server's own
log and for superusers.
"""

import base64
import gzip
import json
import os
import pathlib
import re
import signal
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

import canaries
from canaries import Canaries
from collecting import ship, wait_cycles
from driver.scripted_hub import Answer, Request, ScriptedHub
from harness import Hub, Server, World, processes, wait_until
from harness.scorecard import score

QUIET = "-c log_min_messages=panic"  # what the server itself logs of a session that fails


# Of the hub, where a control mark arrives: what is read each second, each minutes, once an hour.
TABLES = {"pg_stats_tables", "pg_locks_blocking", "pg_query_stats_texts", "pg_settings_settings", "pg_schema_relations"}


def content(path: pathlib.Path) -> bytes:
    """Of a file, which may be gone by now."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return b""


class Programs(threading.Thread):
    """Command lines and environments of all programs that were ever seen under the servers."""

    def __init__(self, servers: list[Server]) -> None:
        super().__init__(daemon=True)
        self.servers, self.seen = servers, {}  # type: ignore[var-annotated]
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.wait(0.1):
            for server in self.servers:
                try:
                    below = processes.descendants(server.postmaster_pid())
                except (FileNotFoundError, IndexError):
                    continue
                for one in below:
                    self.look(one.process.pid)

    def look(self, pid: int) -> None:
        line = processes.command_line(pid)
        try:
            told = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return
        # A process of the server has the postmaster's environment, as every one of its sessions.
        program = len(line) > 1 and line[0].endswith("/pganalytics")
        self.seen[pid, program] = "\n".join(line).encode() + b"\n" + (told if program else b"")


class Scene:
    """Everything is planted, and everything was collected, sent, kept on disk and stored."""

    def __init__(self, world: World, folder: pathlib.Path) -> None:
        self.canaries, self.control, self.local = Canaries(), Canaries(), Canaries()
        self.found: dict[str, bytes] = {}  # by where to look
        self.names: set[str] = set()
        self.hub: Hub = world.hub(start=False)
        self.server = world.server("watched", {"shared_preload_libraries": "pg_stat_statements"})
        self.server.expect_no_ledger("the scripted hub is not asked")
        self.scripted = ScriptedHub(folder)
        self.programs = Programs([self.hub, self.server])
        self.sessions: list[psycopg.Connection[Any]] = []
        self.threads: list[threading.Thread] = []
        environment = canaries.environment(self.canaries, world.folder)
        self.hub.start(env=environment)
        self.hub.make_ready()
        self.plant(environment)
        for one in (self.hub, self.server):
            one.execute("create role monitor login in role pg_monitor")
        self.programs.start()
        self.to_the_scripted_hub()
        self.outage()
        self.to_the_hub()
        self.gather(world)

    def mark(self, what: str) -> str:
        """A control mark's name, or a statement with it."""
        name = f"control_{len(self.names)}_{self.control.stem}"
        self.names.add(name)
        return name if what == "name" else what.format(name)

    def plant(self, environment: dict[str, str]) -> None:
        server, c = self.server, self.canaries
        with server.connect() as session:
            session.execute("create extension pg_stat_statements; create extension pganalytics; create table locked (id int primary key, t text)")
            session.execute("insert into locked values (1, '')")
            session.execute(self.mark("create table {} (id int)").encode())
            for statement in canaries.durable(c, server.major):
                session.execute(statement.encode())
        server.stop()
        server.set(canaries.settings(c))
        server.set(
            {
                "shared_preload_libraries": "pg_stat_statements,pganalytics",
                "pganalytics.collect_interval": "1s",
                "max_prepared_transactions": 5,
                "pg_stat_statements.track_utility": "on",
                "cluster_name": self.mark("name"),
            }
        )
        with open(server.data / "pg_hba.conf", "a", encoding="utf-8") as file:
            file.write(f"# {c.text('comment in pg_hba.conf')}\n")
        server.start(env=environment)
        self.open_sessions()

    def open_sessions(self) -> None:
        server, c = self.server, self.canaries

        def connect(**options: Any) -> "psycopg.Connection[Any]":
            self.sessions.append(server.connect(application_name=self.mark("name"), options=QUIET, **options))
            return self.sessions[-1]

        # A transaction that nobody runs any more holds the row all others wait for.
        holder = connect()
        holder.execute("begin")
        holder.execute(f"update locked set t = '{c.text('prepared transaction')}' where id = 1".encode())
        holder.execute(self.mark("prepare transaction '{}'").encode())
        for statement in canaries.of_sessions(c):
            waiter = connect()
            self.threads.append(threading.Thread(target=self.waits, args=(waiter, statement), daemon=True))
        self.threads.append(
            threading.Thread(target=self.waits, args=(connect(), f"select pg_sleep(600), '{c.text('running')}'"), daemon=True)
        )
        for thread in self.threads:
            thread.start()
        idle = connect()
        idle.execute(f"set myapp.password = '{c.text('SET of an open session')}'".encode())
        idle.execute(f"select '{c.text('last statement of an idle session')}'".encode())
        old = connect()
        old.execute("begin")
        old.execute("select txid_current()")
        old.execute(f"create temporary table kept as select '{c.text('temporary table')}'::text as x".encode())
        old.execute(f"declare planted cursor for select '{c.text('cursor')}'".encode())
        wrong = connect()
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            wrong.execute(f"select '{c.text('statement that failed')}'::int".encode())
        waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        wait_until(lambda: server.value(waiting) >= len(self.threads) - 1, 20, "they wait")

    def waits(self, session: "psycopg.Connection[Any]", statement: str) -> None:
        try:
            session.execute(statement.encode())
        except psycopg.Error:
            pass

    # --- the ways

    def register(self, url: str, token: str) -> None:
        """By SQL, where the token stands in a statement."""
        with self.server.connect(options=QUIET) as session:
            session.execute(f"select pganalytics_register('{url}', '{token}')".encode())

    def to_the_scripted_hub(self) -> None:
        bearer = self.canaries.text("token of a collector")
        token = self.scripted.authority.token()
        self.canaries.secret("enrolment token", token.rsplit(".", 1)[1])

        def enrol(request: Request) -> Answer | None:
            if request.path.endswith("/collectors/register"):
                return Answer(200, self.scripted.enrolment(request, token=bearer))
            return None

        self.scripted.script = enrol
        with self.server.connect() as session:
            session.execute("create table failing as select '1'::text as t")
            session.execute(
                "select pganalytics_add_rowset('planted', $$select sum(t::int) as x from public.failing where t <> "
                f"'{self.canaries.text('constant of an own rowset')}'$$, '1 s', 'cluster', '{{\"x\": \"gauge\"}}')".encode()
            )
        ship(self.server)
        self.register(self.scripted.console_url, token)
        self.ask("")
        assert self.scripted.pushes()[-1].headers["authorization"] == f"Bearer {bearer}"
        self.canaries.key("a collector's first key", self.server.state / "identity/key.pem")

    def ask(self, when: str) -> None:
        """Everything that is collected, shown and sent on demand."""
        for call in ("collect_now()", "preview()", "push_now('60 s')"):
            rows = self.server.query(f"select t::text from pganalytics_{call} t")
            self.found[f"{call} {when}"] = repr(rows).encode()
        wait_cycles(self.server, 2, 30)

    def outage(self) -> None:
        def away(request: Request) -> Answer | None:
            return Answer(503, {"message": "busy"}) if request.path.endswith("/metrics/push") else None

        self.scripted.script = away
        with self.server.connect() as session:
            session.execute(self.mark("create table {} (id int)").encode())
            session.execute(f"update failing set t = '{self.local.text('value a reading fails with')}'".encode())
        with pytest.raises(psycopg.Error):
            self.server.query("select * from pganalytics_push_now('3 s')")
        folder = self.server.state / "spool"
        spooled: dict[str, bytes] = {}

        def kept() -> bool:
            spooled.update({str(one): content(one) for one in folder.iterdir()})
            return bool(self.control.found(b"".join(spooled.values())))

        wait_until(kept, 30, "the spool has what came in the outage")
        failed = "select value, note from pganalytics_status() where component = 'own_rowset' and name = 'planted'"
        wait_until(lambda: self.server.query(failed)[0][0] == "off", 30, "the reading failed three times")
        self.found["status() of a superuser"] = repr(self.server.query(failed)).encode()
        self.found["spool"] = b"".join(spooled.values())
        self.shown(self.server, "in the outage")
        self.scripted.script = None

    def to_the_hub(self) -> None:
        token = self.hub.create_token("watched")
        self.canaries.secret("enrolment token of the hub", token.rsplit(".", 1)[1])
        self.register(self.hub.console_url, token)
        # A program that is new sends everything whole, what is read once an hour too.
        before = ship(self.server)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: ship(self.server) != before, 20, "a new program")
        self.ask("once the hub is another")
        for table in TABLES:
            self.hub.wait_rows(table, "watched", deadline=40)

    def gather(self, world: World) -> None:
        c, hub, server = self.canaries, self.hub, self.server
        for number, push in enumerate(self.scripted.pushes()):
            # As the wire had it, without the header that is the token's place.
            headers = {name: value for name, value in push.headers.items() if name != "authorization"}
            self.found[f"push {number}"] = repr((push.path, headers)).encode() + zlib.decompress(push.body, 31)
        for name, file in (("CA", "ca.key"), ("front", "server.key")):
            c.key(f"key of the hub's {name}", hub.state / "hub" / file)
        for one, whose in ((hub, "the hub"), (server, "the collector")):
            c.key(f"key of {whose}", one.state / "identity/key.pem")
        for number, line in enumerate((hub.state / "hub/master.key").read_text().splitlines()):
            if line and not line.startswith("#"):
                c.secret(f"master key, line {number + 1}", line.split()[-1])
        self.views(hub)
        self.views(server)
        self.dump()
        for one in (hub, server):
            self.found[f"log of {one.name}"] = one.log().encode()
            for path in one.state.rglob("*"):
                if not (path.suffix == ".key" or path.name == "key.pem"):
                    self.found[f"{one.name}: {path.relative_to(one.folder)}"] = content(path)
        self.programs.ended.set()
        self.programs.join()
        for (pid, _), told in self.programs.seen.items():
            self.found[f"process {pid}: {told.splitlines()[:1]}"] = told

    def views(self, server: Server) -> None:
        """All that the extension shows to who may see everything."""
        shown = server.query(
            "select format('%I.%I', nspname, relname) from pg_class c join pg_namespace n on n.oid = relnamespace"
            " where nspname = 'pganalytics' and relkind in ('r', 'p', 'v') and relname <> 'own_rowset'"
        )
        for (source,) in shown:
            rows = server.query(f"select t::text from {source} t")
            self.found[f"{server.name}: {source}"] = repr(rows).encode()
        self.shown(server, "at the end")

    def shown(self, server: Server, when: str) -> None:
        """What the functions tell to who may monitor."""
        with server.connect(user="monitor") as session:
            for call in ("status", "settings", "catalog", "version", "preview"):
                rows = session.execute(f"select t::text from pganalytics_{call}() t".encode()).fetchall()
                self.found[f"{server.name}: {call}() {when}"] = repr(rows).encode()

    def dump(self) -> None:
        """Every table of the hub's database as COPY writes it, the catalogs too; and the files under it."""
        with self.hub.connect() as session:
            tables = session.execute(
                "select oid::regclass::text from pg_class where relkind in ('r', 't', 'm') and relpersistence <> 't'"
            ).fetchall()
            for (table,) in tables:
                with session.cursor().copy(f"copy (select * from {table}) to stdout".encode()) as copy:
                    self.found[f"table {table}"] = b"".join(bytes(piece) for piece in copy)
        self.hub.execute("checkpoint")
        for folder in ("base", "global", "pg_wal"):
            files = (self.hub.data / folder).rglob("*")
            self.found[f"files in {folder}"] = b"\n".join(content(one) for one in files)


@pytest.fixture(scope="module")
def scene(module_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    made = Scene(module_world, tmp_path_factory.mktemp("scripted"))
    yield made
    made.programs.ended.set()
    made.scripted.close()
    for session in made.sessions:
        session.cancel()
    for thread in made.threads:
        thread.join(20)
    for session in made.sessions:
        session.close()


def test_the_search_finds_every_form() -> None:
    c = Canaries()
    marker = c.text("here")
    digits = c.number("there")
    c.secret("a key", bytes(range(200, 232)))
    for secret in (marker, digits, bytes(range(200, 232))):
        raw = secret if isinstance(secret, bytes) else secret.encode()
        for before in range(4):
            for text in (
                raw,
                raw.hex().encode(),
                raw.hex().upper().encode(),
                base64.b64encode(b"x" * before + raw + b"more"),
                base64.urlsafe_b64encode(b"x" * before + raw + b"more"),
                b"\\x" + gzip.compress(b"a" * before + raw),
                b"".join(b"%%%02X" % one for one in raw),
            ):
                assert c.found(b"y" * before + text + b"z"), text
        assert not c.found(raw[:-2][::-1])
    escaped = "".join(f"\\u{ord(x):04x}" for x in marker)
    assert json.loads(f'"{escaped}"') == marker and c.found(escaped.encode())


@pytest.mark.time_limit(120)
def test_what_may_leave_is_found(scene: Scene) -> None:
    """Marks where no secret may be, on the very ways that are searched for secrets."""
    for where in ("preview() ", "push 0", "spool", "hub: pganalytics.pg_stats_tables", "files in base"):
        assert scene.control.found(scene.found[where]), where
    tables = {re.sub("_2[0-9]+$", "", where) for where, data in scene.found.items() if where.startswith("table") and scene.control.found(data)}
    assert not TABLES - {name.removeprefix("table pganalytics.") for name in tables}
    everywhere = b"\n".join([*scene.found.values(), *canaries.inflated(scene.found["spool"])])
    assert not [name for name in scene.names if name.encode() not in everywhere]
    # Of statements all but their constants came.
    for text in (
        b"create role planted_1 login password ?",
        b"update locked set t = ? where id = ?",
        b"fetch --store-password *** --quiet",
        b"curl -u *** -T f https://store/f",
        b"wget --user *** --continue",
        b"sshpass -p *** scp f host:",
        b"Authorization: Bearer ***",
        b"curl -sf -u *** -o %p ftp://store/%f",
        b"user=u password=***",
        b"clean --token=*** %r",
        b"https://user:***@store/%f",
    ):
        assert text in everywhere, text


def test_nothing_else_leaves(scene: Scene) -> None:
    print(len(scene.canaries.planted), "secrets planted")
    assert len(scene.canaries.planted) >= 60
    findings = [f"{where}: {what}" for where, data in scene.found.items() for what in scene.canaries.found(data)]
    score(secrets=len(findings))
    assert not findings, f"{len(findings)} in all:\n" + "\n".join(findings[:40])
    told = {where for where, data in scene.found.items() if scene.local.found(data)}
    assert told == {"log of watched", "status() of a superuser"}


def test_programs_have_nothing_to_lose(scene: Scene) -> None:
    """No file of keys for who would listen, no core."""
    seen = {told.split(b"\n")[1] for (_, program), told in scene.programs.seen.items() if program}
    assert seen >= {b"ship", b"serve"}, seen
    assert not (scene.hub.folder.parent / "keylog").exists()
    for server in (scene.hub, scene.server):
        for name, pids in server.programs().items():
            for pid in pids:
                limit = pathlib.Path(f"/proc/{pid}/limits").read_text()
                assert [line.split()[4:6] for line in limit.splitlines() if line.startswith("Max core")] == [["0", "0"]], name
