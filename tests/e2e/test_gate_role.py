"""The set-up with least privilege, as docs/security.md has it: a role that nobody can be reads what the superuser would."""

import pathlib
import re

import psycopg
import pytest

from collecting import SETTINGS, collected, ship, whole
from harness import World
from harness.installation import CHECKOUT


def said(begin: str) -> str:
    """Of docs/security.md: a line that begins like that."""
    text = (CHECKOUT / "docs/security.md").read_text()
    found = re.search(rf"^ *({re.escape(begin)}.*)$", text, re.M)
    assert found, begin
    return found[1]


def test_a_role_that_nobody_can_be_reads_everything(world: World) -> None:
    server = world.server("server", SETTINGS)
    server.execute("create extension pganalytics")
    server.execute("create database app")
    server.execute("create table t (x int primary key)", dbname="app")
    server.execute(
        "create schema hidden; create table hidden.t (y int, t text); create sequence hidden.s;"
        " insert into hidden.t select n, repeat('x', 100) from generate_series(1, 20000) n;"
        " create index on hidden.t (y); delete from hidden.t where y % 2 = 0; analyze",
        dbname="app",
    )
    ship(server)
    by_superuser = whole(server, lambda: collected(server))
    server.execute(said("CREATE ROLE pganalytics_reader").split("--")[0])
    hba = pathlib.Path(server.data) / "pg_hba.conf"
    lines = [said("local   all   pganalytics_reader"), said("host    all   pganalytics_reader")]
    hba.write_text("\n".join([*lines, hba.read_text()]))
    server.set({"pganalytics.role": said("pganalytics.role = ").split("'")[1]})
    server.restart()
    with pytest.raises(psycopg.OperationalError, match="rejects"):
        server.connect(user="pganalytics_reader")
    ship(server)
    found = whole(server, lambda: collected(server))
    assert {key: row["error"] for key, row in found.items() if row["error"]} == {}
    in_databases = [key for key in by_superuser if key[2]]
    assert {key[2] for key in in_databases} >= {"app", "postgres"}
    assert {key: found[key]["rows"] for key in in_databases} == {key: by_superuser[key]["rows"] for key in in_databases}
    rights = "rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolpassword is not null"
    assert server.value(f"select {rights} from pg_authid where rolname = 'pganalytics_reader'") is False


def test_the_tests_that_the_document_names_are_there() -> None:
    text = (CHECKOUT / "docs/security.md").read_text()
    files = {path.name: path.read_text() for path in (CHECKOUT / "tests").rglob("*_test.cpp")}
    files |= {path.name: path.read_text() for path in (CHECKOUT / "tests/e2e").glob("test_*.py")}
    named = re.findall(r"`((?:test_)?\w+\.(?:py|cpp))(?:: ([\w, ]+))?`", text)
    assert len(named) >= 20
    for file, tests in named:
        assert file in files, file
        for test in filter(None, tests.split(", ")):
            assert re.search(rf"\b{test}\b", files[file]), f"{file}: {test}"
