"""Enrolment at the hub worker, with front and keys played by the test."""

import hashlib
import time
import uuid
from typing import Any

import psycopg
import pytest
from harness import World, wait_until
from played import (
    CA,
    CA_FINGERPRINT,
    CERTIFICATE_USED,
    KEYS_INIT,
    KEYS_SIGN,
    KEYS_SIGN_RESULT,
    Played,
    PlayedHub,
    Program,
    signed,
    text,
)


def token_of(hub: PlayedHub, name: str, valid_for: str = "1 hour") -> str:
    token: str = hub.server.value("select pganalytics_create_token(%s, %s)", (name, valid_for))
    return token


def audit(hub: PlayedHub, event: str, name: str) -> list[dict[str, Any]]:
    return hub.server.rows(
        "select * from pganalytics.audit where event = %s and name = %s order by id", (event, name)
    )


def test_form_of_a_token(played_hub: PlayedHub) -> None:
    hub = played_hub
    token = token_of(hub, "form")
    kind, fingerprint, secret = token.split(".")
    import base64

    assert kind == "pga1" and "=" not in token
    assert base64.urlsafe_b64decode(fingerprint + "=") == CA_FINGERPRINT
    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    (row,) = hub.server.rows("select * from pganalytics.tokens where name = 'form'")
    assert bytes(row["digest"]) == hashlib.sha256(token.encode()).digest()
    assert row["created_by"] == "postgres"
    assert 3590 < (row["expires_at"] - row["created_at"]).total_seconds() < 3610
    assert token_of(hub, "form") != token
    # The text is nowhere but in the answer.
    for (table,) in hub.server.query(
        "select oid::regclass::text from pg_class where relnamespace = 'pganalytics'::regnamespace"
        " and relkind in ('r', 'p')"
    ):
        assert hub.server.value(f"select count(*) from {table} x where x::text like %s", (f"%{secret}%",)) == 0


def test_token_is_not_logged(played_hub: PlayedHub) -> None:
    hub = played_hub
    after = hub.server.log_size()
    with hub.server.connect() as session:
        for setting in (
            "log_statement = 'all'",
            "log_min_duration_statement = 0",
            "log_parameter_max_length_on_error = -1",
            "debug_print_plan = on",
            "debug_print_parse = on",
            "log_executor_stats = on",
            "client_min_messages = debug5",
            "log_min_messages = debug5",
        ):
            session.execute(f"set {setting}")
        session.execute("load 'auto_explain'")
        session.execute("set auto_explain.log_min_duration = 0")
        session.execute("set auto_explain.log_nested_statements = on")
        session.execute("set auto_explain.log_analyze = on")
        session.execute("set auto_explain.log_verbose = on")
        (token,) = session.execute("select pganalytics_create_token('logged')").fetchone() or ("",)
    secret = token.split(".")[2]
    log = hub.server.log(after)
    assert "insert into pganalytics.tokens" in log.lower()
    assert secret not in log and secret.encode().hex() not in log.lower()


@pytest.mark.parametrize(
    "name", ["", "a" * 129, "a\nb", " a", "a ", "a\x7f"], ids=["empty", "long", "line", "l", "r", "del"]
)
def test_names_that_are_refused(played_hub: PlayedHub, name: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="server's name"):
        token_of(played_hub, name)


@pytest.mark.parametrize("valid_for", ["0", "-1 hour", "31 days", "100000 years"])
def test_times_that_are_refused(played_hub: PlayedHub, valid_for: str) -> None:
    with pytest.raises(psycopg.Error, match="token must be valid|out of range"):
        token_of(played_hub, "a", valid_for)


def test_who_may_make_tokens(played_hub: PlayedHub) -> None:
    server = played_hub.server
    server.execute("create role watcher login in role pg_monitor")
    server.execute("create role enroller login")
    server.execute("grant execute on function pganalytics_create_token to enroller")
    with server.connect(user="watcher") as session:
        assert session.execute("select count(*) from pganalytics_servers()").fetchone()
        for sql in (
            "select pganalytics_create_token('x')",
            "select * from pganalytics.tokens",
            "select * from pganalytics.certificates",
            "select * from pganalytics.audit",
            "insert into pganalytics.collectors select * from pganalytics.collectors",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(sql)
    with server.connect(user="enroller") as session:
        assert session.execute("select pganalytics_create_token('by enroller')").fetchone()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("select * from pganalytics.tokens")
    assert server.value("select created_by from pganalytics.tokens where name = 'by enroller'") == (
        "enroller"
    )


def test_enrolment_and_lost_answer(played_hub: PlayedHub) -> None:
    hub = played_hub
    token = token_of(hub, "lost")
    first = hub.front.register(token, "lost", b"key one")
    assert first["status"] == 200 and first["generation"] == 1
    assert "for key one" in first["certificate"] and first["ca_certificate"] == CA
    assert 29.9 * 86400 < first["expires_at"] / 1e6 - time.time() < 30.1 * 86400
    again = hub.front.register(token, "lost", b"key one", number=2)
    assert again == first | {"number": 2}
    # A token names its server; the name may be left out.
    assert hub.front.register(token, "", b"key one") == first
    other = hub.front.register(token, "lost", b"key two")
    assert (other["status"], other["certificate"]) == (401, "")
    assert other["collector_id"] == uuid.UUID(int=0)
    event = audit(hub, "enrolment refused", "lost")[-1]
    assert event["details"] == {"reason": "token used before with another key"}
    assert event["address"] == "192.0.2.7"
    assert hub.server.value(
        "select count(*) from pganalytics.certificates where collector_id = %s",
        (first["collector_id"],),
    ) == 1
    assert len(audit(hub, "enrolled", "lost")) == 1


def test_front_knows_the_collector_before_it_is_answered(played_hub: PlayedHub) -> None:
    hub = played_hub
    hub.front.kept.clear()
    answer = hub.front.register(token_of(hub, "before"), "before", b"k")
    # take() keeps what came before the frame it waits for.
    state = next(s for s in iter(hub.front.collector, None) if s["name"] == "before")
    fingerprint = hashlib.sha256(answer["certificate"].encode()).hexdigest()
    assert state["collector_id"] == answer["collector_id"]
    assert state["certificates"] == {fingerprint: 1} and state["enabled"]


def test_refusals_look_the_same(played_hub: PlayedHub) -> None:
    hub = played_hub
    good = token_of(hub, "same")
    expired = token_of(hub, "same expired")
    hub.server.execute(
        "update pganalytics.tokens set expires_at = now() - interval '1 s' where name = 'same expired'"
    )
    answers = [
        hub.front.register("pga1.x.y", "same", b"k"),
        hub.front.register(expired, "same expired", b"k"),
        hub.front.register(good, "another name", b"k"),
        hub.front.register(good[:-1], "same", b"k"),
    ]
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["status"] == 401
    reasons = [event["details"]["reason"] for event in audit(hub, "enrolment refused", "same")]
    assert reasons == ["unknown token", "unknown token"]
    assert audit(hub, "enrolment refused", "another name")[0]["details"]["reason"] == (
        "token of another server"
    )
    # The token is as good as before.
    assert hub.front.register(good, "same", b"k")["status"] == 200


def test_used_token_expires_too(played_hub: PlayedHub) -> None:
    hub = played_hub
    token = token_of(hub, "late")
    assert hub.front.register(token, "late", b"k")["status"] == 200
    hub.server.execute("update pganalytics.tokens set expires_at = now() where name = 'late'")
    assert hub.front.register(token, "late", b"k")["status"] == 401


def states(hub: PlayedHub, name: str) -> dict[str, int]:
    state = next(s for s in iter(hub.front.collector, None) if s["name"] == name)
    found: dict[str, int] = state["certificates"]
    return found


def test_enrolled_again(played_hub: PlayedHub) -> None:
    hub = played_hub
    one = hub.front.register(token_of(hub, "again"), "again", b"one")
    states(hub, "again")
    two = hub.front.register(token_of(hub, "again"), "again", b"two")
    assert two["collector_id"] == one["collector_id"]
    assert (two["status"], two["generation"]) == (200, 2)
    first, second = (hashlib.sha256(a["certificate"].encode()).digest() for a in (one, two))
    # Both, until the new one is used.
    assert states(hub, "again") == {first.hex(): 1, second.hex(): 2}
    hub.front.send(CERTIFICATE_USED, one["collector_id"].bytes + second)
    assert states(hub, "again") == {second.hex(): 2}
    assert hub.server.value(
        "select ended_at <= now() from pganalytics.certificates where fingerprint = %s", (first,)
    )
    assert len(audit(hub, "enrolled again", "again")) == 1
    # Said twice, or of a certificate that is not this collector's, it changes nothing.
    hub.front.send(CERTIFICATE_USED, one["collector_id"].bytes + second)
    hub.front.send(CERTIFICATE_USED, uuid.UUID(int=5).bytes + second)
    assert hub.front.register(token_of(hub, "after again"), "after again", b"k")["status"] == 200


def test_many_enrolments_without_a_use(played_hub: PlayedHub) -> None:
    hub = played_hub

    def enrol(number: int) -> dict[str, Any]:
        answer = hub.front.register(token_of(hub, "many"), "many", f"key {number}".encode())
        assert (answer["status"], answer["generation"]) == (200, number)
        return answer

    def fingerprint(answer: dict[str, Any]) -> str:
        return hashlib.sha256(answer["certificate"].encode()).hexdigest()

    # What the first one does is not told; it may well be in use.
    answers = [enrol(number) for number in range(1, 13)]
    fingerprints = [fingerprint(answer) for answer in answers]
    for number in range(1, 13):
        seen = states(hub, "many")
        # What the front takes; see kCertificatesCollector.
        assert len(seen) <= 8
        assert set(seen) >= {fingerprints[0], *fingerprints[max(number - 5, 0) : number]}
    # One that was used stays, however many come after it.
    collector = answers[0]["collector_id"].bytes
    hub.front.send(CERTIFICATE_USED, collector + bytes.fromhex(fingerprints[10]))
    assert set(states(hub, "many")) == set(fingerprints[10:])
    fingerprints += [fingerprint(enrol(number)) for number in range(13, 23)]
    for number in range(13, 23):
        seen = states(hub, "many")
        assert len(seen) <= 8 and set(seen) >= {fingerprints[10], fingerprints[number - 1]}


def test_disabled_collector_is_told_to_the_front(played_hub: PlayedHub) -> None:
    hub = played_hub
    hub.front.register(token_of(hub, "off"), "off", b"k")
    states(hub, "off")
    hub.server.execute("update pganalytics.collectors set enabled = false where name = 'off'")
    hub.server.reload()
    state = next(s for s in iter(hub.front.collector, None) if s["name"] == "off")
    assert state["enabled"] is False
    hub.server.execute("delete from pganalytics.collectors where name = 'off'")
    hub.server.reload()
    hub.front.take(51)


def when_signing(played: Played, behaviour: Any) -> Any:
    """A reload asks keys for the files, too: such a question is answered as always."""

    def on_keys(program: Program) -> None:
        first = program.frames.get(timeout=20)
        program.frames.put(first)
        (behaviour if first[0] == KEYS_SIGN else played.answer_keys)(program)

    return on_keys


def test_keys_that_fail(played_hub: PlayedHub, played: Played) -> None:
    hub = played_hub
    token = token_of(hub, "keys")

    def fail(program: Program) -> None:
        kind, _ = program.frames.get(timeout=20)
        assert kind == KEYS_SIGN
        program.send(KEYS_SIGN_RESULT, text("no key") + text("") + bytes(32) + text("") + signed(0) * 2)
        program.close()

    def die(program: Program) -> None:
        program.frames.get(timeout=20)
        program.close()

    try:
        for behaviour in (fail, die):
            played.on_keys = when_signing(played, behaviour)
            answer = hub.front.register(token, "keys", b"k")
            assert (answer["status"], answer["certificate"]) == (503, "")
            assert "no key" not in answer["message"]
    finally:
        played.on_keys = played.answer_keys
    assert hub.front.register(token, "keys", b"k")["status"] == 200


def test_ingest_goes_on_while_keys_work(played_hub: PlayedHub, played: Played) -> None:
    from test_hub_worker import database_row, push_of
    from played import REGISTER, STORED, varint

    hub = played_hub
    token = token_of(hub, "slow keys")
    waiting: list[Program] = []
    played.on_keys = when_signing(played, waiting.append)
    try:
        digest = hashlib.sha256(token.encode()).digest()
        fields = text("slow keys") + text("h") + text("1") + text(b"k") + text("::1")
        hub.front.send(REGISTER, varint(77) + digest + fields)
        program = wait_until(lambda: waiting and waiting[0], 10, "keys asked")
        for _ in range(3):
            assert hub.front.store(push_of(hub, [database_row(1, "meanwhile")]))["outcome"] == STORED
        _, payload = program.frames.get(timeout=5)
        program.send(KEYS_SIGN_RESULT, played.sign(payload))
        assert hub.front.take(55).varint() == 77
        program.close()
    finally:
        played.on_keys = played.answer_keys


def test_two_tokens_for_one_name_at_once(played_hub: PlayedHub) -> None:
    from played import REGISTER, varint

    hub = played_hub
    tokens = [token_of(hub, "both"), token_of(hub, "both")]
    for number, token in enumerate(tokens):
        digest = hashlib.sha256(token.encode()).digest()
        fields = text("both") + text("h") + text("1") + text(f"key {number}") + text("::1")
        hub.front.send(REGISTER, varint(number) + digest + fields)
    statuses = {}
    for _ in tokens:
        reader = hub.front.take(55)
        number = reader.varint()
        statuses[number] = reader.varint()
    # The one that came second was meant for a new server: it is to be asked again.
    assert sorted(statuses.values()) == [200, 503]
    (second,) = [number for number, status in statuses.items() if status == 503]
    again = hub.front.register(tokens[second], "both", f"key {second}".encode())
    assert (again["status"], again["generation"]) == (200, 2)


def test_files_are_made_only_while_nobody_is_enrolled(played_world: World, played: Played) -> None:
    played.keys_asked.clear()
    hub = PlayedHub(played_world, played)
    kind, payload = played.keys_asked[0]
    assert kind == KEYS_INIT and payload[-1] == 1
    assert b"localhost" in payload and b"127.0.0.1" in payload
    hub.server.restart()
    played.front().open()
    kind, payload = [asked for asked in played.keys_asked if asked[0] == KEYS_INIT][-1]
    assert payload[-1] == 0
