"""What a test survived, told in a line that tests/torture/run adds up (the scorecard of `make torture`)."""

import json

MARK = "scorecard: "
# Faults by their group; a test says how many, and how many kinds of them.
GROUPS = ("kills", "disk", "network", "clock", "certificates", "ddl", "herd")


def score(**counts: int) -> None:
    """Names: held, servers, refused, executions, states, lost, doubled, unexplained (of a ledger, in none of its
    classes), restarts (of a server by a crash that no test made), sessions, secrets; a group of faults, and with
    `_kinds` behind it how many kinds there were."""
    lacking = [group for group in GROUPS if counts.get(group) and not counts.get(f"{group}_kinds")]
    assert not lacking, f"of how many kinds were these: {', '.join(lacking)}"
    print(MARK + json.dumps(counts), flush=True)


def score_wrong(**counts: int) -> None:
    """What any test may find at its end, and none should; nothing is told of what was not found."""
    if found := {name: count for name, count in counts.items() if count}:
        score(**found)


def scores(printed: str) -> list[dict[str, int]]:
    lines = (line[line.index(MARK) + len(MARK) :] for line in printed.splitlines() if MARK in line)
    return [json.loads(line) for line in lines]


def sums(told: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for one in told:
        for name, count in one.items():
            total[name] = total.get(name, 0) + count
    return total


def text(total: dict[str, int], hours: float) -> str:
    def of(name: str) -> int:
        return total.get(name, 0)

    faults = sum(of(group) for group in GROUPS)
    kinds = sum(of(f"{group}_kinds") for group in GROUPS)
    groups = ", ".join(f"{group} {of(group)}" for group in GROUPS if of(group))
    return (
        f"held {of('held')} pushes from {of('servers')} collectors for {hours:.2f} hours; survived {faults} faults of {kinds}"
        f" kinds ({groups}) and {of('states')} simulated states of the spool; refused {of('refused')} bad inputs and"
        f" {of('executions')} fuzz executions; lost {of('lost')}, doubled {of('doubled')}, unexplained {of('unexplained')},"
        f" server restarts {of('restarts')}, sessions ended {of('sessions')}, secrets found {of('secrets')}"
    )


def clean(total: dict[str, int]) -> bool:
    return not any(total.get(name, 0) for name in ("lost", "doubled", "unexplained", "restarts", "sessions", "secrets"))
