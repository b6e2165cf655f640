-- Everything the extension put into the catalog, one line a fact; columns by name, since an upgrade
-- adds them at the end.
WITH members AS (
    SELECT d.classid, d.objid, pg_catalog.pg_describe_object(d.classid, d.objid, 0) AS object
      FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
     WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
       AND e.extname = 'pganalytics'),
relations AS (
    SELECT m.object, c.* FROM members m JOIN pg_catalog.pg_class c ON c.oid = m.objid
     WHERE m.classid = 'pg_catalog.pg_class'::regclass)
SELECT object, 'comment', pg_catalog.obj_description(objid, classid::regclass::text) FROM members
UNION ALL
SELECT m.object, 'function', concat_ws(' | ', pg_catalog.pg_get_functiondef(p.oid), p.proacl)
  FROM members m JOIN pg_catalog.pg_proc p ON p.oid = m.objid
 WHERE m.classid = 'pg_catalog.pg_proc'::regclass
UNION ALL
SELECT m.object, 'schema', n.nspacl::text FROM members m JOIN pg_catalog.pg_namespace n ON n.oid = m.objid
 WHERE m.classid = 'pg_catalog.pg_namespace'::regclass
UNION ALL
SELECT r.object, 'relation', concat_ws(' | ', r.relkind, r.relpersistence, r.relacl, r.reloptions)
  FROM relations r
UNION ALL
SELECT r.object, 'view', pg_catalog.pg_get_viewdef(r.oid) FROM relations r WHERE r.relkind = 'v'
UNION ALL
SELECT r.object, 'column ' || a.attname,
       concat_ws(' | ', pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                 a.attgenerated, a.attacl, pg_catalog.pg_get_expr(d.adbin, d.adrelid),
                 pg_catalog.col_description(r.oid, a.attnum))
  FROM relations r
  JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
UNION ALL
SELECT r.object, 'constraint ' || c.conname, pg_catalog.pg_get_constraintdef(c.oid)
  FROM relations r JOIN pg_catalog.pg_constraint c ON c.conrelid = r.oid
UNION ALL
SELECT r.object, 'index', pg_catalog.pg_get_indexdef(i.indexrelid)
  FROM relations r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
UNION ALL
SELECT r.object, 'trigger', pg_catalog.pg_get_triggerdef(t.oid)
  FROM relations r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal
UNION ALL
SELECT r.object, 'dumped', e.extcondition[pg_catalog.array_position(e.extconfig, r.oid)]
  FROM relations r JOIN pg_catalog.pg_extension e ON r.oid = ANY (e.extconfig)
UNION ALL
SELECT 'extension', 'version', extversion FROM pg_catalog.pg_extension WHERE extname = 'pganalytics'
