"""Users' own rowsets: defined, read, stored at the hub, accepted there; and what is wrong with them."""

import json
from typing import Any

import psycopg
import pytest

from collecting import collected, status, wait_cycles
from harness import Hub, Server, World, wait_until

ORDERS = "select region as id, region, count(*) as n, sum(amount) as total, max(at) as last from public.orders group by region"
COLUMNS = {
    "id": "key",
    "region": "label",
    "n": {"kind": "counter", "unit": "rows"},
    "total": "gauge",
    "last": "gauge",
}
ADD = "select pganalytics_add_rowset(%s, %s, %s, %s, %s)"


def add(
    server: Server, name: str, sql: str, columns: dict[str, Any], scope: str = "cluster", period: str = "1 s", **options: Any
) -> str:
    return str(server.value(ADD, (name, sql, period, scope, json.dumps(columns)), **options))


def own_state(server: Server, name: str) -> dict[str, Any]:
    return status(server).get(("own_rowset", name), {})


def wait_off(server: Server, name: str, deadline: float = 60) -> dict[str, Any]:
    """Its state once three readings in a row have failed."""

    def off() -> dict[str, Any] | None:
        state = own_state(server, name)
        return state if state.get("value") == "off" else None

    found = wait_until(off, deadline, f"{name} is off")
    assert found
    return found


@pytest.fixture(scope="module")
def hub(module_world: World) -> Hub:
    # Short for those that sleep, and long for all others, on a slow machine too.
    limits = {"statement_timeout": "2s", "visit_timeout": "4s", "lock_timeout": "1s"}
    made = module_world.hub(settings={f"pganalytics.{name}": value for name, value in limits.items()})
    made.execute("create table orders (region text, amount numeric, at timestamptz)")
    made.execute("insert into orders values ('north', 1.5, '2026-01-02 03:04:05.678901+00'), ('south', 2, null)")
    return made


def test_a_rowset_from_its_definition_to_a_view(hub: Hub) -> None:
    digest = add(hub, "orders", ORDERS, COLUMNS)
    expected = hub.value(
        "select encode(sha256(convert_to(concat_ws(chr(31), name, scope, sql, columns::text), 'UTF8')), 'hex')"
        " from pganalytics.own_rowset"
    )
    assert digest == expected
    wait_until(lambda: own_state(hub, "orders").get("value") == "on", 20, "it is read")
    # What would leave the server is what arrives.
    entries = [e for e in json.loads(json.dumps(hub.value("select pganalytics_preview('own')")))["metrics"] if "rows" in e]
    (entry,) = entries
    assert (entry["type"], entry["datname"], entry["rows"]["rowset"]) == ("own", "postgres", "orders")
    columns = entry["rows"]["columns"]
    assert columns["rowset"] == ["orders", "orders"] and set(columns["digest"]) == {digest}
    rows = {row["id"]: row for row in columns["row"]}
    assert rows["north"] == {
        "id": "north", "region": "north", "n": 1, "total": 1.5, "last": "2026-01-02T03:04:05.678901+00:00"
    }  # fmt: skip
    assert rows["south"]["last"] is None
    stored = hub.wait_rows("own_rows", more_than=1, where="rowset = 'orders'", deadline=30)
    assert {row["row"]["id"]: row["row"] for row in stored} == rows
    assert {(row["datname"], row["digest"], row["key"]) for row in stored} == {
        ("postgres", digest, '["north"]'), ("postgres", digest, '["south"]')
    }  # fmt: skip
    full = "select distinct datid, complete from pganalytics.pganalytics_fulls where rowset = 'own.orders'"
    wait_until(lambda: hub.query(full) == [(stored[0]["datid"], True)], 20, "it is told that these are all")
    definition = hub.wait_rows("own_rowsets", where="rowset = 'orders'")[0]
    assert (definition["digest"], definition["scope"], definition["period"]) == (digest, "cluster", 1)
    assert (definition["state"], definition["failures"], definition["last_error"]) == ("on", 0, None)
    assert [column["name"] for column in definition["columns"]] == ["id", "region", "n", "total", "last"]
    assert definition["columns"][2] == {"name": "n", "kind": "counter", "type": "bigint", "unit": "rows"}
    # Nothing at the hub is named after it until an admin says so.
    assert hub.value("select to_regclass('pganalytics.own_view_orders')") is None
    (name,) = hub.collectors()
    view = hub.value("select pganalytics_accept_rowset(%s, 'orders')", (name,))
    assert view == "pganalytics.own_view_orders"
    (north,) = hub.rows("select distinct server, datname, id, region, n, total, last from pganalytics.own_view_orders where id = 'north'")
    reference = hub.rows("select region as id, region, 1::bigint as n, amount::float8 as total, at as last from orders where region = 'north'")
    assert {k: v for k, v in north.items() if k not in ("server", "datname")} == reference[0]
    assert (north["server"], north["datname"]) == (name, "postgres")
    types = hub.query("select attname, format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'pganalytics.own_view_orders'::regclass and attnum > 5 order by attnum")
    assert [kind for _, kind in types] == ["text", "text", "bigint", "double precision", "timestamp with time zone"]
    assert hub.value("select pganalytics_accept_rowset(%s, 'orders')", (name,)) == view  # again: the same
    assert hub.value("select count(*) from pganalytics.audit where event = 'rowset accepted'") == 2

    # Only what changed is sent, and what is gone is named.
    hub.execute("delete from orders where region = 'south'; update orders set amount = 7 where region = 'north'")
    hub.wait_rows("own_rows", where="rowset = 'orders' and (\"row\" ->> 'total')::float8 = 7", deadline=20)
    named = "select key ->> 'rowset', key ->> 'key' from pganalytics.pganalytics_gone where rowset = 'own.rows'"
    # A cycle read before the enrolment is sent after it, and the next one whole again. Where that comes so late that it
    # does not have the row any more nothing is named: what is complete, later and without it says the same.
    whole = (
        "select from pganalytics.pganalytics_fulls where rowset = 'own.orders' and complete"
        " and time > (select max(time) from pganalytics.own_rows where rowset = 'orders' and key = '[\"south\"]')"
    )
    wait_until(lambda: hub.query(named) == [("orders", '["south"]')] or hub.query(whole), 20, "the row is gone")
    assert hub.query(named) in ([], [("orders", '["south"]')])

    # Dropped: the hub is told that nothing is there any more.
    before = hub.value("select count(*) from pganalytics.pganalytics_fulls where rowset = 'own.orders'")
    assert hub.value("select pganalytics_drop_rowset('orders')") is True
    assert hub.value("select pganalytics_drop_rowset('orders')") is False
    fulls = "select count(*) from pganalytics.pganalytics_fulls where rowset = 'own.orders'"
    wait_until(lambda: hub.value(fulls) > before, 20, "a full rowset without rows")
    gone = "select count(*) from pganalytics.pganalytics_gone where key @> '{\"rowset\": \"orders\"}' and rowset = 'own.rowsets'"
    wait_until(lambda: hub.value(gone) == 1, 20, "its definition is gone")
    wait_until(lambda: not own_state(hub, "orders"), 20, "it is read no more")


def test_in_each_database(hub: Hub) -> None:
    hub.execute("create database latin encoding latin1 locale 'C' template template0")
    hub.execute("create database empty")
    for database in ("postgres", "latin"):
        hub.execute('create table public."Größe" (x int)' if database == "postgres" else "create table other (x int)", dbname=database)
    sql = "select datname::text as \"Na\"\"me'\", pg_encoding_to_char(encoding)::text as \"é\" from pg_database where datname = current_database()"
    digest = add(hub, "encodings", sql, {"Na\"me'": "key", "é": "gauge"}, scope="database")

    def stored() -> list[dict[str, Any]] | None:
        found = hub.stored("own_rows", where="rowset = 'encodings'")
        assert {(row["datname"], row["row"]["é"]) for row in found} == {
            ("postgres", "UTF8"), ("latin", "LATIN1"), ("empty", "UTF8")
        }  # fmt: skip
        return found

    rows = wait_until(stored, 30, "a row of each database")
    assert rows and {row["digest"] for row in rows} == {digest}
    # In one cycle, unless a visit was late for it.
    wait_until(
        lambda: {database for plugin, rowset, database in collected(hub) if (plugin, rowset) == ("own", "encodings")}
        == {"postgres", "latin", "empty"},
        30,
        "all of them read by one cycle",
    )
    (name,) = hub.collectors()
    view = hub.value("select pganalytics_accept_rowset(%s, 'encodings')", (name,))
    assert view == "pganalytics.own_view_encodings"
    values = hub.query('select distinct datname, "Na""me\'\'", "é" from pganalytics.own_view_encodings'.replace("''", "'"))
    assert set(values) == {("postgres", "postgres", "UTF8"), ("latin", "latin", "LATIN1"), ("empty", "empty", "UTF8")}
    hub.execute("select pganalytics_drop_rowset('encodings')")


def test_values_of_each_type(hub: Hub) -> None:
    sql = (
        "select 1::smallint as a, 9223372036854775807 as b, 4294967295::oid as c, 'NaN'::float8 as d, '-Infinity'::real as e,"
        " 1e300::numeric as f, true as g, null::boolean as h, 'infinity'::timestamptz as i, '16/B374D848'::pg_lsn as j,"
        " '00000000-0000-0000-0000-000000000001'::uuid as k, E'a\\n\"\\\\é'::varchar as l, 'n'::name as m, 'c'::\"char\" as n,"
        " '0044-03-15 12:00:00+00 BC'::timestamptz as o, 'infinity'::float8 as p, '2024-02-29 23:59:59.5+00'::timestamptz as q"
    )
    add(hub, "every_type", sql, {c: "gauge" for c in "abcdefghijklmnopq"})
    (row,) = {json.dumps(one["row"]) for one in hub.wait_rows("own_rows", where="rowset = 'every_type'", deadline=30)}
    assert json.loads(row)["b"] == 9223372036854775807 and json.loads(row)["d"] is None
    (name,) = hub.collectors()
    view = hub.value("select pganalytics_accept_rowset(%s, 'every_type')", (name,))
    found = hub.rows(f"select distinct a, b, c, d, e, f, g, h, i, j, k::text, l, m, n, o, p, q from {view}")
    assert len(found) == 1
    reference = hub.rows(f"select a, b, c::int8 as c, null as d, null as e, f::float8 as f, g, h, null as i, j, k::text, l, m::text as m, n::text as n, null as o, null as p, q from ({sql}) s")
    assert found == reference
    # What a collector could send and no collector of ours does: a view must not fail on it.
    hub.execute(
        "insert into pganalytics.own_rows (time, collector_id, datid, datname, rowset, digest, key, row)"
        " select max(time), collector_id, 0, 'odd', rowset, digest, '[]', o.row from pganalytics.own_rows,"
        " (values ('{\"a\": \"x\", \"b\": 1e400, \"c\": -1.5, \"d\": 1e-400, \"f\": 1e500, \"g\": 7, \"l\": {\"x\": 1}}'::jsonb),"
        " ('[]'), ('\"text\"'), ('null'), (null), ('{\"i\": \"2026-02-31T25:00:00+00:00\", \"j\": \"x/y\", \"k\": \"-\"}'),"
        " ('{\"q\": \"2026-02-31T23:00:00+00:00\", \"o\": \"0000-01-01T00:00:00+00:00\"}')) o(row)"
        " where rowset = 'every_type' group by collector_id, rowset, digest, o.row"
    )
    odd = hub.rows(f"select * from {view} where datname = 'odd'")
    assert len(odd) == 7
    filled = [{k: v for k, v in row.items() if v is not None and len(k) == 1} for row in odd]
    assert {"c": -2, "d": 0.0} in filled
    assert hub.value(f"select q = '2026-03-03 23:00:00+00' from {view} where q is not null and datname = 'odd'") is True
    hub.execute("select pganalytics_drop_rowset('every_type')")


def test_what_can_not_be_defined(hub: Hub) -> None:
    one = {"x": "gauge"}
    hub.execute("create function public.writes() returns int language plpgsql as 'begin insert into public.orders values (''w''); return 1; end'")
    hub.execute("create domain public.odd as point")
    refused: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
        ("Upper", "select 1 as x", one, {}, "lower case letters"),
        ("x" * 41, "select 1 as x", one, {}, "lower case letters"),
        ("a; drop table t", "select 1 as x", one, {}, "lower case letters"),
        ("late", "select 1 as x", one, {"period": "0 s"}, "period must be"),
        ("late", "select 1 as x", one, {"period": "1 month"}, "period must be"),
        ("late", "select 1 as x", one, {"period": "25 h"}, "period must be"),
        ("where_", "select 1 as x", one, {"scope": "here"}, "scope must be"),
        ("nothing", "", one, {}, "one SELECT"),
        ("two", "select 1 as x; select 2 as x", one, {}, "one SELECT"),
        ("closes", "select 1 as x) q; delete from orders; select (1", one, {}, "syntax error"),
        ("into_", "select 1 as x into t", one, {}, "one SELECT"),
        ("does", "delete from orders returning 1 as x", one, {}, "one SELECT"),
        ("cte", "with d as (delete from public.orders returning 1 as x) select x from d", one, {}, "data-modifying|read-only"),
        ("writes", "select public.writes() as x", one, {}, "read-only transaction"),
        ("path", "select count(*) as x from orders", one, {}, 'relation "orders" does not exist'),
        ("broken", "select 1/0 as x", one, {}, "division by zero"),
        ("missing", "select 1 as x, 2 as y", one, {}, '"y" of the query is not among'),
        ("more", "select 1 as x", {"x": "gauge", "y": "gauge"}, {}, "columns given that the query has not"),
        ("kinds", "select 1 as x", {"x": "metric"}, {}, "no kind"),
        ("kinds", "select 1 as x", {"x": {"unit": "rows"}}, {}, "no kind"),
        ("typed", "select '{}'::jsonb as x", one, {}, "has type jsonb"),
        ("typed", "select '(0,0)'::public.odd as x", one, {}, "has type"),
        ("counts", "select 'a' as x", {"x": "counter"}, {}, "counter must be a number"),
        ("taken", "select 1 as server", {"server": "gauge"}, {}, "can't be named"),
        ("control", "select 1 as \"a\nb\"", {"a\nb": "gauge"}, {}, "control characters"),
        ("many", "select x from generate_series(1, 10001) x", {"x": "key"}, {}, "more rows"),
        ("large", "select x, repeat('x', 20000) as t from generate_series(1, 300) x", {"x": "key", "t": "gauge"}, {}, "4 MB"),
        ("long", "select repeat('x', 40000) as x", one, {}, "32 kB"),
        ("keyless", "select x from generate_series(1, 2) x", one, {}, "no key column"),
        ("twice", "select 1 as x from generate_series(1, 2)", {"x": "key"}, {}, "same key"),
        ("keys", "select repeat('x', 2050) as x", {"x": "key"}, {}, "longer than 2 kB"),
        # (nothing is made of it)
        ("longer", "select repeat('x', 3000000) as x, repeat('y', 3000000) as y", {"x": "gauge", "y": "gauge"}, {}, "32 kB"),
        ("slow", "select 1 as x, pg_sleep(20)::text as y", {"x": "gauge", "y": "gauge"}, {}, "takes too long"),
        ("wide", "select " + ", ".join(f"{i} as c{i}" for i in range(65)), {f"c{i}": "gauge" for i in range(65)}, {}, "more than 64"),
        ("texts", "select 1 as x -- " + "x" * 16384, one, {}, "16 kB"),
    ]
    for name, sql, columns, options, message in refused:
        with pytest.raises(psycopg.Error, match=message):
            add(hub, name, sql, columns, **options)
    assert hub.value("select count(*) from pganalytics.own_rowset") == 0
    assert hub.value("select count(*) from orders where region = 'w'") == 0
    # A comment at the end, a settings change and a cancel of one's own do no harm.
    with hub.connect() as session:
        session.execute("set statement_timeout = '30s'; set work_mem = '5MB'")
        sql = "select set_config('work_mem', '6MB', false) as x -- the end"
        session.execute(ADD, ("changes", sql, "1 min", "cluster", json.dumps(one)))
        assert session.execute("show work_mem").fetchone() == ("5MB",)
        assert session.execute("show transaction_read_only").fetchone() == ("off",)
        with pytest.raises(psycopg.Error, match="exists already"):
            session.execute(ADD, ("changes", sql, "1 min", "cluster", json.dumps(one)))
        session.execute("select pganalytics_drop_rowset('changes')")
        session.execute("set statement_timeout = '100ms'")
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout"):
            session.execute(ADD, ("sleeps", "select pg_sleep(20)::text as x", "1 min", "cluster", json.dumps(one)))
        session.execute("set statement_timeout = 0")
        for number in range(32):
            session.execute(ADD, (f"n{number}", "select 1 as x", "1 day", "cluster", json.dumps(one)))
        with pytest.raises(psycopg.Error, match="32 rowsets already"):
            session.execute(ADD, ("n32", "select 1 as x", "1 day", "cluster", json.dumps(one)))
        session.execute("select pganalytics_drop_rowset(name) from pganalytics.own_rowset")


def test_superusers_only(hub: Hub) -> None:
    hub.execute("create role admin login; create role watcher login in role pg_monitor")
    hub.execute("grant execute on function pganalytics_add_rowset(text, text, interval, text, jsonb), pganalytics_drop_rowset(text) to admin")
    for user in ("admin", "watcher"):
        with hub.connect(user=user) as session:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(ADD, ("mine", "select 1 as x", "1 min", "cluster", '{"x": "gauge"}'))
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("select pganalytics_drop_rowset('x')")
            for write in ("insert into pganalytics.own_rowset values ('x')", "delete from pganalytics.own_rowset",
                          "create trigger t before insert on pganalytics.own_rowset execute function suppress_redundant_updates_trigger()"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    session.execute(write.encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("select pganalytics_accept_rowset('x', 'y')")
    hub.execute("create database elsewhere")
    hub.execute("create extension pganalytics", dbname="elsewhere")
    with pytest.raises(psycopg.Error, match="another database"):
        add(hub, "there", "select 1 as x", {"x": "gauge"}, dbname="elsewhere")
    # Where somebody else may write the table, nothing is read from it.
    add(hub, "shown", "select 1 as x", {"x": "gauge"}, period="1 s")
    wait_until(lambda: own_state(hub, "shown"), 20, "it is read")
    hub.execute("grant insert on pganalytics.own_rowset to admin")
    wait_until(lambda: "may write" in (own_state(hub, "definitions").get("note") or ""), 20, "it says why not")
    hub.execute("revoke insert on pganalytics.own_rowset from admin")
    wait_until(lambda: not own_state(hub, "definitions"), 20, "it is read again")
    hub.execute("select pganalytics_drop_rowset('shown')")


@pytest.mark.time_limit(120)
def test_one_that_fails_is_switched_off(hub: Hub) -> None:
    hub.execute("create table breaks as select 1 as x")
    add(hub, "good", "select 1 as x", {"x": "gauge"})
    add(hub, "breaks", "select x from public.breaks", {"x": "gauge"})
    add(hub, "sleeps", "select (pg_sleep(case when exists (select from public.breaks) then 0 else 20 end))::text as x", {"x": "gauge"})
    wait_until(lambda: own_state(hub, "breaks").get("value") == "on", 20, "it is read")
    mark = hub.log_size()
    hub.execute("alter table breaks alter x type text using 'x'; truncate breaks")
    # A text where a number was.
    hub.execute("insert into breaks values ('x'); delete from breaks")
    hub.execute("alter table breaks rename x to y")
    broken = wait_off(hub, "breaks")
    assert 'column "x" does not exist' in broken["note"] and "after three failures" in broken["note"]
    assert "timeout" in wait_off(hub, "sleeps")["note"]
    assert own_state(hub, "good")["value"] == "on"
    hub.wait_log('own rowset "breaks" is switched off in database "postgres"', after=mark)
    told = hub.wait_rows("own_rowsets", where="rowset = 'breaks' and state = 'off'", deadline=30)
    assert told[0]["failures"] == 3 and told[0]["databases_off"] == 1 and told[0]["last_error"].startswith("SQLSTATE 42703")
    # It is left alone now, and tried again when asked for.
    failures = "select max(failures) from pganalytics.own_rowsets where rowset = 'breaks'"
    wait_cycles(hub, 3)
    assert hub.value(failures) == 3
    hub.execute("alter table breaks rename y to x; insert into breaks values ('1')")
    hub.execute("select pganalytics_reload()")
    wait_until(lambda: own_state(hub, "sleeps")["value"] == "on", 20, "tried again")
    # A text instead of a number is a number still where it can be one; what can't is a failure.
    wait_until(lambda: own_state(hub, "breaks")["value"] == "on", 20, "tried again")
    for name in ("good", "breaks", "sleeps"):
        hub.execute("select pganalytics_drop_rowset(%s)", (name,))


@pytest.mark.time_limit(150)
def test_on_a_standby_and_as_another_role(world: World) -> None:
    hub = world.hub(settings={"wal_level": "replica"})
    hub.execute("create table seen as select 5 as x; create table hidden as select 6 as x")
    hub.execute("create role watcher login in role pg_monitor; grant select on seen to watcher")
    add(hub, "seen", "select x from public.seen", {"x": "gauge"})
    add(hub, "hidden", "select x from public.hidden", {"x": "gauge"})
    standby = world.standby(hub, settings={"pganalytics.hub": "off", "pganalytics.role": "watcher"})
    hub.enrol(standby, "standby")
    rows = hub.wait_rows("own_rows", collector="standby", where="rowset = 'seen'", deadline=40)
    assert rows[0]["row"] == {"x": 5}
    # Its role has not the definer's rights; on a standby nothing can be written, so the collector remembers.
    assert "permission denied" in wait_off(standby, "hidden")["note"]
    assert own_state(hub, "hidden")["value"] == "on"
    with pytest.raises(psycopg.Error, match="in recovery"):
        add(standby, "no", "select 1 as x", {"x": "gauge"})
    # The definer's rights end with the definer's.
    hub.execute("create role boss superuser login")
    with hub.connect(user="boss") as session:
        session.execute(ADD, ("theirs", "select x from public.hidden", "1 s", "cluster", '{"x": "gauge"}'))
    hub.wait_rows("own_rows", where="rowset = 'theirs'", deadline=30)
    hub.execute("alter role boss nosuperuser")
    assert "permission denied" in wait_off(hub, "theirs")["note"]
    hub.execute("drop role boss")
    hub.execute("select pganalytics_reload()")
    wait_until(lambda: "does not exist" in (own_state(hub, "theirs")["note"] or ""), 40, "no such role")


def test_a_definition_is_checked_as_it_will_be_read(world: World) -> None:
    server = world.server(settings={"pganalytics.role": "watcher", "pganalytics.collect_interval": "1s"})
    server.execute("create role watcher login in role pg_monitor; create extension pganalytics")
    server.execute("create table hidden as select 6 as x; create table seen as select 5 as x; grant select on seen to watcher")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        add(server, "hidden", "select x from public.hidden", {"x": "gauge"})
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        add(server, "files", "select pg_read_file('PG_VERSION') as x", {"x": "gauge"})
    add(server, "seen", "select x from public.seen", {"x": "gauge"})
    found = wait_until(lambda: collected(server).get(("own", "seen", "postgres")), 20, "it is read")
    assert found and (found["rows"], found["error"]) == (1, None)
    assert own_state(server, "seen")["value"] == "on"


def test_a_definition_is_tried_with_the_settings_of_a_reading(world: World) -> None:
    server = world.server(settings={"pganalytics.role": "watcher", "pganalytics.collect_interval": "1s"})
    server.execute("create role watcher login in role pg_monitor; create extension pganalytics")
    server.execute("create table guarded as select 6 as x; grant select on guarded to watcher")
    server.execute("alter table guarded enable row level security; create policy all_of_it on guarded using (true)")
    with server.connect() as session:
        session.execute("set row_security = on; set work_mem = '64kB'; set timezone = 'Asia/Tokyo'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
            session.execute(ADD, ("guarded", "select x from public.guarded", "1 s", "cluster", json.dumps({"x": "gauge"})))
        sql = "select current_setting('timezone') as x"
        session.execute(ADD, ("zone", sql, "1 s", "cluster", json.dumps({"x": "gauge"})))
        # What the session has set is as it was.
        for name, value in (("row_security", "on"), ("work_mem", "64kB"), ("timezone", "Asia/Tokyo")):
            assert session.execute(f"show {name}").fetchone() == (value,)


def test_keys_that_come_to_be_the_same_are_an_error(hub: Hub) -> None:
    hub.execute("create table public.twins (id int, note text); insert into public.twins values (1, 'a'), (2, 'b')")
    add(hub, "twins", "select id, note from public.twins", {"id": "key", "note": "gauge"})
    wait_until(lambda: own_state(hub, "twins").get("value") == "on", 20, "it is read")
    hub.wait_rows("own_rows", more_than=1, where="rowset = 'twins'", deadline=30)
    hub.execute("insert into public.twins values (2, 'c')")
    assert "two rows have the same key" in wait_off(hub, "twins")["note"]
    assert hub.value("select count(*) from pganalytics.own_rows where rowset = 'twins' and row ->> 'note' = 'c'") == 0
    # A row with a text that is too long is left out; the others are there.
    hub.execute("delete from public.twins where note = 'c'; insert into public.twins values (3, repeat('x', 40000))")
    hub.execute("update public.twins set note = 'd' where id = 1")
    hub.execute("select pganalytics_reload()")
    hub.wait_rows("own_rows", where="rowset = 'twins' and row ->> 'note' = 'd'", deadline=30)
    assert hub.value("select count(*) from pganalytics.own_rows where rowset = 'twins' and key = '[3]'") == 0
    hub.execute("select pganalytics_drop_rowset('twins')")


def test_one_dropped_while_the_collector_was_down_is_told_gone(world: World) -> None:
    hub = world.hub()
    for name in ("stays", "goes"):
        add(hub, name, "select 1 as x", {"x": "gauge"})
        hub.wait_rows("own_rows", where=f"rowset = '{name}'", deadline=30)
    loaded = hub.settings["shared_preload_libraries"]
    hub.set({"shared_preload_libraries": ""}, reload=False)
    hub.restart()
    hub.execute("delete from pganalytics.own_rowset where name = 'goes'")
    hub.set({"shared_preload_libraries": loaded}, reload=False)
    restarted = hub.value("select now()")
    hub.restart()
    # A full rowset without rows, after the last row.
    told = "select distinct complete from pganalytics.pganalytics_fulls f where rowset = 'own.goes'"
    told += " and time > (select max(time) from pganalytics.own_rows where rowset = 'goes')"
    wait_until(lambda: hub.query(told) == [(True,)], 40, "it is told gone")
    hub.wait_rows("own_rows", where=f"rowset = 'stays' and time > '{restarted}'")


def test_accepting(hub: Hub) -> None:
    (name,) = hub.collectors()
    for server, rowset, message in (
        ("nobody", "x", "no server"),
        (name, "never_sent", "has sent no rows"),
        (name, "x'; drop table orders; --", "has sent no rows"),
        (name, 'Q"', "has sent no rows"),
    ):
        with pytest.raises(psycopg.Error, match=message):
            hub.execute("select pganalytics_accept_rowset(%s, %s)", (server, rowset))
    identity = hub.collectors()[name]
    forged = "insert into pganalytics.own_rowsets (time, collector_id, rowset, digest, columns) values (now(), %s, %s, %s, %s)"
    digest = "0" * 64
    column = {"name": "x", "kind": "gauge", "type": "bigint", "unit": ""}
    for number, (wrong_digest, columns) in enumerate((
        ("x", [column]),
        (digest, []),
        (digest, {"x": 1}),
        (digest, [column, column]),
        (digest, [column | {"type": "regclass"}]),
        (digest, [column | {"type": "bigint; drop table x"}]),
        (digest, [column | {"name": ""}]),
        (digest, [column | {"name": "x" * 64}]),
        (digest, [column | {"name": "a\tb"}]),
        (digest, [column | {"name": "collector_id"}]),
        (digest, [{"type": "bigint"}]),
        (digest, ["x"]),
        (digest, [column] * 65),
    )):  # fmt: skip
        hub.execute(forged, (identity, f"forged_{number}", wrong_digest, json.dumps(columns)))
        with pytest.raises(psycopg.Error, match="malformed|no rows"):
            hub.execute("select pganalytics_accept_rowset(%s, %s)", (name, f"forged_{number}"))
    # A hostile name is a name, and nothing more.
    evil = 'x", (select pg_read_file(\'/etc/passwd\')) as "y'
    hub.execute(forged, (identity, "evil", digest, json.dumps([column | {"name": evil}])))
    view = hub.value("select pganalytics_accept_rowset(%s, 'evil')", (name,))
    names = hub.query("select attname from pg_attribute where attrelid = %s::regclass and attnum > 5", (view,))
    assert names == [(evil,)]
    # Another definition of that name with other columns: a new view; of another server: refused.
    hub.execute('create role "Reads it"; create role lends')
    hub.execute(f'grant select on {view} to "Reads it"; grant select on {view} to lends with grant option')
    hub.execute(forged, (identity, "evil", "1" * 64, json.dumps([column | {"type": "text"}])))
    assert hub.value("select pganalytics_accept_rowset(%s, 'evil')", (name,)) == view
    names = hub.query("select attname, atttypid::regtype::text from pg_attribute where attrelid = %s::regclass and attnum > 5", (view,))
    assert names == [("x", "text")]
    may = "select has_table_privilege('Reads it', %s, 'select'), has_table_privilege('lends', %s, 'select with grant option')"
    assert hub.query(may, (view, view)) == [(True, True)]
    hub.execute("insert into pganalytics.collectors (collector_id, name, enrolled_at, generation) values (gen_random_uuid(), 'second', now(), 1)")
    second = hub.collectors()["second"]
    hub.execute(forged, (second, "evil", "2" * 64, json.dumps([column])))
    with pytest.raises(psycopg.Error, match="other columns"):
        hub.execute("select pganalytics_accept_rowset('second', 'evil')")
    hub.execute(forged, (second, "evil", "3" * 64, json.dumps([column | {"type": "text"}])))
    hub.execute("update pganalytics.own_rowsets set time = now() + interval '1 second' where digest = %s", ("3" * 64,))
    assert hub.value("select pganalytics_accept_rowset('second', 'evil')") == view
    # Who is given the function can use it, without any right on the schema.
    hub.execute("create role accepts login; grant execute on function pganalytics_accept_rowset(text, text) to accepts")
    with hub.connect(user="accepts") as session:
        assert session.execute("select pganalytics_accept_rowset('second', 'evil')").fetchone() == (view,)
    hub.execute("delete from pganalytics.collectors where name = 'second'")
