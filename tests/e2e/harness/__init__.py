"""End-to-end harness: real PostgreSQL servers with this build, judged from outside.

Fixtures (tests/e2e/conftest.py)

    world           a folder for this test and every server in it; closes and checks them all
    module_world    the same for a whole module
    server          one plain server of `world` with the library preloaded, started
    hub             a ready hub of `world` (collector and hub in one)
    module_hub      a ready hub for the module's tests, for those that change nothing for others
    rng             random.Random seeded with --seed

World

    world.server(name, settings={...}, initdb=[...])   makes and starts a Server
    world.hub(name, settings={...}, ready=True)        makes, starts and readies a Hub
    world.path(name)                                   a path in the folder, writable for the server

Server (server.py)

    .start() .stop(mode="fast") .restart() .reload() .promote() .kill()
    .set({"name": value, ...}, reload=True)      written to a file of the harness, None removes
    .standby(name, settings={...})               by pg_basebackup, started, streaming
    .connect(dbname=..., user=...)               psycopg connection, autocommit
    .query(sql, params=None, dbname=...)         list of tuples
    .rows(sql, ...)                              list of dicts
    .value(sql, ...)                             the one value of the one row
    .execute(sql, ...)                           for its effect; also what refuses transactions
    .psql(*arguments, input=None)                the psql program
    .program(*arguments, input=None)             our program `pganalytics` as the server's user
    .log() .log_size() .wait_log(pattern, after=offset)
    .workers()                                   {"pganalytics collector": [pid, ...], ...}
    .programs()                                  {"ship": [pid, ...], "serve": [...], ...}
    .data .state .socket .port .bindir .settings
    .expect_crash()                              this test kills a backend on purpose
    .tolerate(pattern)                           lines the check at the end shall not mind
    .expect_no_ledger(why)                       this test takes snapshots away (ledger.py)

Hub (hub.py), a Server more

    .console_url .collector_url .ca_file
    .create_token(name, valid_for="1 hour")
    .enrol(server, name)                         token, then `pganalytics register`
    .request(path, method=..., headers=..., body=..., cert=..., key=..., port=...)   by curl
    .health()                                    the answer of GET /api/v1/health
    .collectors()                                {name: collector_id}
    .stored(rowset, collector=name)              rows of pganalytics.<rowset> as dicts
    .wait_rows(rowset, collector=name, more_than=0)

Waiting

    wait_until(condition, deadline=10, what="...")   the first true value of condition()

Deadlines, those of whole tests too, stretch on an overloaded machine, and only there (waiting.py).

LONG    PGANALYTICS_LONG is set: corpora in full (`make torture`), not the part that a commit has time for

Never sleep in a test. At the end of a server's life its log must hold no crash, PANIC, failed
assertion or barrier wait, the program must have left no last words, and no process may be left. Of a
world with a hub every snapshot that a collector made is stored, spooled, declared lost or was in
flight at a kill, and none is stored twice (ledger.py).
"""

import os

from .hub import Hub
from .server import Server
from .waiting import wait_until
from .world import World

LONG = bool(os.environ.get("PGANALYTICS_LONG"))

__all__ = ["LONG", "Hub", "Server", "World", "wait_until"]
