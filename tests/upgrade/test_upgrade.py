"""Upgrades of the extension: from each version there is a way to this one, which ends where a fresh
installation begins; scripts of released versions are what they were."""

import hashlib
import pathlib

from harness import Server
from harness.installation import CHECKOUT

HERE = pathlib.Path(__file__).resolve().parent


def facts(server: Server, dbname: str) -> set[tuple[str | None, ...]]:
    return set(server.query((HERE / "catalog.sql").read_text(), dbname=dbname))


def test_every_version_ends_in_this_one(server: Server) -> None:
    server.execute("create extension pganalytics")
    fresh = facts(server, "postgres")
    assert len(fresh) > 100 and {what for _, what, _ in fresh} >= {"function", "index", "dumped"}
    version = server.value("select extversion from pg_extension where extname = 'pganalytics'")
    # Versions that a script of their own installs.
    scripts = [path.stem.split("--")[1:] for path in (CHECKOUT / "sql").glob("pganalytics--*.sql")]
    versions = sorted(names[0] for names in scripts if len(names) == 1)
    assert version in versions
    for number, old in enumerate(versions):
        server.execute(f"create database upgraded_{number}")
        with server.connect(f"upgraded_{number}") as session:
            session.execute(f"create extension pganalytics version '{old}'".encode())
            session.execute("alter extension pganalytics update")
        assert facts(server, f"upgraded_{number}") == fresh, old
    assert not server.query(
        "select source from pg_extension_update_paths('pganalytics') where target = %s and path is null",
        (version,),
    )


def test_released_scripts_are_what_they_were() -> None:
    for line in (HERE / "released").read_text().splitlines():
        if not line.startswith("#"):
            version, checksum = line.split()
            script = CHECKOUT / f"sql/pganalytics--{version}.sql"
            assert hashlib.sha256(script.read_bytes()).hexdigest() == checksum, f"{version} was changed"
