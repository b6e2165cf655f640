-- Somebody who may create in the schema has operators and functions there that fit better than those
-- of pg_catalog, before the extension comes. Nothing of the extension may keep one of them.
-- 18 adds where in the script it failed.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS pganalytics;
RESET client_min_messages;
CREATE FUNCTION theirs() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    types text[] := ARRAY['integer', 'smallint', 'bigint', 'numeric', 'double precision', 'text', 'boolean', 'uuid', 'oid', 'jsonb',
                          'timestamp with time zone', 'interval', 'unknown', 'regclass', 'bytea'];
    l text;
    r text;
    o text;
BEGIN
    FOREACH l IN ARRAY types LOOP
        CONTINUE WHEN l = 'unknown';
        FOREACH r IN ARRAY types LOOP
            CONTINUE WHEN r = 'unknown';
            EXECUTE format('CREATE FUNCTION evil(%s, %s) RETURNS %1$s LANGUAGE sql AS ''SELECT $1''', l, r);
            EXECUTE format('CREATE FUNCTION evil_test(%s, %s) RETURNS boolean LANGUAGE sql AS ''SELECT true''', l, r);
            FOREACH o IN ARRAY ARRAY['+', '-', '*', '/', '||'] LOOP
                EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil)', o, l, r);
            END LOOP;
            FOREACH o IN ARRAY ARRAY['=', '<', '>', '<=', '>=', '<>'] LOOP
                EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil_test)', o, l, r);
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
SELECT theirs();
CREATE FUNCTION public.max(timestamp with time zone) RETURNS timestamp with time zone LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION public.now() RETURNS timestamp with time zone LANGUAGE sql AS 'SELECT NULL::timestamp with time zone';
CREATE EXTENSION pganalytics;
-- What is pg_catalog's own is not recorded: whatever is, is somebody's.
CREATE TEMPORARY VIEW members AS
SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
 WHERE d.refclassid = 'pg_extension'::regclass AND e.extname = 'pganalytics' AND d.deptype = 'e';
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS keeps,
       pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS theirs
  FROM pg_depend d
  LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
  LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
  LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
  LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
 WHERE d.refclassid IN ('pg_operator'::regclass, 'pg_proc'::regclass)
   AND EXISTS (SELECT FROM members m
                WHERE (m.classid, m.objid) = (d.classid, d.objid)
                   OR (m.classid = 'pg_class'::regclass
                       AND m.objid IN (w.ev_class, f.adrelid, k.conrelid, i.indrelid)))
   AND NOT EXISTS (SELECT FROM members m WHERE (m.classid, m.objid) = (d.refclassid, d.refobjid))
 ORDER BY 1, 2;
-- The view works with all that beside it.
SELECT count(*) AS servers FROM pganalytics.servers;
-- A schema that is there already is refused: somebody else would own it.
DROP EXTENSION pganalytics;
CREATE SCHEMA pganalytics;
CREATE EXTENSION pganalytics;
DROP SCHEMA pganalytics;
CREATE FUNCTION public.pganalytics_version() RETURNS text LANGUAGE sql AS 'SELECT ''theirs''';
CREATE EXTENSION pganalytics;
DROP FUNCTION public.pganalytics_version();
SET client_min_messages = warning;
DROP FUNCTION public.now(), public.max(timestamp with time zone), theirs();
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOR f IN SELECT oid FROM pg_proc WHERE proname IN ('evil', 'evil_test') LOOP
        EXECUTE format('DROP FUNCTION %s CASCADE', f);
    END LOOP;
END
$$;
CREATE EXTENSION pganalytics;
