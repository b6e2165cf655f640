"""Each limit of the front (include/pganalytics/serve/limits.hpp) names code that is there, and has a test."""

import re

from harness.installation import CHECKOUT

LIMITS = CHECKOUT / "include/pganalytics/serve/limits.hpp"
# By the file of the test and its name: the limits that it shows.
SHOWN = {
    "limits_test.cpp": {
        "HandshakesInAll": "UnfinishedHandshakes",
        "HandshakesOfAnAddress": "UnfinishedHandshakesAddress",
        "ConnectionsOfACertificate": "ConnectionsCertificate",
        "ConnectionsInAll": "OverflowConnections",
        "StrangersHaveAShare": "StrangersShare",
        "BytesOfAllBodies": "BodiesInMemory",
        "KeysAreBounded": "RateKeys",
    },
    "request_head_test.cpp": {"RawRequests": "RequestLineBytes HeaderBytes HeaderFields MethodBytes"},
    "strict_json_test.cpp": {
        "Depth": "JsonDepth", "Members": "JsonMembers", "Tokens": "JsonTokens", "Strings": "JsonStringBytes", "Numbers": "JsonNumberBytes",
    },
    "push_decoder_test.cpp": {"CellsAreBounded": "PushCells", "ManyUnknownNamesAreBounded": "UnknownNames", "LongUnknownNamesAreNotRepeated": "NameBytes", "EnvelopeRefused": "ShortTextBytes"},
    "push_frames_test.cpp": {"LongRows": "RowBytes", "OldestIsTheRetentionOrAMonth": "OldestTime", "TimesAreHeldAgainstTheWindow": "FutureTime"},
    "collectors_test.cpp": {"CollectorsAreBounded": "MostCollectors", "CertificatesAreBounded": "CertificatesCollector"},
    "worker_link_test.cpp": {
        "PushesInMemory": "PushesInMemory PushSlotWait", "BytesWithTheWorker": "WorkerWindow", "CertificatesAskedFor": "RegistersWaiting",
    },
    "test_serve_limits.py": {
        "test_slow_clients_end_at_their_limits": "HandshakeTime HeadTime IdleTime RequestTime BodyGrace BodyRate",
        "test_an_answer_nobody_reads_is_given_up": "AnswerTime",
        "test_bodies_of_other_routes": "SmallBodyBytes",
        "test_refused_bodies_are_read_up_to_a_size": "SkippedBodyBytes",
        "test_refusals_do_not_fill_the_log": "LogLinesPerSecond LogLineBurst",
        "test_memory_of_the_process": "MemoryBase MemoryConnection",
    },
    "test_serve_ages.py": {
        "test_a_connection_lives_an_hour": "ConnectionAge",
        "test_after_a_reload_it_lives_five_minutes": "AgeAfterReload",
        "test_a_closed_connection_lingers_two_seconds": "LingerTime",
        "test_a_closed_connection_lingers_for_so_many_bytes": "LingerBytes",
    },
    "test_serve_push.py": {
        "test_bombs_and_sizes": "InflatedBytes",
        "test_one_push_at_a_time_for_a_collector": "WorkerTime",
        "test_a_silent_worker_is_away": "WorkerAway",
        "test_rates": "PushesPerSecond PushBurst TokensPerSecond TokenBurst",
    },
    "test_serve_doors.py": {
        "test_tokens_cannot_be_guessed_fast": "FailedRegistersPerSecond FailedRegisterBurst",
        "test_enrolments_in_all": "RegistersPerSecond RegisterBurst",
    },
}
# How often the front looks, and what it tells others to do: nothing is refused by them.
NO_LIMITS = "SweepInterval RetryAfterBusy RetryAfterAway Backlog ListenRetry FilesLook AcceptPause NextCheckSeconds"


def names() -> list[str]:
    found = re.findall(r"^inline constexpr [\w:]+ k(\w+)", LIMITS.read_text(), re.M)
    assert len(found) >= 60
    return found


def test_each_limit_has_a_test() -> None:
    shown = [limit for tests in SHOWN.values() for limits in tests.values() for limit in limits.split()]
    assert sorted([*shown, *NO_LIMITS.split()]) == sorted(names())
    for file, tests in SHOWN.items():
        [path] = [*(CHECKOUT / "tests/unit/serve").glob(file), *(CHECKOUT / "tests/e2e").glob(file)]
        text = path.read_text()
        for test in tests:
            assert re.search(rf"\bdef {test}\(" if file.endswith(".py") else rf"^TEST\w*\(\w+, {test}\)", text, re.M), f"{file}: {test}"


def test_each_limit_names_the_code_that_enforces_it() -> None:
    """It is used somewhere, and the functions that its file names are there."""
    text = LIMITS.read_text()
    code = "".join(
        path.read_text() for kind in ("include/pganalytics/serve/*.hpp", "src/serve/*.cpp") for path in CHECKOUT.glob(kind) if path != LIMITS
    )
    assert [name for name in names() if not re.search(rf"\bk{name}\b", code)] == []
    functions = re.findall(r"//.*?\b([A-Z]\w+::[a-z]\w+)", text)
    assert len(functions) >= 15
    assert [name for name in functions if f" {name}(" not in code] == []
