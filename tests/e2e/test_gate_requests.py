"""Raw requests to a real hub: the exact answers to each, and that nothing behind a refused one is ever read."""

import ssl

import pytest

from harness import Hub, World
from harness.proxies import Proxy, find
from harness.raw_http import Connection
from harness.raw_requests import BEHIND, corpus
from harness.scorecard import score


def test_raw_requests(module_hub: Hub) -> None:
    cases = corpus()
    assert len({case.what for case in cases}) == len(cases) >= 400
    wrong = []
    for case in cases:
        connection = Connection(module_hub)
        try:
            connection.send(case.data + BEHIND)
        except (ConnectionError, ssl.SSLError):
            pass  # it may be closed by now; what was answered is there to be read
        answers = connection.answers(case.bodiless)
        connection.close()
        statuses = [answer.status for answer in answers]
        if statuses != case.statuses + [200] * case.goes_on or not answers[-1].closes:
            wrong.append((case.what, statuses, case.statuses))
        assert all(b"evil" not in answer.body and b"hello" not in answer.body for answer in answers), case.what
    assert not wrong
    print(len(cases), "raw requests")
    assert module_hub.health()["status"] == "ok"


@pytest.mark.parametrize("kind", ["nginx", "nginx buffering", "haproxy"])
def test_a_proxy_and_the_hub_read_the_same(module_hub: Hub, module_world: World, kind: str) -> None:
    """As many requests as the proxy sends, the hub answers: nothing in one is another to the next server."""
    name = kind.split(" ")[0]
    program = find(name)
    if program is None:
        pytest.skip(f"{name} is not installed: tools/packages install proxies, or unpack it and name PGANALYTICS_PROXIES")
    proxy = Proxy(name, program, module_hub, module_world.path(kind.replace(" ", "-")), "on" if "buffering" in kind else "off")
    probe = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    wrong = []
    try:
        for case in corpus():
            said = proxy.talk(case.data + BEHIND)
            # What the next client gets is an answer to its own request.
            own = proxy.talk(probe)
            counts = proxy.relay.counts()
            if any(sent != answered for sent, answered in counts):
                wrong.append((case.what, counts[-3:], said[:80]))
            if not own.startswith(b"HTTP/1.1 404 ") or own.count(b"HTTP/1.1 ") != 1:
                wrong.append((case.what, own))
        sent = sum(sent for sent, _ in proxy.relay.counts())
    finally:
        proxy.close()
    assert not wrong
    print(len(corpus()), "raw requests through", kind + ",", sent, "sent on by it, probes included: no difference")
    score(refused=sent)
    # The probes, and a good part of the corpus.
    assert sent > len(corpus()) * 1.3
