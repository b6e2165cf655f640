// Plugins pg_settings, pg_extensions, pg_roles: how the server is set up. All of it changes rarely
// and is read rarely; rows that did not change are not sent again.
//
// No secret leaves: settings that hold one by purpose, or by their name, are delivered without
// their value, and what looks like a password within a value is cut out. Passwords of roles are not
// read at all.
#include "catalog_parts.hpp"

namespace pganalytics::parts {

namespace {

using enum ColumnType;

// The two settings of the server that may hold a password, and custom ones that say so.
#define PGANALYTICS_IS_SECRET(name)                                                     \
    "(" name                                                                            \
    " OPERATOR(pg_catalog.=) ANY (ARRAY['primary_conninfo', 'ssl_passphrase_command'])" \
    " OR (pg_catalog.strpos(" name ", '.') OPERATOR(pg_catalog.>) 0 AND " name          \
    " OPERATOR(pg_catalog.~*)"                                                          \
    " '(pass|secret|token|credential|private|api_?key|access_?key|auth_?key|encryption_?key)'))"

// A word or what stands in quotes.
#define PGANALYTICS_A_VALUE "(''(\\\\.|[^''\\\\])*''|\"(\\\\.|[^\"\\\\])*\"|\\S+)'"

// -u user:x, --user 'user':x, sshpass -p x: a word of the shell's, of pieces with quotes and
// without.
#define PGANALYTICS_OF_A_COMMAND                                           \
    "'((^|\\s)-(-(proxy-)?user(=|\\s+)|u\\s*)(?=\\S*:)|sshpass\\s+-p\\s*)" \
    "([^\\s\"'']*(''(\\\\.|[^''\\\\])*''|\"(\\\\.|[^\"\\\\])*\"))*\\S*', '\\1***', 'gi')"

// Authorization: Bearer x
#define PGANALYTICS_OF_A_HEADER                                                                   \
    "'(authorization[\"'']?\\s*[:=]\\s*((basic|bearer|token|digest|negotiate)\\s+)?)[^\\s\"'']+'" \
    ", '\\1***', 'gi')"

// password=x, "password": "x"; --password x; ://user:x@host.
#define PGANALYTICS_CUT_OUT(value)                                                              \
    "pg_catalog.regexp_replace(pg_catalog.regexp_replace(pg_catalog.regexp_replace("            \
    "pg_catalog.regexp_replace(pg_catalog.regexp_replace(" value ", " PGANALYTICS_OF_A_COMMAND  \
    ", " PGANALYTICS_OF_A_HEADER                                                                \
    ", '((pass|pwd|secret|token|key|credential)[a-z_]*[\"'']?\\s*[=:]\\s*)" PGANALYTICS_A_VALUE \
    ", '\\1***', 'gi'), "                                                                       \
    "'(-[a-z_-]*(pass|pwd|secret|token|key|credential)[a-z_-]*\\s+)" PGANALYTICS_A_VALUE        \
    ", '\\1***', 'gi'), '(://[^/@\\s:]*:)[^/@\\s]+@', '\\1***@', 'g')"

// --- settings

constexpr Source kSettingsSources[] = {
    {"FROM (SELECT s.*, CASE WHEN s.source OPERATOR(pg_catalog.=) 'session'"
     " THEN s.reset_val ELSE s.setting END AS shown, " PGANALYTICS_IS_SECRET(
         "s.name") " AS hidden"
                   " FROM pg_catalog.pg_show_all_settings() s) s",
     since(13)},
};

constexpr Column kSettings[] = {
    key("name", kText, "s.name", "name of the setting"),
    gauge("setting", kText, "",
          "CASE WHEN NOT s.hidden THEN " PGANALYTICS_CUT_OUT("s.shown") " END",
          "value a new session of the collecting role in pganalytics.database begins with, in the "
          "setting's unit; null where it could be a secret"),
    gauge("hidden", kBool, "", "s.hidden", "whether the value is held back because of that"),
    label("unit", kText, "s.unit", "unit of the value; null where it has none"),
    label("vartype", kText, "s.vartype", "bool, enum, integer, real or string"),
    label("context", kText, "s.context", "when it can be changed: postmaster, sighup and others"),
    gauge("source", kText, "",
          "CASE WHEN s.source OPERATOR(pg_catalog.<>) 'session' THEN s.source END",
          "where the value comes from; null for the few settings each reading session sets for "
          "itself"),
    gauge("sourcefile", kText, "", "s.sourcefile", "configuration file it stands in"),
    gauge("sourceline", kInt64, "", "s.sourceline::pg_catalog.int8", "line in that file"),
    label("boot_val", kText,
          "CASE WHEN NOT s.hidden THEN " PGANALYTICS_CUT_OUT("s.boot_val") " END",
          "value it has where nobody sets it"),
    gauge("pending_restart", kBool, "", "s.pending_restart",
          "whether a value in the configuration files waits for a restart"),
};

// --- values for databases and roles

// One row for each setting of each database, role or both.
constexpr Source kOverridesSources[] = {
    {"FROM (SELECT d.setdatabase, d.setrole, c.option_name AS name, c.option_value AS "
     "value, " PGANALYTICS_IS_SECRET(
         "c.option_name") " AS hidden"
                          " FROM pg_catalog.pg_db_role_setting d"
                          " CROSS JOIN LATERAL pg_catalog.pg_options_to_table(d.setconfig) c) s\n"
                          "LEFT JOIN pg_catalog.pg_database d ON d.oid OPERATOR(pg_catalog.=) "
                          "s.setdatabase\n"
                          "LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) "
                          "s.setrole",
     since(13)},
};

constexpr Column kOverrides[] = {
    key("setdatabase", kOid, "s.setdatabase", "OID of the database; 0 for all"),
    key("setrole", kOid, "s.setrole", "OID of the role; 0 for all"),
    key("name", kText, "s.name", "name of the setting"),
    label("datname", kText, "d.datname::pg_catalog.text", "name of the database"),
    label("rolname", kText, "r.rolname::pg_catalog.text", "name of the role"),
    gauge("setting", kText, "",
          "CASE WHEN NOT s.hidden THEN " PGANALYTICS_CUT_OUT("s.value") " END",
          "value sessions of them begin with; null where it could be a secret"),
    gauge("hidden", kBool, "", "s.hidden", "whether the value is held back because of that"),
};

#undef PGANALYTICS_IS_SECRET
#undef PGANALYTICS_CUT_OUT
#undef PGANALYTICS_OF_A_COMMAND
#undef PGANALYTICS_OF_A_HEADER
#undef PGANALYTICS_A_VALUE

constexpr Rowset kSettingsRowsets[] = {
    {"pg_settings", "settings", Scope::kCluster, 300, kSettingsSources, kSettings,
     "every setting of the server, with where it comes from and whether it waits for a restart"},
    {"pg_settings", "overrides", Scope::kCluster, 300, kOverridesSources, kOverrides,
     "settings given to databases and roles (ALTER DATABASE, ALTER ROLE ... SET)"},
};

// --- extensions

constexpr Source kInstalledSources[] = {
    {R"(FROM pg_catalog.pg_extension e
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) e.extowner)",
     since(13)},
};

constexpr Column kInstalled[] = {
    key("datid", kOid, kThisDatabase, "OID of the database"),
    key("extname", kText, "e.extname::pg_catalog.text", "name of the extension"),
    gauge("extversion", kText, "", "e.extversion", "version installed in this database"),
    label("schemaname", kText, "n.nspname::pg_catalog.text", "schema of its objects"),
    label("owner", kText, "r.rolname::pg_catalog.text", "role that owns it"),
    label("extrelocatable", kBool, "e.extrelocatable", "whether it can be moved to another schema"),
};

constexpr Source kAvailableSources[] = {
    {"FROM pg_catalog.pg_available_extensions() a", since(13)},
};

constexpr Column kAvailable[] = {
    key("name", kText, "a.name::pg_catalog.text", "name of the extension"),
    gauge("default_version", kText, "", "a.default_version",
          "version CREATE EXTENSION and ALTER EXTENSION UPDATE install; an older extversion in "
          "pg_extensions.installed waits for an update"),
    label("comment", kText, "a.comment", "what it is, in its own words"),
};

constexpr Rowset kExtensionsRowsets[] = {
    changing_with_definitions({"pg_extensions", "installed", Scope::kDatabase, 600,
                               kInstalledSources, kInstalled,
                               "extensions installed in each database"}),
    {"pg_extensions", "available", Scope::kCluster, 3600, kAvailableSources, kAvailable,
     "extensions whose files are on the server's host"},
};

// --- roles

constexpr Source kCountsSources[] = {{"FROM pg_catalog.pg_roles r", since(13)}};

constexpr Column count_of(std::string_view name, std::string_view sql, std::string_view help) {
    return gauge(name, kInt64, "roles", sql, help);
}

constexpr Column kCounts[] = {
    count_of("roles", "pg_catalog.count(r.oid)", "all, predefined ones included"),
    count_of("can_login", "pg_catalog.count(r.oid) FILTER (WHERE r.rolcanlogin)", "may log in"),
    count_of("superusers", "pg_catalog.count(r.oid) FILTER (WHERE r.rolsuper)",
             "superusers, those that can't log in included"),
    count_of("create_role", "pg_catalog.count(r.oid) FILTER (WHERE r.rolcreaterole)",
             "have CREATEROLE"),
    count_of("create_db", "pg_catalog.count(r.oid) FILTER (WHERE r.rolcreatedb)", "have CREATEDB"),
    count_of("replication", "pg_catalog.count(r.oid) FILTER (WHERE r.rolreplication)",
             "have REPLICATION"),
    count_of("bypass_rls", "pg_catalog.count(r.oid) FILTER (WHERE r.rolbypassrls)",
             "have BYPASSRLS"),
    count_of("with_valid_until",
             "pg_catalog.count(r.oid) FILTER"
             " (WHERE r.rolcanlogin AND pg_catalog.isfinite(r.rolvaliduntil))",
             "may log in, with a password that expires one day"),
};

constexpr Source kRolesSources[] = {{"FROM pg_catalog.pg_roles r", since(13)}};

constexpr Column kRoles[] = {
    key("oid", kOid, "r.oid", "OID of the role"),
    label("rolname", kText, "r.rolname::pg_catalog.text", "name of the role"),
    gauge("rolcanlogin", kBool, "", "r.rolcanlogin", "whether it may log in"),
    gauge("rolsuper", kBool, "", "r.rolsuper", "whether it is a superuser"),
    gauge("rolcreaterole", kBool, "", "r.rolcreaterole", "whether it may create roles"),
    gauge("rolcreatedb", kBool, "", "r.rolcreatedb", "whether it may create databases"),
    gauge("rolreplication", kBool, "", "r.rolreplication",
          "whether it may start replication and base backups"),
    gauge("rolbypassrls", kBool, "", "r.rolbypassrls", "whether row security is not for it"),
    gauge("rolinherit", kBool, "", "r.rolinherit",
          "whether it inherits the rights of roles it is made a member of"),
    gauge("rolconnlimit", kInt64, "sessions",
          "CASE WHEN r.rolconnlimit OPERATOR(pg_catalog.>=) 0"
          " THEN r.rolconnlimit::pg_catalog.int8 END",
          "limit of sessions; null: none"),
    moment("rolvaliduntil",
           "CASE WHEN pg_catalog.isfinite(r.rolvaliduntil) THEN r.rolvaliduntil END",
           "when its password expires; null: never (or it has none)"),
};

constexpr Source kMembershipsSources[] = {
    {R"(FROM pg_catalog.pg_auth_members m
LEFT JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) m.roleid
LEFT JOIN pg_catalog.pg_roles u ON u.oid OPERATOR(pg_catalog.=) m.member
LEFT JOIN pg_catalog.pg_roles g ON g.oid OPERATOR(pg_catalog.=) m.grantor)",
     since(13)},
};

constexpr Column kMemberships[] = {
    key("roleid", kOid, "m.roleid", "OID of the role somebody is a member of"),
    key("member", kOid, "m.member", "OID of the member"),
    key("grantor", kOid, "m.grantor", "OID of the role that granted it"),
    label("role_name", kText, "r.rolname::pg_catalog.text", "name of the role"),
    label("member_name", kText, "u.rolname::pg_catalog.text", "name of the member"),
    label("grantor_name", kText, "g.rolname::pg_catalog.text",
          "name of the role that granted it; null where it is gone"),
    gauge("admin_option", kBool, "", "m.admin_option", "whether the member may grant it"),
    gauge("inherit_option", kBool, "", "m.inherit_option",
          "whether the member has the role's rights at once", since(16)),
    gauge("set_option", kBool, "", "m.set_option", "whether the member may become the role",
          since(16)),
};

constexpr Rowset kRolesRowsets[] = {
    {"pg_roles", "counts", Scope::kCluster, 300, kCountsSources, kCounts,
     "roles, counted by what they may do"},
    {"pg_roles", "roles", Scope::kCluster, 300, kRolesSources, kRoles,
     "roles and what they may do; never a password, nor whether there is one"},
    {"pg_roles", "memberships", Scope::kCluster, 300, kMembershipsSources, kMemberships,
     "who is a member of which role"},
};

}  // namespace

std::span<const Rowset> pg_settings() { return kSettingsRowsets; }
std::span<const Rowset> pg_extensions() { return kExtensionsRowsets; }
std::span<const Rowset> pg_roles() { return kRolesRowsets; }

}  // namespace pganalytics::parts
