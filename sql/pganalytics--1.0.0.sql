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
    'settings: local value, value the hub has set, the one in force and where it comes from';

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
    'reads settings, certificates and the hub''s configuration again, at once';

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

REVOKE ALL ON FUNCTION pganalytics_version(), pganalytics_status(), pganalytics_catalog(),
    pganalytics_settings(), pganalytics_preview(text), pganalytics_collect_now(),
    pganalytics_push_now(interval), pganalytics_reload(), pganalytics_register(text, text),
    pganalytics_unregister() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION pganalytics_version(), pganalytics_status(), pganalytics_catalog(),
    pganalytics_settings(), pganalytics_preview(text) TO pg_monitor;
