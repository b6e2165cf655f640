"""Tokens that must let nobody in: some 1,500, each wrong in one thing, all with the certificate that a right one
belongs to; one answer for all of them, and nothing stored."""

import subprocess
import uuid
from collections.abc import Iterator

import pytest

from harness import Hub, World, wait_until
from harness.bad_tokens import Forger, all_of, derived, digest, part, text_of
from harness.curl_collector import CurlCollector
from harness.pki import fingerprint
from harness.raw_http import RawAnswer, Talker, push
from harness.scorecard import score

REFUSAL = b'{"code":401,"message":"certificate or token not accepted"}'


@pytest.fixture(scope="module")
def mine(module_hub: Hub, module_world: World) -> CurlCollector:
    return CurlCollector(module_hub, module_world.path("mine"), "mine").enrol()


@pytest.fixture(scope="module")
def other(module_hub: Hub, module_world: World) -> CurlCollector:
    return CurlCollector(module_hub, module_world.path("other"), "other").enrol()


@pytest.fixture
def talker(mine: CurlCollector) -> Iterator[Talker]:
    one = Talker(mine.hub, mine)
    yield one
    one.close()


def master_of(hub: Hub) -> bytes:
    line = (hub.state / "hub" / "master.key").read_text().splitlines()[-1]
    return bytes.fromhex(line.split(" ")[1])


def forger(collector: CurlCollector) -> Forger:
    hub_id = str(collector.hub.value("select hub_id from pganalytics.hub"))
    return Forger(collector.token, derived(master_of(collector.hub), hub_id, collector.collector_id, 1))


def wrong_keys(mine: CurlCollector, other: CurlCollector) -> dict[str, bytes]:
    hub, master = mine.hub, master_of(mine.hub)
    hub_id, me = str(hub.value("select hub_id from pganalytics.hub")), mine.collector_id
    public = {
        what: subprocess.run(["openssl", "x509", "-in", path, "-noout", "-pubkey"], stdout=subprocess.PIPE, check=True).stdout
        for what, path in {"my": mine.cert, "the CA's": hub.ca_file, "the hub's": hub.state / "hub" / "server.crt"}.items()
    }
    keys = {f"{what} public key as text": text for what, text in public.items()}
    keys |= {f"{what} public key without its end of line": text.strip() for what, text in public.items()}
    keys |= {f"{what} public key's digest": digest(text) for what, text in public.items()}
    return keys | {
        "my certificate": mine.cert.read_bytes(), "its fingerprint": fingerprint(mine.cert), "the CA": hub.ca_file.read_bytes(),
        "nothing": b"", "zeros": bytes(32), "the master key": master, "the master key in hexadecimal": master.hex().encode(),
        "the hub's id": hub_id.encode(), "my id": me.encode(), "my id in bytes": uuid.UUID(me).bytes, "a word": b"secret",
        "the other's": derived(master, hub_id, other.collector_id, 1), "the next generation's": derived(master, hub_id, me, 2),
        "no generation's": derived(master, hub_id, me, 0), "another hub's": derived(master, str(uuid.uuid4()), me, 1),
        "another master's": derived(bytes(32), hub_id, me, 1),
    }  # fmt: skip


def stored(collector: CurlCollector) -> int:
    return int(collector.hub.value("select count(*) from pganalytics.ledger where collector_id = %s", (collector.collector_id,)))


def test_bad_tokens_get_one_answer(mine: CurlCollector, other: CurlCollector, talker: Talker) -> None:
    body = b'{"collector_id":"%s","timestamp":"2026-01-01T00:00:00Z","metrics":[]}' % mine.collector_id.encode()
    f = forger(mine)
    # Ours is taken: what the others are refused for is what is wrong with them.
    assert talker.ask(push(mine, body, f.plain())).status == 200
    spaced = f.sign(b" " + text_of(list(f.header.items())) + b"\n", text_of(list(f.claims.items())))
    assert talker.ask(push(mine, body, spaced)).status == 200
    before = stored(mine)
    others = {
        "the other's": fingerprint(other.cert), "the hub's": fingerprint(mine.hub.state / "hub" / "server.crt"), "zeros": bytes(32),
        "the certificate's text": digest(mine.cert.read_bytes()), "the CA's": fingerprint(mine.hub.ca_file),
    }  # fmt: skip
    answers: dict[RawAnswer, list[str]] = {}
    count = 0
    for what, token in all_of(f, others, wrong_keys(mine, other)):
        assert token != mine.token, what
        answers.setdefault(talker.ask(push(mine, body, token)), []).append(what)
        count += 1
    for what, token in {"the other's token": other.token, "the other's, made by us": forger(other).plain()}.items():
        answers.setdefault(talker.ask(push(mine, body, token)), []).append(what)
    assert not {answer.status: whats[:20] for answer, whats in answers.items() if (answer.status, answer.body) != (401, REFUSAL)}
    assert len(answers) == 1, {answer.fields: whats[:5] for answer, whats in answers.items()}
    assert count >= 1400, count
    print(count, "tokens refused")
    score(refused=count)
    assert stored(mine) == before
    assert talker.ask(push(mine, body)).status == 200


def test_fields_that_carry_a_token_in_another_way(mine: CurlCollector, talker: Talker) -> None:
    body = b"{}"
    usual = f"Authorization: Bearer {mine.token}\r\n".encode()
    good = push(mine, body)
    assert talker.ask(good).status == 400  # the token is taken, and the body is read
    for field in (
        b"", b"Authorization: Bearer\r\n", b"Authorization: Bearer \r\n", b"Authorization: bearer\r\n", b"Authorization:\r\n",
        b"Authorization: " + mine.token.encode() + b"\r\n", b"Authorization: Basic " + mine.token.encode() + b"\r\n",
        b"Authorization: Token " + mine.token.encode() + b"\r\n", b"Authorization: Bearer=" + mine.token.encode() + b"\r\n",
        b"Authorization: Bearer," + mine.token.encode() + b"\r\n", b"Authorization: Bearer\t" + mine.token.encode() + b"\r\n",
        b"Authorization: BearerX " + mine.token.encode() + b"\r\n", b"Proxy-Authorization: Bearer " + mine.token.encode() + b"\r\n",
        b"X-Authorization: Bearer " + mine.token.encode() + b"\r\n", b"Cookie: auth_token=" + mine.token.encode() + b"\r\n",
    ):  # fmt: skip
        answer = talker.ask(good.replace(usual, field))
        assert (answer.status, answer.body) == (401, REFUSAL), field
    # In the target, where logs would keep it.
    answer = talker.ask(good.replace(usual, b"").replace(b"/push ", b"/push?access_token=" + mine.token.encode() + b" "))
    assert (answer.status, answer.body) == (401, REFUSAL)
    # These are no heads at all.
    for field in (usual + usual, usual.replace(b"n: ", b"n : "), usual.replace(b"n: B", b"n: \0B"), usual.replace(b"\r\n", b"\xff\r\n")):
        answer = talker.ask(good.replace(usual, field))
        assert answer.status == 400 and mine.token.encode() not in answer.body, field


def test_tokens_end_with_their_generation(module_hub: Hub, module_world: World) -> None:
    """Enrolled again: what was signed before is worth nothing, with either certificate."""
    old = CurlCollector(module_hub, module_world.path("old"), "again").enrol()
    f = forger(old)
    new = CurlCollector(module_hub, module_world.path("new"), "again").enrol()
    assert new.collector_id == old.collector_id
    body = b'{"collector_id":"%s","timestamp":"2026-01-01T00:00:00Z","metrics":[]}' % new.collector_id.encode()
    bound = f.plain(cnf={"x5t#S256": part(fingerprint(new.cert))})
    with_new = Talker(module_hub, new)
    for token in (old.token, bound, f.plain()):
        assert with_new.ask(push(new, body, token)).status == 401
    assert with_new.ask(push(new, body)).status == 200
    with_old = Talker(module_hub, old)
    wait_until(lambda: with_old.ask(push(old, body, new.token)).status == 401, 20, "the old certificate ends")
    for token in (old.token, new.token, bound, f.plain()):
        assert with_old.ask(push(old, body, token)).status == 401
    with_old.close()
    with_new.close()
