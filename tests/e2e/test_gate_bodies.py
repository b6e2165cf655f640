"""A thousand bodies to a real hub by collectors that are let in: each gets the answer its fault deserves, the good ones
are stored once, of the others nothing is, and neither time nor memory of the front goes beyond its caps."""

import json
import pathlib
import random
import re
import uuid

from harness import LONG, Hub, World
from harness.bad_bodies import ID, MARK, Body, corpus
from harness.bad_certificates import Maker
from harness.bad_tokens import Forger, derived, part
from harness.curl_collector import CurlCollector
from harness.der import Draft
from harness.installation import SANITIZED
from harness.pki import Pair, fingerprint
from harness.raw_http import RawAnswer, Talker, push
from harness.scorecard import score

BURST = 18


class Crowd:
    """As many collectors as it takes to stay within what each may send; in the hub's tables as if they had enrolled."""

    def __init__(self, hub: Hub, world: World, size: int) -> None:
        self.hub, self.sent = hub, 0
        maker = Maker(Pair(hub.ca_file, hub.state / "hub" / "ca.key"), world.path("crowd"))
        hub_id = str(hub.value("select hub_id from pganalytics.hub"))
        master = bytes.fromhex((hub.state / "hub" / "master.key").read_text().splitlines()[-1].split(" ")[1])
        self.members: list[CurlCollector] = []
        for number in range(size):
            one = CurlCollector(hub, world.path(f"crowd-{number}"), f"crowd-{number}")
            one.collector_id, one.key = str(uuid.uuid4()), maker.key().path
            one.cert.write_text(Draft(maker.key(), maker.names(one.collector_id)).sign(maker.ca))
            self.members.append(one)
            shown = maker.show(one.cert.read_text())
            maker.register(hub, one.collector_id, shown)
        # Whoever enrols has the hub tell its front whom it knows; and has a token to begin from.
        first = CurlCollector(hub, world.path("first"), "first").enrol()
        for one in self.members:
            forger = Forger(first.token, derived(master, hub_id, one.collector_id, 1))
            binding = {"x5t#S256": part(fingerprint(one.cert))}
            one.token = forger.plain(sub=one.collector_id, collector_id=one.collector_id, cnf=binding)
        self.talker: Talker | None = None

    def send(self, body: Body) -> RawAnswer:
        one = self.members[self.sent // BURST]
        if self.sent % BURST == 0:
            self.close()
            self.talker = Talker(self.hub, one)
        self.sent += 1
        assert self.talker
        data = body.json.replace(ID.encode(), one.collector_id.encode())
        if body.pack is None:
            return self.talker.ask(push(one, data))
        return self.talker.ask(push(one, body.pack(data), fields="Content-Encoding: gzip\r\n"))

    def close(self) -> None:
        if self.talker:
            self.talker.close()


def front_memory(hub: Hub) -> int:
    """The most the front has ever had, in MiB."""
    [front] = hub.programs()["serve"]
    found = re.search(r"^VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{front}/status").read_text(), re.M)
    assert found
    return int(found[1]) // 1024


def test_bad_bodies_store_nothing(module_hub: Hub, module_world: World, rng: random.Random) -> None:
    hub = module_hub
    bodies = list(corpus(rng.randrange(1 << 30), 2000 if LONG else 300))
    assert len(bodies) >= 1000
    crowd = Crowd(hub, module_world, len(bodies) // BURST + 1)
    wrong, stored = [], 0
    for body in bodies:
        answer = crowd.send(body)
        if answer.status != body.status:
            wrong.append((body.what, answer.status, body.status, answer.body[:200]))
        elif answer.status == 200:
            stored += 1
        else:
            error = json.loads(answer.body)
            assert error["code"] == answer.status and b"orders" not in answer.body and b"goes" not in answer.body, body.what
    crowd.close()
    assert not wrong
    score(refused=len(bodies) - stored)
    senders = [one.collector_id for one in crowd.members]
    assert hub.value("select count(*) from pganalytics.ledger where collector_id = any(%s::uuid[])", (senders,)) == stored
    assert hub.value("select count(*) from pganalytics.pg_stats_tables where datid = %s", (MARK,)) == stored
    print(len(bodies), "bodies,", stored, "of them good and stored; the front has", front_memory(hub), "MiB")
    # Whatever they claimed to be: a gigabyte, four million values, 32 MiB twice.
    assert front_memory(hub) < 256 or SANITIZED
    assert hub.health()["status"] == "ok"
