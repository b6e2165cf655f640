"""How much of the space for members of multixacts is in use: by the files, and by the control file."""

from collecting import ship
from harness import Server, World

IN_A_FILE = 52352


def figures(server: Server) -> dict[str, int | None]:
    metrics = server.value("select pganalytics_preview('pg_stats')")["metrics"]
    (found,) = [entry["multixact_members"]["columns"] for entry in metrics if "multixact_members" in entry]
    return {name: values[0] for name, values in found.items()}


def test_members_in_use(world: World) -> None:
    server = world.server("members", {"pganalytics.collect_interval": "1h", "autovacuum": "off"})
    server.execute("create extension pganalytics")
    ship(server)
    folder = server.data / "pg_multixact/members"
    server.execute("create table locked as select 1 as x from generate_series(1, 30000) g")
    before = figures(server)
    assert before["files"] == len(list(folder.iterdir())) == 1
    with server.connect() as one, server.connect() as other, one.transaction(), other.transaction():
        one.execute("select from locked for share")
        # Each row by another transaction, so that each has a multixact of its own, with two members.
        other.execute(
            "do $$ declare place tid; begin for place in select ctid from locked loop"
            " begin perform from locked where ctid = place for share; exception when division_by_zero then null; end;"
            " end loop; end $$"
        )
    server.execute("checkpoint")
    after = figures(server)
    files = list(folder.iterdir())
    assert after["files"] == len(files) == 2
    assert after["bytes"] == sum(file.stat().st_size for file in files)
    used = int(server.value("select next_multi_offset from pg_control_checkpoint()"))
    assert after["members"] is not None and after["members"] - IN_A_FILE < used <= after["members"]
    if server.installation.major < 19:
        assert after["low_threshold"] == 2**31 - 1 and after["member_limit"] == 2**32 - 1
    else:
        (row,) = server.rows("select num_members from pg_get_multixact_stats()")
        assert row["num_members"] <= after["members"] and after["member_limit"] is None
