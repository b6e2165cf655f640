"""A hub's database through dump and restore, promotion, and databases that can't be a hub's, with
real programs and a collector made of openssl and curl."""

import datetime
import shutil
from typing import Any

import psycopg
import psycopg.sql
import pytest
from harness import Hub, World, wait_until
from harness.curl_collector import CurlCollector

ENTRY = {
    "type": "sysstat",
    "load": {"full": True, "complete": True, "columns": {"load_1m": [0.5]}},
}


MISSING = "Restore the folder hub of the state directory from its backup"


def ago(**past: float) -> str:
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(**past)
    return when.isoformat(timespec="milliseconds")


def entry(**past: float) -> dict[str, Any]:
    return ENTRY | {"timestamp": ago(**past)}


def hub_state(server: Any, dbname: str = "postgres") -> str:
    """Value and note of the hub's state, as a person reads it."""
    rows = server.rows(
        "select * from pganalytics_status() where component = 'hub_worker' and name = 'state'", None, dbname
    )
    return "; ".join(f"{row['value']}: {row['note']}" for row in rows)


def wait_state(server: Any, text: str, dbname: str = "postgres", deadline: float = 20) -> None:
    def told() -> bool:
        state = hub_state(server, dbname)
        assert text in state, state
        return True

    wait_until(told, deadline, "state of the hub")


def wait_ready(server: Any) -> None:
    wait_until(lambda: hub_state(server).startswith("ready:"), 40, "the hub ready")


def take_hub_files(source: Any, target: Any) -> None:
    """What an operator keeps of a hub's state directory."""
    wait_until(target.state.exists, 10, "state directory")
    folder = target.state / "hub"
    if folder.exists():
        shutil.rmtree(folder)
    target.installation.run(["cp", "-a", source.state / "hub", folder])
    for path in (folder, *folder.iterdir()):
        target.installation.own(path)


def own_collector(hub: Hub) -> Any:
    names = hub.query("select name from pganalytics.collectors where own", None, hub.database)
    return names[0][0] if names else None


def hub_files(server: Any) -> set[str]:
    folder = server.state / "hub"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def contents(hub: Hub, until: str) -> dict[str, tuple[int, str]]:
    """Of each table in the hub's schema the number of rows and a digest of them."""
    found = {}
    for name, is_rowset in hub.query(
        "select c.relname, c.relkind = 'p' from pg_class c where not c.relispartition"
        " and c.relnamespace = 'pganalytics'::regnamespace and c.relkind in ('r', 'p')"
    ):
        if name in ("hub", "collectors", "ledger", "storage", "audit", "tokens", "certificates"):
            continue  # they go on changing
        sql = psycopg.sql.SQL(
            "select count(*), coalesce(md5(string_agg(md5(t::text), '' order by md5(t::text))), '')"
            " from {} t where {}"
        ).format(
            psycopg.sql.Identifier("pganalytics", name),
            psycopg.sql.SQL('"time" < {}').format(until) if is_rowset else psycopg.sql.SQL("true"),
        )
        ((count, digest),) = hub.query(sql)
        found[name] = (count, digest)
    return found


def partitions(hub: Hub, table: str) -> set[str]:
    rows = hub.query(
        "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass",
        (f"pganalytics.{table}",),
    )
    return {name for (name,) in rows}


@pytest.mark.time_limit(120)
def test_dump_and_restore(world: World) -> None:
    if not (world.installation.bindir / "pg_dump").exists():
        pytest.skip("this installation has no pg_dump")
    old = world.hub("old")
    server = world.server("watched", {"pganalytics.collect_interval": "1s"})
    old.enrol(server, "watched")
    curl = CurlCollector(old, world.path("curl"), "by curl").enrol()
    pushed = curl.envelope([entry(), entry(days=9)])
    answer = curl.push(pushed)
    assert answer.status == 200 and answer.json()["metrics_inserted"] == 2, answer
    old.wait_rows("pg_stats_tables", "watched")
    own = str(wait_until(lambda: own_collector(old), 20, "the hub's own collector"))
    old.wait_rows("pg_stats_databases", own)
    # The views show the newest cycle, not the one before.
    databases = {name for (name,) in server.query("select datname from pg_database")}
    seen = "select datname from pganalytics.current_databases where server = 'watched'"
    wait_until(lambda: old.value("select to_regclass('pganalytics.current_databases') is not null"), 20)
    # Beside them pg_stat_database has a row for what all share.
    assert {name for (name,) in old.query(seen)} == databases | {None}
    until = ago(seconds=-1)
    # Whatever the collectors read before it has arrived once something later has.
    for name in ("watched", own):
        old.wait_rows("sysstat_cpu", name, where=f"time > '{until}'")
    dump = world.path("hub.dump")
    address = ["-h", old.socket, "-p", old.port, "-U", "postgres"]

    def dumped() -> dict[str, tuple[int, str]]:
        kept = contents(old, until)
        old.installation.run([old.bindir / "pg_dump", *address, "-Fc", "-f", dump, "postgres"])
        return kept if contents(old, until) == kept else {}

    # Tables are made when the first row for them comes: not while it is dumped.
    kept = wait_until(dumped, 30, "a dump between new tables")
    assert len(kept) > 12 and kept["pg_stats_tables"][0] > 10
    days = {table: partitions(old, table) for table in ("sysstat_load", "pg_stats_tables")}
    old_day = f"pganalytics.sysstat_load_{ago(days=9)[:10].replace('-', '')}"
    assert old_day in days["sysstat_load"]
    identity = old.query("select hub_id, ca_fingerprint from pganalytics.hub")
    collectors = old.collectors()
    old.stop()

    # The database without the files: nothing is made in their place.
    new = world.hub("new", ready=False, start=False)
    ports = {"pganalytics.hub_port": old.collector_port, "pganalytics.hub_console_port": old.console_port}
    new.collector_port, new.console_port = old.collector_port, old.console_port
    new.set(ports)
    new.start()
    address = ["-h", new.socket, "-p", new.port, "-U", "postgres"]
    restore = [new.bindir / "pg_restore", *address, "-d", "postgres"]
    new.installation.run([*restore, "--single-transaction", "--exit-on-error", dump])
    assert contents(new, until) == kept
    assert new.query("select hub_id, ca_fingerprint from pganalytics.hub") == identity
    assert {table: partitions(new, table) for table in days} == days
    wait_state(new, MISSING)
    assert "serve" not in new.programs() and "ca.crt" not in hub_files(new)

    take_hub_files(old, new)
    new.reload()
    wait_until(new._healthy, 40, "the restored hub answers")
    assert new.query("select hub_id, ca_fingerprint from pganalytics.hub") == identity
    # Nobody enrols again; what was on its way arrives.
    first = new.stored("pg_stats_databases", "watched")[-1]["time"]
    new.wait_rows("pg_stats_databases", "watched", where=f"time > '{first}'", deadline=40)
    assert {name: new.collectors()[name] for name in ("watched", "by curl")} == {
        name: collectors[name] for name in ("watched", "by curl")
    }
    # What came after the dump is gone, and the collector does not know: it is asked for everything.
    whole = (
        "select count(*) from pganalytics.pganalytics_fulls f join pganalytics.collectors c using (collector_id)"
        " where c.name = 'watched' and f.rowset = 'pg_stats.tables' and f.time > %s"
    )
    wait_until(lambda: new.value(whole, (first,)) > 0, 40, "it sends everything")
    assert new.value("select count(*) from pganalytics.audit where event = 'restored or failed over'") == 1
    # The ledger came along: a repeat is one, and the same under other content is refused.
    curl.hub = new
    again = curl.push(pushed)
    assert (again.status, again.json()["duplicate"]) == (200, True)
    assert curl.push(pushed | {"hostname": "other"}).status == 409
    assert curl.push([entry()]).json()["metrics_inserted"] == 1
    # Its audit goes on where it was.
    assert new.value("select count(*) = count(distinct id) from pganalytics.audit")
    current = "select count(*) from pganalytics.current_tables where server = 'watched'"
    wait_until(lambda: new.value(current), 20, "the views")
    # Days are made, and dropped when their time is over.
    new.set({"pganalytics.hub_retention": "2d"})
    wait_until(lambda: old_day not in partitions(new, "sysstat_load"), 20, "the old day dropped")
    assert curl.push([entry()]).json()["metrics_inserted"] == 1


@pytest.mark.time_limit(120)
def test_standby_becomes_the_hub(world: World) -> None:
    hub = world.hub()
    curl = CurlCollector(hub, world.path("curl"), "by curl").enrol()
    pushed = curl.envelope([entry()])
    assert curl.push(pushed).status == 200
    ports = {"pganalytics.hub_port": hub.collector_port, "pganalytics.hub_console_port": hub.console_port}
    standby = world.standby(hub, "standby", {"pganalytics.hub": "on"} | ports)
    wait_state(standby, "The hub starts at the end of recovery.")
    assert "pganalytics hub" not in standby.workers() and "serve" not in standby.programs()
    hub.stop()
    standby.promote()
    # A base backup does not carry the files, and a second CA would lock everybody out.
    wait_state(standby, MISSING)
    assert "serve" not in standby.programs() and "ca.crt" not in hub_files(standby)
    take_hub_files(hub, standby)
    standby.reload()
    wait_ready(standby)
    # The client's answer is verified against the CA of before.
    again = curl.push(pushed)
    assert (again.status, again.json()["duplicate"]) == (200, True), again
    assert curl.push([entry()]).json()["metrics_inserted"] == 1


def test_a_start_that_failed_once_is_tried_again_soon(world: World) -> None:
    hub = world.hub(settings={"pganalytics.hub_database": "late"}, ready=False)
    hub.execute("create extension pganalytics")
    wait_state(hub, 'the hub worker could not connect to database "late"')
    hub.execute("create database late")
    # Nobody reloads; one that failed again and again would wait for a minute.
    hub.make_ready(deadline=40)


@pytest.mark.time_limit(120)
def test_databases_that_are_no_hub(world: World) -> None:
    hub = world.hub(settings={"pganalytics.hub_database": "nowhere"}, ready=False)
    hub.expect_no_ledger("the database with all that is stored is dropped")
    hub.execute("create extension pganalytics")
    wait_state(hub, 'the hub worker could not connect to database "nowhere"')
    for encoding, name in (("LATIN1", "old one"), ("SQL_ASCII", "raw")):
        hub.execute(
            psycopg.sql.SQL(
                "create database {} template template0 encoding {} lc_collate 'C' lc_ctype 'C'"
            ).format(psycopg.sql.Identifier(name), encoding)
        )
        after = hub.log_size()
        hub.set({"pganalytics.hub_database": name}, reload=False)
        hub.restart()
        wait_state(hub, "not running: the hub's database must have encoding UTF8. Create a database")
        hub.wait_log("FATAL:  pganalytics: the hub's database must have encoding UTF8", after)
        hub.wait_log(f'Database "{name}" has encoding {encoding}', after)
        assert "serve" not in hub.programs()
        # It is free: a worker that may not work there does not stay.
        hub.execute(psycopg.sql.SQL("drop database {}").format(psycopg.sql.Identifier(name)))
    name = 'Hub "1"'
    identifier = psycopg.sql.Identifier(name)
    hub.execute(psycopg.sql.SQL("create database {}").format(identifier))
    hub.set({"pganalytics.hub_database": name}, reload=False)
    hub.restart()
    wait_state(hub, f'extension "pganalytics" does not exist in database "{name}". Run CREATE EXTENSION')
    assert "serve" not in hub.programs()
    hub.make_ready()
    own = str(wait_until(lambda: own_collector(hub), 20, "the hub's own collector"))
    hub.wait_rows("pg_stats_databases", own)
    # It is in use, and says so; by force it is dropped all the same, and made again.
    with pytest.raises(psycopg.errors.ObjectInUse):
        hub.execute(psycopg.sql.SQL("alter database {} rename to other").format(identifier))
    hub.execute(psycopg.sql.SQL("drop database {} with (force)").format(identifier))
    wait_state(hub, f'the hub worker could not connect to database "{name}"')
    wait_until(lambda: "serve" not in hub.programs(), 10, "the front ends")
    hub.execute(psycopg.sql.SQL("create database {}").format(identifier))
    hub.execute("create extension pganalytics", dbname=name)
    hub.reload()
    wait_ready(hub)
