"""docs/settings.md says what the server says: names, ranges, defaults, when a change takes effect."""

import re
from typing import Any

from harness import World
from harness.installation import CHECKOUT

DOCUMENT = CHECKOUT / "docs/settings.md"
# Next larger unit and how many make one of it.
LARGER = {"ms": ("s", 1000), "s": ("min", 60), "min": ("h", 60), "h": ("d", 24)}
LARGER |= {"kB": ("MB", 1024), "MB": ("GB", 1024), "GB": ("TB", 1024), "TB": ("PB", 1024)}


def with_unit(value: str, unit: str | None) -> str:
    """In the largest unit that leaves a whole number, as people write it."""
    if unit is None:
        return value
    number = int(value)
    while number and unit in LARGER and number % LARGER[unit][1] == 0:
        number, unit = number // LARGER[unit][1], LARGER[unit][0]
    return f"{number} {unit}"


def values(row: dict[str, Any]) -> str:
    match row["vartype"]:
        case "bool":
            return "on, off"
        case "enum":
            return ", ".join(row["enumvals"])
        case "integer":
            return f"{with_unit(row['min_val'], row['unit'])} to {with_unit(row['max_val'], row['unit'])}"
        case _:
            return "text"


def line(row: dict[str, Any]) -> str:
    default = row["boot_val"]
    if row["vartype"] == "integer":
        default = with_unit(default, row["unit"])
    default = "empty" if default in ("", None) else f"`{default}`"
    effect = {"postmaster": "restart", "sighup": "reload"}[row["context"]]
    name = row["name"].removeprefix("pganalytics.")
    return f"| `{name}` | {values(row)} | {default} | {effect} | {row['short_desc']} |"


def test_the_table_of_settings(world: World) -> None:
    server = world.server()
    rows = server.rows(r"select * from pg_settings where name like 'pganalytics.%' order by name")
    assert len(rows) > 30
    wanted = [line(row) for row in rows]
    found = re.findall(r"^\| `\w+` \|.*$", DOCUMENT.read_text(), re.M)
    assert found == wanted, "docs/settings.md should have:\n" + "\n".join(wanted)
