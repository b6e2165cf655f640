"""Marked secrets, where they are planted, and the search for them.

A marker is `canary-<n>-<hex>`, and its hex digits begin with those of its run (`stem`), so that one search in each of
the forms a text may take on its way (hexadecimal, base64, percent, JSON, gzip) finds any of them.
"""

import base64
import pathlib
import re
import secrets
import subprocess
import zlib
from collections.abc import Iterable

MOST_INFLATED = 64 << 20


def forms(secret: bytes) -> dict[str, bytes]:
    """How the secret looks where it was encoded, alone or within a longer text."""
    found = {
        "plain": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "percent": b"".join(b"%%%02x" % byte for byte in secret),
        "PERCENT": b"".join(b"%%%02X" % byte for byte in secret),
        "json": b"".join(b"\\u%04x" % byte for byte in secret),
        "sql": b"".join(b"\\%04x" % byte for byte in secret),
        "utf-16": b"".join(b"%c\0" % byte for byte in secret),
    }
    for before in range(3):
        # Without the digits that its neighbours have a part in.
        digits = base64.b64encode(bytes(before) + secret)[: (before + len(secret)) * 8 // 6]
        digits = digits[(before * 8 + 5) // 6 :]
        found[f"base64 {before}"] = digits
        found[f"base64url {before}"] = digits.translate(bytes.maketrans(b"+/", b"-_"))
    return found


def inflated(data: bytes) -> Iterable[bytes]:
    """What is in the gzip streams within the data."""
    at = data.find(b"\x1f\x8b\x08")
    while at >= 0:
        try:
            yield zlib.decompressobj(31).decompress(memoryview(data)[at:], MOST_INFLATED)
        except zlib.error:
            pass
        at = data.find(b"\x1f\x8b\x08", at + 3)


class Canaries:
    def __init__(self) -> None:
        self.stem = secrets.token_hex(6)
        self.planted: dict[str, str] = {}  # marker -> where
        self.secrets: dict[str, bytes] = {"marker": self.stem.encode()}

    def text(self, where: str) -> str:
        marker = f"canary-{len(self.planted) + 1}-{self.stem}{secrets.token_hex(4)}"
        self.planted[marker] = where
        return marker

    def number(self, where: str) -> str:
        marker = str(secrets.randbelow(8 * 10**17) + 10**17)
        self.planted[marker] = where
        self.secrets[where] = marker.encode()
        return marker

    def secret(self, where: str, secret: bytes | str) -> None:
        """One that is not of our making: a key, a token."""
        self.planted[where] = where
        self.secrets[where] = secret if isinstance(secret, bytes) else secret.encode()

    def key(self, where: str, file: pathlib.Path) -> None:
        """A private key: its number, and what each line of the file holds."""
        for number, line in enumerate(file.read_text().splitlines()):
            if not line.startswith("-----") and len(line) >= 16:
                self.secret(f"{where}, line {number + 1}", line)
        told = subprocess.run(
            ["openssl", "pkey", "-in", file, "-noout", "-text"], capture_output=True, text=True, check=True
        ).stdout
        digits = re.search(r"priv:\n((?: +[0-9a-f:]+\n)+)", told)
        assert digits, f"{where} is of a kind this does not know"
        self.secret(where, bytes.fromhex(re.sub(r"[\s:]", "", digits[1])).lstrip(b"\0"))

    def found(self, data: bytes) -> list[str]:
        """Which of them the data holds, and in what form."""
        texts = [data, *inflated(data)]
        result = []
        for where, secret in self.secrets.items():
            for form, needle in forms(secret).items():
                for text in texts:
                    at = text.find(needle)
                    if at >= 0:
                        near = re.search(rb"canary-\d+-", text[max(at - 12, 0) : at])
                        which = self.name(text[at - 12 : at + 24]) if near else where
                        result.append(f"{which} as {form}: {text[max(at - 80, 0) : at + 60]!r}")
                        break
        return result

    def name(self, around: bytes) -> str:
        for marker, where in self.planted.items():
            if marker.encode() in around + b" ":
                return f"{where} ({marker})"
        return "a marker"


def durable(c: Canaries, major: int) -> list[str]:
    """Statements that plant secrets that stay: in catalogs, in tables, in statistics; and that pg_stat_statements keeps."""
    t = c.text
    statements = [
        f"create role planted_1 login password '{t('CREATE ROLE ... PASSWORD')}'",
        f"create role planted_2 login; alter role planted_2 password '{t('ALTER ROLE ... PASSWORD')}'",
        f"alter role planted_2 set myapp.secret = '{t('ALTER ROLE ... SET')}'",
        f"alter database postgres set myapp.api_key = '{t('ALTER DATABASE ... SET')}'",
        f"alter role planted_2 in database postgres set myapp.dsn = 'postgresql://u:{t('ALTER ROLE ... SET of an URL')}@h/d'",
        f"alter role planted_1 set myapp.escaped = 'user=u password=''x\\''{t('escaped quote in a setting')}'''",
        f"alter role planted_1 set myapp.json = '{{\"user\": \"u\", \"password\": \"{t('JSON in a setting')}\"}}'",
        f"alter role planted_1 set myapp.command = 'fetch --store-password {t('option in a setting')} --quiet'",
        f"alter role planted_1 set myapp.curl = 'curl -u user:{t('curl -u in a setting')} -T f https://store/f'",
        f"alter role planted_1 set myapp.wget = 'wget --user ''u''er:''a {t('quoted word in a setting')}'' --continue'",
        f"alter role planted_1 set myapp.copy = 'sshpass -p {t('sshpass in a setting')} scp f host:'",
        f"alter role planted_1 set myapp.header = 'fetch -H \"Authorization: Bearer {t('header in a setting')}\" f'",
        "create table planted (id int primary key, t text, n numeric)",
        f"insert into planted select g, '{t('column and most common value')}', 1 from generate_series(1, 50) g",
        f"insert into planted values (51, '{t('column')}', {c.number('numeric column')})",
        f"create subscription planted connection 'host=127.0.0.1 password={t('CREATE SUBSCRIPTION')}' publication p"
        " with (connect = false)",
        "create foreign data wrapper planted",
        f"alter foreign data wrapper planted options (secret '{t('option of a foreign data wrapper')}')",
        f"create server planted foreign data wrapper planted options (dsn '{t('option of a foreign server')}')",
        f"create user mapping for postgres server planted options (user 'u', password '{t('CREATE USER MAPPING')}')",
        f"create foreign table planted_foreign (x int options (secret '{t('option of a foreign column')}'))"
        f" server planted options (secret '{t('option of a foreign table')}')",
        f"create function planted_sql() returns text language sql as 'select ''{t('function of SQL')}'''",
        f"create function planted_plpgsql(x text default '{t('default of an argument')}') returns text language plpgsql"
        f" as $$begin return '{t('function of PL/pgSQL')}'; end$$",
        f"create procedure planted_procedure() language plpgsql as $body$begin perform '{t('procedure')}'; end$body$",
        f"create function planted_set() returns int language sql set myapp.x = '{t('SET of a function')}' as 'select 1'",
        f"create view planted_view as select * from planted where t <> '{t('view')}'",
        f"create materialized view planted_seen as select '{t('materialized view')}'::text as x",
        f"alter table planted add constraint planted_check check (t <> '{t('check constraint')}')",
        f"alter table planted add column d text default '{t('default')}'",
        f"alter table planted add column g text generated always as (t || '{t('generated column')}') stored",
        f"create index planted_some on planted (id) where t = '{t('predicate of an index')}'",
        f"create index planted_made on planted ((t || '{t('expression of an index')}'))",
        "create function planted_trigger() returns trigger language plpgsql as 'begin return new; end'",
        "create trigger planted before update on planted for each row when"
        f" (new.t = '{t('WHEN of a trigger')}') execute function planted_trigger('{t('argument of a trigger')}')",
        f"create policy planted on planted using (t <> '{t('policy')}') with check (t <> '{t('policy, WITH CHECK')}')",
        f"create rule planted as on delete to planted where old.t = '{t('rule')}' do instead nothing",
        f"create domain planted_domain as text check (value <> '{t('domain')}')",
        "create table planted_parts (k text) partition by list (k)",
        f"create table planted_part partition of planted_parts for values in ('{t('bound of a partition')}')",
        f"create aggregate planted_sum (text) (sfunc = textcat, stype = text, initcond = '{t('aggregate')}')",
        f"comment on table planted is '{t('comment')}'",
        f"comment on database postgres is '{t('comment on a database')}'",
        f"select lo_from_bytea(0, '{t('large object')}'::bytea)",
        f"notify planted, '{t('NOTIFY')}'",
        f"do $$begin perform '{t('DO')}'; end$$",
        f"do $tag${'begin'} perform {c.number('number in DO')}; end$tag$",
        f"copy (select '{t('COPY')}') to program 'cat > /dev/null; : {t('COPY ... PROGRAM')}'",
        f"prepare planted as select '{t('PREPARE')}'",
        f"explain select '{t('EXPLAIN')}'",
        f"create table planted_as as select e'{t('CREATE TABLE AS')}'::text as x",
        f"set myapp.password = '{t('SET')}'",
        f"set myapp.word to {t('SET to a bare word').replace('-', '_')}",
        f"select 1 /* {t('comment in a statement')} */ -- {t('comment at its end')}",
        f"select '{t('literal')}', e'\\'{t('literal E')}', u&'{t('literal U&')}', $${t('literal $$')}$$",
        f"select '{t('dblink')}' as dblink_connect, 'host=h user=u password={t('dblink, connection string')}'",
        f"set myapp.token = U&'{''.join(chr(92) + format(ord(x), '04x') for x in t('SET with U&'))}'",
    ]
    if major >= 15:
        statements.append(f"create publication planted for table planted where (t <> '{t('publication')}')")
        statements.append("alter table planted replica identity full")
    if major >= 14:
        statements.append(f"create statistics planted on (t || '{t('statistics')}'), id from planted")
    return statements + ["analyze"]


def of_sessions(c: Canaries) -> list[str]:
    """Statements that wait for a lock, each with a constant of another kind."""
    t = c.text
    update = "update locked set t = {} where id = 1".format
    return [
        update(f"'{t('waiting: plain')}'"),
        update(f"$${t('waiting: $$')}$$"),
        update(f"$tag${t('waiting: $tag$')}$tag$"),
        update(f"E'\\'{t('waiting: E')}'"),
        update(f"U&'{t('waiting: U&')}'"),
        update(f"'it''s {t('waiting: doubled quotes')}'"),
        update(f"{c.number('waiting: number')}"),
        update(f"1.{c.number('waiting: fraction')}e-3"),
        update(f"'x' /* {t('waiting: comment')} /* nested */ '*/ --{t('waiting: line comment')}\n"),
        f"delete from locked where t in ('{t('waiting: IN')}', 'y') or id = 1",
        f"do $$begin update locked set t = '{t('waiting: DO')}' where id = 1; end$$",
        f"insert into locked values (1, '{t('waiting: ON CONFLICT')}') on conflict (id) do update set t = excluded.t",
        update("'" + "x" * 1100 + t("waiting: beyond what the server keeps") + "'"),
    ]


def settings(c: Canaries) -> dict[str, str]:
    t = c.text
    return {
        "primary_conninfo": f"host=127.0.0.1 user=u password={t('primary_conninfo')}",
        "ssl_passphrase_command": f"echo {t('ssl_passphrase_command')}",
        "archive_command": f"PGPASSWORD={t('archive_command')} copy %p",
        "restore_command": f"curl -sf -u user:{t('restore_command, curl -u')} -o %p ftp://store/%f || fetch https://user:{t('restore_command')}@store/%f %p",
        "archive_cleanup_command": f"clean --token={t('archive_cleanup_command')} %r",
        "recovery_end_command": f"tell 'api_key: {t('recovery_end_command')}'",
        "myapp.password": t("setting of an application"),
        "myapp.dsn": f"host=h password = \"{t('connection string in a setting')}\"",
    }


def environment(c: Canaries, folder: pathlib.Path) -> dict[str, str]:
    """Of the postmaster; what libraries would heed if the programs had it, too."""
    (folder / "passfile").write_text(f"*:*:*:*:{c.text('passfile')}\n")
    (folder / "passfile").chmod(0o644)
    return {
        "PLANTED": c.text("environment"),
        "AWS_SECRET_ACCESS_KEY": c.text("environment, secret key"),
        "https_proxy": f"http://user:{c.text('environment, proxy')}@127.0.0.1:9",
        "PGPASSFILE": str(folder / "passfile"),
        "SSLKEYLOGFILE": str(folder / "keylog"),
    }
