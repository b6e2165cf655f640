\echo Use "CREATE EXTENSION pganalytics" to load this file. \quit

-- The collector's functions. They need the library preloaded, not the hub; a server without them is
-- watched all the same.
CREATE FUNCTION pganalytics_version()
RETURNS text
LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_version';
COMMENT ON FUNCTION pganalytics_version() IS 'version of the library that the server has loaded';

CREATE FUNCTION pganalytics_status(
    OUT component text, OUT name text, OUT value text, OUT unit text, OUT note text)
RETURNS SETOF record
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_status';
COMMENT ON FUNCTION pganalytics_status() IS
    'what runs, what it costs, what is wrong and what to do about it';

CREATE FUNCTION pganalytics_catalog(
    OUT plugin text, OUT rowset text, OUT column_name text, OUT type text, OUT kind text,
    OUT unit text, OUT scope text, OUT period interval, OUT first_version integer,
    OUT last_version integer, OUT hub_table text, OUT help text)
RETURNS SETOF record
LANGUAGE C STRICT IMMUTABLE PARALLEL SAFE ROWS 500
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_catalog';
COMMENT ON FUNCTION pganalytics_catalog() IS 'every figure that is collected';

CREATE FUNCTION pganalytics_settings(
    OUT name text, OUT local_value text, OUT remote_value text, OUT effective_value text,
    OUT origin text, OUT version bigint)
RETURNS SETOF record
LANGUAGE C STRICT STABLE PARALLEL SAFE ROWS 50
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_settings';
COMMENT ON FUNCTION pganalytics_settings() IS
    'settings: local value, the one in force and where it comes from';

CREATE FUNCTION pganalytics_preview(plugin text DEFAULT NULL)
RETURNS json
LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_preview';
COMMENT ON FUNCTION pganalytics_preview(text) IS
    'exactly what would leave this server, of one plugin or of all; nothing is sent';

CREATE FUNCTION pganalytics_collect_now(
    OUT plugin text, OUT rowset text, OUT datname text, OUT rows bigint, OUT ms double precision,
    OUT error text)
RETURNS SETOF record
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_collect_now';
COMMENT ON FUNCTION pganalytics_collect_now() IS
    'collects now and returns when everything is read';

CREATE FUNCTION pganalytics_push_now(
    timeout interval DEFAULT '30 s',
    OUT snapshot_id uuid, OUT sequence bigint, OUT rows bigint, OUT bytes_json bigint,
    OUT bytes_gzip bigint, OUT status text, OUT duplicate boolean, OUT metrics_inserted bigint,
    OUT took interval)
RETURNS SETOF record
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_push_now';
COMMENT ON FUNCTION pganalytics_push_now(interval) IS
    'collects and sends now and returns when the hub has answered';

CREATE FUNCTION pganalytics_reload()
RETURNS boolean
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_reload';
COMMENT ON FUNCTION pganalytics_reload() IS
    'reads settings and certificates again, at once';

CREATE FUNCTION pganalytics_register(url text, token text)
RETURNS text
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_register';
COMMENT ON FUNCTION pganalytics_register(text, text) IS
    'enrols this server with the hub at url by a token from its pganalytics_create_token()';

CREATE FUNCTION pganalytics_unregister()
RETURNS boolean
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_unregister';
COMMENT ON FUNCTION pganalytics_unregister() IS
    'forgets the hub: address, certificate and key are removed from this server';

CREATE FUNCTION pganalytics_add_rowset(
    name text, sql text, period interval, scope text, columns jsonb)
RETURNS text
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_add_rowset';
COMMENT ON FUNCTION pganalytics_add_rowset(text, text, interval, text, jsonb) IS
    'defines a rowset of your own: a query, run once to check it, then each period, and the kind of each of its columns; superusers only';

CREATE FUNCTION pganalytics_drop_rowset(name text)
RETURNS boolean
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_drop_rowset';
COMMENT ON FUNCTION pganalytics_drop_rowset(text) IS
    'drops a rowset of your own; false where there is none of that name';

REVOKE ALL ON FUNCTION pganalytics_add_rowset(text, text, interval, text, jsonb),
    pganalytics_drop_rowset(text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pganalytics_version(), pganalytics_status(), pganalytics_catalog(),
    pganalytics_settings(), pganalytics_preview(text), pganalytics_collect_now(),
    pganalytics_push_now(interval), pganalytics_reload(), pganalytics_register(text, text),
    pganalytics_unregister() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pganalytics_version(), pganalytics_status(), pganalytics_catalog(),
    pganalytics_settings(), pganalytics_preview(text) TO pg_monitor;

-- The hub's schema. Without IF NOT EXISTS: nobody may have prepared it.
--
-- Fixed tables are members of the extension and marked for dump. The tables of rowsets
-- (pganalytics.<plugin>_<rowset>) and the views over them are made by the hub worker when they are
-- first needed; they are no members, so that every dump has them with their rows.
CREATE SCHEMA pganalytics;
COMMENT ON SCHEMA pganalytics IS 'pganalytics hub: collectors, what they sent, and views of it';

CREATE TABLE pganalytics.hub (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    hub_id uuid NOT NULL,
    created_at timestamp with time zone NOT NULL,
    ca_fingerprint bytea,
    place text
);
COMMENT ON TABLE pganalytics.hub IS 'who this hub is; one row';
COMMENT ON COLUMN pganalytics.hub.place IS 'cluster, timeline and table that it was used in last: elsewhere the hub was restored or failed over';

CREATE TABLE pganalytics.collectors (
    collector_id uuid PRIMARY KEY,
    name text NOT NULL UNIQUE,
    hostname text NOT NULL DEFAULT '',
    version text NOT NULL DEFAULT '',
    system_identifier text NOT NULL DEFAULT '',
    in_recovery boolean,
    enrolled_at timestamp with time zone NOT NULL,
    generation integer NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    last_push_at timestamp with time zone,
    last_time timestamp with time zone,
    last_cycle uuid,
    cycle_seconds double precision,
    last_incarnation uuid,
    last_full_at timestamp with time zone,
    config_version bigint NOT NULL DEFAULT 0,
    own boolean NOT NULL DEFAULT false,
    alarm text,
    alarm_at timestamp with time zone,
    over_quota_at timestamp with time zone
) WITH (fillfactor = 50);
COMMENT ON TABLE pganalytics.collectors IS 'enrolled servers';
COMMENT ON COLUMN pganalytics.collectors.alarm IS 'why somebody should look at this server''s identity; ended by a new enrolment of its name';
COMMENT ON COLUMN pganalytics.collectors.own IS 'the server the hub ran on enrolled itself';

CREATE TABLE pganalytics.certificates (
    fingerprint bytea PRIMARY KEY CHECK (octet_length(fingerprint) = 32),
    collector_id uuid NOT NULL REFERENCES pganalytics.collectors ON DELETE CASCADE,
    generation integer NOT NULL,
    serial text NOT NULL,
    public_key bytea NOT NULL,
    certificate text NOT NULL,
    not_before timestamp with time zone NOT NULL,
    not_after timestamp with time zone NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    first_used_at timestamp with time zone,
    ended_at timestamp with time zone
);
CREATE INDEX ON pganalytics.certificates (collector_id, generation);
COMMENT ON TABLE pganalytics.certificates IS 'certificates issued to collectors; one without ended_at lets its collector in';

CREATE TABLE pganalytics.tokens (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    name text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    created_by text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    own boolean NOT NULL DEFAULT false,
    used_at timestamp with time zone,
    collector_id uuid,
    public_key bytea
);
COMMENT ON TABLE pganalytics.tokens IS 'enrolment tokens, as SHA-256 of their text';

CREATE TABLE pganalytics.ledger (
    collector_id uuid NOT NULL,
    snapshot_id uuid NOT NULL,
    incarnation uuid,
    sequence bigint,
    digest bytea NOT NULL,
    cycle uuid,
    part integer NOT NULL,
    parts integer NOT NULL,
    "time" timestamp with time zone NOT NULL,
    received_at timestamp with time zone NOT NULL,
    rows bigint NOT NULL,
    bytes_received bigint NOT NULL,
    bytes_json bigint NOT NULL,
    too_old bigint NOT NULL,
    future bigint NOT NULL,
    unknown jsonb,
    PRIMARY KEY (collector_id, snapshot_id),
    UNIQUE (collector_id, incarnation, sequence)
);
CREATE INDEX ON pganalytics.ledger (received_at);
CREATE INDEX ON pganalytics.ledger (collector_id, cycle) WHERE parts > 1;
COMMENT ON TABLE pganalytics.ledger IS 'every push stored, once';

CREATE TABLE pganalytics.storage (
    collector_id uuid,
    day date,
    bytes bigint NOT NULL,
    rows bigint NOT NULL,
    PRIMARY KEY (collector_id, day)
) WITH (fillfactor = 50);
COMMENT ON TABLE pganalytics.storage IS 'what each server''s rows take, by UTC day of their push: bytes of the rows, without indexes; see pganalytics.hub_storage_quota';

CREATE TABLE pganalytics.rowsets (
    plugin text,
    rowset text,
    table_name text NOT NULL UNIQUE,
    columns text[] NOT NULL,
    version text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    changed_at timestamp with time zone,
    PRIMARY KEY (plugin, rowset)
);
COMMENT ON TABLE pganalytics.rowsets IS 'rowsets that have a table here, and the library version that last made or extended it';

CREATE TABLE pganalytics.configuration (
    collector_id uuid REFERENCES pganalytics.collectors ON DELETE CASCADE,
    version bigint,
    toml text NOT NULL,
    author text NOT NULL,
    comment text,
    created_at timestamp with time zone NOT NULL,
    PRIMARY KEY (collector_id, version)
);
COMMENT ON TABLE pganalytics.configuration IS 'configuration of collectors, every version; no effect in this version';

-- A watched server's, not the hub's: read by the visitor to pganalytics.database. Whoever writes here
-- has queries run under the definer's name, so that is superusers only: by privilege, by the
-- functions, and, because pg_write_all_data needs no privilege, by a trigger. On a table that others
-- have the privilege to write nothing is read.
CREATE TABLE pganalytics.own_rowset (
    name text PRIMARY KEY
        CHECK (name OPERATOR(pg_catalog.~) '^[a-z_][a-z0-9_]{0,39}$'),
    sql text NOT NULL CHECK (pg_catalog.octet_length(sql) OPERATOR(pg_catalog.<=) 16384),
    period interval NOT NULL
        CHECK (period OPERATOR(pg_catalog.>=) INTERVAL '1 second'
               AND period OPERATOR(pg_catalog.<=) INTERVAL '1 day'),
    scope text NOT NULL
        CHECK (scope OPERATOR(pg_catalog.=) 'cluster' OR scope OPERATOR(pg_catalog.=) 'database'),
    columns jsonb NOT NULL
        CHECK (pg_catalog.jsonb_typeof(columns) OPERATOR(pg_catalog.=) 'array'
               AND pg_catalog.jsonb_array_length(columns) OPERATOR(pg_catalog.<=) 64),
    definer text NOT NULL,
    defined_at timestamp with time zone NOT NULL
);
COMMENT ON TABLE pganalytics.own_rowset IS 'rowsets of users'' own that this server collects: see pganalytics_add_rowset()';

CREATE FUNCTION pganalytics.only_superusers()
RETURNS trigger
LANGUAGE C
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_only_superusers';
COMMENT ON FUNCTION pganalytics.only_superusers() IS 'keeps everybody but superusers from writing a table';
REVOKE ALL ON FUNCTION pganalytics.only_superusers() FROM PUBLIC;

CREATE TRIGGER only_superusers BEFORE INSERT OR UPDATE OR DELETE ON pganalytics.own_rowset
    FOR EACH ROW EXECUTE FUNCTION pganalytics.only_superusers();
CREATE TRIGGER only_superusers_truncate BEFORE TRUNCATE ON pganalytics.own_rowset
    FOR EACH STATEMENT EXECUTE FUNCTION pganalytics.only_superusers();
ALTER TABLE pganalytics.own_rowset ENABLE ALWAYS TRIGGER only_superusers;
ALTER TABLE pganalytics.own_rowset ENABLE ALWAYS TRIGGER only_superusers_truncate;

CREATE TABLE pganalytics.own_accepted (
    rowset text,
    collector_id uuid REFERENCES pganalytics.collectors ON DELETE CASCADE,
    digest text,
    columns jsonb NOT NULL,
    accepted_at timestamp with time zone NOT NULL,
    accepted_by text NOT NULL,
    PRIMARY KEY (rowset, collector_id, digest)
);
COMMENT ON TABLE pganalytics.own_accepted IS 'which definitions of users'' own rowsets have a view here: see pganalytics_accept_rowset()';

CREATE TABLE pganalytics.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
    event text NOT NULL,
    collector_id uuid,
    name text,
    address text,
    details jsonb
);
COMMENT ON TABLE pganalytics.audit IS 'what happened at the hub: enrolments, refusals, conflicts, tables made; kept for a year, or pganalytics.hub_retention if that is longer';

DO LANGUAGE plpgsql $$
DECLARE
    member text;
BEGIN
    FOREACH member IN ARRAY ARRAY['hub', 'collectors', 'certificates', 'tokens', 'ledger', 'storage',
                                  'rowsets',
                                  'configuration', 'own_rowset', 'own_accepted', 'audit',
                                  'audit_id_seq'] LOOP
        PERFORM pg_catalog.pg_extension_config_dump(
            pg_catalog.concat('pganalytics.', member)::pg_catalog.regclass, '');
    END LOOP;
END
$$;

-- A server is silent after three of its cycles, two minutes at least.
--
-- Operators by their schema: one that fits better than pg_catalog's own may have been made
-- beforehand in the schema that the extension is created in, and a view keeps what it found.
CREATE VIEW pganalytics.servers AS
SELECT c.name,
       c.collector_id,
       c.hostname,
       c.version,
       c.system_identifier,
       c.in_recovery,
       c.enrolled_at,
       c.last_push_at,
       c.last_time,
       (SELECT pg_catalog.max(k.not_after)
          FROM pganalytics.certificates k
         WHERE k.collector_id OPERATOR(pg_catalog.=) c.collector_id
           AND (k.ended_at IS NULL OR k.ended_at OPERATOR(pg_catalog.>) pg_catalog.now())) AS certificate_expires_at,
       CASE
           WHEN NOT c.enabled THEN 'disabled'
           WHEN c.last_push_at IS NULL THEN 'enrolled'
           WHEN c.last_push_at OPERATOR(pg_catalog.<) (pg_catalog.now() OPERATOR(pg_catalog.-)
                    pg_catalog.make_interval(secs => greatest(120.0::pg_catalog.float8,
                        3.0::pg_catalog.float8 OPERATOR(pg_catalog.*) coalesce(c.cycle_seconds,
                            0.0::pg_catalog.float8)))) THEN 'silent'
           ELSE 'ok'
       END AS state
  FROM pganalytics.collectors c;
COMMENT ON VIEW pganalytics.servers IS 'enrolled servers and how they are';

-- Whether all the pushes are here into which a cycle was cut. Of one that the ledger no longer knows
-- nothing is missed any more.
CREATE FUNCTION pganalytics.is_whole(collector uuid, cycle uuid)
RETURNS boolean
LANGUAGE sql STRICT STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT NOT EXISTS (
    SELECT FROM pganalytics.ledger l
     WHERE l.collector_id = is_whole.collector AND l.cycle = is_whole.cycle AND l.parts > 1
    HAVING count(*) < max(l.parts))
$$;
COMMENT ON FUNCTION pganalytics.is_whole(uuid, uuid) IS
    'whether all pushes of a cycle are stored';

CREATE FUNCTION pganalytics.table_rates(server text, over interval DEFAULT '5 minutes')
RETURNS TABLE (
    datid oid, datname text, relid oid, schemaname text, relname text, seconds double precision,
    seq_scan double precision, seq_tup_read double precision, idx_scan double precision,
    idx_tup_fetch double precision, n_tup_ins double precision, n_tup_upd double precision,
    n_tup_del double precision, n_tup_hot_upd double precision, heap_blks_read double precision,
    heap_blks_hit double precision, idx_blks_read double precision, idx_blks_hit double precision,
    n_live_tup bigint, n_dead_tup bigint, resets bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
-- Rows can be many, whatever the planner thinks of the steps in between.
SET enable_nestloop = off
AS $$
#variable_conflict use_column
DECLARE
    id uuid;
    ended timestamp with time zone;
    began timestamp with time zone;
    known oid[];
BEGIN
    SELECT c.collector_id, c.last_time INTO id, ended
      FROM pganalytics.collectors c WHERE c.name = table_rates.server;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no server "%" is enrolled', table_rates.server
            USING ERRCODE = 'undefined_object', HINT = 'See pganalytics_servers().';
    END IF;
    began := ended - table_rates.over;
    IF began >= ended THEN
        RAISE EXCEPTION 'rates need a time longer than 0' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    known := ARRAY(SELECT d.datid FROM pganalytics.current_databases d
                    WHERE d.server = table_rates.server);
    RETURN QUERY
    WITH t_full AS (
        SELECT f.datid,
               max(f."time") FILTER (WHERE f.complete AND w.value IS NOT FALSE AND f."time" <= began) AS base,
               max(f."time") FILTER (WHERE (f.complete OR f.left_out > 0) AND w.value IS NOT FALSE) AS latest
          FROM pganalytics.pganalytics_fulls f
         CROSS JOIN LATERAL pganalytics.is_whole(f.collector_id, f.cycle) w(value)
         WHERE f.collector_id = id AND f.rowset = 'pg_stats.tables'
           AND f."time" BETWEEN began - INTERVAL '25 hours' AND ended
           AND (cardinality(known) = 0 OR f.datid = ANY (known))
         GROUP BY f.datid
    ), t_read AS (
        SELECT r."time", r.datid, r.datname, r.schemaname, r.relname, r.n_live_tup, r.n_dead_tup,
               r.relid, r.stats_reset, b.base,
               r.seq_scan, r.seq_tup_read, r.tuples_fetched, r.n_tup_ins, r.n_tup_upd, r.n_tup_del, r.n_tup_hot_upd, r.heap_blks_fetched, r.heap_blks_hit,
               lag(r."time") OVER w AS p_time, lag(r.stats_reset) OVER w AS p_stats_reset,
               lag(r.seq_scan) OVER w AS p_seq_scan,
               lag(r.seq_tup_read) OVER w AS p_seq_tup_read,
               lag(r.tuples_fetched) OVER w AS p_tuples_fetched,
               lag(r.n_tup_ins) OVER w AS p_n_tup_ins,
               lag(r.n_tup_upd) OVER w AS p_n_tup_upd,
               lag(r.n_tup_del) OVER w AS p_n_tup_del,
               lag(r.n_tup_hot_upd) OVER w AS p_n_tup_hot_upd,
               lag(r.heap_blks_fetched) OVER w AS p_heap_blks_fetched,
               lag(r.heap_blks_hit) OVER w AS p_heap_blks_hit
          FROM t_full b
         CROSS JOIN LATERAL (
                SELECT * FROM pganalytics.pg_stats_tables x
                 WHERE x.collector_id = id AND x.datid = b.datid
                   AND x."time" >= coalesce(b.base, began) AND x."time" <= ended) r
        WINDOW w AS (PARTITION BY r.datid, r.relid ORDER BY r."time")
    ), t_step AS (
        SELECT *,
               coalesce(p_time IS NULL OR stats_reset IS DISTINCT FROM p_stats_reset
                    OR seq_scan < p_seq_scan
                    OR seq_tup_read < p_seq_tup_read
                    OR tuples_fetched < p_tuples_fetched
                    OR n_tup_ins < p_n_tup_ins
                    OR n_tup_upd < p_n_tup_upd
                    OR n_tup_del < p_n_tup_del
                    OR n_tup_hot_upd < p_n_tup_hot_upd
                    OR heap_blks_fetched < p_heap_blks_fetched
                    OR heap_blks_hit < p_heap_blks_hit, false) AS fresh,
               "time" > began AND (p_time IS NOT NULL OR base IS NOT NULL) AS counts
          FROM t_read
    ), t_sum AS (
        SELECT datid, relid, max("time") AS last_time, min("time") AS first_time,
               bool_or(base IS NOT NULL) AS has_base,
               count(*) FILTER (WHERE counts AND fresh AND p_time IS NOT NULL) AS resets,
               coalesce(sum(seq_scan - CASE WHEN fresh THEN 0 ELSE p_seq_scan END) FILTER (WHERE counts), 0 * max(seq_scan)) AS seq_scan,
               coalesce(sum(seq_tup_read - CASE WHEN fresh THEN 0 ELSE p_seq_tup_read END) FILTER (WHERE counts), 0 * max(seq_tup_read)) AS seq_tup_read,
               coalesce(sum(tuples_fetched - CASE WHEN fresh THEN 0 ELSE p_tuples_fetched END) FILTER (WHERE counts), 0 * max(tuples_fetched)) AS tuples_fetched,
               coalesce(sum(n_tup_ins - CASE WHEN fresh THEN 0 ELSE p_n_tup_ins END) FILTER (WHERE counts), 0 * max(n_tup_ins)) AS n_tup_ins,
               coalesce(sum(n_tup_upd - CASE WHEN fresh THEN 0 ELSE p_n_tup_upd END) FILTER (WHERE counts), 0 * max(n_tup_upd)) AS n_tup_upd,
               coalesce(sum(n_tup_del - CASE WHEN fresh THEN 0 ELSE p_n_tup_del END) FILTER (WHERE counts), 0 * max(n_tup_del)) AS n_tup_del,
               coalesce(sum(n_tup_hot_upd - CASE WHEN fresh THEN 0 ELSE p_n_tup_hot_upd END) FILTER (WHERE counts), 0 * max(n_tup_hot_upd)) AS n_tup_hot_upd,
               coalesce(sum(heap_blks_fetched - CASE WHEN fresh THEN 0 ELSE p_heap_blks_fetched END) FILTER (WHERE counts), 0 * max(heap_blks_fetched)) AS heap_blks_fetched,
               coalesce(sum(heap_blks_hit - CASE WHEN fresh THEN 0 ELSE p_heap_blks_hit END) FILTER (WHERE counts), 0 * max(heap_blks_hit)) AS heap_blks_hit
          FROM t_step GROUP BY datid, relid
    ), i_full AS (
        SELECT f.datid,
               max(f."time") FILTER (WHERE f.complete AND w.value IS NOT FALSE AND f."time" <= began) AS base,
               max(f."time") FILTER (WHERE (f.complete OR f.left_out > 0) AND w.value IS NOT FALSE) AS latest
          FROM pganalytics.pganalytics_fulls f
         CROSS JOIN LATERAL pganalytics.is_whole(f.collector_id, f.cycle) w(value)
         WHERE f.collector_id = id AND f.rowset = 'pg_stats.indexes'
           AND f."time" BETWEEN began - INTERVAL '25 hours' AND ended
           AND (cardinality(known) = 0 OR f.datid = ANY (known))
         GROUP BY f.datid
    ), i_read AS (
        SELECT r."time", r.datid, r.relid, r.indexrelid, r.stats_reset, b.base,
               r.idx_scan, r.idx_tup_fetch, r.idx_blks_fetched, r.idx_blks_hit,
               lag(r."time") OVER w AS p_time, lag(r.stats_reset) OVER w AS p_stats_reset,
               lag(r.idx_scan) OVER w AS p_idx_scan,
               lag(r.idx_tup_fetch) OVER w AS p_idx_tup_fetch,
               lag(r.idx_blks_fetched) OVER w AS p_idx_blks_fetched,
               lag(r.idx_blks_hit) OVER w AS p_idx_blks_hit
          FROM i_full b
         CROSS JOIN LATERAL (
                SELECT * FROM pganalytics.pg_stats_indexes x
                 WHERE x.collector_id = id AND x.datid = b.datid
                   AND x."time" >= coalesce(b.base, began) AND x."time" <= ended) r
        WINDOW w AS (PARTITION BY r.datid, r.indexrelid ORDER BY r."time")
    ), i_step AS (
        SELECT *,
               coalesce(p_time IS NULL OR stats_reset IS DISTINCT FROM p_stats_reset
                    OR idx_scan < p_idx_scan
                    OR idx_tup_fetch < p_idx_tup_fetch
                    OR idx_blks_fetched < p_idx_blks_fetched
                    OR idx_blks_hit < p_idx_blks_hit, false) AS fresh,
               "time" > began AND (p_time IS NOT NULL OR base IS NOT NULL) AS counts
          FROM i_read
    ), i_sum AS (
        SELECT datid, indexrelid, relid, max("time") AS last_time,
               coalesce(sum(idx_scan - CASE WHEN fresh THEN 0 ELSE p_idx_scan END) FILTER (WHERE counts), 0 * max(idx_scan)) AS idx_scan,
               coalesce(sum(idx_tup_fetch - CASE WHEN fresh THEN 0 ELSE p_idx_tup_fetch END) FILTER (WHERE counts), 0 * max(idx_tup_fetch)) AS idx_tup_fetch,
               coalesce(sum(idx_blks_fetched - CASE WHEN fresh THEN 0 ELSE p_idx_blks_fetched END) FILTER (WHERE counts), 0 * max(idx_blks_fetched)) AS idx_blks_fetched,
               coalesce(sum(idx_blks_hit - CASE WHEN fresh THEN 0 ELSE p_idx_blks_hit END) FILTER (WHERE counts), 0 * max(idx_blks_hit)) AS idx_blks_hit
          FROM i_step GROUP BY datid, indexrelid, relid
    ), i_table AS (
        SELECT s.datid, s.relid, sum(s.idx_scan) AS idx_scan, sum(s.idx_tup_fetch) AS idx_tup_fetch,
               sum(s.idx_blks_fetched) AS idx_blks_fetched, sum(s.idx_blks_hit) AS idx_blks_hit
          FROM i_sum s GROUP BY s.datid, s.relid
    ), gone AS (
        SELECT g.datid, (g.key ->> 'relid')::oid AS relid, max(g."time") AS gone_time
          FROM pganalytics.pganalytics_gone g
         WHERE g.collector_id = id AND g.rowset = 'pg_stats.tables'
           AND g."time" BETWEEN began - INTERVAL '25 hours' AND ended
         GROUP BY 1, 2
    ), rated AS (
        SELECT s.*, x.idx_scan, x.idx_tup_fetch, x.idx_blks_fetched, x.idx_blks_hit,
               nullif(date_part('epoch',
                   ended - CASE WHEN s.has_base THEN began ELSE s.first_time END), 0) AS seconds
          FROM t_sum s
          JOIN t_full f ON f.datid = s.datid
               AND (f.latest IS NULL OR s.last_time >= f.latest)
          LEFT JOIN i_table x ON x.datid = s.datid AND x.relid = s.relid
          LEFT JOIN gone g ON g.datid = s.datid AND g.relid = s.relid
         WHERE g.gone_time IS NULL OR g.gone_time <= s.last_time
    )
    SELECT s.datid, l.datname, s.relid, l.schemaname, l.relname, s.seconds,
           s.seq_scan / s.seconds, s.seq_tup_read / s.seconds, s.idx_scan / s.seconds,
           (s.tuples_fetched + s.idx_tup_fetch) / s.seconds, s.n_tup_ins / s.seconds,
           s.n_tup_upd / s.seconds, s.n_tup_del / s.seconds, s.n_tup_hot_upd / s.seconds,
           greatest(s.heap_blks_fetched - s.heap_blks_hit, 0) / s.seconds,
           s.heap_blks_hit / s.seconds,
           greatest(s.idx_blks_fetched - s.idx_blks_hit, 0) / s.seconds,
           s.idx_blks_hit / s.seconds,
           l.n_live_tup, l.n_dead_tup, s.resets
      FROM rated s
      JOIN t_read l ON l.datid = s.datid AND l.relid = s.relid AND l."time" = s.last_time;
END
$$;
COMMENT ON FUNCTION pganalytics.table_rates(text, interval) IS
    'what the tables of a server did per second over the last while; counters that were reset count from zero';

CREATE FUNCTION pganalytics_servers(
    OUT name text, OUT collector_id uuid, OUT hostname text, OUT version text,
    OUT in_recovery boolean, OUT enrolled_at timestamp with time zone,
    OUT last_push_at timestamp with time zone, OUT last_time timestamp with time zone,
    OUT certificate_expires_at timestamp with time zone, OUT state text)
RETURNS SETOF record
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT name, collector_id, hostname, version, in_recovery, enrolled_at, last_push_at, last_time,
       certificate_expires_at, state
  FROM pganalytics.servers
 ORDER BY name
$$;
COMMENT ON FUNCTION pganalytics_servers() IS 'servers enrolled with this hub';

CREATE FUNCTION pganalytics_create_token(name text, valid_for interval DEFAULT '1 hour')
RETURNS text
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_create_token';
COMMENT ON FUNCTION pganalytics_create_token(text, interval) IS
    'enrolment token for one server of this name, to be used once with pganalytics_register()';

CREATE FUNCTION pganalytics_revoke(server text, reason text)
RETURNS void
LANGUAGE plpgsql STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id uuid;
    ended bigint;
    withdrawn bigint;
BEGIN
    UPDATE pganalytics.collectors c SET enabled = false WHERE c.name = server
    RETURNING c.collector_id INTO id;
    IF id IS NULL THEN
        RAISE EXCEPTION 'no server "%" is enrolled', server
            USING ERRCODE = 'undefined_object', HINT = 'pganalytics_servers() lists them.';
    END IF;
    UPDATE pganalytics.certificates c SET ended_at = now()
     WHERE c.collector_id = id AND (c.ended_at IS NULL OR c.ended_at > now());
    GET DIAGNOSTICS ended = ROW_COUNT;
    UPDATE pganalytics.tokens t SET expires_at = now() WHERE t.name = server AND t.expires_at > now();
    GET DIAGNOSTICS withdrawn = ROW_COUNT;
    INSERT INTO pganalytics.audit (event, collector_id, name, details)
    VALUES ('revoked', id, server,
            jsonb_build_object('reason', reason, 'by', session_user, 'certificates', ended, 'tokens', withdrawn));
END
$$;
COMMENT ON FUNCTION pganalytics_revoke(text, text) IS
    'shuts a server out of this hub: its certificates end, its tokens too; a new token lets it enrol again';

-- A value of a user's own row as the type its definition says, null where it is none of these: what
-- a collector sends can be anything, and a view must not fail on it. CASE within CASE, because AND
-- keeps no order.
CREATE FUNCTION pganalytics.own_expression(type text, column_name text)
RETURNS text
LANGUAGE plpgsql STRICT IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v text := format('(r."row" -> %L)', column_name);
    t text := format('(r."row" ->> %L)', column_name);
BEGIN
    RETURN CASE type
        WHEN 'boolean' THEN
            format('CASE WHEN jsonb_typeof(%1$s) = ''boolean'' THEN %1$s::boolean END', v)
        WHEN 'bigint' THEN
            format('CASE WHEN jsonb_typeof(%1$s) = ''number'' THEN CASE WHEN %1$s::numeric'
                   ' BETWEEN -9223372036854775808 AND 9223372036854775807'
                   ' THEN %1$s::numeric::bigint END END', v)
        WHEN 'double precision' THEN
            format('CASE WHEN jsonb_typeof(%1$s) = ''number'' THEN CASE'
                   ' WHEN abs(%1$s::numeric) BETWEEN 1e-300 AND 1e300'
                   ' THEN %1$s::numeric::double precision'
                   ' WHEN abs(%1$s::numeric) < 1e-300 THEN 0 END END', v)
        WHEN 'text' THEN
            format('CASE WHEN jsonb_typeof(%s) = ''string'' THEN %s END', v, t)
        WHEN 'timestamp with time zone' THEN
            -- The day is counted from the first of its month: 30 February is no error.
            format('CASE WHEN %1$s ~ ''^(?!0000)\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])'
                   'T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?\+00:00$'''
                   ' THEN (((substr(%1$s, 1, 8) || ''01'')::date + (substr(%1$s, 9, 2)::integer - 1))'
                   ' + substr(%1$s, 12, length(%1$s) - 17)::time) AT TIME ZONE ''UTC'' END', t)
        WHEN 'pg_lsn' THEN
            format('CASE WHEN %1$s ~ ''^[0-9A-F]{1,8}/[0-9A-F]{1,8}$'' THEN %1$s::pg_lsn END', t)
        WHEN 'uuid' THEN
            format('CASE WHEN %1$s ~ ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'''
                   ' THEN %1$s::uuid END', t)
    END;
END
$$;
COMMENT ON FUNCTION pganalytics.own_expression(text, text) IS
    'SQL for one column of a user''s own rowset; null for a type that is not known';

-- Called by pganalytics_accept_rowset() as the extension's owner. All that comes from the collector
-- is held against what a definition can be, and quoted.
CREATE FUNCTION pganalytics.accept_rowset(server text, rowset text, accepted_by text)
RETURNS text
LANGUAGE plpgsql STRICT VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    id uuid;
    sent_digest text;
    sent_columns jsonb;
    c jsonb;
    expression text;
    list text := '';
    names text[] := '{}';
    view_name text := 'own_view_' || accept_rowset.rowset;
    view_columns jsonb;
    granted text[];
    statement text;
BEGIN
    SELECT k.collector_id INTO id
      FROM pganalytics.collectors k WHERE k.name = accept_rowset.server;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no server "%" is enrolled', accept_rowset.server
            USING ERRCODE = 'undefined_object', HINT = 'See pganalytics_servers().';
    END IF;
    IF to_regclass('pganalytics.own_rowsets') IS NOT NULL
       AND to_regclass('pganalytics.own_rows') IS NOT NULL
       AND accept_rowset.rowset ~ '^[a-z_][a-z0-9_]{0,39}$' THEN
        SELECT r.digest, r.columns INTO sent_digest, sent_columns
          FROM pganalytics.own_rowsets r
         WHERE r.collector_id = id AND r.rowset = accept_rowset.rowset
         ORDER BY r."time" DESC LIMIT 1;
    END IF;
    IF sent_digest IS NULL THEN
        RAISE EXCEPTION 'server "%" has sent no rows of a rowset "%"', accept_rowset.server, accept_rowset.rowset
            USING ERRCODE = 'undefined_object',
                  HINT = 'pganalytics.own_rowsets has what was sent.';
    END IF;
    IF sent_digest !~ '^[0-9a-f]{64}$' OR jsonb_typeof(sent_columns) IS DISTINCT FROM 'array'
       OR jsonb_array_length(sent_columns) NOT BETWEEN 1 AND 64 THEN
        RAISE EXCEPTION 'the definition that server "%" sent is malformed', accept_rowset.server
            USING ERRCODE = 'data_exception';
    END IF;
    FOR c IN SELECT e FROM jsonb_array_elements(sent_columns) e LOOP
        expression := pganalytics.own_expression(c ->> 'type', c ->> 'name');
        IF jsonb_typeof(c) IS DISTINCT FROM 'object' OR expression IS NULL
           OR octet_length(c ->> 'name') NOT BETWEEN 1 AND 63 OR c ->> 'name' ~ '[[:cntrl:]]'
           OR c ->> 'name' IN ('server', 'time', 'collector_id', 'datid', 'datname')
           OR c ->> 'name' = ANY (names) THEN
            RAISE EXCEPTION 'the definition that server "%" sent is malformed', accept_rowset.server
                USING ERRCODE = 'data_exception';
        END IF;
        names := names || (c ->> 'name');
        list := list || format(E',\n       %s AS %I', expression, c ->> 'name');
        view_columns := coalesce(view_columns, '[]')
                        || jsonb_build_array(jsonb_build_array(c ->> 'name', c ->> 'type'));
    END LOOP;
    IF (SELECT count(DISTINCT a.rowset) FROM pganalytics.own_accepted a
         WHERE a.collector_id = id AND a.rowset <> accept_rowset.rowset) >= 64 THEN
        RAISE EXCEPTION '64 rowsets of server "%" have been accepted already', accept_rowset.server
            USING ERRCODE = 'program_limit_exceeded';
    END IF;
    IF EXISTS (SELECT FROM pganalytics.own_accepted a
                WHERE a.rowset = accept_rowset.rowset AND a.columns <> view_columns
                  AND a.collector_id <> id) THEN
        RAISE EXCEPTION 'rowset "%" was accepted of another server with other columns', accept_rowset.rowset
            USING ERRCODE = 'duplicate_object',
                  HINT = 'Delete that from pganalytics.own_accepted, or have the rowset defined under another name.';
    END IF;
    -- Of an older definition with other columns nothing can be shown in the new view.
    DELETE FROM pganalytics.own_accepted a
     WHERE a.rowset = accept_rowset.rowset AND a.collector_id = id AND a.columns <> view_columns;
    IF FOUND OR NOT EXISTS (SELECT FROM pganalytics.own_accepted a WHERE a.rowset = accept_rowset.rowset) THEN
        -- Who was let read the old one may read the new one.
        SELECT array_agg(format('GRANT %s ON pganalytics.%I TO %s%s', x.privilege_type, view_name,
                                CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END,
                                CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END))
          INTO granted
          FROM pg_class v, aclexplode(v.relacl) x
         WHERE v.relnamespace = 'pganalytics'::regnamespace AND v.relname = view_name
           AND x.grantee <> v.relowner;
        EXECUTE format('DROP VIEW IF EXISTS pganalytics.%I', view_name);
    END IF;
    IF to_regclass(format('pganalytics.%I', view_name)) IS NULL THEN
        EXECUTE format(E'CREATE VIEW pganalytics.%I AS\nSELECT k.name AS server, r."time", r.collector_id, r.datid, r.datname%s\n'
                       '  FROM pganalytics.own_rows r\n'
                       '  JOIN pganalytics.own_accepted a ON a.collector_id = r.collector_id'
                       ' AND a.rowset = r.rowset AND a.digest = r.digest\n'
                       '  JOIN pganalytics.collectors k ON k.collector_id = r.collector_id\n'
                       ' WHERE r.rowset = %L', view_name, list, accept_rowset.rowset);
        EXECUTE format('GRANT SELECT ON pganalytics.%I TO pg_monitor', view_name);
        FOREACH statement IN ARRAY coalesce(granted, '{}') LOOP
            EXECUTE statement;
        END LOOP;
    END IF;
    INSERT INTO pganalytics.own_accepted AS a
         VALUES (accept_rowset.rowset, id, sent_digest, view_columns, clock_timestamp(), accept_rowset.accepted_by)
    ON CONFLICT ON CONSTRAINT own_accepted_pkey DO NOTHING;
    INSERT INTO pganalytics.audit (event, collector_id, name, details)
         VALUES ('rowset accepted', id, accept_rowset.server,
                 jsonb_build_object('rowset', accept_rowset.rowset, 'digest', sent_digest, 'by', accept_rowset.accepted_by));
    RETURN 'pganalytics.' || view_name;
END
$$;
COMMENT ON FUNCTION pganalytics.accept_rowset(text, text, text) IS
    'the work of pganalytics_accept_rowset()';

CREATE FUNCTION pganalytics_accept_rowset(server text, rowset text)
RETURNS text
LANGUAGE C STRICT VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'pganalytics_accept_rowset';
COMMENT ON FUNCTION pganalytics_accept_rowset(text, text) IS
    'makes a view with the columns of a rowset that users of that server defined; answers its name';

REVOKE ALL ON FUNCTION pganalytics.own_expression(text, text),
    pganalytics.accept_rowset(text, text, text), pganalytics_accept_rowset(text, text) FROM PUBLIC;
REVOKE ALL ON FUNCTION pganalytics.is_whole(uuid, uuid) FROM PUBLIC;
REVOKE ALL ON FUNCTION pganalytics.table_rates(text, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION pganalytics_servers() FROM PUBLIC;
REVOKE ALL ON FUNCTION pganalytics_create_token(text, interval) FROM PUBLIC;
REVOKE ALL ON FUNCTION pganalytics_revoke(text, text) FROM PUBLIC;

GRANT USAGE ON SCHEMA pganalytics TO pg_monitor;
GRANT SELECT ON pganalytics.hub, pganalytics.collectors, pganalytics.ledger, pganalytics.storage,
    pganalytics.rowsets,
    pganalytics.configuration, pganalytics.own_rowset, pganalytics.own_accepted,
    pganalytics.servers TO pg_monitor;
GRANT EXECUTE ON FUNCTION pganalytics_servers(), pganalytics.is_whole(uuid, uuid),
    pganalytics.table_rates(text, interval) TO pg_monitor;
