"""What every supported major must do; `make check-versions` runs this file against each."""

from harness import World, wait_until


def test_server_starts_with_the_library_and_the_collector_runs(world: World) -> None:
    server = world.server()
    assert server.value("show shared_preload_libraries") == "pganalytics"
    assert wait_until(lambda: server.workers().get("pganalytics collector"), 15, "the collector")
