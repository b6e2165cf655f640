"""Hubs with bad certificates, before a collector that enrols and before one that pushes: not a byte of HTTP is for them.
Python's ssl is the server; the hub's CA key is in the test's hands, so that only what is said of the certificate is wrong."""

import pathlib
import ssl

import pytest

from driver import frames
from driver.fixtures import fresh_ship, program, scripted  # noqa: F401
from driver.scripted_hub import ScriptedHub
from driver.worker import RequestError, Ship
from harness import LONG
from harness.bad_certificates import Maker, Shown, wrong_chains, wrong_hub_names, wrong_parts
from harness.der import SERVER, Draft, dns
from harness.pki import Pair
from harness.scorecard import score

DATID = 16384


def present(hub: ScriptedHub, shown: Shown, folder: pathlib.Path) -> bool:
    """Has both ports show that from the next connection on; false where Python's ssl does not want to."""
    chain = folder / "shown.pem"
    # The CA behind it, as a hub sends it: who enrols looks for it there.
    chain.write_text(shown.pem + hub.authority.certificate.read_text())
    try:
        for context in hub.contexts:
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.load_cert_chain(chain, shown.key)
    except ssl.SSLError:
        return False
    return True


def refusal(ask: str, ship: Ship, hub: ScriptedHub, token: str) -> RequestError | None:
    try:
        if ask == "register":
            ship.register(hub.console_url.replace("127.0.0.1", "localhost"), token)
        else:
            number = ship.ask(frames.PUSH_NOW, timeout_ms=10_000)
            ship.begin_cycle(frames.PUSH_NOW, number)
            ship.rowset("pg_stats.tables", [], DATID, "app")
            ship.end_cycle([DATID])
            ship.answer(number, 12)
    except RequestError as error:
        return error
    return None


@pytest.mark.parametrize("ask", ["register", "push"])
def test_hubs_with_bad_certificates_hear_nothing(
    fresh_ship: Ship, scripted: ScriptedHub, tmp_path: pathlib.Path, ask: str
) -> None:
    ship, ca = fresh_ship, scripted.authority
    maker = Maker(Pair(ca.certificate, ca.key), tmp_path / "made")
    right = Draft(maker.key(), [dns(b"localhost")], SERVER)
    good = maker.show(right.sign(maker.ca))
    shown = wrong_chains(maker, right, Pair(ca.folder / "server.crt", ca.folder / "server.key"))
    # To enrol takes a while, and what a certificate is made of is checked in one place for both.
    parts = wrong_parts(maker, SERVER) if LONG or ask == "push" else {}
    for what, changed in (wrong_hub_names() | parts).items():
        draft = Draft(**({"key": maker.key(), "names": [dns(b"localhost")], "usage": SERVER} | changed))
        shown[what] = Shown(draft.sign(maker.ca), draft.key.path)
    if ask == "push":
        ship.register(scripted.console_url, ca.token())
        ship.send_settings(hub_url=scripted.url.replace("127.0.0.1", "localhost"))
    before, tried = len(scripted.requests), 0
    for what, one in shown.items():
        if not present(scripted, one, tmp_path):
            continue
        error = refusal(ask, ship, scripted, ca.token())
        assert error is not None and "certificate" in str(error), (what, error)
        assert len(scripted.requests) == before, what
        tried += 1
    assert tried >= (80 if parts else 30), tried
    print(tried, "certificates of hubs refused by who would", ask)
    score(refused=tried)
    # In the same way with a right one it works.
    assert present(scripted, good, tmp_path)
    assert refusal(ask, ship, scripted, ca.token()) is None
    assert len(scripted.requests) > before
