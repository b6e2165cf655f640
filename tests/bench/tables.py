"""Servers full of tables and statements for measuring: many, alike in shape, different in name and
figures. Shop is one large database, ManyDatabases many small ones.

Each table has two indexes and a TOAST table with its own, so N tables are 5 N relations with
statistics. Names are made of words and a number and lie in four schemas, one of which needs quotes;
row counts and scans differ from table to table, so that what is measured compresses about as badly
as life does.
"""

import concurrent.futures
from typing import Any

import psycopg

import accounting
from harness import Server, wait_until

DATABASE = "shop"
SMALL_DATABASES = ("crm", "Reporting EU", "queue")
SMALL_TABLES = 20
# As many as pg_stat_statements keeps unless told otherwise, less some that its own sessions run.
STATEMENTS = 4900

# What makes a server fast to fill. None of it changes what our processes do.
SETTINGS = {
    "shared_preload_libraries": "pg_stat_statements,pganalytics",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "wal_level": "minimal",
    "max_wal_senders": 0,
    "full_page_writes": "off",
    "autovacuum": "off",  # no strangers among the postmaster's ended children
    "track_io_timing": "on",
    "max_locks_per_transaction": 256,
}

WORDS = """account address asset audit batch booking campaign carrier cart catalog channel claim
contact contract coupon credit customer delivery device discount document event invoice item job
ledger location margin message metric note offer order parcel partner payment payout plan price
product profile project quote rating refund region report return review route session shipment
stock supplier task ticket transfer user vendor visit voucher warehouse""".split()

PROCEDURES = """
CREATE FUNCTION bench_table(i int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT format('%I.%I', ('{sales,billing,archive,Data Lake}'::text[])[1 + i % 4],
                  w[1 + i % cardinality(w)] || '_' || w[1 + (i * 7) / 64 % cardinality(w)]
                  || '_' || i)
    FROM (SELECT '{WORDS}'::text[] AS w) x
$$;

-- Makes tables first..last, each with 1 to 64 rows, and looks into them.
CREATE PROCEDURE bench_make(first int, last int) LANGUAGE plpgsql AS $$
DECLARE
    t text;
BEGIN
    FOR i IN first..last LOOP
        t := bench_table(i);
        EXECUTE format('CREATE TABLE %s (id bigint PRIMARY KEY, owner int NOT NULL, '
                       'made timestamptz NOT NULL DEFAULT now(), note text)', t);
        EXECUTE format('INSERT INTO %s SELECT g, g * 7, now(), ''new'' '
                       'FROM generate_series(1, %s) g', t, 1 + (hashint4(i) & 63));
        EXECUTE format('CREATE INDEX ON %s (owner)', t);
        FOR k IN 1..1 + (hashint4(-i) & 3) LOOP
            EXECUTE format('SELECT count(note) FROM %s', t);
        END LOOP;
        IF i % 200 = 0 THEN COMMIT; END IF;
    END LOOP;
END $$;

-- Uses every `step`th table of `tables`, from `first` on: both indexes and the table change.
CREATE PROCEDURE bench_use(first int, step int, tables int) LANGUAGE plpgsql AS $$
DECLARE
    t text;
    done int := 0;
BEGIN
    SET enable_seqscan = off;
    FOR i IN 1 + first % step .. tables BY step LOOP
        t := bench_table(i);
        EXECUTE format('SELECT note FROM %s WHERE id = 1', t);
        EXECUTE format('SELECT note FROM %s WHERE owner = 7', t);
        EXECUTE format('UPDATE %s SET note = ''used'' WHERE id = 1', t);
        done := done + 1;
        IF done % 200 = 0 THEN COMMIT; END IF;
    END LOOP;
END $$;
""".replace("WORDS", ",".join(WORDS))


class Shop:
    """One database of so many tables, three small ones beside it, and thousands of statements."""

    database = DATABASE
    interval = 5  # seconds between cycles while use() goes on

    def __init__(self, tables: int) -> None:
        self.tables = tables
        self.name = f"tables-{tables}"
        self.title = f"{tables:,} tables"

    def build(self, server: Server) -> None:
        """Fills a started server. Takes about 3 ms of two cores a table."""
        for name in (DATABASE, *SMALL_DATABASES):
            _make_database(server, name, self.tables if name == DATABASE else SMALL_TABLES)
        server.execute("CREATE EXTENSION pg_stat_statements", dbname=DATABASE)
        with server.connect(DATABASE) as session:
            session.execute("SELECT pg_stat_statements_reset()")
            run_statements(session, self.tables, 0, 1)
        server.execute("CHECKPOINT")

    def use(self, _server: Server, session: "psycopg.Connection[Any]", percent: int, turn: int) -> None:
        """Uses `percent` of the tables and of the statements, others with each turn, and reports
        their figures at once. The session is one in `database`."""
        _use_tables(session, self.tables, percent, turn)
        run_statements(session, self.tables, turn, max(1, 100 // percent))
        _report(session)


class ManyDatabases:
    """So many databases of a few tables each, copies of the first."""

    database = "tenant_1"
    interval = 15

    def __init__(self, databases: int, tables: int) -> None:
        self.databases = databases
        self.each = tables
        self.tables = databases * tables
        self.name = f"databases-{databases}"
        self.title = f"{databases:,} databases of {tables:,} tables"

    def build(self, server: Server) -> None:
        _make_database(server, self.database, self.each)
        for number in range(2, self.databases + 1):
            server.execute(f"CREATE DATABASE tenant_{number} TEMPLATE {self.database}")
        for number in range(2, self.databases + 1):
            server.execute(f"CALL bench_use(0, 1, {self.each})", dbname=f"tenant_{number}")
        server.execute("CHECKPOINT")

    def use(self, server: Server, session: "psycopg.Connection[Any]", percent: int, turn: int) -> None:
        """The same in each database; its sessions are gone when it returns, so that they are no
        strangers among the ended children later."""
        postmaster = server.postmaster_pid()
        before = set(accounting.children(postmaster))
        _use_tables(session, self.each, percent, turn)
        _report(session)
        for number in range(2, self.databases + 1):
            with server.connect(f"tenant_{number}") as other:
                _use_tables(other, self.each, percent, turn)
                _report(other)
        wait_until(
            lambda: not [
                pid for pid in set(accounting.children(postmaster)) - before if "tenant_" in accounting.title(pid)
            ],
            20,
            "their sessions end",
        )


Load = Shop | ManyDatabases


def _make_database(server: Server, name: str, tables: int) -> None:
    server.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name)))
    server.execute(PROCEDURES, dbname=name)
    server.execute(
        'CREATE SCHEMA sales; CREATE SCHEMA billing; CREATE SCHEMA archive; CREATE SCHEMA "Data Lake"', dbname=name
    )
    # Two sessions for two cores.
    halves = [(1, tables // 2), (tables // 2 + 1, tables)]
    with concurrent.futures.ThreadPoolExecutor(2) as two:
        list(two.map(lambda half: _make(server, name, *half), halves))
    server.execute("VACUUM (ANALYZE) pg_class, pg_attribute, pg_index, pg_type, pg_depend", dbname=name)
    server.execute(f"CALL bench_use(0, 1, {tables})", dbname=name)


def run_statements(session: "psycopg.Connection[tuple[object, ...]]", tables: int, first: int, step: int) -> None:
    """Every `step`th of the statements, each another one to pg_stat_statements: of another table or
    of another form."""
    names = [name for (name,) in session.execute(f"SELECT bench_table(i) FROM generate_series(1, {tables}) i")]
    with session.pipeline():
        for i in range(first % step, STATEMENTS, step):
            more = " AND owner > 0" * (i // tables)
            session.execute(f"SELECT note FROM {names[i % tables]} WHERE id = {1 + i % 3}{more}".encode(), prepare=False)


def _make(server: Server, database: str, first: int, last: int) -> None:
    server.execute(f"CALL bench_make({first}, {last})", dbname=database)
    # All in one command: each VACUUM ends with a look at every relation of the database.
    names = server.value(
        f"SELECT string_agg(bench_table(i), ', ') FROM generate_series({first}, {last}) i", (), database
    )
    server.execute(f"VACUUM (ANALYZE) {names}", dbname=database)


def _use_tables(session: "psycopg.Connection[Any]", tables: int, percent: int, turn: int) -> None:
    session.execute(f"CALL bench_use({turn}, {max(1, 100 // percent)}, {tables})")


def _report(session: "psycopg.Connection[Any]") -> None:
    if session.info.server_version >= 150000:
        session.execute("SELECT pg_stat_force_next_flush()")
    else:
        session.execute("SELECT pg_stat_clear_snapshot(), pg_sleep(1)")
    session.execute("SELECT")
