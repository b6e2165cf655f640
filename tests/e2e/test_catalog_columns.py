"""Whether the catalog reads every column of the system views that tell how the server is.

What it leaves out is listed here with the reason. On a major that nobody has looked at yet a new
column or view is a warning, so that it comes up before that major is out and breaks nothing.
"""

import re
import warnings

import pytest

from catalog_sql import Catalog
from harness import World

LOOKED_AT = range(13, 20)

# Views that are not read at all.
NOT_READ = {
    "pg_aios": "lives for microseconds",
    "pg_available_extension_versions": "a view of files; pg_available_extensions has the newest",
    "pg_backend_memory_contexts": "of the session that asks",
    "pg_config": "how the server was built",
    "pg_cursors": "of the session that asks",
    "pg_dsm_registry_allocations": "does not change",
    "pg_file_settings": "reads files at each look; pg_settings has what is in force",
    "pg_group": "roles",
    "pg_hba_file_rules": "who is let in: not ours to carry away",
    "pg_ident_file_mappings": "who is let in: not ours to carry away",
    "pg_indexes": "definitions are read from the catalogs",
    "pg_matviews": "definitions are read from the catalogs",
    "pg_policies": "definitions are read from the catalogs",
    "pg_prepared_statements": "of the session that asks",
    "pg_publication_tables": "an answer the size of the database; pg_publication_rel has what is listed",
    "pg_replication_origin_status": "of subscriptions the positions in pg_stat_subscription are read",
    "pg_rules": "definitions are read from the catalogs",
    "pg_seclabels": "definitions",
    "pg_sequences": "pg_sequence and pg_sequence_last_value() are read",
    "pg_shadow": "secrets",
    "pg_shmem_allocations": "does not change",
    "pg_shmem_allocations_numa": "moves pages to be told",
    "pg_stat_gssapi": "who is who: not ours to carry away",
    "pg_stat_ssl": "who is who: not ours to carry away",
    "pg_stats": "values of users' columns; pg_bloat reads widths and null fractions",
    "pg_stats_ext": "values of users' columns",
    "pg_stats_ext_exprs": "values of users' columns",
    "pg_tables": "definitions are read from the catalogs",
    "pg_timezone_abbrevs": "does not change",
    "pg_timezone_names": "reads files",
    "pg_user": "roles",
    "pg_user_mappings": "secrets",
    "pg_views": "definitions are read from the catalogs",
    "pg_wait_events": "names only",
}

# Columns that are not read, of views that are.
COLUMNS_NOT_READ = {
    # The hub has hits and fetches; reads are their difference.
    "pg_statio_all_indexes": {"idx_blks_read"},
    "pg_statio_all_tables": {"heap_blks_read", "idx_blks_read"}
    # rows of their own, of the TOAST table and its index
    | {"tidx_blks_hit", "tidx_blks_read", "toast_blks_hit", "toast_blks_read"},
    # from pg_extension
    "pg_available_extensions": {"installed_version"}
    # a folder of the server's
    | {"location"},
    "pg_stat_activity": {"client_hostname", "client_port"},
    "pg_locks": {"virtualtransaction"},
    # They do not change but with the major.
    # as their functions tell, which each major has
    "pg_stat_recovery": {"pause_state", "recovery_last_xact_time"},
    "pg_settings": {"category", "enumvals", "extra_desc", "max_val", "min_val", "short_desc"},
    "pg_roles": {"rolpassword", "rolconfig"},
}

# One rowset names the view, another calls its function.
BY_FUNCTION_TOO = {"pg_locks", "pg_settings"}

# The same as pg_stat_all_*, with fewer rows, and what a transaction has not told yet.
NARROWER = re.compile(r"^pg_stat(io)?_((user|sys)_|xact_)")

VIEWS = """
select c.relname::text, a.attname::text
  from pg_class c join pg_attribute a on a.attrelid = c.oid
 where c.relnamespace = 11 and c.relkind = 'v' and a.attnum > 0 order by 1, 2
"""


class Words:
    """What the queries that name a view name besides; where none does (they call its function), all."""

    def __init__(self, catalog: Catalog) -> None:
        self.words = {}
        for name, rowset in catalog.rowsets.items():
            columns = {column["name"] for column in rowset["columns"]}
            self.words[name] = set(re.findall(r"\w+", rowset["sql"] or "")) | columns

    def beside(self, view: str) -> set[str]:
        naming = [words for words in self.words.values() if view in words]
        return set().union(*(naming if naming and view not in BY_FUNCTION_TOO else self.words.values()))


def test_columns_of_system_views(world: World) -> None:
    server = world.server(settings={"shared_preload_libraries": ""})
    words = Words(Catalog(server.major))
    unread: dict[str, set[str]] = {}
    there: dict[str, set[str]] = {}
    for view, column in server.query(VIEWS):
        there.setdefault(view, set()).add(column)
        if not NARROWER.match(view) and view not in NOT_READ and column not in words.beside(view):
            unread.setdefault(view, set()).add(column)
    problems = [
        f"{view}.{column} is not read"
        for view, columns in unread.items()
        for column in sorted(columns - COLUMNS_NOT_READ.get(view, set()))
    ]
    if server.major not in LOOKED_AT:
        for problem in problems:
            warnings.warn(f"PostgreSQL {server.major}: {problem}")
        pytest.skip(f"nobody has looked at PostgreSQL {server.major} yet: {len(problems)} columns to look at")
    assert not problems, "\n".join(problems)
    read_now = {
        f"{view}.{column}"
        for view, columns in COLUMNS_NOT_READ.items()
        for column in columns & there.get(view, set()) - unread.get(view, set())
    }
    assert read_now <= {"pg_settings.enumvals"}, "listed here, and read"
