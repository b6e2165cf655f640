"""Front and hub worker together: enrolment with a key made by openssl, then a push of every rowset of the catalog with
every type at its extremes, compared value by value with what plain SQL finds in the tables."""

import datetime
import gzip
import hashlib
import json
import math
import os
import pathlib
import random
import signal
import time
import uuid
from typing import Any

import pytest

from harness import Hub, wait_until
from harness.front import catalog_rowsets, now_text
from harness.pki import openssl

INTEGERS = [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, -8878074361178081634]
REALS = [0.0, -0.0, 1.5, -2.5e-308, 5e-324, 1.7976931348623157e308, 0.1, 1e22, 123456789.123456789]
TEXTS = ["", "x", 'a "b" \\ /', "tab\tnewline\nreturn\r", "\x01\x1f\x7f", "äöü€😀", "\u202e\u2028", "{}", "\\N", "n" * 65536]
TIMES = [
    "0001-01-01T00:00:00.000000Z",
    "1969-12-31T23:59:59.999999Z",
    "2000-01-01T00:00:00.000001Z",
    "2026-02-20T10:30:00.123456Z",
    "9999-12-31T23:59:59.999999Z",
]
OIDS = [0, 1, 16384, 2**31, 2**32 - 1]
POSITIONS = ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF", "0/1"]
DOCUMENTS: list[Any] = [{}, [], {"a": [1, None, True, {"b": "\u00e4\"\\"}]}, "text", 12.5, False, -(2**63), {"": []}]
BY_TYPE = {
    "boolean": [True, False],
    "bigint": INTEGERS,
    "double precision": REALS,
    "text": TEXTS,
    "timestamp with time zone": TIMES,
    "oid": OIDS,
    "pg_lsn": POSITIONS,
    "uuid": [str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1)), str(uuid.uuid4())],
    "jsonb": DOCUMENTS,
}  # fmt: skip


class Enrolled:
    """A collector of a real hub: openssl's key, curl's requests."""

    def __init__(self, hub: Hub, folder: pathlib.Path, name: str = "db-1") -> None:
        self.hub = hub
        self.key, self.cert = folder / "collector.key", folder / "collector.crt"
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.key)
        csr = openssl("req", "-new", "-key", self.key, "-subj", "/CN=whoever")
        self.enrolment = hub.create_token(name)
        body = {"name": "", "hostname": "host of " + name, "version": "1", "csr": csr}
        headers = {"X-Registration-Secret": self.enrolment, "Content-Type": "application/json"}
        answer = hub.request("/api/v1/collectors/register", method="POST", headers=headers, body=json.dumps(body))
        assert answer.status == 200, answer
        self.answer = answer.json()
        self.id = self.answer["collector_id"]
        self.token = self.answer["token"]
        self.cert.write_text(self.answer["certificate"])

    def push(self, metrics: list[Any], **more: Any) -> Any:
        envelope = {"collector_id": self.id, "timestamp": now_text(), "hostname": "db-1"} | more
        body = json.dumps(envelope | {"metrics": metrics}).encode()
        answer = self.send(gzip.compress(body))
        assert answer.status == 200, answer
        assert answer.json()["digest"] == hashlib.sha256(body).hexdigest()
        return answer.json()

    def send(self, packed: bytes, **more: Any) -> Any:
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
        }

        def answered() -> Any:
            answer = self.hub.request(
                "/api/v1/metrics/push", headers=headers | more, body=packed, cert=self.cert, key=self.key,
                port=self.hub.collector_port, method="POST",
            )  # fmt: skip
            # We ask faster than a collector may.
            return None if answer.status == 429 else answer

        return wait_until(answered, 30, "an answer that is not 429", every=0.5)


@pytest.fixture(scope="module")
def enrolled(module_hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Enrolled:
    return Enrolled(module_hub, tmp_path_factory.mktemp("collector"))


def test_enrolment(enrolled: Enrolled) -> None:
    hub = enrolled.hub
    assert hub.collectors()["db-1"] == uuid.UUID(enrolled.id) or str(hub.collectors()["db-1"]) == enrolled.id
    assert openssl("verify", "-CAfile", hub.ca_file, "-purpose", "sslclient", enrolled.cert).endswith("OK\n")
    assert enrolled.answer["ca_certificate"].strip() == hub.ca_file.read_text().strip()
    text = openssl("x509", "-in", enrolled.cert, "-noout", "-text")
    assert f"URI:urn:uuid:{enrolled.id}" in text and "TLS Web Client Authentication" in text
    expires = datetime.datetime.fromisoformat(enrolled.answer["certificate_expires_at"])
    assert 20 < (expires.timestamp() - time.time()) / 86400 < 91


def same(found: Any, sent: Any, kind: str) -> bool:
    if sent is None or found is None:
        return sent is None and found is None
    if kind == "timestamp with time zone":
        return bool(found == sent)
    if kind == "double precision":
        return math.copysign(1, found) == math.copysign(1, sent) and found == sent
    if kind == "jsonb":
        return json.dumps(found, sort_keys=True) == json.dumps(sent, sort_keys=True)
    return str(found) == str(sent) if kind in ("uuid", "pg_lsn") else found == sent and type(found) is type(sent)


def stored_rows(hub: Hub, rowset: dict[str, Any], collector: str) -> list[dict[str, Any]]:
    """Those of the last push last. Times as text, since Python's end where PostgreSQL's do not."""
    columns = ["datname"] if rowset["scope"] == "database" else []
    parts = []
    for column in rowset["columns"]:
        quoted = '"' + column["name"] + '"'
        if column["type"] == "timestamp with time zone":
            parts.append(f"to_char({quoted} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') as {quoted}")
        else:
            parts.append(quoted)
    return hub.rows(
        f"select {', '.join(columns + parts)} from pganalytics.{rowset['hub_table']}"
        ' where collector_id = %s order by "time", ctid',
        (collector,),
    )


@pytest.mark.parametrize("form", ["columns", "objects"])
def test_every_type_of_every_rowset(enrolled: Enrolled, form: str, rng: random.Random) -> None:
    hub = enrolled.hub
    sent: dict[str, list[dict[str, Any]]] = {}
    metrics = []
    # Of users' own rowsets each row must be one: below.
    rowsets = [one for one in catalog_rowsets(hub.installation) if one["scope"] not in ("hub", "own")]
    marker = f"marker-{form}-{uuid.uuid4()}"
    for rowset in rowsets:
        rows = []
        for number in range(12):
            row = {}
            for column in rowset["columns"]:
                values = BY_TYPE[column["type"]]
                row[column["name"]] = None if rng.random() < 0.2 else values[(number + rng.randrange(2)) % len(values)]
            # More long texts would be more than a row may have.
            long = [name for name, value in row.items() if isinstance(value, str) and len(value) > 1000]
            row |= {name: "short" for name in long[4:]}
            rows.append(row)
        # Something of every row is there in both forms.
        for row in rows:
            if all(value is None for value in row.values()):
                row[rowset["columns"][0]["name"]] = BY_TYPE[rowset["columns"][0]["type"]][0]
        name = f"{rowset['plugin']}.{rowset['name']}"
        sent[name] = rows
        if form == "columns":
            content: Any = {"columns": {c["name"]: [row[c["name"]] for row in rows] for c in rowset["columns"]}}
        else:
            content = []
            for row in rows:
                members = [(key, value) for key, value in row.items() if value is not None or rng.random() < 0.5]
                rng.shuffle(members)
                content.append(dict(members))
        metrics.append({"type": rowset["plugin"], "timestamp": now_text(), "datname": marker, rowset["name"]: content})
    # A few rowsets a push, so that long texts fit.
    inserted = 0
    for start in range(0, len(metrics), 4):
        answer = enrolled.push(metrics[start : start + 4])
        assert answer["unknown"] == {} and answer["too_old"] == 0 and answer["duplicate"] is False
        inserted += answer["metrics_inserted"]
    assert inserted == sum(len(rows) for rows in sent.values())
    for rowset in rowsets:
        rows = sent[f"{rowset['plugin']}.{rowset['name']}"]
        found = stored_rows(hub, rowset, enrolled.id)[-len(rows) :]
        assert len(found) == len(rows)
        # Where in the table a row went is its own affair.
        for mine in rows:
            fitting = [
                theirs
                for theirs in found
                if all(same(theirs[one["name"]], mine[one["name"]], one["type"]) for one in rowset["columns"])
            ]
            assert fitting, (rowset["hub_table"], mine, found)
            found.remove(fitting[0])
            assert rowset["scope"] != "database" or fitting[0]["datname"] == marker


def test_a_repeat_and_a_lie(enrolled: Enrolled) -> None:
    entry = {"type": "pg_stats", "timestamp": now_text(), "datname": "twice", "tables": [{"datid": 5, "relid": 1}]}
    identity = {"snapshot_id": str(uuid.uuid4()), "incarnation": str(uuid.uuid4()), "sequence": 1}
    body = {"collector_id": enrolled.id, "timestamp": now_text(), "metrics": [entry]} | identity
    packed = gzip.compress(json.dumps(body).encode())
    first, second = enrolled.send(packed).json(), enrolled.send(packed).json()
    assert (first["duplicate"], second["duplicate"]) == (False, True)
    assert first["metrics_inserted"] == 1 and first["digest"] == second["digest"]
    lie = gzip.compress(json.dumps(body | {"hostname": "other"}).encode())
    assert enrolled.send(lie).status == 409
    count = enrolled.hub.value("select count(*) from pganalytics.pg_stats_tables where datname = 'twice'")
    assert count == 1


def test_what_names_hold_stays_text(enrolled: Enrolled) -> None:
    """Names that are SQL, markup or formulas are stored as they are, and nothing else happens."""
    hub = enrolled.hub
    names = [
        "'; drop schema pganalytics cascade; --", '"', "$$", "\\", "\\.", "%s %n", "<script>alert(1)</script>",
        "=cmd|' /C calc'!A0", "a\u0000b".replace("\u0000", "\n"), "\t", "x" * 63, "😀" * 15, "\ufeff", "NULL", "\\N",
    ]  # fmt: skip
    before = hub.log_size()
    columns = {"datid": [9] * len(names), "relid": list(range(len(names))), "schemaname": names, "relname": names}
    answer = enrolled.push(
        [{"type": "pg_stats", "timestamp": now_text(), "datname": names[0], "tables": {"columns": columns}}]
    )
    assert answer["metrics_inserted"] == len(names)
    found = hub.query("select relname, datname from pganalytics.pg_stats_tables where datid = 9 order by relid")
    assert [name for name, _ in found] == names and {name for _, name in found} == {names[0]}
    assert "drop schema" not in hub.log()[before:]


def test_rows_of_users(enrolled: Enrolled) -> None:
    """Whatever a collector calls its rowsets and columns, the hub makes nothing of it but rows."""
    hub = enrolled.hub
    relations = "select count(*) from pg_class where relnamespace = 'pganalytics'::regnamespace and relname not like '%\\_2%'"
    columns = "select count(*) from pg_attribute a join pg_class c on c.oid = attrelid where relnamespace = 'pganalytics'::regnamespace and relname !~ '_2'"

    def entry(name: str = "hostile", **more: Any) -> dict[str, Any]:
        values = {"datid": [5], "rowset": [name], "digest": ["0" * 64], "key": ['["a"]'], "row": [{'x"; drop table y; --': "<b>"}]}
        rows = {"rowset": name, "full": True, "complete": True, "columns": values | more}
        return {"type": "own", "timestamp": now_text(), "datname": "app", "rows": rows}

    enrolled.push([entry()])  # makes the table
    before = hub.value(relations), hub.value(columns)
    answer = enrolled.push([entry("n" + str(number)) for number in range(32)])
    assert answer["metrics_inserted"] == 32 and answer["unknown"] == {}
    stored = hub.rows("select * from pganalytics.own_rows where collector_id = %s and rowset = 'hostile'", (enrolled.id,))
    assert stored[0]["row"] == {'x"; drop table y; --': "<b>"} and stored[0]["datname"] == "app"
    fulls = hub.query("select rowset from pganalytics.pganalytics_fulls where collector_id = %s and rowset like 'own.%%'", (enrolled.id,))
    assert ("own.hostile",) in fulls and ("own.n31",) in fulls
    refused = [
        [entry("n" + str(number)) for number in range(97)],
        [entry('x"; drop table y; --')],
        [entry("x" * 41)],
        [entry(rowset=["other"])],
        [entry(rowset=[None])],
        [entry(digest=["0" * 63])],
        [entry(digest=["not a digest"])],
        [entry(key=["no array"])],
        [entry(row=[[1, 2]])],
        [entry(row=["text"])],
        [entry(row=[None])],
        [entry(row=[{str(number): 1 for number in range(257)}])],
        [entry(row=[{"x": "y" * 65537}])],
        [{"type": "own", "timestamp": now_text(), "rowsets": {"columns": {"rowset": ["A"], "digest": ["0" * 64]}}}],
        [{"type": "own", "timestamp": now_text(), "rows": [{"rowset": "hostile", "row": {}}]}],
    ]
    count = hub.value("select count(*) from pganalytics.own_rows")
    for metrics in refused:
        body = {"collector_id": enrolled.id, "timestamp": now_text(), "metrics": metrics}
        answer = enrolled.send(gzip.compress(json.dumps(body).encode()))
        assert answer.status == 400, (metrics, answer)
        assert "drop table" not in answer.body
    assert hub.value("select count(*) from pganalytics.own_rows") == count
    assert (hub.value(relations), hub.value(columns)) == before


def test_two_collectors_have_their_own(enrolled: Enrolled, tmp_path: pathlib.Path) -> None:
    other = Enrolled(enrolled.hub, tmp_path, "db-2")
    assert other.id != enrolled.id
    body = {"collector_id": enrolled.id, "timestamp": now_text(), "metrics": []}
    assert other.send(gzip.compress(json.dumps(body).encode())).status == 403
    other.token, mine = enrolled.token, other.token
    assert other.send(gzip.compress(json.dumps(body).encode())).status == 401
    other.token = mine
    assert other.push([])["metrics_inserted"] == 0
    # The token is used up; its own key may ask again, another may not.
    csr = openssl("req", "-new", "-key", other.key, "-subj", "/CN=x")
    headers = {"X-Registration-Secret": other.enrolment, "Content-Type": "application/json"}

    def again(request: str) -> Any:
        return enrolled.hub.request(
            "/api/v1/collectors/register", method="POST", headers=headers, body=json.dumps({"csr": request})
        )

    assert again(csr).json()["collector_id"] == other.id
    openssl("genpkey", "-algorithm", "ED25519", "-out", tmp_path / "new.key")
    assert again(openssl("req", "-new", "-key", tmp_path / "new.key", "-subj", "/CN=x")).status in (401, 409)


def test_the_front_dies_and_comes_back(enrolled: Enrolled) -> None:
    hub = enrolled.hub
    (front,) = hub.programs()["serve"]
    os.kill(front, signal.SIGKILL)
    wait_until(lambda: hub.programs().get("serve") not in (None, [], [front]), 20, "a new front")
    wait_until(lambda: hub.request("/api/v1/health").status == 200, 20, "health")
    assert enrolled.push([])["status"] == "success"
