-- Every setting of the library: its form, its range, its default, when it can be changed. What
-- stands here is what users rely on.
SELECT name, vartype, context, unit, min_val, max_val, boot_val
  FROM pg_settings
 WHERE name LIKE 'pganalytics.%'
 ORDER BY name COLLATE "C";
SELECT name, enumvals FROM pg_settings
 WHERE name LIKE 'pganalytics.%' AND vartype = 'enum' ORDER BY name COLLATE "C";
SELECT name FROM pg_settings
 WHERE name LIKE 'pganalytics.%' AND short_desc !~ '^[A-Z].*\.$' ORDER BY name COLLATE "C";

-- None belongs to a session, and none can be hidden in a database or a role.
SET pganalytics.collect_interval = '1s';
SET pganalytics.hub = on;
ALTER ROLE CURRENT_USER SET pganalytics.enabled = off;

-- The prefix is ours: from 15 on nobody can set what we do not have.
DO $$
DECLARE
    reserved constant boolean := current_setting('server_version_num')::int >= 150000;
BEGIN
    PERFORM set_config('pganalytics.no_such_setting', '1', false);
    RAISE NOTICE 'as this major has it: %', NOT reserved;
EXCEPTION WHEN invalid_name THEN
    RAISE NOTICE 'as this major has it: %', reserved;
END $$;

-- Forms are checked when they are set.
ALTER SYSTEM SET pganalytics.sample_interval = '99ms';
ALTER SYSTEM SET pganalytics.hub_url = 'http://hub.example.org:8443';
ALTER SYSTEM SET pganalytics.hub_url = 'https://hub.example.org/path';
ALTER SYSTEM SET pganalytics.ca_file = 'ca.pem';
ALTER SYSTEM SET pganalytics.cert_file = './cert.pem';
ALTER SYSTEM SET pganalytics.key_file = 'key.pem';
ALTER SYSTEM SET pganalytics.hub_ca_file = 'ca.pem';
ALTER SYSTEM SET pganalytics.hub_ca_key_file = 'ca.key';
ALTER SYSTEM SET pganalytics.hub_cert_file = 'cert.pem';
ALTER SYSTEM SET pganalytics.hub_key_file = 'key.pem';
ALTER SYSTEM SET pganalytics.hub_master_key_file = 'master.key';
ALTER SYSTEM SET pganalytics.state_directory = 'state';
ALTER SYSTEM SET pganalytics.databases = '"unclosed';
ALTER SYSTEM SET pganalytics.exclude_databases = 'a,,b';
ALTER SYSTEM SET pganalytics.plugins = 'pg_stats; drop';
ALTER SYSTEM SET pganalytics.hub_listen_addresses = '[::1]';
ALTER SYSTEM SET pganalytics.hub_listen_addresses = '';
ALTER SYSTEM SET pganalytics.hub_names = 'a b';
ALTER SYSTEM SET pganalytics.query_text = 'everything';
ALTER SYSTEM SET pganalytics.log_events = 'loud';
ALTER SYSTEM SET pganalytics.database = '';
ALTER SYSTEM SET pganalytics.hub_database = '';
ALTER SYSTEM SET pganalytics.enabled = 'maybe';
-- (a name of 64 bytes is one too long)
ALTER SYSTEM SET pganalytics.database = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx';
ALTER SYSTEM SET pganalytics.role = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx';
-- Never inside the data directory, which every base backup copies.
SELECT current_setting('data_directory') AS data \gset
\set inside :data '/pganalytics'
\set VERBOSITY sqlstate
ALTER SYSTEM SET pganalytics.state_directory = :'data';
ALTER SYSTEM SET pganalytics.state_directory = :'inside';

-- Ranges, one past each end (the words differ from major to major).
ALTER SYSTEM SET pganalytics.collect_interval = '999ms';
ALTER SYSTEM SET pganalytics.collect_interval = '3600001ms';
ALTER SYSTEM SET pganalytics.config_pull_interval = '9s';
ALTER SYSTEM SET pganalytics.config_pull_interval = '86401s';
ALTER SYSTEM SET pganalytics.full_interval = '59s';
ALTER SYSTEM SET pganalytics.full_interval = '86401s';
ALTER SYSTEM SET pganalytics.hub_console_port = 65536;
ALTER SYSTEM SET pganalytics.hub_port = 0;
ALTER SYSTEM SET pganalytics.hub_port = 65536;
ALTER SYSTEM SET pganalytics.hub_max_body = '63kB';
ALTER SYSTEM SET pganalytics.hub_max_body = '65537kB';
ALTER SYSTEM SET pganalytics.hub_max_connections = 7;
ALTER SYSTEM SET pganalytics.hub_max_connections = 10001;
ALTER SYSTEM SET pganalytics.hub_retention = '86399s';
ALTER SYSTEM SET pganalytics.hub_retention = '3651d';
ALTER SYSTEM SET pganalytics.hub_storage_quota = -1;
ALTER SYSTEM SET pganalytics.lock_timeout = '9ms';
ALTER SYSTEM SET pganalytics.lock_timeout = '1001ms';
ALTER SYSTEM SET pganalytics.log_ring_size = '16385kB';
ALTER SYSTEM SET pganalytics.max_rows = 99;
ALTER SYSTEM SET pganalytics.max_rows = 1000001;
ALTER SYSTEM SET pganalytics.memory_limit = '31MB';
ALTER SYSTEM SET pganalytics.memory_limit = '4097MB';
ALTER SYSTEM SET pganalytics.sample_interval = '60001ms';
ALTER SYSTEM SET pganalytics.spool_limit = '15MB';
ALTER SYSTEM SET pganalytics.statement_timeout = '99ms';
ALTER SYSTEM SET pganalytics.statement_timeout = '60001ms';
ALTER SYSTEM SET pganalytics.visit_timeout = '99ms';
ALTER SYSTEM SET pganalytics.visit_timeout = '4001ms';
\set VERBOSITY default
-- None of all that was kept.
SELECT name, setting FROM pg_file_settings WHERE name LIKE 'pganalytics.%' ORDER BY seqno;

-- The ends themselves are fine, and a reload is all it takes.
ALTER SYSTEM SET pganalytics.visit_timeout = '4s';
ALTER SYSTEM SET pganalytics.max_rows = 100;
ALTER SYSTEM SET pganalytics.sample_interval = '100ms';
ALTER SYSTEM SET pganalytics.databases = '"A b", c*, d?';
ALTER SYSTEM SET pganalytics.hub_url = 'https://[::1]:8443';
SELECT pganalytics_reload();
-- (a session takes up a reload between its statements, a new one has it from the start)
\c -
SELECT name, local_value, effective_value, origin FROM pganalytics_settings()
 WHERE origin <> 'default' ORDER BY name COLLATE "C";
ALTER SYSTEM RESET pganalytics.visit_timeout;
ALTER SYSTEM RESET pganalytics.max_rows;
ALTER SYSTEM RESET pganalytics.sample_interval;
ALTER SYSTEM RESET pganalytics.databases;
ALTER SYSTEM RESET pganalytics.hub_url;
SELECT pganalytics_reload();
