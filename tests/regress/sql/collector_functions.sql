-- The SQL functions of a server's collector: what does not depend on the moment.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pganalytics;
RESET client_min_messages;
SELECT pganalytics_version();
SELECT extversion = pganalytics_version() AS script_and_library_agree
  FROM pg_extension WHERE extname = 'pganalytics';

-- The catalog names each column of a rowset once, and only what a hub can store.
SELECT plugin, rowset, scope, period, hub_table,
       string_agg(column_name, ', ' ORDER BY column_name COLLATE "C") FILTER (WHERE kind = 'key') AS key
  FROM pganalytics_catalog()
 GROUP BY plugin, rowset, scope, period, hub_table
 ORDER BY plugin COLLATE "C", rowset COLLATE "C";
SELECT plugin, rowset, column_name FROM pganalytics_catalog()
 GROUP BY plugin, rowset, column_name HAVING count(*) > 1;
SELECT DISTINCT type COLLATE "C" AS type, kind COLLATE "C" AS kind FROM pganalytics_catalog() ORDER BY 1, 2;
SELECT plugin, rowset, column_name, help FROM pganalytics_catalog()
 WHERE help !~ '^\S.*[^.\s]$' OR help ~ '[\r\n]';
SELECT column_name, first_version, last_version FROM pganalytics_catalog()
 WHERE plugin = 'pg_stats' AND rowset = 'databases' AND first_version IS NOT NULL
 ORDER BY column_name COLLATE "C" LIMIT 3;

-- Settings: every one, with its origin.
SELECT s.name FROM pganalytics_settings() s
  FULL JOIN (SELECT name FROM pg_settings WHERE name LIKE 'pganalytics.%') p USING (name)
 WHERE s.name IS NULL OR p.name IS NULL;
SELECT name, local_value, remote_value, effective_value, origin, version
  FROM pganalytics_settings()
 WHERE name IN ('pganalytics.max_rows', 'pganalytics.collect_interval') ORDER BY name COLLATE "C";

-- Until the program runs and has made a cycle.
DO $$
BEGIN
    FOR i IN 1..600 LOOP
        EXIT WHEN (SELECT count(*) = 1 FROM pganalytics_status()
                    WHERE component = 'collector' AND name = 'last_cycle_ended' AND value IS NOT NULL);
        PERFORM pg_sleep(0.05);
    END LOOP;
END $$;
SELECT component, name, unit FROM pganalytics_status()
 WHERE component IN ('collector', 'visitors')
    OR component = 'program' AND name IN ('state', 'pid', 'starts', 'cpu_time');
SELECT component, name, value, note FROM pganalytics_status()
 WHERE name IN ('state', 'database') AND component <> 'delivery'
 ORDER BY component COLLATE "C", name COLLATE "C";
SELECT component, name FROM pganalytics_status() GROUP BY component, name HAVING count(*) > 1;
SELECT name FROM pganalytics_status()
 WHERE name IN ('cycles', 'rows', 'bytes', 'rowsets_read', 'visits') AND component <> 'delivery'
   AND value::bigint > 0
 ORDER BY name COLLATE "C";
SELECT name, value FROM pganalytics_status()
 WHERE name IN ('rowsets_failed', 'rowsets_dropped', 'visits_failed', 'no_worker_slot')
 ORDER BY name COLLATE "C";

-- One cycle, at once. This database is among those read.
SELECT plugin, rowset, coalesce(datname = current_database(), false) AS here, error
  FROM pganalytics_collect_now()
 WHERE plugin IN ('pg_stats', 'pg_replication') AND rowset NOT IN ('io', 'recovery_prefetch') -- since 16 and 15
   AND coalesce(nullif(datname, ''), current_database()) = current_database()
 ORDER BY plugin COLLATE "C", rowset COLLATE "C";
SELECT rows > 50 AS rows, ms > 0 AS ms FROM pganalytics_collect_now()
 WHERE plugin = 'pg_stats' AND rowset = 'tables' AND datname = current_database();

-- What would leave this server, and nothing else than asked for.
SELECT DISTINCT m ->> 'type' AS type
  FROM json_array_elements(pganalytics_preview('pg_stats') -> 'metrics') m;
SELECT DISTINCT (m ->> 'type') COLLATE "C" AS type
  FROM json_array_elements(pganalytics_preview() -> 'metrics') m ORDER BY 1;
SELECT p ->> 'version' AS version, p ->> 'in_recovery' AS in_recovery,
       (p ->> 'system_identifier')::numeric = c.system_identifier AS of_this_server
  FROM pganalytics_preview('pg_stats') p, pg_control_system() c;
SELECT pganalytics_preview('no_such_plugin');
SELECT pganalytics_preview('');
SELECT pganalytics_preview('pg_stats; drop');

-- Not enrolled: an error that says what to do.
SELECT * FROM pganalytics_push_now('5 s');
SELECT * FROM pganalytics_push_now('0 s');
SELECT * FROM pganalytics_push_now('-1 s');
SELECT * FROM pganalytics_push_now('61 min');
SELECT * FROM pganalytics_push_now('-178000000 years');
SELECT * FROM pganalytics_push_now('178000000 years');
SELECT * FROM pganalytics_push_now('soon');
SELECT count(*) FROM pganalytics_push_now(NULL);
SELECT pganalytics_unregister();
SELECT pganalytics_register('http://localhost:1', 'pga1.a.b');
SELECT pganalytics_register('https://', 'pga1.a.b');
SELECT pganalytics_register('https://localhost:65536', 'pga1.a.b');
SELECT pganalytics_register('https://localhost:1/path', 'pga1.a.b');
SELECT pganalytics_register('https://user:secret@localhost:1', 'pga1.a.b');
SELECT pganalytics_register('', '');
-- A text that is no token is not shown, and nobody is asked.
SELECT pganalytics_register('https://localhost:1', 'no token');
SELECT pganalytics_register('https://localhost:1', '');
SELECT pganalytics_register(NULL, 'pga1.a.b') IS NULL AS strict;
SELECT pganalytics_reload();

-- What only a hub can do.
SELECT pganalytics_create_token('db-1');
SELECT pganalytics_create_token('');
SELECT pganalytics_create_token(' db-1');
SELECT pganalytics_create_token(E'db-1\n');
SELECT pganalytics_create_token(repeat('x', 129));
SELECT pganalytics_create_token(NULL) IS NULL AS strict;
SELECT * FROM pganalytics_servers();
