"""What the catalog's queries answer, compared with PostgreSQL's own views.

No process of ours runs here: an ordinary session runs the queries and the references in one
transaction in which statistics stand still. (The same with another PGANALYTICS_BINDIR checks
another major version.)
"""

from typing import Any

import psycopg
import pytest

from catalog_sql import Catalog, Row, ever_filled, frozen, rows_of, same
from harness import Server, World, wait_until
from harness.installation import Installation

SETTINGS = {
    "shared_preload_libraries": "",
    "autovacuum": "off",
    "track_io_timing": "on",
}

LOAD = r"""
create schema "We""ird schema";
create table plain (id int primary key, grp int, txt text) with (fillfactor = 50, autovacuum_enabled = off);
create index plain_grp on plain (grp);
insert into plain select i, i % 10, repeat(md5(i::text), 10) from generate_series(1, 3000) i;
update plain set txt = txt || '.' where id % 3 = 0;
delete from plain where id % 7 = 0;
create table "We""ird schema"."tä😀ble" (id int primary key, big text);
alter table "We""ird schema"."tä😀ble" alter big set storage external;
insert into "We""ird schema"."tä😀ble" select i, repeat(md5(i::text), 500) from generate_series(1, 50) i;
create table full_pages as select i as x, repeat('x', 400) as filler from generate_series(1, 200) i;
update full_pages set x = x + 1;
create unlogged table unlogged_one (x int);
create materialized view mat as select * from plain where id < 100;
create materialized view mat_empty as select * from plain with no data;
create index mat_idx on mat (id);
create table parted (id int, at date, primary key (id, at)) partition by range (at);
create table parted_1 partition of parted for values from ('2026-01-01') to ('2026-02-01');
create table parted_2 partition of parted for values from ('2026-02-01') to ('2026-03-01');
insert into parted select i, date '2026-01-15' + i % 40 from generate_series(1, 200) i;
create table mother (x int); create table father (y int);
create table child () inherits (mother, father);
create table booked (during int4range, exclude using gist (during with &&));
create foreign data wrapper nowhere; create server nowhere foreign data wrapper nowhere;
create foreign table far_away (x int) server nowhere;
create table invalid_index_table (x int); create index invalid_index on invalid_index_table (x);
update pg_index set indisvalid = false where indexrelid = 'invalid_index'::regclass;
create sequence not_collected; create view not_collected_either as select 1;
"""

ACTIVITY = r"""
set enable_seqscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off;
select count(txt) from plain where id between 10 and 500;
set enable_bitmapscan = on; set enable_indexscan = off;
select count(txt) from plain where grp = 3;
reset all;
select count(*) from plain; select sum(length(big)) from "We""ird schema"."tä😀ble";
select count(*) from parted;
vacuum plain; analyze plain; vacuum analyze mat; analyze parted; vacuum "We""ird schema"."tä😀ble";
"""


@pytest.fixture(scope="module")
def catalog(installation: Installation) -> Catalog:
    return Catalog(installation.major)


@pytest.fixture(scope="module")
def loaded(module_world: World) -> Server:
    server = module_world.server(settings=SETTINGS)
    server.execute("create database \"O'dd \"\"name\"\"\" connection limit 7")
    with server.connect() as session:
        for statement in (LOAD + ACTIVITY).split(";"):
            if statement.strip():
                session.execute(statement.encode())
        if server.major >= 15:
            session.execute("select pg_stat_force_next_flush()")
        session.execute("checkpoint")
    wait_until(
        lambda: server.value(
            "select seq_scan > 0 and n_tup_del > 0 and analyze_count > 0 from pg_stat_all_tables"
            " where relid = 'plain'::regclass"
        ),
        10,
        "the load is in the statistics",
    )
    return server


@pytest.fixture
def session(loaded: Server) -> "psycopg.Connection[Any]":
    with loaded.connect() as connection:
        yield frozen(connection, loaded.major)


PERMANENT = "(select oid from pg_class where relpersistence <> 't')"


def sums(rows: list[Row], by: str) -> dict[int, Row]:
    """Counters of several rows added up; the newest of moments."""
    added: dict[int, Row] = {}
    for row in rows:
        total = added.setdefault(row[by], {})
        for column, value in row.items():
            if isinstance(value, int) and column.startswith("idx_"):
                total[column] = total.get(column, 0) + value
            if column == "last_idx_scan" and value is not None:
                total[column] = max(total.get(column, value), value)
    return added


def test_tables(catalog: Catalog, loaded: Server, session: "psycopg.Connection[Any]") -> None:
    with loaded.connect() as other:
        other.execute("create temp table passing (x int primary key, t text)")
        tables = catalog.keyed(session, "pg_stats.tables")
        indexes = catalog.read(session, "pg_stats.indexes")
    views = rows_of(
        session,
        "select io.*, s.*, t.reltoastrelid from pg_stat_all_tables s"
        " left join pg_statio_all_tables io using (relid) join pg_class t on t.oid = s.relid"
        f" where s.relid in {PERMANENT}",
    )
    assert set(tables) == {view["relid"] for view in views}
    columns = catalog.columns("pg_stats.tables")
    common = [c for c in columns if c in views[0]]
    assert set(columns) - set(common) == {"datid", "tuples_fetched", "heap_blks_fetched"}
    of_index = sums(indexes, "relid")
    datid = rows_of(session, "select oid from pg_database where datname = current_database()")[0]["oid"]
    for view in views:
        row = tables[view["relid"]]
        stored = view["heap_blks_hit"] is not None  # partitioned: not in pg_statio_all_tables
        same(row, view if stored else view | {"heap_blks_hit": 0}, common, view["relname"])
        assert row["datid"] == datid
        if not stored:  # nor do its indexes count anything
            assert row["heap_blks_fetched"] == 0 and not view["idx_scan"]
            continue
        # What the views add up is in the rows of those it belongs to.
        own = of_index.get(view["relid"])
        assert view["idx_scan"] == (own and own["idx_scan"])
        fetched = own and own["idx_tup_fetch"] + row["tuples_fetched"]
        assert view["idx_tup_fetch"] == fetched, view
        if catalog.major >= 16:
            assert view["last_idx_scan"] == (own and own.get("last_idx_scan"))
        assert row["heap_blks_fetched"] == view["heap_blks_read"] + view["heap_blks_hit"]
        assert view["idx_blks_hit"] == (own and own["idx_blks_hit"])
        if own:
            assert own["idx_blks_fetched"] == view["idx_blks_read"] + view["idx_blks_hit"]
        if view["reltoastrelid"]:
            assert view["toast_blks_hit"] == tables[view["reltoastrelid"]]["heap_blks_hit"]
            assert view["tidx_blks_hit"] == of_index[view["reltoastrelid"]]["idx_blks_hit"]
    # Set only by what this load does not do: on 13 to 15 there is no trace of them at all.
    never = {"last_autovacuum", "last_autoanalyze", "autovacuum_count", "autoanalyze_count"}
    never |= {"total_autovacuum_time", "total_autoanalyze_time", "stats_reset"}
    unproven = set(columns) - ever_filled(list(tables.values()), columns) - never
    assert not unproven
    assert catalog.rowsets["pg_stats.tables"]["period_seconds"] == 0


def test_indexes(catalog: Catalog, session: "psycopg.Connection[Any]") -> None:
    indexes = catalog.keyed(session, "pg_stats.indexes")
    views = rows_of(
        session,
        "select s.*, io.idx_blks_read, io.idx_blks_hit from pg_stat_all_indexes s"
        f" join pg_statio_all_indexes io using (indexrelid) where indexrelid in {PERMANENT}",
    )
    assert set(indexes) == {view["indexrelid"] for view in views}
    columns = catalog.columns("pg_stats.indexes")
    common = [c for c in columns if c in views[0]]
    assert set(columns) - set(common) == {"datid", "idx_blks_fetched"}
    for view in views:
        row = indexes[view["indexrelid"]]
        same(row, view, common, view["indexrelname"])
        assert row["idx_blks_fetched"] == view["idx_blks_read"] + view["idx_blks_hit"]
    unproven = set(columns) - ever_filled(list(indexes.values()), columns) - {"stats_reset"}
    assert not unproven


def test_script_for_people(catalog: Catalog, session: "psycopg.Connection[Any]") -> None:
    assert catalog.script.count("-- pg") == len(catalog.queried())
    session.execute(catalog.script.encode())
    assert [line.split()[0] for line in catalog.list.splitlines()] == list(catalog.rowsets)


RELATIONS = """
select c.oid as relid, n.nspname as schemaname, c.*, a.amname, pg_relation_filenode(c.oid) as file,
       age(c.relfrozenxid) as xid_age, mxid_age(c.relminmxid) as mxid_age,
       (select min(inhparent) from pg_inherits where inhrelid = c.oid and c.relispartition) as inhparent,
       x.indrelid, x.indisunique, x.indisprimary, x.indisexclusion, x.indisvalid, x.indisready,
       x.indislive, c.reloptions::text as options
from pg_class c join pg_namespace n on n.oid = relnamespace left join pg_am a on a.oid = relam
left join pg_index x on indexrelid = c.oid
where relpersistence <> 't' and relkind in ('r', 'i', 't', 'm', 'p', 'I', 'f')
"""


def test_relations(catalog: Catalog, session: "psycopg.Connection[Any]") -> None:
    relations = catalog.keyed(session, "pg_stats.relations")
    references = rows_of(session, RELATIONS)
    assert set(relations) == {reference["relid"] for reference in references}
    server = catalog.read(session, "pg_stats.server")[0]
    special = {"datid", "relfilenode", "relpages", "reltuples", "relallvisible", "relallfrozen"}
    special |= {"relfrozenxid", "relminmxid", "reltoastrelid", "reloptions"}
    plain = [c for c in catalog.columns("pg_stats.relations") if c not in special]
    for reference in references:
        row = relations[reference["relid"]]
        at = reference["relname"]
        kind = reference["relkind"]
        same(row, reference, plain, at)
        assert row["relfilenode"] == reference["file"], at
        assert row["reltoastrelid"] == (reference["reltoastrelid"] or None), at
        assert row["reloptions"] == reference["options"], at
        assert row["relpages"] == (None if kind in "pI" else reference["relpages"]), at
        unknown = reference["reltuples"] < 0
        if catalog.major < 14:
            unknown = reference["reltuples"] == 0 and reference["relpages"] == 0
        assert row["reltuples"] == (None if unknown else reference["reltuples"]), at
        heap = kind in "rtm"
        assert row["relallvisible"] == (reference["relallvisible"] if heap else None), at
        if catalog.major >= 18:
            assert row["relallfrozen"] == (reference["relallfrozen"] if heap else None), at
        # The age the server computes is the difference to the next id in pg_stats.server.
        if row["relfrozenxid"] is None:
            assert reference["relfrozenxid"] == "0" or not heap, at
        else:
            assert (server["next_xid"] - row["relfrozenxid"]) % 2**32 == reference["xid_age"], at
            assert server["next_multixact_id"] - row["relminmxid"] == reference["mxid_age"], at
    names = {row["relname"]: row for row in relations.values()}
    assert names["parted_1"]["inhparent"] == names["parted"]["relid"]
    assert names["parted_1_pkey"]["inhparent"] == names["parted_pkey"]["relid"]
    assert names["child"]["inhparent"] is None
    assert names["invalid_index"]["indisvalid"] is False
    assert names["plain"]["reloptions"] == "{fillfactor=50,autovacuum_enabled=off}"
    assert names["unlogged_one"]["relpersistence"] == "u"
    assert names["mat_empty"]["relispopulated"] is False
    assert names["pg_class"]["relfilenode"]
    assert "not_collected" not in names and "not_collected_either" not in names
    columns = catalog.columns("pg_stats.relations")
    unproven = set(columns) - ever_filled(list(relations.values()), columns)
    assert not unproven


def test_databases(catalog: Catalog, session: "psycopg.Connection[Any]") -> None:
    databases = catalog.keyed(session, "pg_stats.databases")
    views = rows_of(
        session,
        "select s.*, k.*, d.*, s.datid as id, pg_encoding_to_char(encoding) as encoding_name,"
        " age(datfrozenxid) as xid_age, mxid_age(datminmxid) as mxid_age from pg_stat_database s"
        " left join pg_database d on d.oid = datid"
        " left join pg_stat_database_conflicts k on k.datid = s.datid",
    )
    assert set(databases) == {view["id"] for view in views}
    assert 0 in databases
    server = catalog.read(session, "pg_stats.server")[0]
    special = {"datid", "datname", "encoding", "datfrozenxid", "datminmxid", "stats_reset"}
    special |= {"datlocale"} if catalog.major < 17 else set()
    common = [c for c in catalog.columns("pg_stats.databases") if c not in special]
    for view in views:
        row = databases[view["id"]]
        same(row, view, common, view["id"])
        assert row["encoding"] == view["encoding_name"]
        if view["id"] == 0:
            assert row["datname"] is None and row["datfrozenxid"] is None
            continue
        assert (server["next_xid"] - row["datfrozenxid"]) % 2**32 == view["xid_age"]
        assert server["next_multixact_id"] - row["datminmxid"] == view["mxid_age"]
    resets = rows_of(session, "select datid, datname, stats_reset from pg_stat_database")
    for one in resets:
        same(databases[one["datid"]], one, ["datname", "stats_reset"])
    names = {row["datname"]: row for row in databases.values()}
    assert names["O'dd \"name\""]["datconnlimit"] == 7
    assert names["template0"]["datallowconn"] is False and names["template0"]["datistemplate"]
    # Every column of the view is there under its name.
    view_columns = rows_of(session, "select * from pg_stat_database limit 1")[0]
    assert set(view_columns) <= set(catalog.columns("pg_stats.databases"))
    assert names["postgres"]["blks_read"] > 0 and names["postgres"]["xact_commit"] > 0
