"""Raw requests to a real hub: the exact answers to each, and that nothing behind a refused one is ever read."""

import ssl

from harness import Hub
from harness.raw_http import Connection
from harness.raw_requests import BEHIND, corpus


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
        answers = connection.answers()
        connection.close()
        statuses = [answer.status for answer in answers]
        if statuses != case.statuses + [200] * case.goes_on or not answers[-1].closes:
            wrong.append((case.what, statuses, case.statuses))
        assert all(b"evil" not in answer.body and b"hello" not in answer.body for answer in answers), case.what
    assert not wrong
    assert module_hub.health()["status"] == "ok"
