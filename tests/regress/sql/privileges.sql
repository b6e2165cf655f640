-- Every object of the extension: whose it is, and what others may do with it. A new object shows up
-- here, and one that is open to everybody too.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pganalytics;
RESET client_min_messages;
CREATE TEMPORARY VIEW members AS
SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, d.objsubid) COLLATE "C" AS object
  FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
 WHERE d.refclassid = 'pg_extension'::regclass AND e.extname = 'pganalytics' AND d.deptype = 'e';
CREATE TEMPORARY VIEW owned AS
SELECT m.object, p.proowner AS owner, coalesce(p.proacl, acldefault('f', p.proowner)) AS acl
  FROM members m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
UNION ALL
SELECT m.object, c.relowner,
       coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
  FROM members m JOIN pg_class c ON c.oid = m.objid AND m.classid = 'pg_class'::regclass
UNION ALL
SELECT m.object, n.nspowner, coalesce(n.nspacl, acldefault('n', n.nspowner))
  FROM members m JOIN pg_namespace n ON n.oid = m.objid AND m.classid = 'pg_namespace'::regclass;
SELECT o.object, pg_get_userbyid(o.owner) = current_user AS mine,
       (SELECT string_agg(format('%s: %s%s', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
                                 a.privilege_type, CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END),
                          ', ' ORDER BY a.grantee, a.privilege_type COLLATE "C")
          FROM aclexplode(o.acl) a WHERE a.grantee <> o.owner) AS others
  FROM owned o ORDER BY object;
-- Row types of relations and arrays of those have nothing to grant; nothing else was left out.
SELECT m.object FROM members m
 WHERE NOT EXISTS (SELECT FROM owned o WHERE o.object = m.object)
   AND NOT EXISTS (SELECT FROM pg_type t WHERE m.classid = 'pg_type'::regclass AND t.oid = m.objid
                      AND (t.typrelid <> 0 OR t.typelem <> 0))
 ORDER BY object;
-- Nor can anybody read a column of a table that is closed.
SELECT m.object, a.attname FROM members m
  JOIN pg_attribute a ON a.attrelid = m.objid AND m.classid = 'pg_class'::regclass
 WHERE a.attacl IS NOT NULL;
-- Nothing runs as its owner, and each function fixes its search path.
SELECT m.object FROM members m JOIN pg_proc p ON p.oid = m.objid AND m.classid = 'pg_proc'::regclass
 WHERE p.prosecdef OR ('search_path=pg_catalog, pg_temp' = ANY (p.proconfig)) IS NOT TRUE;

CREATE ROLE regress_pganalytics_nobody;
CREATE ROLE regress_pganalytics_monitor IN ROLE pg_monitor;
SET ROLE regress_pganalytics_nobody;
SELECT pganalytics_version();
SELECT * FROM pganalytics_status();
SELECT * FROM pganalytics_catalog();
SELECT * FROM pganalytics_settings();
SELECT pganalytics_preview();
SELECT * FROM pganalytics_collect_now();
SELECT * FROM pganalytics_push_now();
SELECT pganalytics_reload();
SELECT pganalytics_register('https://localhost:1', 'pga1.a.b');
SELECT pganalytics_unregister();
SELECT pganalytics_create_token('db-1');
SELECT pganalytics_revoke('db-1', 'x');
SELECT pganalytics_add_rowset('r', 'SELECT 1 AS x', '1 min', 'cluster', '{"x": "gauge"}');
SELECT pganalytics_drop_rowset('r');
SELECT pganalytics_accept_rowset('db-1', 'r');
SELECT * FROM pganalytics.own_rowset;
SELECT * FROM pganalytics_servers();
SELECT * FROM pganalytics.servers;
SET ROLE regress_pganalytics_monitor;
SELECT pganalytics_version();
SELECT count(*) > 0 AS status FROM pganalytics_status();
SELECT count(*) > 0 AS catalog FROM pganalytics_catalog();
SELECT count(*) > 0 AS settings FROM pganalytics_settings();
SELECT json_typeof(pganalytics_preview('pg_replication')) AS preview;
SELECT count(*) AS servers FROM pganalytics_servers();
SELECT count(*) AS ledger FROM pganalytics.ledger;
SELECT * FROM pganalytics_collect_now();
SELECT * FROM pganalytics_push_now();
SELECT pganalytics_reload();
SELECT pganalytics_register('https://localhost:1', 'pga1.a.b');
SELECT pganalytics_unregister();
SELECT pganalytics_create_token('db-1');
SELECT pganalytics_revoke('db-1', 'x');
SELECT pganalytics_add_rowset('r', 'SELECT 1 AS x', '1 min', 'cluster', '{"x": "gauge"}');
SELECT pganalytics_drop_rowset('r');
SELECT pganalytics_accept_rowset('db-1', 'r');
SELECT count(*) AS own_rowsets FROM pganalytics.own_rowset;
INSERT INTO pganalytics.own_rowset SELECT;
UPDATE pganalytics.own_rowset SET sql = 'SELECT 2';
SELECT * FROM pganalytics.tokens;
SELECT * FROM pganalytics.certificates;
SELECT * FROM pganalytics.audit;
DELETE FROM pganalytics.ledger;
INSERT INTO pganalytics.configuration VALUES (NULL, 1, '', '', '', now());
RESET ROLE;
-- A grant is all it takes.
GRANT EXECUTE ON FUNCTION pganalytics_reload() TO regress_pganalytics_nobody;
GRANT EXECUTE ON FUNCTION pganalytics_add_rowset(text, text, interval, text, jsonb), pganalytics_drop_rowset(text)
   TO regress_pganalytics_nobody;
SET ROLE regress_pganalytics_nobody;
SELECT pganalytics_reload();
-- But not where what is defined is run.
SELECT pganalytics_add_rowset('r', 'SELECT 1 AS x', '1 min', 'cluster', '{"x": "gauge"}');
SELECT pganalytics_drop_rowset('r');
RESET ROLE;
DROP OWNED BY regress_pganalytics_nobody;
DROP ROLE regress_pganalytics_nobody, regress_pganalytics_monitor;
