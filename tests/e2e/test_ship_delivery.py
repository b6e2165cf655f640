"""How `pganalytics ship` delivers to a hub that answers everything that can be answered, over real TLS."""

import calendar
import email.utils
import gzip
import json
import pathlib
import random
import time
from typing import Any

import pytest

from driver import frames
from driver.authority import Authority
from driver.fixtures import fresh_ship, program, scripted, ship  # noqa: F401
from driver.scripted_hub import Answer, Request, ScriptedHub
from driver.worker import PUSH_TYPES, RequestError, Ship

DATID = 16384


def cycle(ship: Ship, purpose: int = frames.SCHEDULED, request: int = 0, rows: int = 3) -> None:
    shape = ship.catalog["pg_stats.tables"]
    ship.begin_cycle(purpose, request)
    # Something changes in each cycle.
    stamp = time.time_ns()
    values = [stamp if kind == "bigint" else None for kind in shape.types[2:]]
    ship.rowset("pg_stats.tables", [[DATID, 20000 + i, *values] for i in range(rows)], DATID, "app")
    ship.end_cycle([DATID])


def push_now(ship: Ship, seconds: float = 30) -> list[list[Any]]:
    number = ship.ask(frames.PUSH_NOW, timeout_ms=int(seconds * 1000))
    cycle(ship, frames.PUSH_NOW, number)
    return frames.decode_rows(PUSH_TYPES, ship.answer(number, seconds + 2))


def answer_pushes(hub: ScriptedHub, *answers: Answer | None) -> None:
    """These for the next pushes, in order; None: the right one. Afterwards the right one, too."""
    left = list(answers)

    def script(request: Request) -> Answer | None:
        return left.pop(0) if left and request.path.endswith("/metrics/push") else None

    hub.script = script


def delivered(ship: Ship) -> int:
    return int(ship.status()["delivery"]["acknowledged"] or 0)


def test_push_now_answers_with_what_the_hub_said(ship: Ship, scripted: ScriptedHub) -> None:
    [[snapshot, sequence, rows, bytes_json, bytes_gzip, status, duplicate, inserted, took]] = push_now(ship)
    request = scripted.pushes()[0]
    push = request.json()
    assert snapshot == push["snapshot_id"] and sequence == push["sequence"] == 1
    assert rows == 3 and status == "success" and duplicate is False and inserted == 1 and took > 0
    assert bytes_gzip == len(request.body)
    assert bytes_json == len(gzip.decompress(request.body))
    assert request.headers["authorization"] == "Bearer first-token"


WRONG = {
    "html": lambda hub, request: b"<html>Welcome to the airport</html>",
    "truncated": lambda hub, request: json.dumps(hub.acknowledgement(request)).encode()[:-5],
    "other snapshot": lambda hub, request: hub.acknowledgement(request, snapshot_id="0" * 8 + "-0000-4000-8000-" + "0" * 12),
    "other digest": lambda hub, request: hub.acknowledgement(request, digest="0" * 64),
    "huge": lambda hub, request: b" " * (1 << 20),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_only_a_real_acknowledgement_delivers(ship: Ship, scripted: ScriptedHub, kind: str) -> None:
    scripted.script = lambda request: (
        Answer(200, WRONG[kind](scripted, request))
        if request.path.endswith("push") and len(scripted.pushes()) == 1
        else None
    )
    cycle(ship)
    first, second = scripted.wait_requests(2)[:2]
    assert first.body == second.body, "the very same bytes again"
    assert second.time - first.time >= 0.9
    ship.pump(lambda: delivered(ship) == 1)
    assert len(scripted.pushes()) == 2


@pytest.mark.parametrize("status", [302, 404, 429, 500, 599])
def test_other_answers_are_retried(ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path, status: int) -> None:
    elsewhere = ScriptedHub(tmp_path / "elsewhere", scripted.authority)
    answer_pushes(scripted, Answer(status, {"message": "no"}, {"Location": elsewhere.url + "/api/v1/metrics/push"}))
    cycle(ship)
    first, second = scripted.wait_requests(2)[:2]
    assert first.body == second.body and second.time - first.time >= 0.9
    ship.pump(lambda: delivered(ship) == 1)
    elsewhere.close()
    assert not elsewhere.requests, "a redirect is never followed"


def http_date(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


@pytest.mark.parametrize(
    "value, least, most",
    [("0", 0.95, 2.5), ("3", 3, 4.5), ("soon", 0.95, 3.5), ("date", 2.9, 6.5)],
)
def test_retry_after_is_honoured(ship: Ship, scripted: ScriptedHub, value: str, least: float, most: float) -> None:
    text = http_date(4) if value == "date" else value
    answer_pushes(scripted, Answer(503, {"message": "busy"}, {"Retry-After": text}))
    cycle(ship)
    first, second = scripted.wait_requests(2)[:2]
    assert least <= second.time - first.time <= most + 5


def test_a_long_retry_after_is_clamped_and_shown(ship: Ship, scripted: ScriptedHub) -> None:
    answer_pushes(scripted, Answer(429, {"message": "slow down"}, {"Retry-After": "1" + "0" * 20}))
    cycle(ship)
    ship.pump(lambda: any(line["cause"] == "delivery" for line in ship.logs))
    hub = ship.status()["hub"]
    assert hub["state"] == "failing" and "slow down" in (hub["last_error"] or "")
    began = time.time()
    moment = time.strptime((hub["next_try"] or "")[:19], "%Y-%m-%dT%H:%M:%S")
    assert 890 <= calendar.timegm(moment) - began <= 1000


def test_401_renews_the_token_once_and_repeats_once(ship: Ship, scripted: ScriptedHub) -> None:
    answer_pushes(scripted, Answer(401, {"message": "unauthorized"}))
    cycle(ship)
    first, second = scripted.wait_requests(2)[:2]
    assert second.time - first.time < 0.9 + 5, "at once, no back-off"
    assert first.headers["authorization"] == "Bearer first-token"
    assert second.headers["authorization"] == "Bearer token-1"
    ship.pump(lambda: delivered(ship) == 1)
    # And no more than once.
    answer_pushes(scripted, *[Answer(401, {"message": "unauthorized"})] * 2)
    with pytest.raises(RequestError) as error:
        push_now(ship)
    assert error.value.sqlstate == "28000" and "Enrol this server again" in error.value.hint
    assert len(scripted.pushes()) == 4
    scripted.wait_requests(5)
    ship.pump(lambda: delivered(ship) == 2)


def test_403_holds_and_keeps_everything(ship: Ship, scripted: ScriptedHub) -> None:
    answer_pushes(scripted, Answer(403, {"message": "revoked"}))
    with pytest.raises(RequestError) as error:
        push_now(ship)
    assert "revoked" in error.value.message
    began = time.monotonic()
    with pytest.raises(RequestError):
        push_now(ship)
    assert time.monotonic() - began < 5, "at once, since nothing will be tried for minutes"
    assert len(scripted.pushes()) == 1
    # The answer does not wait for the end of its cycle.
    ship.pump(lambda: ship.status()["queue"]["snapshots"] == "2")
    assert "revoked" in (ship.status()["hub"]["last_error"] or "")


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_what_the_hub_refuses_for_good_is_set_aside(ship: Ship, scripted: ScriptedHub, status: int) -> None:
    answer_pushes(scripted, Answer(status, {"message": "no", "details": "column x\nLOG: forged"}))
    with pytest.raises(RequestError) as error:
        push_now(ship)
    assert f"status {status} (no; column x LOG: forged)" in error.value.message
    assert push_now(ship)[0][1] == 2, "the next one is not held up"
    line = next(line for line in ship.logs if line["cause"] in ("refused", "conflict"))
    assert (line["level"] == 3) == (status == 409)
    assert ship.status()["set_aside"]["snapshots"] == "1"


def test_413_makes_smaller_slices(ship: Ship, scripted: ScriptedHub) -> None:
    answer_pushes(scripted, *[Answer(413, {"message": "too large"})] * 20)
    for number in range(1, 8):
        cycle(ship, rows=1000)
        scripted.wait_requests(number)
        ship.pump(lambda: int(ship.status()["set_aside"]["snapshots"] or 0) >= number)
    scripted.script = None
    before = len(scripted.pushes())
    cycle(ship, rows=1000)
    parts = scripted.wait_requests(before + 1)[before].json()["parts"]
    assert parts > 1


def test_a_stalled_answer_stalls_nothing_else(ship: Ship, scripted: ScriptedHub) -> None:
    answer_pushes(scripted, Answer(200, b"late", stall=8))
    cycle(ship)
    scripted.wait_requests(1)
    for number in range(20):
        began = time.monotonic()
        ship.heartbeat(number)
        ship.pump(lambda: number in ship.heartbeats)
        assert time.monotonic() - began < 2
    cycle(ship)
    ship.pump(lambda: ship.status()["queue"]["snapshots"] == "2")
    assert len(scripted.pushes()) == 1, "one in flight"


def test_a_cut_connection_is_retried(ship: Ship, scripted: ScriptedHub) -> None:
    answer_pushes(scripted, Answer(close=True), Answer(close=True))
    cycle(ship)
    scripted.wait_requests(3)
    assert len({request.body for request in scripted.pushes()}) == 1
    ship.pump(lambda: delivered(ship) == 1)


def test_tokens_are_renewed_before_they_end(ship: Ship, scripted: ScriptedHub) -> None:
    scripted.token_seconds = 10  # so short that it is renewed after half its life
    answer_pushes(scripted, Answer(401, {}))
    cycle(ship)
    [first] = scripted.wait_requests(1, "/collectors/refresh-token")
    while len(scripted.wait_requests(1, "/collectors/refresh-token")) < 2:
        push_now(ship)
    second = scripted.wait_requests(2, "/collectors/refresh-token")[1]
    assert 3 <= second.time - first.time <= 9
    for request in scripted.pushes()[1:]:
        expected = "Bearer token-1" if request.time < second.time else "Bearer token-2"
        assert request.headers["authorization"] == expected


def test_push_now_says_why_it_cannot(fresh_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path) -> None:
    ship = fresh_ship
    with pytest.raises(RequestError) as nobody:
        push_now(ship)
    assert nobody.value.sqlstate == "55000" and "not enrolled" in nobody.value.message
    assert "pganalytics_register" in nobody.value.hint
    ship.register(scripted.console_url, scripted.authority.token())
    # A hub with a certificate of another CA.
    impostor = ScriptedHub(tmp_path / "impostor", Authority(tmp_path / "impostor-ca"))
    ship.send_settings(hub_url=impostor.url)
    with pytest.raises(RequestError) as wrong:
        push_now(ship)
    assert "certificate" in wrong.value.message
    assert not impostor.requests, "not a byte of HTTP"
    impostor.close()
    # Nobody there.
    with pytest.raises(RequestError) as unreachable:
        push_now(ship)
    assert unreachable.value.sqlstate == "08006"
    # Busy until the time is over.
    ship.send_settings(hub_url="")
    scripted.script = lambda request: (
        Answer(503, {"message": "busy"}, {"Retry-After": "1"}) if request.path.endswith("push") else None
    )
    began = time.monotonic()
    with pytest.raises(RequestError) as busy:
        push_now(ship, seconds=4)
    assert 3 < time.monotonic() - began < 6
    assert busy.value.sqlstate == "57014" and "busy" in busy.value.detail
    scripted.script = None
    assert push_now(ship)[-1][5] == "success"


def test_the_queue_drops_the_oldest_and_says_so(fresh_ship: Ship, scripted: ScriptedHub) -> None:
    ship = fresh_ship
    ship.send_settings(memory_limit=32 << 20, spool_limit=1 << 20)
    ship.register(scripted.console_url, scripted.authority.token())
    scripted.script = lambda request: (
        Answer(503, {}, {"Retry-After": "5"}) if request.path.endswith("push") else None
    )
    shape = ship.catalog["pg_stats.tables"]
    rng = random.Random(1)
    for _ in range(12):
        ship.begin_cycle()
        rows = [
            [DATID, i, *(rng.randrange(1 << 60) if kind == "bigint" else None for kind in shape.types[2:])]
            for i in range(20000, 21500)
        ]
        ship.rowset("pg_stats.tables", rows, DATID, "app")
        ship.end_cycle()
        ship.pump(lambda: True)
    ship.pump(lambda: int(ship.status()["cycles"]["read"] or 0) == 12)
    status = ship.status()
    dropped = int(status["dropped"]["snapshots"] or 0)
    held = int(status["queue"]["snapshots"] or 0)
    assert dropped > 0 and dropped + held == 12
    assert int(status["queue"]["bytes"] or 0) <= 1 << 20
    assert int(status["dropped"]["rows"] or 0) == dropped * 1500
    assert any(line["cause"] == "queue" for line in ship.logs)
    scripted.script = None
    ship.pump(lambda: delivered(ship) == held, seconds=30)
    sequences = [request.json()["sequence"] for request in scripted.pushes()]
    assert max(sequences) == 12
    cycle(ship)
    ship.pump(lambda: delivered(ship) == held + 1)
    [entry] = scripted.pushes()[-1].json()["metrics"]
    assert entry["tables"]["full"]
