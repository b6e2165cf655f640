"""Rowsets with more rows than pganalytics.max_rows: the busiest rows are kept, the others counted and summed up, and
what comes and goes among the rows that are kept is neither a drop nor a negative rate."""

import pytest
from typing import Any

from collecting import wait_cycles, whole
from harness import Hub, World, wait_until
from watched import LOAD, Watched, watched  # noqa: F401

SETTINGS = {"pganalytics.collect_interval": "1h", "autovacuum": "off"}
LIMIT = 100
TABLES = 120
# Of tables: nothing of ours changes these.
SUMMED = ["n_tup_ins", "n_tup_upd", "n_tup_del", "n_live_tup"]
COUNTERS = """seq_scan + seq_tup_read + tuples_fetched + n_tup_ins + n_tup_upd + n_tup_del + n_tup_hot_upd
    + heap_blks_fetched + heap_blks_hit"""


@pytest.fixture(scope="module")
def cut(module_world: World) -> Hub:
    """A database with so many tables that not all of them are kept; the whole of it was sent before."""
    hub = module_world.hub("cut", SETTINGS)
    hub.execute("create database busy")
    with hub.connect("busy") as session:
        for i in range(TABLES):
            session.execute(f"create table t_{i:03} (x int, filler text)")
            session.execute(f"insert into t_{i:03} select g from generate_series(1, {i * 10}) g")
        session.execute("select pg_stat_force_next_flush()" if hub.installation.major >= 15 else "select 1")
    push(hub)
    hub.set({"pganalytics.max_rows": LIMIT})
    wait_until(lambda: hub.value("show pganalytics.max_rows") == str(LIMIT), 5, "the setting")
    push(hub)
    return hub


def push(hub: Hub) -> None:
    assert whole(hub, lambda: hub.query("select * from pganalytics_push_now('60 s')"))


def current(hub: Hub, of: str = "busy") -> dict[int, dict[str, Any]]:
    rows = hub.rows("select * from pganalytics.current_tables where datname = %s", (of,))
    return {row["relid"]: row for row in rows}


def left_out(hub: Hub, rowset: str, of: str = "busy") -> dict[str, Any] | None:
    rows = hub.rows(
        "select * from pganalytics.pganalytics_left_out where rowset = %s and datname = %s order by time desc limit 1",
        (rowset, of),
    )
    return rows[0] if rows else None


def there(hub: Hub) -> dict[str, int]:
    """What there is in all, by the server's own functions."""
    columns = {
        "n_tup_ins": "pg_stat_get_tuples_inserted(oid)",
        "n_tup_upd": "pg_stat_get_tuples_updated(oid)",
        "n_tup_del": "pg_stat_get_tuples_deleted(oid)",
        "n_live_tup": "pg_stat_get_live_tuples(oid)",
    }
    sums = ", ".join(f"sum({sql})::bigint as {name}" for name, sql in columns.items())
    ((row),) = hub.rows(f"select count(*), {sums} from pg_class where relkind in ('r', 't', 'm', 'p')", (), "busy")
    return row


def check_totals(hub: Hub) -> None:
    kept, rest, total = current(hub), left_out(hub, "pg_stats.tables"), there(hub)
    assert rest and len(kept) == LIMIT
    assert rest["rows"] == total["count"] - LIMIT
    for column in SUMMED:
        assert sum(row[column] for row in kept.values()) + rest["sums"].get(column, 0) == total[column], column


def test_the_busiest_are_kept_and_the_others_summed_up(cut: Hub) -> None:
    check_totals(cut)
    kept = {row["relname"] for row in current(cut).values()}
    assert {f"t_{i:03}" for i in range(100, TABLES)} <= kept
    least = cut.value(f"select min({COUNTERS}) from pganalytics.current_tables where datname = 'busy'")
    for name in sorted({f"t_{i:03}" for i in range(TABLES)} - kept):
        assert int(name[2:]) * 10 <= least
    ((error,),) = cut.query(
        "select error from pganalytics_collect_now() where rowset = 'tables' and datname = 'busy' and plugin = 'pg_stats'"
    )
    assert error == f"{there(cut)['count'] - LIMIT} rows left out (pganalytics.max_rows)"
    assert cut.value(
        "select readings_incomplete > 0 and errors = 0 from pganalytics.pganalytics_rowsets"
        " where rowset = 'pg_stats.tables' order by time desc limit 1"
    )


def test_rows_without_counters_are_left_out_too(cut: Hub) -> None:
    rest = left_out(cut, "pg_schema.relations")
    assert rest and rest["rows"] > 0
    assert left_out(cut, "pg_stats.functions") is None
    # The largest, where nothing else tells them apart.
    rest = left_out(cut, "pg_stats.relations")
    assert rest
    smallest = cut.value(
        "select sum(relpages)::bigint from (select relpages from pg_class where relkind in"
        " ('r','i','t','m','p','I','f') order by relpages limit %s) c",
        (rest["rows"],),
        "busy",
    )
    # What is large is told by more than pages.
    assert smallest <= rest["sums"]["relpages"] <= smallest * 1.1


def events(hub: Hub) -> list[tuple[str, str, str]]:
    rows = hub.query("select kind, object, change from pganalytics.schema_changes where datname = 'busy'")
    return sorted(rows)


def test_what_is_kept_changes_without_a_drop_or_a_negative_rate(cut: Hub) -> None:
    assert "t_001" not in {row["relname"] for row in current(cut).values()}
    with cut.connect("busy") as session:
        session.execute("insert into t_001 select g from generate_series(1, 5000) g")
        for i in range(20):
            # Their rows in pg_class come in another place now.
            session.execute(f"alter table t_{i:03} set (fillfactor = 90)")
        session.execute("select pg_stat_force_next_flush()" if cut.installation.major >= 15 else "select 1")
    push(cut)
    check_totals(cut)
    kept = {row["relname"] for row in current(cut).values()}
    assert "t_001" in kept
    marks = cut.query(
        "select rowset, bool_and(g.left_out) from pganalytics.pganalytics_gone g join pg_database d on d.oid = g.datid"
        " where d.datname = 'busy' and rowset in ('pg_stats.tables', 'pg_schema.relations') group by 1 order by 1"
    )
    assert marks == [("pg_schema.relations", True), ("pg_stats.tables", True)]
    assert {change for _, _, change in events(cut)} <= {"changed"}
    for row in cut.rows("select r.* from pganalytics.servers s, pganalytics.table_rates(s.name, '1 day') r where r.datname = 'busy'"):
        figures = {name: value for name, value in row.items() if isinstance(value, float)}
        assert figures and all(value >= 0 for value in figures.values()), row
        # What it did before it was first kept is no rate.
        assert row["relname"] == "t_001" or not row["n_tup_ins"], row


def test_everything_again_with_room_for_it(cut: Hub) -> None:
    cut.set({"pganalytics.max_rows": None})
    wait_until(lambda: cut.value("show pganalytics.max_rows") == "200000", 5, "the setting")
    cut.execute("create table made_meanwhile (x int)", dbname="busy")
    push(cut)
    assert len(current(cut)) == there(cut)["count"]
    told = [("relation", f"public.t_{i:03}", "changed") for i in range(20)]
    told += [("column", "public.made_meanwhile.x", "created"), ("relation", "public.made_meanwhile", "created")]
    assert events(cut) == sorted(told)
    gone = cut.query("select key ->> 'rowset' from pganalytics.pganalytics_gone where rowset = 'pganalytics.left_out'")
    assert ("pg_stats.tables",) in gone


def test_the_pass_stands_in_where_rows_are_left_out(watched: Watched) -> None:  # noqa: F811
    names = watched.databases()
    rows = "select rows from pganalytics.pganalytics_left_out where rowset = 'pg_stats.indexes' and datname = 'second'"
    watched.server.set({"pganalytics.max_rows": 100})
    wait_until(lambda: watched.hub.value(f"select to_regclass('pganalytics.pganalytics_left_out') is not null", (), watched.hub.database), 30, "the table")
    wait_until(lambda: watched.hub.query(rows, (), watched.hub.database), 30, "indexes are left out")
    watched.wait_primed(60)
    kept = set(watched.told("indexes", watched.server.value("select oid from pg_database where datname = 'second'")))
    assert len(kept) == 100
    watched.run(LOAD, "second")
    wait_cycles(watched.server, 2)
    watched.wait_primed(60)

    def same() -> bool:
        return not any(watched.difference(kind, name, cut=True) for kind in ("tables", "indexes") for name in names)

    wait_until(same, 40, "what is kept is as SQL says", every=0.3)
    watched.server.set({"pganalytics.max_rows": None})
    watched.wait_same(deadline=60)
